/* SPDX-License-Identifier: MIT */
/* The command and its signals.
 *
 * Whoever sends mq-run a signal means the command. Many reach it by themselves: the terminal, the
 * shell's kill %1 and timeout(1) send to the process group, a service manager to a whole unit. This
 * process is in all of these, too; so what mq-run was sent is passed on only if it did not come
 * here. */
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "alone.h"
#include "include/alone.h"

#define OWN_FAILURE 125 /* as mq-run has it */

/* Between the first and the last of us that is sent the same signal. */
#define TOGETHER_USEC 50000

static void drop(struct alone *alone, size_t i)
{
	alone->waiting_count--;
	memmove(&alone->waiting[i], &alone->waiting[i + 1],
		(alone->waiting_count - i) * sizeof(*alone->waiting));
}

/* Whether it has come to mq-run as well. */
static bool drop_waiting(struct alone *alone, int number)
{
	for (size_t i = 0; i < alone->waiting_count; i++)
		if (alone->waiting[i].number == number) {
			drop(alone, i);
			return true;
		}
	return false;
}

/* What stops it has come to it; mq-run may get to tell of the same only when it has gone on. */
static void note_stop(struct alone *alone, int number)
{
	alone->stopped_by = drop_waiting(alone, number) ? 0 : number;
	tell_stopped(alone, number);
}

static void note_child(struct alone *alone, pid_t pid, int status)
{
	if (pid != alone->command)
		return;
	if (WIFSTOPPED(status)) {
		note_stop(alone, WSTOPSIG(status));
		return;
	}
	alone->has_ended = true;
	alone->status = status;
	finish_lesson(alone, true);
	tell_ended(alone);
}

/* Also what the command has left behind, whose parent we are. */
static void reap(struct alone *alone)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED)) > 0)
		note_child(alone, pid, status);
}

static void note_signal(struct alone *alone, int number)
{
	const uint64_t now = now_usec();

	if (now - alone->came[number].last >= TOGETHER_USEC)
		alone->came[number].count = 0;
	alone->came[number].last = now;
	alone->came[number].count++;
}

/* Whether one has come to us that was not yet told of. */
static bool has_come(struct alone *alone, int number)
{
	if (alone->came[number].count == 0 ||
		now_usec() - alone->came[number].last >= TOGETHER_USEC)
		return false;
	alone->came[number].count--;
	return true;
}

void take_signals(struct alone *alone)
{
	struct signalfd_siginfo info;
	bool children = false;

	while (read(alone->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			children = true;
		else if (info.ssi_signo < NSIG && !drop_waiting(alone, (int)info.ssi_signo))
			note_signal(alone, (int)info.ssi_signo);
	}
	if (children)
		reap(alone);
}

static void pass_on(const struct alone *alone, const struct front_signal *signal)
{
	const union sigval value = {.sival_ptr = (void *)(uintptr_t)signal->value};

	if (alone->has_ended)
		return;
	if (signal->code == SI_QUEUE)
		(void)sigqueue(alone->command, signal->number, value);
	else
		(void)kill(alone->command, signal->number);
}

void take_front_signal(struct alone *alone, const struct alone_message *message)
{
	const struct front_signal signal = {.number = message->number,
		.code = message->code,
		.value = message->value,
		.due = now_usec() + TOGETHER_USEC};

	if (signal.number < 1 || signal.number >= NSIG)
		return;
	/* mq-run says this one after all that came to it before. */
	if (signal.number == SIGCONT)
		alone->stopped_by = 0;
	if (signal.number == alone->stopped_by) {
		alone->stopped_by = 0;
		return;
	}
	/* What a shell continues is a process group, which the command may have left. */
	if (signal.number == SIGCONT && getpgid(alone->command) != getpgrp()) {
		pass_on(alone, &signal);
		return;
	}
	if (has_come(alone, signal.number))
		return;
	if (alone->waiting_count == ELEMENTSOF(alone->waiting)) {
		pass_on(alone, &alone->waiting[0]);
		drop(alone, 0);
	}
	alone->waiting[alone->waiting_count++] = signal;
}

int pass_signals_on(struct alone *alone)
{
	while (alone->waiting_count > 0) {
		const struct front_signal *first = &alone->waiting[0];
		const uint64_t now = now_usec();

		if (first->due > now)
			return (int)((first->due - now) / 1000) + 1;
		pass_on(alone, first);
		drop(alone, 0);
	}
	return -1;
}

void wait_for_command(struct alone *alone)
{
	int status;

	while (!alone->has_ended) {
		if (waitpid(alone->command, &status, 0) < 0) {
			if (errno == EINTR)
				continue;
			/* Nobody can know how it has ended. */
			status = W_EXITCODE(OWN_FAILURE, 0);
		}
		note_child(alone, alone->command, status);
	}
	tell_ended(alone);
}
