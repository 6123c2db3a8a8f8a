/* SPDX-License-Identifier: MIT */
/* What the roads share: see road.c. */
#pragma once

#include <stdbool.h>

#include "app.h"

extern const char *queue;     /* "/name" */
extern const char *directory; /* DIRECTORY */

/* An unconfined process of the same user that has the queue open. */
struct victim {
	int pid, fd;
	unsigned long command; /* address of an int; 1: send to the queue */
};

/* The three outcomes: print, and return the exit status. The first two take errno. */
int closed(const char *step);
int untried(const char *step);
int is_open(void);

/* A descriptor is worth something only if messages go through it. A negative one: closed(step). */
int use(int fd);
int use_or_closed(int fd, const char *step);

/* Both return one of two static buffers, in turn. */
const char *path_in(const char *prefix, const char *suffix);
const char *queue_file(void);

int be_victim(void);
int find_victim(struct victim *ret);

int road_ptrace(const struct victim *victim);
int road_proc_mem(const struct victim *victim);
int road_process_vm_writev(const struct victim *victim);
int road_pidfd_getfd(const struct victim *victim);
int road_proc_fd(const struct victim *victim);
int road_proc_root(const struct victim *victim);
int road_proc_cwd(const struct victim *victim);
int road_sent_descriptor(const struct victim *victim);
int road_mq_open(void);
int road_mq_unlink(void);
int road_mq_create(void);

#if defined(__x86_64__)
int road_i386_open(void);
int road_i386_mq_open(void);
int road_i386_mq_unlink(void);
int road_x32_mq_open(void);
int road_x32_mq_unlink(void);
#endif
