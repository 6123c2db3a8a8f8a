/* SPDX-License-Identifier: MIT */
/* Descriptors that lead past the door are found, whatever their number. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <mqueue.h>
#include <signal.h>
#include <sys/syscall.h>

#include "include/util.h"
#include "launcher/descriptors.h"
#include "tests/must-work.h"

static void refused_if(bool all_queues, int fd)
{
	_cleanup_free_ char *message = NULL;
	char number[32];
	int queue;

	(void)snprintf(number, sizeof(number), "descriptor %d ", fd);
	cr_assert_eq(descriptors_check(all_queues, "/nowhere", &queue, &message), -EBUSY);
	cr_assert(startswith(message, number), "%s", message);
}

static void refused(int fd)
{
	refused_if(false, fd);
}

/* -1: there is none. */
static void passed_with(bool all_queues, int wanted)
{
	_cleanup_free_ char *message = NULL;
	int queue;

	cr_assert_eq(descriptors_check(all_queues, "/nowhere", &queue, &message), 0, "%s", message);
	cr_assert_null(message);
	cr_assert_eq(queue, wanted, "%d", queue);
}

static void passed(void)
{
	passed_with(false, -1);
	passed_with(true, -1);
}

static void name_listened(const char *pid, const char *count)
{
	char own[32];

	(void)snprintf(own, sizeof(own), "%d", getpid());
	cr_assert_eq(pid ? setenv("LISTEN_PID", streq(pid, "own") ? own : pid, 1)
			 : unsetenv("LISTEN_PID"),
		0);
	cr_assert_eq(count ? setenv("LISTEN_FDS", count, 1) : unsetenv("LISTEN_FDS"), 0);
}

static mqd_t open_queue(void)
{
	char name[64];
	mqd_t mq;

	(void)snprintf(name, sizeof(name), "/test-descriptors-%d", getpid());
	mq = mq_open(name, O_RDONLY | O_CREAT | O_EXCL, 0600, NULL);
	cr_assert_geq(mq, 0);
	cr_assert_eq(mq_unlink(name), 0);
	return mq;
}

static int path_descriptor(int fd)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_PATH | O_CLOEXEC);
}

Test(descriptors, others_pass)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	cr_assert_geq(fd, 0);
	passed();
	(void)close(fd);
}

Test(descriptors, finds_a_queue)
{
	mqd_t mq = open_queue();

	refused(mq);
	passed_with(true, mq);
	(void)mq_close(mq);
	passed();
}

Test(descriptors, finds_a_queue_at_any_number)
{
	static const int numbers[] = {STDIN_FILENO, 333};
	mqd_t mq = open_queue();

	for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
		int saved = fcntl(numbers[i], F_DUPFD_CLOEXEC, 10);

		cr_assert_eq(dup2(mq, numbers[i]), numbers[i]);
		(void)mq_close(mq);
		refused(numbers[i]);
		passed_with(true, numbers[i]);
		mq = fcntl(numbers[i], F_DUPFD_CLOEXEC, 3);
		(void)close(numbers[i]);
		if (saved >= 0)
			(void)dup2(saved, numbers[i]);
		(void)safe_close(saved);
	}
	(void)mq_close(mq);
	passed();
}

Test(descriptors, finds_a_path_descriptor)
{
	mqd_t mq = open_queue();
	int fd = path_descriptor(mq);

	cr_assert_geq(fd, 0);
	(void)mq_close(mq);
	refused(fd);
	refused_if(true, fd);
}

#define LISTENED 3

static int replaced[2];

/* A queue and another file, for LISTEN_FDS=2 to name. */
static void open_listened(void)
{
	mqd_t mq = open_queue();
	int kept = fcntl(mq, F_DUPFD_CLOEXEC, 100);

	(void)mq_close(mq);
	for (int i = 0; i < 2; i++)
		replaced[i] = fcntl(LISTENED + i, F_DUPFD_CLOEXEC, 100);
	cr_assert_eq(dup2(kept, LISTENED), LISTENED);
	cr_assert_eq(dup2(STDERR_FILENO, LISTENED + 1), LISTENED + 1);
	(void)close(kept);
}

/* Criterion may have its own there. */
static void close_listened(void)
{
	for (int i = 0; i < 2; i++)
		if (replaced[i] >= 0)
			(void)dup2(replaced[i], LISTENED + i);
		else
			(void)close(LISTENED + i);
}

Test(descriptors, what_is_listened_to_passes)
{
	open_listened();
	name_listened("own", "2");
	passed_with(false, LISTENED);
	passed_with(true, LISTENED);
	name_listened("own", "1");
	passed_with(false, LISTENED);
	close_listened();
}

Test(descriptors, what_the_environment_does_not_name_does_not_pass)
{
	static const char *const counts[] = {NULL, "", "0", "-1", "1x", " 1", "+1", "0x1",
		"1000000", "999999999", "2147483645", "4294967297", "99999999999999999999"};
	static const char *const pids[] = {NULL, "", "0", "1", "-1", "x", "99999999999999999999"};

	open_listened();
	for (size_t i = 0; i < ELEMENTSOF(counts); i++) {
		name_listened("own", counts[i]);
		refused(LISTENED);
		passed_with(true, LISTENED);
	}
	for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
		name_listened(pids[i], "1");
		refused(LISTENED);
	}
	cr_assert_eq(dup2(LISTENED, 333), 333);
	close_listened();
	name_listened("own", "1");
	refused(333);
	(void)close(333);
}

Test(descriptors, a_path_descriptor_does_not_pass_either)
{
	int fd;

	open_listened();
	name_listened("own", "1");
	fd = path_descriptor(LISTENED);
	cr_assert_eq(dup2(fd, LISTENED), LISTENED);
	(void)close(fd);
	refused(LISTENED);
	refused_if(true, LISTENED);
	close_listened();
}

Test(descriptors, finds_an_io_uring)
{
	struct io_uring_params params = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (fd < 0)
		leave_out("no io_uring here");
	refused(fd);
	refused_if(true, fd);
	(void)close(fd);
	passed();
}

Test(descriptors, fills_what_is_closed)
{
	int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10);
	char link[64] = {0};

	(void)close(STDIN_FILENO);
	cr_assert_eq(descriptors_fill_standard(), 0);
	cr_assert_gt(readlink("/proc/self/fd/0", link, sizeof(link) - 1), 0);
	cr_assert_str_eq(link, "/dev/null");
	cr_assert_eq(fcntl(STDIN_FILENO, F_GETFD), FD_CLOEXEC);
	cr_assert_eq(fcntl(STDERR_FILENO, F_GETFD) & FD_CLOEXEC, 0);
	if (saved >= 0)
		(void)dup2(saved, STDIN_FILENO);
}

static int fail_at(int fd, void *userdata)
{
	int *wanted = userdata;

	return fd == *wanted ? -EXFULL : 0;
}

Test(descriptors, visits_every_one_and_stops_at_an_error)
{
	_cleanup_free_ char *message = NULL;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), none = -1;

	cr_assert_geq(fd, 0);
	cr_assert_eq(descriptors_visit(fail_at, &fd, &message), -EXFULL);
	cr_assert_eq(descriptors_visit(fail_at, &none, &message), 0);
	cr_assert_null(message);
	(void)close(fd);
}
