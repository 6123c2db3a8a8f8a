/* SPDX-License-Identifier: MIT */
/* The launcher socket and its bounds: a real manager in a child, on private directories, with
 * launchers that do not keep to the protocol. Its session program is never asked for anything. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "daemon/manager/peers/peer.h"
#include "daemon/manager/start.h"
#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "tests/must-work.h"

#define ANSWER_TIMEOUT_MSEC 5000
#define SILENCE_MSEC        300

static char directory[64], packages[128], state[128];
static const char *const package_dirs[] = {packages};
static struct manager_options options = {.config_file = "/nonexistent",
	.state_dir = state,
	.runtime_dir = directory,
	.session_program = "/bin/true",
	.package_dirs = package_dirs,
	.package_dir_count = 1};
static pid_t daemon_pid;

static void write_package(void)
{
	static const char text[] = "name: one\nplugs:\n  events:\n    interface: posix-mq\n";
	char path[256];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/one.yaml", packages);
	f = fopen(path, "we");
	cr_assert(f);
	(void)fputs(text, f);
	cr_assert_eq(fclose(f), 0);
}

static void make_directories(void)
{
	(void)strcpy(directory, "/tmp/mqgate-test-XXXXXX");
	cr_assert(mkdtemp(directory));
	(void)chmod(directory, 0755);
	(void)snprintf(packages, sizeof(packages), "%s/packages", directory);
	(void)snprintf(state, sizeof(state), "%s/state", directory);
	cr_assert_eq(mkdir(packages, 0755), 0);
	write_package();
}

static void run_daemon(int ready)
{
	struct manager *manager = NULL;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	if (manager_new(&options, &manager) < 0)
		_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	(void)close(ready);
	r = manager_run(manager);
	(void)manager_free(manager);
	_exit(r < 0);
}

static void start(void)
{
	int ready[2];
	char byte;

	make_directories();
	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	daemon_pid = fork();
	if (daemon_pid == 0)
		run_daemon(ready[1]);
	(void)close(ready[1]);
	cr_assert_eq(read(ready[0], &byte, 1), 1, "the manager does not start");
	(void)close(ready[0]);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void stop(void)
{
	int status;

	(void)kill(daemon_pid, SIGTERM);
	cr_assert_eq(waitpid(daemon_pid, &status, 0), daemon_pid);
	cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "it ends in order");
	(void)nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int connect_to(const char *name, int type)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", directory, name);
	if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return fd;
}

static int launcher(void)
{
	return connect_to(LAUNCH_SOCKET, SOCK_SEQPACKET);
}

static bool readable(int fd, int timeout_msec)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, timeout_msec) > 0;
}

static struct launch_hello good_hello(void)
{
	struct launch_hello hello = {
		.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION, .ref_count = 1};

	hello.refs[0].kind = LAUNCH_REF_PLUG;
	(void)strcpy(hello.refs[0].text, "events");
	return hello;
}

static struct launch_answer receive_answer(int fd)
{
	struct launch_answer answer = {.error = 1};

	if (readable(fd, ANSWER_TIMEOUT_MSEC) &&
		(message_receive(fd, &answer, sizeof(answer), NULL, 0) <= 0 ||
			launch_answer_check(&answer, sizeof(answer)) < 0))
		answer.error = 2;
	return answer;
}

static int greet(int fd)
{
	struct launch_hello hello = good_hello();

	(void)message_send(fd, &hello, sizeof(hello), NULL, 0);
	return receive_answer(fd).error;
}

static int answer_to(const void *data, size_t size)
{
	int fd = launcher(), error;

	cr_assert_eq(message_send(fd, data, size, NULL, 0), 0);
	error = receive_answer(fd).error;
	(void)close(fd);
	return error;
}

TestSuite(launch, .init = start, .fini = stop, .timeout = 30);

Test(launch, hello_is_checked)
{
	struct launch_hello hello = good_hello();

	cr_expect_eq(answer_to(&hello, sizeof(hello)), 0);
	cr_expect_eq(answer_to(&hello, sizeof(hello) - 1), -EBADMSG);
	hello.version++;
	cr_expect_eq(answer_to(&hello, sizeof(hello)), -EPROTONOSUPPORT);
	hello = good_hello();
	hello.ref_count = LAUNCH_REFS_MAX + 1;
	cr_expect_eq(answer_to(&hello, sizeof(hello)), -EBADMSG);
	hello = good_hello();
	(void)strcpy(hello.refs[0].text, "evnts");
	cr_expect_eq(answer_to(&hello, sizeof(hello)), -ENOENT);
}

/* What a launcher of 0.1.0 does not read, it takes for another version. */
Test(launch, launchers_are_answered_in_their_version)
{
	struct launch_hello hello = good_hello();
	struct launch_answer answer;

	for (uint32_t version = LAUNCH_VERSION_OLDEST; version <= LAUNCH_VERSION + 1; version++) {
		int fd = launcher();

		hello.version = version;
		cr_assert_eq(message_send(fd, &hello, sizeof(hello), NULL, 0), 0);
		answer = receive_answer(fd);
		cr_expect_eq(answer.error, version > LAUNCH_VERSION ? -EPROTONOSUPPORT : 0);
		cr_expect_eq(
			answer.version, version > LAUNCH_VERSION ? LAUNCH_VERSION_OLDEST : version);
		(void)close(fd);
	}
}

Test(launch, refs_up_to_the_bound)
{
	struct launch_hello hello = good_hello();

	for (unsigned i = 0; i < LAUNCH_REFS_MAX; i++)
		hello.refs[i] = hello.refs[0];
	hello.ref_count = LAUNCH_REFS_MAX;
	cr_expect_eq(answer_to(&hello, sizeof(hello)), 0);
}

Test(launch, filter_ids_differ)
{
	struct launch_hello hello = good_hello();
	int a = launcher(), b = launcher();

	(void)message_send(a, &hello, sizeof(hello), NULL, 0);
	(void)message_send(b, &hello, sizeof(hello), NULL, 0);
	cr_expect_neq(receive_answer(a).filter_id, receive_answer(b).filter_id);
	(void)close(a);
	(void)close(b);
}

static int hand_over(const int *fds, size_t count)
{
	const struct launch_handover handover = {LAUNCH_MAGIC, LAUNCH_VERSION};
	int fd = launcher(), error;

	cr_assert_eq(greet(fd), 0);
	cr_assert_eq(message_send(fd, &handover, sizeof(handover), fds, count), 0);
	error = receive_answer(fd).error;
	(void)close(fd);
	return error;
}

Test(launch, only_one_descriptor_and_only_a_listener)
{
	const int fds[] = {STDERR_FILENO, STDERR_FILENO};

	cr_expect_eq(hand_over(NULL, 0), -EBADMSG);
	cr_expect_eq(hand_over(fds, 2), -EBADMSG);
	cr_expect_eq(hand_over(fds, 1), -EBADF);
}

Test(launch, roots_up_to_the_bound_then_they_wait)
{
	int fds[LAUNCHES_OF_ROOT_MAX], one_more;

	if (geteuid() != 0)
		leave_out("only root may have so many launches pending");
	for (unsigned i = 0; i < LAUNCHES_OF_ROOT_MAX; i++) {
		fds[i] = launcher();
		cr_assert_eq(greet(fds[i]), 0);
	}
	one_more = launcher();
	cr_assert_geq(one_more, 0);
	(void)message_send(
		one_more, &(struct launch_hello){0}, sizeof(struct launch_hello), NULL, 0);
	cr_expect_not(readable(one_more, SILENCE_MSEC), "it waits in listen()");
	(void)close(fds[0]);
	cr_expect(readable(one_more, ANSWER_TIMEOUT_MSEC), "it is served when another is gone");
	for (unsigned i = 1; i < LAUNCHES_OF_ROOT_MAX; i++)
		(void)close(fds[i]);
	(void)close(one_more);
}

/* In a child that is no longer root. */
static int fill_as_user(void)
{
	int fd;

	if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
		return 1;
	for (unsigned i = 0; i < LAUNCHES_PER_USER_MAX; i++)
		if (greet(launcher()) != 0)
			return 2;
	fd = launcher();
	if (receive_answer(fd).error != -EAGAIN)
		return 3;
	/* It comes before the hello, and then the connection is closed. */
	return readable(fd, ANSWER_TIMEOUT_MSEC) ? 0 : 4;
}

static int in_child(int (*function)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(function());
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(launch, pending_of_one_user_up_to_the_bound_then_refused)
{
	int r = -1;

	cr_expect_eq(in_child(fill_as_user), 0);
	/* All of the child's go with it, as soon as the manager has looked. */
	for (int i = 0; i < ANSWER_TIMEOUT_MSEC / 20 && r != 0; i++) {
		r = in_child(fill_as_user);
		(void)usleep(20000);
	}
	cr_expect_eq(r, 0);
}

/* Ends with the test. */
static void fill_as(uid_t uid)
{
	int ready[2];
	char byte;

	cr_assert_eq(pipe(ready), 0);
	if (fork() == 0) {
		if (setgid(uid) < 0 || setuid(uid) < 0)
			_exit(1);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (unsigned i = 0; i < LAUNCHES_PER_USER_MAX; i++)
			if (greet(launcher()) != 0)
				_exit(1);
		(void)!write(ready[1], "r", 1);
		for (;;)
			(void)pause();
	}
	(void)close(ready[1]);
	cr_expect_eq(read(ready[0], &byte, 1), 1);
	(void)close(ready[0]);
}

static int try_as_another(void)
{
	if (setgid(65534) < 0 || setuid(65534) < 0)
		return 1;
	return receive_answer(launcher()).error == -EAGAIN ? 0 : 2;
}

Test(launch, users_leave_room_for_root)
{
	int fd;

	if (geteuid() != 0)
		leave_out("only root can be several users");
	for (uid_t i = 0; i < ACCOUNTS_FULL_MAX; i++)
		fill_as(65500 + i);
	cr_expect_eq(in_child(try_as_another), 0, "one more user has no room");
	fd = launcher();
	cr_expect_eq(greet(fd), 0);
	(void)close(fd);
}

static bool closed_at_once(int fd, int timeout_msec)
{
	char byte;

	return readable(fd, timeout_msec) && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* Of the ones past the first bound test-bounds-user.sh shows that they are told. */
Test(launch, control_connections_up_to_the_bounds_then_closed)
{
	int fds[CONTROL_CONNECTIONS_PER_USER_MAX + CONTROL_REFUSED_MAX], one_more;

	for (unsigned i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = connect_to(BUS_SOCKET, SOCK_STREAM);
	one_more = connect_to(BUS_SOCKET, SOCK_STREAM);
	cr_expect(closed_at_once(one_more, ANSWER_TIMEOUT_MSEC));
	for (unsigned i = 0; i < ELEMENTSOF(fds); i++) {
		cr_expect_not(closed_at_once(fds[i], 0));
		(void)close(fds[i]);
	}
	(void)close(one_more);
}

static int start_another(void)
{
	struct manager *manager = NULL;

	(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
	return -manager_new(&options, &manager);
}

static int start_another_elsewhere(void)
{
	(void)strcat(state, "-2");
	return start_another();
}

Test(launch, a_second_manager_does_not_start)
{
	cr_expect_eq(in_child(start_another), EBUSY, "same state directory");
	cr_expect_eq(in_child(start_another_elsewhere), EADDRINUSE, "same runtime directory");
	cr_expect_geq(launcher(), 0, "the first one is not disturbed");
}
