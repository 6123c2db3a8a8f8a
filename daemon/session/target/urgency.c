/* SPDX-License-Identifier: MIT */
/* Serving real-time callers as such. */
#include "urgency.h"

#include "include/log.h"
#include "include/task.h"
#include "include/util.h"
#include "notify.h"

#define ROUND_USEC 10000

static struct scheduling scheduling_of(pid_t tid)
{
	struct scheduling scheduling = {.policy = sched_getscheduler(tid)};
	struct sched_param parameters;

	switch (scheduling.policy & ~SCHED_RESET_ON_FORK) {
	case SCHED_FIFO:
	case SCHED_RR:
		if (sched_getparam(tid, &parameters) == 0)
			scheduling.priority = parameters.sched_priority;
		break;
	case SCHED_DEADLINE:
		scheduling.priority = sched_get_priority_max(SCHED_FIFO);
		break;
	}
	return scheduling;
}

/* Where that cannot be told, as on more processors than have room: all. */
static cpu_set_t processors_of(pid_t tid)
{
	cpu_set_t processors;

	if (sched_getaffinity(tid, sizeof(processors), &processors) < 0)
		memset(&processors, 0xff, sizeof(processors));
	return processors;
}

/* True if it lives and is urgent. Its number was its own all the time if its /proc/TID answers
 * afterwards. */
static bool caller_read(struct urgent_caller *caller)
{
	struct task task;

	caller->scheduling = scheduling_of(caller->tid);
	if (caller->scheduling.priority == 0)
		return false;
	caller->scheduling.processors = processors_of(caller->tid);
	return task_read(caller->proc, &task) == 0 && !task_is_dead(&task);
}

/* A place for one of that priority; NULL: all have others that are as urgent. */
static struct urgent_caller *place_for(struct urgency *urgency, int priority)
{
	struct urgent_caller *least = &urgency->callers[0];

	if (urgency->count < SESSION_URGENT_MAX)
		return &urgency->callers[urgency->count++];
	for (size_t i = 1; i < urgency->count; i++)
		if (urgency->callers[i].scheduling.priority < least->scheduling.priority)
			least = &urgency->callers[i];
	if (least->scheduling.priority >= priority)
		return NULL;
	least->proc = safe_close(least->proc);
	return least;
}

static bool has(const struct urgency *urgency, pid_t tid)
{
	for (size_t i = 0; i < urgency->count; i++)
		if (urgency->callers[i].tid == tid)
			return true;
	return false;
}

static void look(struct urgency *urgency, const struct seccomp_notif *notification, int listener)
{
	struct urgent_caller caller = {.tid = (pid_t)notification->pid}, *place = NULL;

	if (has(urgency, caller.tid) || scheduling_of(caller.tid).priority == 0)
		return;
	caller.proc = task_open(caller.tid);
	if (caller.proc >= 0 && caller_read(&caller) && notify_is_valid(listener, notification->id))
		place = place_for(urgency, caller.scheduling.priority);
	if (place)
		*place = caller;
	else
		(void)safe_close(caller.proc);
}

static void look_again(struct urgency *urgency)
{
	for (size_t i = 0; i < urgency->count;) {
		struct urgent_caller *caller = &urgency->callers[i];

		if (caller_read(caller)) {
			i++;
			continue;
		}
		(void)safe_close(caller->proc);
		*caller = urgency->callers[--urgency->count];
	}
}

static struct scheduling wanted(const struct urgency *urgency)
{
	struct scheduling wanted = urgency->own;

	if (urgency->count > 0)
		CPU_ZERO(&wanted.processors);
	for (size_t i = 0; i < urgency->count; i++) {
		const struct scheduling *caller = &urgency->callers[i].scheduling;

		CPU_OR(&wanted.processors, &wanted.processors, &caller->processors);
		if (caller->priority > wanted.priority) {
			wanted.policy = SCHED_FIFO;
			wanted.priority = caller->priority;
		}
	}
	return wanted;
}

/* Processors that this process may not use are not worth a failure. */
static void move(const struct scheduling *from, const struct scheduling *to)
{
	if (!CPU_EQUAL(&from->processors, &to->processors))
		(void)sched_setaffinity(0, sizeof(to->processors), &to->processors);
}

/* Moves while its priority is the higher one: the ordinary ones may have to wait there. 0 or
 * negative errno. */
static int change(const struct scheduling *from, const struct scheduling *to)
{
	const struct sched_param parameters = {.sched_priority = to->priority};
	bool lower = to->priority < from->priority;
	int r = 0;

	if (lower)
		move(from, to);
	if ((from->policy != to->policy || from->priority != to->priority) &&
		sched_setscheduler(0, to->policy, &parameters) < 0)
		r = -errno;
	if (!lower)
		move(from, to);
	return r;
}

static void adapt(struct urgency *urgency)
{
	struct scheduling to;
	int r;

	if (!urgency->known && urgency->count == 0)
		return;
	if (!urgency->known) {
		urgency->own = scheduling_of(0);
		urgency->own.processors = processors_of(0);
		urgency->now = urgency->own;
		urgency->known = true;
	}
	to = wanted(urgency);
	r = change(&urgency->now, &to);
	urgency->now = to;
	if (r < 0 && !urgency->failed)
		(void)log_errno(r, "cannot serve a real-time program with its priority");
	urgency->failed |= r < 0;
}

static void begin_round(struct urgency *urgency, uint64_t now)
{
	memset(urgency->seen, 0, sizeof(urgency->seen));
	urgency->round = now;
	look_again(urgency);
}

void urgency_follow(struct urgency *urgency, const struct inflight *inflight, int listener)
{
	const pid_t tid = (pid_t)inflight->notification.pid;
	pid_t *seen = &urgency->seen[(size_t)tid % SESSION_CALLERS_MAX];
	bool over = inflight->head.since - urgency->round >= ROUND_USEC;

	/* 0: it cannot be named from here, and would be ourselves. */
	if (tid <= 0 || (!over && *seen == tid))
		return;
	if (over)
		begin_round(urgency, inflight->head.since);
	*seen = tid;
	look(urgency, &inflight->notification, listener);
	adapt(urgency);
}

void urgency_review(struct urgency *urgency)
{
	uint64_t now = urgency->count > 0 ? now_usec() : 0;

	if (urgency->count == 0 || now - urgency->round < ROUND_USEC)
		return;
	begin_round(urgency, now);
	adapt(urgency);
}

void urgency_leave(const struct urgency *urgency)
{
	if (urgency->known)
		(void)change(&urgency->now, &urgency->own);
}
