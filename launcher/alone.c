/* SPDX-License-Identifier: MIT */
/* A run without a daemon: who becomes what.
 *
 *	mq-run         the front: what the shell knows, waits for, signals and stops
 *	mqgate-alone   its child: the supervisor, and whatever of the command is left when the front
 *ends the command    its child
 *
 * The supervisor is above the command, and adopts what the command leaves behind: it looks at no
 * process but its descendants, which is all that Yama allows (kernel.yama.ptrace_scope = 1). All
 *three are in one process group, so what the terminal sends reaches the command by itself. */
#include "alone.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "config.h"
#include "descriptors.h"
#include "front.h"
#include "include/alone.h"
#include "include/program.h"
#include "include/util.h"
#include "refuse.h"

#define OUT_OF_THE_WAY (ALONE_FRONT_FD + 1) /* of the descriptors that mqgate-alone expects */

struct pairs {
	int launch[2], front[2]; /* the second is mqgate-alone's */
};

static void pairs_close(struct pairs *pairs)
{
	for (size_t i = 0; i < 2; i++) {
		closep(&pairs->launch[i]);
		closep(&pairs->front[i]);
	}
}

static int pairs_make(struct pairs *ret)
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret->launch) < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret->front) < 0)
		return -errno;
	return 0;
}

static int find_program(char **ret, char **ret_message)
{
	int r = program_beside(
		INSTALLED_LAUNCHER, "mqgate-alone", "daemon/alone/mqgate-alone", ret);

	if (r == 1)
		return 0;
	if (r == -EPERM)
		return refuse(ret_message, r,
			"%s is not used, since others than the owner of mq-run could have put it "
			"there; make its directory writable for its owner alone",
			*ret);
	if (r == 0) {
		*ret = strdup(ALONE_PROGRAM);
		r = *ret ? 0 : -ENOMEM;
	}
	if (r == 0 && access(*ret, X_OK) < 0)
		return refuse(ret_message, -errno,
			"--policy and --learn need %s: %s; install all of mqgate", *ret,
			strerror(errno));
	return r;
}

/* As if it had been started by our parent. */
static int begin_command(struct pairs *pairs, pid_t front, const sigset_t *mask)
{
	const char *listen_pid = getenv("LISTEN_PID"), *watchdog_pid = getenv("WATCHDOG_PID");
	char before[16], now[16];
	int socket = take_fd(&pairs->launch[0]);

	pairs_close(pairs);
	(void)snprintf(before, sizeof(before), "%d", (int)front);
	(void)snprintf(now, sizeof(now), "%d", (int)getpid());
	if ((listen_pid && streq(listen_pid, before) && setenv("LISTEN_PID", now, 1) < 0) ||
		(watchdog_pid && streq(watchdog_pid, before) &&
			setenv("WATCHDOG_PID", now, 1) < 0) ||
		sigprocmask(SIG_SETMASK, mask, NULL) < 0)
		_exit(EXIT_FAILURE);
	return socket;
}

/* Nothing of what the command has stays open here: whoever waits for its end of file waits for the
 * command alone. */
static int keep_two(struct pairs *pairs)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int launch = fcntl(pairs->launch[1], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
	int front = fcntl(pairs->front[1], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);

	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (null < 0 || dup2(null, fd) < 0)
			return -errno;
	if (launch < 0 || front < 0 || dup2(launch, ALONE_LAUNCH_FD) < 0 ||
		dup2(front, ALONE_FRONT_FD) < 0 ||
		syscall(SYS_close_range, ALONE_FRONT_FD + 1, UINT32_MAX, 0) < 0)
		return -errno;
	return 0;
}

static size_t count_words(char *const *words)
{
	size_t count = 0;

	while (words[count])
		count++;
	return count;
}

/* number: room for the first of them. NULL on lack of memory. */
static char **make_arguments(const struct options *options, char *number)
{
	const char *const learn[] = {
		"mqgate-alone", number, ALONE_LEARN, options->learn, options->learn_plug ?: ""};
	const char *const policy[] = {"mqgate-alone", number, ALONE_POLICY};
	const char *const *first = options->learn ? learn : policy;
	const size_t count = options->learn ? ELEMENTSOF(learn) : ELEMENTSOF(policy);
	char *const *rest = options->learn ? options->command : options->policies;
	char **arguments = calloc(count + count_words(rest) + 1, sizeof(*arguments));

	if (!arguments)
		return NULL;
	memcpy(arguments, first, count * sizeof(*arguments));
	memcpy(arguments + count, rest, count_words(rest) * sizeof(*arguments));
	return arguments;
}

static _noreturn_ void become_supervisor(
	const char *program, const struct options *options, pid_t command, struct pairs *pairs)
{
	char number[16];
	char **arguments = make_arguments(options, number);

	(void)snprintf(number, sizeof(number), "%d", (int)command);
	if (arguments && keep_two(pairs) == 0)
		(void)execv(program, arguments);
	_exit(EXIT_FAILURE);
}

/* As a child whose parent ignores how children end, it could not tell how the command has. */
static pid_t fork_watched(struct sigaction *ret_before)
{
	const struct sigaction usual = {.sa_handler = SIG_DFL};

	return sigaction(SIGCHLD, &usual, ret_before) < 0 ? -1 : fork();
}

static int split(const char *program, const struct options *options, struct pairs *pairs,
	const sigset_t *mask)
{
	const pid_t front = getpid();
	struct sigaction before;
	pid_t child = fork(), supervisor;

	if (child < 0)
		return -errno;
	if (child > 0)
		front_run(take_fd(&pairs->front[0]), child);
	closep(&pairs->front[0]);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		_exit(EXIT_FAILURE);
	supervisor = getpid();
	child = fork_watched(&before);
	if (child < 0)
		_exit(EXIT_FAILURE);
	if (child > 0)
		become_supervisor(program, options, child, pairs);
	/* Without its supervisor the command ends: should mq-run and mqgate-alone be killed at
	 * once, by the kernel's hand. */
	if (sigaction(SIGCHLD, &before, NULL) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ||
		getppid() != supervisor)
		_exit(EXIT_FAILURE);
	return begin_command(pairs, front, mask);
}

int alone_begin(const struct options *options, int *ret_socket, char **ret_message)
{
	_cleanup_(pairs_close) struct pairs pairs = {{-EBADF, -EBADF}, {-EBADF, -EBADF}};
	_cleanup_free_ char *program = NULL;
	sigset_t all, mask;
	int r = find_program(&program, ret_message);

	if (r < 0)
		return r;
	/* No socket may become anybody's standard error. */
	r = descriptors_fill_standard();
	r = r < 0 ? r : pairs_make(&pairs);
	(void)sigfillset(&all);
	if (r == 0 && sigprocmask(SIG_SETMASK, &all, &mask) < 0)
		r = -errno;
	r = r < 0 ? r : split(program, options, &pairs, &mask);
	if (r < 0)
		return refuse(ret_message, r, "cannot start mqgate-alone: %s%s", strerror(-r),
			remedy_of(r));
	*ret_socket = r;
	return 0;
}
