/* SPDX-License-Identifier: MIT */
/* mqgate-alone: serves one confined program without a daemon. Started by mq-run --policy only. */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "alone.h"
#include "daemon/session/target/child.h"
#include "include/alone.h"
#include "include/log.h"

static bool is_socket(int fd)
{
	socklen_t size = sizeof(int);
	int type = 0;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

/* A command line as one text. */
static char *join(char *const *words)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; words[i]; i++)
		(void)fprintf(f, i == 0 ? "%s" : " %s", words[i]);
	return fclose(f) == 0 ? text : NULL;
}

/* PID --policy FILE… or PID --learn FILE PLUG COMMAND…, the plug perhaps "" */
static int take_arguments(struct alone *alone, int argc, char *argv[])
{
	if (argc < 4 || !is_socket(ALONE_LAUNCH_FD) || !is_socket(ALONE_FRONT_FD))
		return -EINVAL;
	alone->command = atoi(argv[1]);
	if (streq(argv[2], ALONE_POLICY)) {
		alone->files = argv + 3;
		alone->file_count = (size_t)argc - 3;
	} else if (streq(argv[2], ALONE_LEARN) && argc > 5) {
		alone->learner.file = argv[3];
		alone->learner.plug = *argv[4] ? argv[4] : NULL;
		alone->learner.what = join(argv + 5);
	}
	return alone->command > 0 && (alone->file_count > 0 || alone->learner.what) ? 0 : -EINVAL;
}

/* What the command may have open, write or compute is no measure of what this needs. */
static void raise_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(resource, &limit);
	}
}

/* The command is another process of the same user's: it neither traces us nor reads our memory. */
static int prepare_process(struct alone *alone)
{
	const int room = DENIALS_TOLD_MAX * 2 * sizeof(struct alone_message);
	const struct rlimit no_core = {0, 0};
	sigset_t all;

	(void)sigfillset(&all);
	if (sigprocmask(SIG_SETMASK, &all, NULL) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0 ||
		prctl(PR_SET_DUMPABLE, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	raise_limit(RLIMIT_NOFILE);
	raise_limit(RLIMIT_FSIZE);
	raise_limit(RLIMIT_CPU);
	/* Room for all denials that are told, should mq-run not get to run. */
	(void)setsockopt(ALONE_FRONT_FD, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	alone->signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	return alone->signals < 0 ? -errno : 0;
}

int main(int argc, char *argv[])
{
	static struct alone alone = {.front = ALONE_FRONT_FD,
		.signals = -EBADF,
		.reports = -EBADF,
		.learner = {.directory = -EBADF},
		.session = {.channel = -EBADF, .listener = -EBADF}};
	int r;

	log_open("mqgate-alone");
	if (take_arguments(&alone, argc, argv) < 0) {
		log_error("this program is started by mq-run, not by hand");
		return EXIT_FAILURE;
	}
	r = prepare_process(&alone);
	if (r == 0)
		r = own_identity_get(&alone.session.own);
	alone.session.own.outlives_parent = true;
	child_look_by_thread();
	r = r < 0 ? r : tell_started(&alone);
	if (r == 0)
		r = alone_launch(&alone);
	else
		(void)close(ALONE_LAUNCH_FD); /* which tells the command that it is not served */
	/* mq-run ends the command then. */
	if (r == 0 && alone_serve(&alone) < 0)
		return EXIT_FAILURE;
	/* One that was not served has been told so, and ends. */
	if (r == -EOWNERDEAD)
		(void)kill(alone.command, SIGKILL);
	wait_for_command(&alone);
	if (r == 0)
		finish_lesson(&alone, false);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
