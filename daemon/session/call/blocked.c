/* SPDX-License-Identifier: MIT */
/* Calls that wait inside the door.
 *
 * The caller is blocked in its notification, where only a fatal signal reaches it
 * (WAIT_KILLABLE_RECV). So this process has to see that a signal is there for it, and let it out:
 * asked to stop by ptrace first, and then answered with ERESTARTSYS, it handles the signal as it
 * would have in the kernel's own wait, and the call restarts or fails with EINTR, as its handler
 * was installed. Without the stop the number of that error could reach the app.
 *
 * Signals and deaths are looked for every few milliseconds, the less often the longer nothing new
 * waits, and then an mq_open is tried again, since nothing tells that a lease has ended; messages
 * and room wake us by poll. Of several that wait for the same queue the oldest is served first, and
 * before any new call. */
#include "blocked.h"

#include "include/compat.h"
#include "include/verdict.h"
#include "daemon/session/target/notify.h"
#include "daemon/session/revoke/bring-back.h"

#define LOOK_USEC       5000
#define LOOK_LATER_USEC 50000
#define LOOK_ONE_USEC   500 /* more with many: half a processor at most */

static struct seccomp_notif *free_note(struct inflight *inflight)
{
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id == 0)
			return &inflight->waiting[i];
	if (inflight->waiting_used >= SESSION_WAITING_MAX)
		return NULL;
	return &inflight->waiting[inflight->waiting_used++];
}

/* Held while it waits. */
static uint64_t message_bytes(const struct emulated *emulated)
{
	return emulated->call.call == MQ_CALL_SEND ? emulated->call.size : 0;
}

/* The last one, for the call in hand. Each has a note, but those are in memory that is not only
 * ours. */
static int append(struct waiters *waiters, struct inflight *inflight, struct waiter **ret)
{
	struct seccomp_notif *note, copy = inflight->notification;
	struct waiter *waiter;

	if (waiters->count == SESSION_WAITING_MAX)
		return -ENOSPC;
	note = free_note(inflight);
	if (!note)
		return -ENOSPC;
	waiter = calloc(1, sizeof(*waiter));
	if (!waiter)
		return -ENOMEM;
	*waiter = (struct waiter){.note = note, .target = TARGET_CLOSED, .emulated = EMULATED_NONE};

	/* The id last: then all of it is there. */
	copy.id = 0;
	*note = copy;
	__atomic_store_n(&note->id, inflight->notification.id, __ATOMIC_SEQ_CST);
	waiters->items[waiters->count++] = waiter;
	waiters->newest = now_usec();
	waiters->next_look = MIN(waiters->next_look, waiters->newest + LOOK_USEC);
	*ret = waiter;
	return 0;
}

static void take_over(struct waiter *waiter, struct target *target, const struct wanted *wanted)
{
	waiter->target = *target;
	*target = TARGET_CLOSED;
	(void)snprintf(waiter->name, sizeof(waiter->name), "%.*s", QUEUE_NAME_MAX, wanted->name);
	waiter->wanted = *wanted;
	waiter->wanted.name = waiter->name;
}

int waiters_add(struct waiters *waiters, struct inflight *inflight, struct target *target,
	struct emulated *emulated, const struct wanted *wanted)
{
	uint64_t bytes = waiters->bytes + message_bytes(emulated);
	struct waiter *waiter;
	int r = bytes > SESSION_WAITING_BYTES_MAX ? -ENOSPC : append(waiters, inflight, &waiter);

	if (r < 0)
		return r;
	take_over(waiter, target, wanted);
	waiter->emulated = *emulated;
	*emulated = EMULATED_NONE;
	waiters->bytes = bytes;
	return 0;
}

int waiters_add_open(struct waiters *waiters, struct inflight *inflight, struct target *target,
	const struct request *request, const struct wanted *wanted)
{
	_cleanup_free_ struct request *copy = malloc(sizeof(*copy));
	struct waiter *waiter;
	int r = copy ? append(waiters, inflight, &waiter) : -ENOMEM;

	if (r < 0)
		return r;
	*copy = *request;
	waiter->open = take_pointer(copy);
	take_over(waiter, target, wanted);
	return 0;
}

int waiters_delay(struct waiters *waiters, struct inflight *inflight, uint64_t refuse_at)
{
	struct waiter *waiter;
	int r = waiters->delayed == REFUSALS_DELAYED_MAX ? -ENOSPC
							 : append(waiters, inflight, &waiter);

	if (r < 0)
		return r;
	waiter->refuse_at = refuse_at;
	waiters->delayed++;
	return 0;
}

/* It stays in the notes. */
static void take_out(struct waiters *waiters, size_t i)
{
	struct waiter *waiter = waiters->items[i];

	waiters->bytes -= message_bytes(&waiter->emulated);
	waiters->delayed -= waiter->refuse_at != 0;
	target_close(&waiter->target);
	(void)safe_close(waiter->emulated.queue);
	emulated_clear(&waiter->emulated);
	free(waiter->open);
	free(waiter);
	waiters->count--;
	memmove(&waiters->items[i], &waiters->items[i + 1],
		(waiters->count - i) * sizeof(waiters->items[0]));
}

static void drop(struct waiters *waiters, size_t i)
{
	__atomic_store_n(&waiters->items[i]->note->id, 0, __ATOMIC_SEQ_CST);
	take_out(waiters, i);
}

static void answer_result(int listener, const struct waiter *waiter, long result)
{
	const struct answer answer = answer_of(result);

	(void)notify_reply(listener, waiter->note->id, &answer);
}

void waiters_poll(const struct waiters *waiters, struct pollfd *fds)
{
	for (size_t i = 0; i < waiters->count; i++)
		fds[i] = (struct pollfd){.fd = waiters->items[i]->emulated.queue,
			.events = waiters->items[i]->emulated.call.call == MQ_CALL_SEND ? POLLOUT
											: POLLIN};
}

int waiters_timeout(const struct waiters *waiters)
{
	uint64_t now = now_usec(), next = UINT64_MAX;

	if (waiters->count == 0)
		return -1;
	if (waiters->count > waiters->delayed)
		next = waiters->next_look;
	for (size_t i = 0; i < waiters->count; i++)
		if (waiters->items[i]->refuse_at != 0)
			next = MIN(next, waiters->items[i]->refuse_at);
	return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

struct bounce {
	int listener;
	uint64_t id;
};

static int answer_restart(void *context)
{
	struct bounce *bounce = context;
	const struct answer answer = answer_of(-ERESTARTSYS);

	return notify_reply(bounce->listener, bounce->id, &answer);
}

static void let_handle_signal(int listener, const struct waiter *waiter)
{
	struct bounce bounce = {.listener = listener, .id = waiter->note->id};

	(void)revoke_bounce(&waiter->target, waiter->note->data.arch, answer_restart, &bounce);
	/* Somebody traces it: it hears of the signal, if not as exactly. */
	if (notify_is_valid(listener, waiter->note->id))
		answer_result(listener, waiter, -EINTR);
}

/* True if the waiter is done with. */
static bool look_after(int listener, struct waiter *waiter)
{
	if (!notify_is_valid(listener, waiter->note->id))
		return true;
	if (emulated_time_left(&waiter->emulated) == 0) {
		answer_result(listener, waiter, -ETIMEDOUT);
		return true;
	}
	if (target_has_signal(&waiter->target)) {
		let_handle_signal(listener, waiter);
		return true;
	}
	waiter->due = waiter->open;
	return false;
}

static bool try(int listener, struct waiter *waiter, struct done_call *done)
{
	long r;

	/* A message must not be taken for somebody who is gone. */
	if (!notify_is_valid(listener, waiter->note->id))
		return true;
	r = emulate_try(&waiter->target, &waiter->emulated, waiter->note->id, done);
	if (r == -EINPROGRESS)
		return false;
	counters_outcome(
		waiter->wanted.counters, waiter->emulated.call.call, waiter->emulated.call.size, r);
	answer_result(listener, waiter, r);
	emulate_answered(done);
	return true;
}

static bool refuse_in_time(int listener, const struct waiter *waiter, uint64_t now)
{
	if (now < waiter->refuse_at)
		return false;
	answer_result(listener, waiter, -EACCES);
	return true;
}

/* A tenth of the time that the newest has waited, and no longer than to a deadline. */
static uint64_t look_interval(const struct waiters *waiters, uint64_t now)
{
	uint64_t interval = (now - waiters->newest) / 10;

	interval = MAX(interval, (uint64_t)LOOK_USEC);
	interval = MIN(interval, (uint64_t)LOOK_LATER_USEC);
	interval += waiters->count * LOOK_ONE_USEC;
	for (size_t i = 0; i < waiters->count; i++)
		interval = MIN(interval, emulated_time_left(&waiters->items[i]->emulated));
	return interval;
}

void waiters_serve(
	struct waiters *waiters, int listener, const struct pollfd *fds, struct done_call *done)
{
	uint64_t now = now_usec();
	bool look = now >= waiters->next_look;
	size_t i = 0, original = 0;

	while (i < waiters->count) {
		struct waiter *waiter = waiters->items[i];
		bool ready = fds[original++].revents != 0;

		if (waiter->refuse_at != 0 ? refuse_in_time(listener, waiter, now)
					   : (ready && try(listener, waiter, done)) ||
						     (look && look_after(listener, waiter)))
			drop(waiters, i);
		else
			i++;
	}
	if (look) {
		now = now_usec();
		waiters->next_look = now + look_interval(waiters, now);
	}
}

bool waiters_take_due(struct waiters *waiters, struct seccomp_notif **ret_note, struct request *ret)
{
	for (size_t i = 0; i < waiters->count; i++)
		if (waiters->items[i]->due) {
			*ret_note = waiters->items[i]->note;
			*ret = *waiters->items[i]->open;
			take_out(waiters, i);
			return true;
		}
	return false;
}

static bool is_granted(const struct grants *grants, const struct wanted *wanted)
{
	uint32_t permissions =
		wanted->spaces
			? grants_on_queue(grants, &wanted->subject, wanted->name, wanted->spaces)
			: grants_find(grants, &wanted->subject, wanted->name).permissions;

	return (wanted->needs & ~permissions) == 0;
}

void waiters_revise(struct waiters *waiters, int listener, const struct grants *grants)
{
	for (size_t i = 0; i < waiters->count;) {
		struct waiter *waiter = waiters->items[i];

		if (waiter->refuse_at == 0 && is_granted(grants, &waiter->wanted)) {
			i++;
			continue;
		}
		if (waiter->refuse_at == 0)
			counter_add(&waiter->wanted.counters->denied, 1);
		answer_result(listener, waiter, -EACCES);
		drop(waiters, i);
	}
}
