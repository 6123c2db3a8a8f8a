/* SPDX-License-Identifier: MIT */
/* The loop of a session process. */
#include "session.h"

#include "daemon/session/call/resume.h"
#include "daemon/session/call/serve.h"
#include "daemon/session/revoke/trace.h"

#define LOOK_AGAIN_MS 20
#define END_AGAIN_MS  1000

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

void session_begin(struct supervisor *supervisor)
{
	trace_prepare();
	supervisor->revoker.tell_killing = record_killing;
	supervisor->revoker.context = supervisor;
}

static bool is_broken(const struct supervisor *supervisor)
{
	return supervisor->inflight && supervisor->inflight->broken;
}

/* What is polled before those that wait: the third are the mounts of a container. */
static size_t own_polled(const struct supervisor *supervisor)
{
	return supervisor->contained.watched ? 3 : 2;
}

/* Before any call that has come meanwhile. */
static void look_at_mounts(struct supervisor *supervisor, const struct pollfd *fds)
{
	if (supervisor->contained.watched && contained_is_broken(&supervisor->contained, &fds[2]))
		supervisor->inflight->broken = 1;
}

/* Until the last of its processes is gone, and with them the session. */
static void end_what_is_broken(struct supervisor *supervisor)
{
	if (!is_broken(supervisor) || now_usec() < supervisor->ends_again)
		return;
	supervisor->ends_again = now_usec() + END_AGAIN_MS * 1000;
	holders_end_all(&supervisor->holders);
}

size_t session_wants(struct supervisor *supervisor, struct pollfd fds[static SESSION_POLLED_MAX],
	int *ret_timeout_ms)
{
	const size_t own = own_polled(supervisor);
	struct waiters *waiters = &supervisor->waiters;

	fds[0] = (struct pollfd){.fd = supervisor->channel, .events = POLLIN};
	/* Not before there are grants to decide by. */
	fds[1] = (struct pollfd){
		.fd = supervisor->grants ? supervisor->listener : -1, .events = POLLIN};
	if (supervisor->contained.watched)
		fds[2] = contained_poll(&supervisor->contained);
	waiters_poll(waiters, fds + own);
	*ret_timeout_ms = shorter(session_owes(supervisor) ? LOOK_AGAIN_MS : -1,
		shorter(held_timeout(&supervisor->held),
			shorter(recorder_timeout(&supervisor->recorder),
				is_broken(supervisor) ? END_AGAIN_MS : waiters_timeout(waiters))));
	return own + (is_broken(supervisor) ? 0 : waiters->count);
}

int session_go_on(struct supervisor *supervisor, const struct pollfd fds[static SESSION_POLLED_MAX])
{
	const struct pollfd *waiting = fds + own_polled(supervisor);
	int r;

	look_at_mounts(supervisor, fds);
	end_what_is_broken(supervisor);
	recorder_flush(&supervisor->recorder, supervisor->channel);
	held_drop(&supervisor->held, HELD_USEC);
	urgency_review(&supervisor->urgency);
	r = session_pay(supervisor);
	if (r < 0)
		return r;
	if (fds[0].revents)
		return session_take_message(supervisor);
	if (!is_broken(supervisor))
		waiters_serve(&supervisor->waiters, supervisor->listener, waiting,
			&supervisor->inflight->done);
	resume_due(supervisor);
	if (fds[1].revents & POLLIN) {
		r = serve_next(supervisor);
		return r < 0 ? r : 1;
	}
	return fds[1].revents ? 0 : 1;
}

static int serve_until_over(struct supervisor *supervisor)
{
	static struct pollfd fds[SESSION_POLLED_MAX];
	int r, timeout;

	do {
		size_t count = session_wants(supervisor, fds, &timeout);

		r = poll(fds, count, timeout);
		if (r < 0 && errno != EINTR)
			return -errno;
		r = session_go_on(supervisor, fds);
	} while (r > 0);
	return r;
}

/* Otherwise the manager ends, and another session process goes on. */
static bool is_over(const struct supervisor *supervisor)
{
	struct pollfd p = {.fd = supervisor->listener};

	return poll(&p, 1, 0) > 0;
}

int session_run(struct supervisor *supervisor)
{
	int r;

	session_begin(supervisor);
	r = serve_until_over(supervisor);
	if (r == 0 && is_over(supervisor))
		holders_finish(&supervisor->holders);
	return r;
}
