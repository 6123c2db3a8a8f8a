/* SPDX-License-Identifier: MIT */
/* The spawner, with programs of all kinds in the place of mqgate-session. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "daemon/manager/sessions/spawner.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "include/util.h"

#define ANSWER_TIMEOUT_MSEC 5000

static char program[64];
static int spawner = -EBADF;
static pid_t spawner_pid;

static void write_program(const char *text)
{
	int fd;

	(void)strcpy(program, "/tmp/mqgate-spawner-XXXXXX");
	fd = mkstemp(program);
	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	cr_assert_eq(fchmod(fd, 0755), 0);
	(void)close(fd);
}

static void begin(const char *text)
{
	log_open("test-spawner");
	write_program(text);
	cr_assert_eq(spawner_fork(program, &spawner_pid, &spawner), 0);
}

static void end(void)
{
	if (spawner >= 0)
		spawner_dismiss(spawner, spawner_pid);
	spawner = -EBADF;
	if (*program)
		(void)unlink(program);
}

struct ends {
	int channel, lifeline;
};

static struct ends ask(void)
{
	int channel[2], lifeline[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lifeline), 0);
	cr_assert_eq(spawner_ask(spawner, SPAWNER_START, channel[1], lifeline[1]), 0);
	(void)close(channel[1]);
	(void)close(lifeline[1]);
	return (struct ends){channel[0], lifeline[0]};
}

/* What comes on it next; type 0 is its end. */
static struct spawner_event next_event(int lifeline)
{
	struct spawner_event event = {0};
	struct pollfd p = {.fd = lifeline, .events = POLLIN};

	cr_assert_eq(poll(&p, 1, ANSWER_TIMEOUT_MSEC), 1, "nothing comes");
	(void)message_receive(lifeline, &event, sizeof(event), NULL, 0);
	return event;
}

static pid_t started(int lifeline)
{
	struct spawner_event event = next_event(lifeline);

	cr_assert_eq(event.type, SPAWNER_STARTED);
	cr_assert_gt(event.pid, 0);
	return event.pid;
}

static void expect_gone(int lifeline, pid_t pid, int code, int status)
{
	struct spawner_event event = next_event(lifeline);

	cr_expect_eq(event.type, SPAWNER_GONE);
	cr_expect_eq(event.pid, pid);
	cr_expect_eq(event.code, code);
	cr_expect_eq(event.status, status);
	cr_expect_eq(next_event(lifeline).type, 0, "something follows");
	for (int i = 0; i < 100 && kill(pid, 0) == 0; i++)
		usleep(10 * 1000);
	cr_expect_eq(kill(pid, 0), -1, "it is not reaped");
}

TestSuite(spawner, .fini = end, .timeout = 60);

Test(spawner, starts_and_says_how_it_ended)
{
	struct ends ends;

	begin("#!/bin/sh\nexit 7\n");
	ends = ask();
	expect_gone(ends.lifeline, started(ends.lifeline), CLD_EXITED, 7);
}

/* What it has open and its environment come back on the channel. */
Test(spawner, gives_the_channel_and_nothing_else)
{
	char text[1024] = "";
	struct ends ends;
	struct pollfd p;

	cr_assert_eq(setenv("SECRET", "secret", 1), 0);
	cr_assert_geq(open("/etc/passwd", O_RDONLY), 0);
	begin("#!/bin/sh\n"
	      "has=$(readlink /proc/$$/fd/*; tr '\\0' ' ' </proc/$$/environ)\n"
	      "echo $has >&3\n");
	ends = ask();
	(void)started(ends.lifeline);
	p = (struct pollfd){.fd = ends.channel, .events = POLLIN};
	cr_assert_eq(poll(&p, 1, ANSWER_TIMEOUT_MSEC), 1);
	cr_assert_gt(recv(ends.channel, text, sizeof(text) - 1, 0), 0);
	cr_expect(startswith(text, "/dev/null /dev/null "), "%s", text);
	cr_expect(strstr(text, "socket:"), "%s", text);
	cr_expect_null(strstr(text, "anon_inode:"), "%s", text);
	cr_expect_null(strstr(text, "passwd"), "%s", text);
	cr_expect_null(strstr(text, "secret"), "%s", text);
}

Test(spawner, kills_at_the_end_of_the_lifeline)
{
	struct ends ends;
	pid_t pid;

	begin("#!/bin/sh\nexec sleep 100\n");
	ends = ask();
	pid = started(ends.lifeline);
	cr_assert_eq(shutdown(ends.lifeline, SHUT_WR), 0);
	expect_gone(ends.lifeline, pid, CLD_KILLED, SIGKILL);
}

Test(spawner, says_that_it_was_stopped)
{
	struct spawner_event event;
	struct ends ends;
	pid_t pid;

	begin("#!/bin/sh\nexec sleep 100\n");
	ends = ask();
	pid = started(ends.lifeline);
	cr_assert_eq(kill(pid, SIGSTOP), 0);
	event = next_event(ends.lifeline);
	cr_expect_eq(event.type, SPAWNER_STOPPED);
	cr_expect_eq(event.pid, pid);
}

Test(spawner, says_what_cannot_be_started)
{
	struct spawner_event event;
	struct ends ends;

	begin("#!/bin/sh\n");
	cr_assert_eq(unlink(program), 0);
	ends = ask();
	event = next_event(ends.lifeline);
	cr_expect_eq(event.type, SPAWNER_FAILED);
	cr_expect_eq(event.status, ENOENT);
	cr_expect_eq(next_event(ends.lifeline).type, 0);
}

Test(spawner, is_not_there_for_a_program_that_is_not)
{
	log_open("test-spawner");
	cr_expect_eq(spawner_fork("/nonexistent/session", &spawner_pid, &spawner), -ENOENT);
}

/* What is no request is refused or ignored, and the next one is served. */
Test(spawner, survives_what_is_no_request)
{
	const struct spawner_request wrong = {.magic = SPAWNER_START + 1};
	const struct spawner_request right = {.magic = SPAWNER_START};
	struct spawner_event event;
	struct ends ends;
	int lifeline[2];

	begin("#!/bin/sh\nexit 0\n");
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, lifeline), 0);
	cr_assert_eq(message_send(spawner, &wrong, sizeof(wrong), lifeline, 2), 0);
	event = next_event(lifeline[0]);
	cr_expect_eq(event.type, SPAWNER_FAILED);
	cr_expect_eq(event.status, EBADMSG);
	cr_assert_eq(message_send(spawner, &right, sizeof(right), NULL, 0), 0);
	cr_assert_eq(message_send(spawner, &right, sizeof(right), lifeline, 1), 0);
	cr_assert_eq(message_send(spawner, &right, 1, lifeline, 2), 0);
	ends = ask();
	expect_gone(ends.lifeline, started(ends.lifeline), CLD_EXITED, 0);
}

Test(spawner, takes_all_along_at_its_end)
{
	struct ends ends[8];
	pid_t pids[ELEMENTSOF(ends)];

	begin("#!/bin/sh\nexec sleep 100\n");
	for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
		ends[i] = ask();
		pids[i] = started(ends[i].lifeline);
	}
	spawner_dismiss(spawner, spawner_pid);
	spawner = -EBADF;
	for (size_t i = 0; i < ELEMENTSOF(ends); i++)
		cr_expect_eq(kill(pids[i], 0), -1, "process %zu is there", i);
}

/* SPAWNER_DEADLINE_USEC, SPAWNER_BUSY_USEC: neither asking nor dismissing waits for ever. */
Test(spawner, is_not_waited_for_for_ever)
{
	uint64_t begun;
	int r, sockets[2];
	pid_t pid;

	begin("#!/bin/sh\nexec sleep 100\n");
	pid = started(ask().lifeline);
	cr_assert_eq(kill(spawner_pid, SIGSTOP), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	do {
		begun = now_usec();
		r = spawner_ask(spawner, SPAWNER_START, sockets[0], sockets[1]);
	} while (r == 0);
	cr_expect_eq(r, -EAGAIN);
	cr_expect_geq(now_usec() - begun, SPAWNER_BUSY_USEC - 1000);
	begun = now_usec();
	spawner_dismiss(spawner, spawner_pid);
	spawner = -EBADF;
	cr_expect_geq(now_usec() - begun, SPAWNER_DEADLINE_USEC - 1000);
	cr_expect_eq(kill(spawner_pid, 0), -1, "the spawner is there");
	/* A session process ends with its parent by itself. */
	cr_expect_eq(kill(pid, SIGKILL), 0);
}
