/* SPDX-License-Identifier: MIT */
/* The rate of records. */
#include <criterion/criterion.h>
#include <sys/socket.h>

#include "daemon/session/call/supervisor.h"
#include "include/limits.h"

static size_t records_of(int socket)
{
	struct session_message message;
	size_t count = 0;

	while (message_receive(socket, &message, sizeof(message), NULL, 0) > 0)
		count++;
	return count;
}

Test(recorder, a_burst_then_the_rate_and_nothing_is_forgotten)
{
	struct recorder recorder = {.rate = 1, .tokens_usec = UINT32_MAX, .last_usec = now_usec()};
	struct session_message message = {.type = SESSION_RECORD};
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
