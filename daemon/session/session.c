/* SPDX-License-Identifier: MIT */
/* The loop of a session process. */
#include "session.h"

#include <poll.h>

#include "daemon/session/call/resume.h"
#include "daemon/session/call/serve.h"
#include "daemon/session/revoke/trace.h"

#define LOOK_AGAIN_MS 20

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

static int serve_until_over(struct supervisor *supervisor)
{
	struct waiters *waiters = &supervisor->waiters;
	static struct pollfd fds[2 + SESSION_WAITING_MAX];

	supervisor->revoker.tell_killing = record_killing;
	supervisor->revoker.context = supervisor;
	for (;;) {
		int r;

		fds[0] = (struct pollfd){.fd = supervisor->channel, .events = POLLIN};
		/* Not before there are grants to decide by. */
		fds[1] = (struct pollfd){
			.fd = supervisor->grants ? supervisor->listener : -1, .events = POLLIN};
		waiters_poll(waiters, fds + 2);
		r = poll(fds, 2 + waiters->count,
			shorter(session_owes(supervisor) ? LOOK_AGAIN_MS : -1,
				shorter(held_timeout(&supervisor->held),
					shorter(recorder_timeout(&supervisor->recorder),
						waiters_timeout(waiters)))));
		if (r < 0 && errno != EINTR)
			return -errno;
		recorder_flush(&supervisor->recorder, supervisor->channel);
		held_drop(&supervisor->held, HELD_USEC);
		urgency_review(&supervisor->urgency);
		r = session_pay(supervisor);
		if (r < 0)
			return r;
		if (fds[0].revents) {
			r = session_take_message(supervisor);
			if (r <= 0)
				return r;
			continue;
		}
		waiters_serve(waiters, supervisor->listener, fds + 2, &supervisor->inflight->done);
		resume_due(supervisor);
		if (fds[1].revents & POLLIN) {
			r = serve_next(supervisor);
			if (r < 0)
				return r;
		} else if (fds[1].revents) {
			return 0;
		}
	}
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

	trace_prepare();
	r = serve_until_over(supervisor);
	if (r == 0 && is_over(supervisor))
		holders_finish(&supervisor->holders);
	return r;
}
