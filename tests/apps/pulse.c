/* SPDX-License-Identifier: MIT */
/* pulse NAME: sends to NAME and receives it again, two hundred times a second, until the end of its
 * input; then tells how long the two took: the median, what one in a hundred
 * exceeds, and the longest, in microseconds. */
#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SAMPLES_MAX 100000
#define PAUSE_MS    5

static uint32_t samples[SAMPLES_MAX];

static int64_t now_us(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	size_t count = 0;
	char buffer[64];
	mqd_t queue;

	if (argc != 2)
		return 2;
	queue = mq_open(argv[1], O_RDWR);
	if (queue < 0)
		return 1;
	(void)puts("beating");
	(void)fflush(stdout);
	while (count < SAMPLES_MAX && poll(&input, 1, PAUSE_MS) == 0) {
		int64_t begin = now_us();

		if (mq_send(queue, "x", 1, 0) < 0 ||
			mq_receive(queue, buffer, sizeof(buffer), NULL) != 1)
			return 1;
		samples[count++] = (uint32_t)(now_us() - begin);
	}
	if (count == 0)
		return 1;
	qsort(samples, count, sizeof(samples[0]), compare);
	(void)printf("%zu beats, median %u, one in a hundred over %u, longest %u\n", count,
		samples[count / 2], samples[count - 1 - count / 100], samples[count - 1]);
	return 0;
}
