/* SPDX-License-Identifier: MIT */
/* The probe: makes each message-queue call in each interesting way and prints what came of it. Run
 * bare and confined with everything granted, the output must be the same: nothing in it may depend
 * on time, addresses or process ids. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "tests/patience.h"

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))
#define QUEUE         "/mqgate-probe"
#define OTHER         "/mqgate-probe-other"

/* "what -> result" or "what -> -1 ENAME". Returns result. */
long report(long result, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define TRY(expression) (errno = 0, report((long)(expression), "%s", #expression))

/* A free text line. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The system calls themselves, past the C library. */
long raw_open(const void *name, int oflag, mode_t mode, const void *attributes);
long raw_unlink(const void *name);
long raw_send(int queue, const void *message, size_t size, unsigned priority, const void *timeout);
long raw_receive(int queue, void *message, size_t size, void *priority, const void *timeout);
long raw_notify(int queue, const void *event);
long raw_getsetattr(int queue, const void *new_attributes, void *old_attributes);

/* A new empty queue of 4 messages of 32 bytes, mode 0666, replacing an old one. Exits on failure.
 */
mqd_t fresh(const char *name, int oflag);
void remove_all(void);

/* Runs f in a forked child, prints how it ended. */
void in_child(const char *what, void (*f)(void));
void wait_for(pid_t pid, const char *what);

/* Two pages, the second unreadable (PROT_NONE) or unmapped. */
char *page_before_hole(bool mapped);

/* CLOCK_REALTIME in so many milliseconds. */
struct timespec in_ms(long ms);

/* "at once", "about N ms" in steps of 50, for durations. */
void clock_start(void);
const char *clock_class(void);

void probe_names(void);
void probe_flags(void);
void probe_attributes(void);
void probe_modes(void);
void probe_data(void);
void probe_descriptors(void);
void probe_timeouts(void);
void probe_setattr(void);
void probe_notify(void);
void probe_poll(void);
void probe_processes(void);
void probe_passing(void);
void probe_limits(void);
void probe_identity(void);
void probe_namespaces(void);
void probe_signals(void);
void probe_threads(void);
