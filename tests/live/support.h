/* SPDX-License-Identifier: MIT */
/* What tests on both sides of the door need. */
#pragma once

#include <mqueue.h>
#include <sys/types.h>
#include <time.h>

#define NOBODY 65534

/* Opens a queue of two messages of 32 bytes, which it makes if there is none. */
mqd_t open_new(const char *name);

/* As whoever is not confined: must work. */
void send_too_late(const char *name);

/* Who is registered on a queue, as it says itself; 0: nobody. */
pid_t owner_by_descriptor(int fd);
pid_t owner_of(const char *name);

/* In the app: another thread does this from now on. */
void in_background(void *(*f)(void *));

/* Until all other threads have entered what they block in, as far as one can tell. */
void settle(void);

/* To be told by SIGUSR1. As mq_notify(), or a negative errno. */
long register_by_signal(mqd_t queue);

struct timespec in_seconds(int seconds);

/* As /proc shows it; 0: there is none. */
char state_of(pid_t pid);

/* Kills a child of the test. */
void end(pid_t pid);

/* In a child: as root with one capability; so that no exec gives more. */
void become_root_with_one(void);
void become_root_with_one_for_good(void);
