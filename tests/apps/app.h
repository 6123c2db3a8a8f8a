/* SPDX-License-Identifier: MIT */
/* What the test apps share. They are ordinary programs and know nothing of mqgate. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_SIZE 64

static inline struct timespec from_now(long milliseconds)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += milliseconds / 1000;
	ts.tv_nsec += milliseconds % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

static inline void pause_for(long milliseconds)
{
	struct timespec ts = {
		.tv_sec = milliseconds / 1000, .tv_nsec = milliseconds % 1000 * 1000000};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* "mq_open /events: Permission denied" on stderr. Returns 1, for "return failed(…)". */
static inline int failed(const char *call, const char *queue)
{
	fprintf(stderr, "%s %s: %s\n", call, queue, strerror(errno));
	return 1;
}

static inline mqd_t create_queue(const char *name, int oflag, long messages)
{
	struct mq_attr attributes = {.mq_maxmsg = messages, .mq_msgsize = MESSAGE_SIZE};

	return mq_open(name, oflag | O_CREAT, 0600, &attributes);
}
