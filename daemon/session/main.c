/* SPDX-License-Identifier: MIT */
/* mqgate-session: answers the message-queue calls of one session. Started by mqgated only. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "include/log.h"
#include "include/protocol.h"
#include "session.h"

/* Signals could only come from a user whose ids we have on for a moment. And a pause of 20 µs for a
 * thread to stop is to last 20, not 70. */
static int prepare_process(void)
{
	struct rlimit no_core = {0, 0};
	sigset_t all;

	(void)sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
		prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_TIMERSLACK, 1) < 0)
		return -errno;
	return own_end_with_parent();
}

static bool is_started_by_manager(void)
{
	socklen_t size = sizeof(int);
	int type = 0;

	return getsockopt(SESSION_FD, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
	       type == SOCK_SEQPACKET;
}

int main(void)
{
	static struct supervisor session = {.channel = SESSION_FD, .listener = -EBADF};
	int r;

	log_open("mqgate-session");
	if (!is_started_by_manager()) {
		log_error("this program is started by mqgated, not by hand");
		return EXIT_FAILURE;
	}
	r = prepare_process();
	if (r < 0)
		return -log_errno(r, "cannot prepare the process");
	r = own_identity_get(&session.own);
	if (r < 0)
		return -log_errno(r, "cannot read the own identity");
	r = session_run(&session);
	if (r < 0)
		return -log_errno(r, "session ended");
	return EXIT_SUCCESS;
}
