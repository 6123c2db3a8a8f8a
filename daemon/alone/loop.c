/* SPDX-License-Identifier: MIT */
/* Serving the command.
 *
 * The session is the same as mqgated's session processes serve (daemon/session/): what it says to
 * its manager comes back to us by a socket of our own. */
#include "alone.h"
#include "include/alone.h"
#include "include/log.h"

/* A killed mq-run is a killed command; what that has left behind goes on. */
static void lose_front(struct alone *alone)
{
	alone->front = safe_close(alone->front);
	if (!alone->has_ended)
		(void)kill(alone->command, SIGKILL);
}

static void take_front_message(struct alone *alone)
{
	struct alone_message message;
	int r = message_receive(alone->front, &message, sizeof(message), NULL, 0);

	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r > 0 && message.type == ALONE_SIGNAL)
		take_front_signal(alone, &message);
	else
		lose_front(alone);
}

/* What mqgated would want to know; we know it. */
static void take_reports(struct alone *alone)
{
	struct session_message message;
	size_t came;
	int fd;

	while (message_receive_some(alone->reports, &message, sizeof(message), &fd, 1, &came) > 0)
		if (came > 0)
			(void)safe_close(fd);
}

static void observe(void *observer, const struct call *call)
{
	struct alone *alone = observer;

	if (alone_learns(alone))
		learner_note(&alone->learner, &alone->session, call);
	tell_denial(alone, call);
}

/* What no shell takes for anything else. */
#define PLAIN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-+:@%"

static int write_lesson(struct alone *alone, bool at_the_end)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	int r = learner_write(&alone->learner, at_the_end, &diagnostics);

	tell_diagnostics(alone, &diagnostics);
	return r;
}

void finish_lesson(struct alone *alone, bool told)
{
	const struct needs *needs = &alone->learner.needs;
	char file[FILE_SHOWN_SIZE];
	const char *quote;

	if (!alone->session.grants || !alone_learns(alone) || write_lesson(alone, true) < 0 ||
		!told)
		return;
	quote = alone->learner.file[strspn(alone->learner.file, PLAIN)] ? "'" : "";
	(void)escape(alone->learner.file, file, sizeof(file));
	tell_text(alone,
		"mq-run: %zu queue%s learned%s: mq-run --policy %s%s%s --plug %s -- COMMAND",
		needs->count, needs->count == 1 ? "" : "s",
		alone->learner.added ? "" : ", nothing new", quote, file, quote,
		alone->learner.ref);
	if (needs->left_out > 0)
		tell_text(alone,
			"mq-run: %zu calls on further queues are left out (LEARNED_MAX, LEARNED_BYTES_MAX)",
			needs->left_out);
}

static int shorter(int a, int b)
{
	return a < 0 ? b : b < 0 ? a : MIN(a, b);
}

enum {
	OWN_SIGNALS,
	OWN_FRONT,
	OWN_REPORTS,
	OWN_COUNT,
};

int alone_serve(struct alone *alone)
{
	static struct pollfd fds[OWN_COUNT + SESSION_POLLED_MAX];
	int r, timeout;

	session_begin(&alone->session);
	alone->session.observe = observe;
	alone->session.observer = alone;
	do {
		size_t count = session_wants(&alone->session, fds + OWN_COUNT, &timeout);

		fds[OWN_SIGNALS] = (struct pollfd){.fd = alone->signals, .events = POLLIN};
		fds[OWN_FRONT] = (struct pollfd){.fd = alone->front, .events = POLLIN};
		fds[OWN_REPORTS] = (struct pollfd){.fd = alone->reports, .events = POLLIN};
		timeout = shorter(timeout, pass_signals_on(alone));
		if (alone_learns(alone))
			timeout = shorter(timeout, learner_timeout(&alone->learner));
		if (poll(fds, OWN_COUNT + count, timeout) < 0 && errno != EINTR)
			return -errno;
		if (fds[OWN_REPORTS].revents)
			take_reports(alone);
		if (fds[OWN_SIGNALS].revents || fds[OWN_FRONT].revents)
			take_signals(alone);
		if (fds[OWN_FRONT].revents && alone->front >= 0)
			take_front_message(alone);
		r = session_go_on(&alone->session, fds + OWN_COUNT);
		if (alone_learns(alone))
			(void)write_lesson(alone, false);
	} while (r > 0);
	return r;
}
