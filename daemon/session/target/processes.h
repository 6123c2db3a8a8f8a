/* SPDX-License-Identifier: MIT */
/* The processes of a session whose calls were given back to the kernel: each can be killed,
 * whatever it does. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/limits.h"

/* What it is found by, also by the next session process. */
struct process {
	int32_t pid;         /* 0: entry not in use */
	uint16_t registered; /* 1: it has made an mq_notify that was given back */
	uint16_t watched;    /* 1: one that was given back is watched, and not judged yet */
	uint64_t identity;   /* of process_open() */
};

struct processes {
	/* Entries 0…count-1 have been used: what is not looked at takes no memory. */
	uint32_t count;
	struct process entries[SESSION_PROCESSES_MAX];
};

/* What this session process has of each. */
struct process_handles {
	int pidfds[SESSION_PROCESSES_MAX];  /* -EBADF: none */
	bool told[SESSION_PROCESSES_MAX];   /* the manager has one, too */
	bool doomed[SESSION_PROCESSES_MAX]; /* it was killed and is looked after (bring-back.c) */
};

/* Opens those that an earlier session process has noted. Who is gone is forgotten; -errno if one
 * could not be opened that may be there. */
int processes_open(struct processes *processes, struct process_handles *ret);

/* A pidfd of the process that has the number now, and what tells it from all others that have the
 * number at another time. It is a caller's process only if the caller's notification is valid
 * afterwards. A descriptor, -ESRCH, or another negative errno. Waits for nobody. */
int process_open(pid_t pid, uint64_t *ret_identity);

/* Its place, if it is noted and not gone; or -1. */
int processes_find(
	const struct processes *processes, const struct process_handles *handles, pid_t pid);

/* Takes pidfd. Its place; -ENOSPC if there are SESSION_PROCESSES_MAX that live. */
int processes_add(struct processes *processes, struct process_handles *handles, pid_t pid,
	uint64_t identity, int *pidfd);

/* True if one that is noted has made an mq_notify that was given back. */
bool processes_have_registered(const struct processes *processes);

/* True if the thread that has this number is one of the process's. A thread is remembered by its
 * process and this question, never by its number alone. */
bool processes_have_thread(const struct processes *processes, const struct process_handles *handles,
	uint32_t place, pid_t tid);
