/* SPDX-License-Identifier: MIT */
/* verdicts ALLOWED DENIED CHANGING: until stdin ends, opens three queues again and again.
 *
 * The first must always open, the second never (EACCES), the third may or may not (EACCES), since
 * its permission changes meanwhile. Prints "seen" when it has seen two changes, "ended" at the end,
 * and exits 0; or says which verdict was wrong and exits 1. */
#include <poll.h>

#include "app.h"

static int opens(const char *name)
{
	mqd_t queue = mq_open(name, O_RDONLY);

	if (queue >= 0)
		return mq_close(queue), 1;
	return errno == EACCES ? 0 : -1;
}

int main(int argc, char **argv)
{
	struct pollfd end = {.fd = 0, .events = POLLIN};
	long rounds = 0, changes = 0;
	int before = -1;

	if (argc != 4) {
		fprintf(stderr, "usage: verdicts ALLOWED DENIED CHANGING\n");
		return 2;
	}
	do {
		int now = opens(argv[3]);

		if (opens(argv[1]) != 1 || opens(argv[2]) != 0 || now < 0) {
			fprintf(stderr, "a wrong verdict in round %ld: errno %d\n", rounds, errno);
			return 1;
		}
		if (before >= 0 && now != before && ++changes == 2) {
			puts("seen");
			(void)fflush(stdout);
		}
		before = now;
		rounds++;
	} while (poll(&end, 1, 100) == 0);
	puts("ended");
	return 0;
}
