/* SPDX-License-Identifier: MIT */
/* Bounds of the session process that need no session: texts of /proc, and records. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "daemon/session/session.h"
#include "include/text.h"
#include "include/limits.h"

static int read_of_size(size_t size, size_t max, size_t *ret_length)
{
	_cleanup_close_ int fd = memfd_create("text", MFD_CLOEXEC);
	_cleanup_free_ char *content = malloc(size), *text = NULL;
	int r;

	cr_assert(fd >= 0 && content);
	memset(content, 'x', size);
	cr_assert_eq(write(fd, content, size), (ssize_t)size);
	r = text_read(fd, max, &text);
	*ret_length = r == 0 ? strlen(text) : 0;
	return r;
}

static void check_text(size_t max)
{
	size_t length;

	cr_expect_eq(read_of_size(max, max, &length), 0);
	cr_expect_eq(length, max);
	cr_expect_eq(read_of_size(max + 1, max, &length), -E2BIG);
}

Test(text, up_to_the_bounds)
{
	check_text(STATUS_FILE_MAX);
	check_text(LIMITS_FILE_MAX);
}

static size_t records_of(int socket)
{
	struct worker_message message;
	size_t count = 0;

	while (message_receive(socket, &message, sizeof(message), NULL, 0) > 0)
		count++;
	return count;
}

Test(recorder, a_burst_then_the_rate_and_nothing_is_forgotten)
{
	struct recorder recorder = {.rate = 1, .tokens_usec = UINT32_MAX, .last_usec = now_usec()};
	struct worker_message message = {.type = WORKER_RECORD};
	int sockets[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	for (int i = 0; i < RECORD_BURST; i++)
		recorder_note(&recorder, sockets[0], &message);
	cr_expect_eq(records_of(sockets[1]), RECORD_BURST);
	cr_expect_eq(recorder.suppressed, 0);
	recorder_note(&recorder, sockets[0], &message);
	cr_expect_eq(records_of(sockets[1]), 0, "one more is held back");
	cr_expect_eq(recorder.suppressed, 1);
	recorder.last_usec -= 1000000;
	recorder_flush(&recorder, sockets[0]);
	cr_expect_eq(records_of(sockets[1]), 1, "and sent when its time has come");
	cr_expect_eq(recorder.suppressed, 0);
}
