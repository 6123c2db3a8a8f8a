/* SPDX-License-Identifier: MIT */
/* Threads and processes as /proc shows them, and ending them for certain. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* The numbers among the names in a directory of /proc, of which directory is one above. 0, to be
 * freed; or negative errno. */
int task_list(int directory, const char *name, pid_t **ret, size_t *ret_count);

/* The threads of the process behind proc: as many as it had before and after, so all of them unless
 * one is gone when it is looked at. 0, to be freed; -EAGAIN if they come and go too fast to be
 * listed; -ESRCH; or another negative errno. */
int task_list_threads(int proc, pid_t **ret, size_t *ret_count);

struct task {
	char state;       /* the letter; 0: gone */
	bool has_memory;  /* false: it exits */
	bool writes_core; /* its process does */
	uint64_t threads; /* of its process */
};

/* Opens /proc/TID, of whoever has the number now. A descriptor, -ESRCH, or another negative errno.
 */
int task_open(pid_t tid);

/* proc is /proc/TID. 0, -ESRCH if it is gone, or another negative errno. Waits for nobody. */
int task_read(int proc, struct task *ret);
/* The same of the thread that has the number now. */
int task_read_by_number(pid_t tid, struct task *ret);

/* True if it has ended, reaped or not. */
bool task_is_dead(const struct task *task);

/* When the process that has the number now began, in the kernel's ticks. 0, -ESRCH if it is gone,
 * or another negative errno. May wait while it executes a program. */
int task_start(pid_t pid, uint64_t *ret);

/* The call that a thread is in. 0; -EAGAIN: it is running; -ESRCH if it is gone; another negative
 * errno. May wait like task_start(). */
struct task_call {
	int nr;                /* by whatever table; -1: it is blocked, but in none */
	uint64_t stack, place; /* of its code */
};
int task_call(int proc, struct task_call *ret);

/* True if we are in the IPC namespace of the system, which is that of its first process. False also
 * if that cannot be seen. */
bool task_has_host_ipc(void);

/* True if the pidfd's process has not exited. */
bool pidfd_is_alive(int pidfd);

/* fork(), but the child ends with the thread that has called it. */
pid_t task_fork(void);

/* Takes real-time scheduling from a thread whose number is certain, and lets it run on all
 * processors: nobody's spinning keeps it from ending. */
void task_make_ordinary(pid_t tid);

/* A process to be killed. The caller's are pid and pidfd, which was opened while the number was the
 * process's. */
struct victim {
	pid_t pid;
	int pidfd;
	bool has_stopped; /* none of its threads is in a system call any more, nor comes into one */
};

/* Kills them all and waits until each is seen to have stopped, at most until the deadline
 * (CLOCK_MONOTONIC, microseconds); who does not get to run is lifted above all others. The number
 * of those that were not seen to have stopped; a further call looks again. */
size_t victims_kill(struct victim *victims, size_t count, uint64_t deadline);

/* The same of those that victims_kill() has left, without waiting for them: who has only threads
 * that have stopped, or that the kernel holds in calls on no queue, has stopped. Waits while a
 * victim's process executes a program: to be done by a disposable child. */
size_t victims_look_at_calls(struct victim *victims, size_t count);
