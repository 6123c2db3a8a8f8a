/* SPDX-License-Identifier: MIT */
/* The calling thread: its memory and its facts, all read through one descriptor of /proc/TID that
 * is opened first.
 *
 * The thread id may have been reused before that descriptor was opened. So nothing that was read
 * counts until notify_is_valid() has said yes after the reading: then the thread is still blocked
 * in its call, and the descriptor is its. */
#pragma once

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

#include "include/request.h"
#include "include/util.h"
#include "memory.h"
#include "queues.h"

struct target {
	pid_t tid;
	int proc;   /* /proc/TID */
	int status; /* its status, mem and maps, each opened when first needed */
	int memory;
	int maps;
	/* Kept by struct callers: */
	bool lent; /* proc */
	bool status_lent;
	bool memory_lent; /* memory and maps */
};
#define TARGET_CLOSED \
	((struct target){.proc = -EBADF, .status = -EBADF, .memory = -EBADF, .maps = -EBADF})

/* -ESRCH if there is no such thread, or it cannot be named from here (pid 0: another PID
 * namespace). */
int target_open(pid_t tid, struct target *ret);
/* The same of a thread of the process behind proc. */
int target_open_thread(int proc, pid_t tid, struct target *ret);
void target_close(struct target *target);

/* The app_memory reader of a target. */
struct app_memory target_memory(struct target *target);

/* Writes to the app's memory where the app itself could. 0, -EFAULT, or another negative errno. */
int target_write(struct target *target, uint64_t address, const void *data, size_t size);

/* Its status as text; to be freed. -ESRCH if the thread is gone, whoever has its number by now. */
int target_status(struct target *target, char **ret);

/* How many threads its process has, those among them that the kernel has made for io_uring. 0;
 * -ESRCH: the thread is gone; or another negative errno. */
int target_count_threads(const struct target *target, uint64_t *ret);

/* The directory of a thread of its process, or of itself, that is not the first one. A descriptor;
 * -ESRCH: there is none; or another negative errno. */
int target_open_witness(const struct target *target);

/* Soft limits of the thread. */
struct target_limits {
	struct rlimit queue_bytes; /* RLIMIT_MSGQUEUE */
	struct rlimit descriptors; /* RLIMIT_NOFILE */
};
int target_limits(const struct target *target, struct target_limits *ret);

/* True if every descriptor of the thread below this number is in use. 1, 0 or negative errno. */
int target_table_is_full(const struct target *target, rlim_t below);

/* What a descriptor of the thread is. Device, inode and mount are looked up without opening
 * anything or asking any file system's server (a FUSE file would hold us as long as its server
 * likes). 0; -EBADF if it is not open; another negative errno if it could not be looked at. */
struct descriptor {
	struct queue_key key;
	uint64_t mount;
	bool regular; /* message queues are */
};
int target_descriptor(const struct target *target, int fd, struct descriptor *ret);

/* What can be done with it: PERMISSION_READ, PERMISSION_WRITE, both or neither. The same results.
 */
int target_descriptor_access(const struct target *target, int fd, uint32_t *ret);

/* What a descriptor of our own is. 0 or negative errno. */
int own_descriptor(int fd, struct descriptor *ret);

/* The path behind a descriptor as the kernel prints it; at most size - 1 bytes. 0 or negative
 * errno. */
int target_descriptor_link(const struct target *target, int fd, char *buffer, size_t size);

/* The descriptors that the thread has open, by their numbers; NULL if they cannot be listed. */
DIR *target_open_table(const struct target *target);

/* The next of them. 1; 0: that was all; or a negative errno. */
int table_next(DIR *table, int *ret);

/* Calls visit() with each number in the thread's table, until it returns something else than 0 or
 * -EBADF: what that was; 0; -EAGAIN: descriptors came, went or moved meanwhile, and one may have
 * been missed; or another negative errno. */
int target_for_each_descriptor(const struct target *target,
	int (*visit)(void *context, const struct target *target, int number), void *context);

/* Calls visit() with a thread for each descriptor table that the process behind proc has: threads
 * share one as a rule, but need not. Until it returns anything but 0: what that was, 0, or negative
 * errno: not all could be visited. -EAGAIN: its threads come and go too fast. Waits, as a step of a
 * disposable child's (child.h), while it executes a program. */
int target_for_each_table(
	int proc, int (*visit)(void *context, struct target *thread), void *context);

/* A copy of a descriptor of the thread: the same file. A descriptor, or a negative errno. */
int target_copy_descriptor(const struct target *target, int fd);

/* True if a signal waits for the thread (or its process) that it neither blocks nor ignores: for
 * one that is traced, the kernel keeps ignored ones, too. */
bool target_has_signal(struct target *target);

/* Its flags, as fcntl(F_GETFL) tells them. 0 or negative errno. To be asked of a queue only: other
 * files may wait for their users. */
int target_descriptor_flags(const struct target *target, int fd, int *ret);

/* False if a regular file, on that mount, is certainly no message queue. Never takes a copy of the
 * descriptor: closing one of a FUSE file would hold us as long as its server likes. */
bool target_may_be_queue(const struct target *target, int fd, uint64_t mount);
