/* SPDX-License-Identifier: MIT */
/* Whether a session may begin: its first process is looked at. */
#include "begin.h"

#include "daemon/session/revoke/confined.h"
#include "daemon/session/target/bundle.h"
#include "include/task.h"

static int examine_bundle(const struct session_message *message, int root)
{
	const struct bundle bundle = {.root = root,
		.path = message->attach.bundle,
		.user = message->attach.runtime_user,
		.group = message->attach.runtime_group};

	if (!memchr(bundle.path, '\0', sizeof(message->attach.bundle)))
		return -EBADMSG;
	return *bundle.path ? bundle_has_flag(&bundle) : 0;
}

/* Nothing in it has run yet, and what this process cannot gain, none of its descendants can. In a
 * PID namespace of its own it is the first. */
static enum reason judge_container(
	struct contained *contained, pid_t pid, const struct beginning *beginning)
{
	struct target target = TARGET_CLOSED;
	enum reason reason;

	if (beginning->nested_pid != 1)
		return REASON_CONTAINER_PIDS;
	contained->pid_namespace = beginning->pid_namespace;
	if (target_open(pid, &target) < 0)
		return REASON_FAILED;
	reason = contained_look(contained, &target);
	target_close(&target);
	return reason;
}

static void examine_container(struct supervisor *session, const struct session_message *message,
	const struct beginning *beginning, int pidfd, int root, struct examined *examined)
{
	examined->reason =
		judge_container(&session->contained, message->attach.launcher, beginning);
	if (examined->reason != REASON_GRANTED)
		examined->confined = -EPERM;
	else
		examined->confined = examine_bundle(message, root);
	/* It lives, so it was this one that was looked at. */
	if ((examined->confined == 0 || examined->reason == REASON_FAILED) &&
		!pidfd_is_alive(pidfd)) {
		examined->confined = -ESRCH;
		examined->reason = REASON_GRANTED;
	}
}

struct examined session_examine(struct supervisor *session, const struct session_message *message,
	int pidfd, int root, uint32_t *ret_pid_depth)
{
	const struct filter_mark filter = {message->attach.filter_id, message->attach.contained};
	struct examined examined = {.reason = REASON_GRANTED};
	struct beginning beginning;

	examined.confined =
		process_begins_session(message->attach.launcher, pidfd, &filter, &beginning);
	*ret_pid_depth = beginning.pid_depth;
	(void)snprintf(examined.lacks, sizeof(examined.lacks), "%s", beginning.lacks ?: "");
	if (examined.confined == 0 && filter.contained)
		examine_container(session, message, &beginning, pidfd, root, &examined);
	if (examined.confined != 0)
		contained_refuse(&session->contained, examined.reason == REASON_GRANTED
							      ? REASON_CONTAINER_REFUSED
							      : examined.reason);
	(void)safe_close(pidfd);
	(void)safe_close(root);
	return examined;
}
