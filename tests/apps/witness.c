/* SPDX-License-Identifier: MIT */
/* witness send|receive QUEUE ID EVERY PACE: makes calls on QUEUE until SIGTERM, and testifies to
 * each: what tests/system/endurance.py judges.
 *
 * ID tells this witness from all others of its queue, and is in its messages. After EVERY calls the
 * queue is opened anew; with 1 it is closed after each call, with more an old descriptor is kept
 * while a new one is refused. Between calls it pauses for PACE microseconds. It sends the numbers
 * from 1 on; what was not sent is sent again. Calls are blocking and timed in turn; who is asked to
 * end no longer blocks, and who receives ends when it has found nothing for a while.
 *
 * Each line is written at once: BEGIN END CALL ID NUMBER SINCE RESULT, times in microseconds. ID,
 * NUMBER and SINCE are those of the message, SINCE when sending it began; RESULT is 0 or the name
 * of an errno. The last line of who ends of itself is "end". */
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>

#include "app.h"

#define TIMED_MS    40
#define REFUSED_MS  3
#define PATIENCE_MS 500 /* for a message, of who is asked to end */

struct message {
	long id, number, since;
};

static const char *name;
static mqd_t queue = -1;
static bool sends;

static long now_us(void)
{
	struct timespec now = from_now(0);

	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

__attribute__((format(printf, 1, 2))) static void testify(const char *format, ...)
{
	va_list arguments;
	char line[160];
	int n;

	va_start(arguments, format);
	n = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		_exit(3);
}

static void tell(long begin, const char *call, struct message message, int error)
{
	testify("%ld %ld %s %ld %ld %ld %s\n", begin, now_us(), call, message.id, message.number,
		message.since, error ? strerrorname_np(error) : "0");
}

static bool is_asked_to_end(void)
{
	sigset_t pending;

	(void)sigpending(&pending);
	return sigismember(&pending, SIGTERM);
}

static bool reopen(bool keep)
{
	long begin = now_us();
	mqd_t opened;

	if (!keep && queue >= 0) {
		(void)mq_close(queue);
		queue = -1;
	}
	opened = mq_open(name, (sends ? O_WRONLY : O_RDONLY));
	tell(begin, "open", (struct message){0}, opened < 0 ? errno : 0);
	if (opened < 0)
		return queue >= 0;
	if (queue >= 0)
		(void)mq_close(queue);
	queue = opened;
	return true;
}

static int call(struct message *message, bool blocking, long milliseconds)
{
	struct timespec deadline = from_now(milliseconds);
	char text[MESSAGE_SIZE] = "";
	ssize_t n;

	if (sends) {
		message->since = now_us();
		(void)snprintf(text, sizeof(text), "%ld.%ld.%ld", message->id, message->number,
			message->since);
		n = blocking ? mq_send(queue, text, strlen(text) + 1, 0)
			     : mq_timedsend(queue, text, strlen(text) + 1, 0, &deadline);
	} else {
		n = blocking ? mq_receive(queue, text, sizeof(text), NULL)
			     : mq_timedreceive(queue, text, sizeof(text), NULL, &deadline);
		if (n >= 0 && sscanf(text, "%ld.%ld.%ld", &message->id, &message->number,
				      &message->since) != 3)
			return EBADMSG;
	}
	return n < 0 ? errno : 0;
}

static void pause_after(int error, long pace)
{
	if (error == 0)
		(void)usleep((useconds_t)pace);
	else if (error != ETIMEDOUT)
		pause_for(REFUSED_MS);
}

static void bear_witness(long id, long every, long pace)
{
	struct message message = {.id = id, .number = 1};
	int error = 0;

	for (long i = 0;; i++) {
		bool ending = is_asked_to_end();
		long begin = now_us();

		if (ending && (sends || error == ETIMEDOUT))
			return;
		if ((i % every == 0 || queue < 0) && !reopen(every > 1)) {
			pause_for(REFUSED_MS);
			continue;
		}
		error = call(&message, !ending && i % 2 == 0, ending ? PATIENCE_MS : TIMED_MS);
		tell(begin, sends ? "send" : "receive",
			error && !sends ? (struct message){0} : message, error);
		/* Of EIO nobody knows. */
		message.number += sends && (error == 0 || error == EIO);
		pause_after(error, pace);
	}
}

int main(int argc, char **argv)
{
	sigset_t end;

	if (argc != 6)
		return 2;
	sends = strcmp(argv[1], "send") == 0;
	name = argv[2];
	(void)sigemptyset(&end);
	(void)sigaddset(&end, SIGTERM);
	(void)sigprocmask(SIG_BLOCK, &end, NULL);
	bear_witness(
		strtol(argv[3], NULL, 10), strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10));
	testify("end\n");
	return 0;
}
