/* SPDX-License-Identifier: MIT */
/* sensor NAME [SECONDS]: a program that reports what it measures, important things with priority.
 *
 * Creates the queue and sends a round of reports every SECONDS (default 1). It waits for nobody:
 * what does not fit into the queue is dropped. */
#include "app.h"

static const struct {
	unsigned priority;
	const char *text;
} reports[] = {
	{1, "temperature 21.5"},
	{5, "door opened"},
	{1, "humidity 48"},
	{9, "smoke!"},
};

static int report_all(mqd_t queue, const char *name)
{
	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++) {
		const char *text = reports[i].text;

		if (mq_send(queue, text, strlen(text), reports[i].priority) == 0)
			printf("sent     [%u] %s\n", reports[i].priority, text);
		else if (errno != EAGAIN)
			return failed("mq_send", name);
	}
	return 0;
}

int main(int argc, char **argv)
{
	long seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
	mqd_t queue;

	if (argc < 2) {
		fprintf(stderr, "usage: sensor NAME [SECONDS]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	queue = create_queue(argv[1], O_WRONLY | O_NONBLOCK, 10);
	if (queue < 0)
		return failed("mq_open", argv[1]);
	for (;;) {
		if (report_all(queue, argv[1]))
			return 1;
		pause_for(seconds * 1000);
	}
}
