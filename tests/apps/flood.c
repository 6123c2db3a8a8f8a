/* SPDX-License-Identifier: MIT */
/* flood THREADS GRANTED DENIED: calls on a queue that is granted and on one that is not, from so
 * many threads, as fast as it is let. Says "flooding" when all of them do; at a line on stdin, or
 * its end, says how many calls there were, and how many gave what they should not, and ends. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "app.h"

static const char *granted_name, *denied_name;
static atomic_ulong granted, denied, wrong;
static atomic_bool over;
static pthread_barrier_t barrier;

static void count(int r, int error, int wanted_error)
{
	if (wanted_error == 0)
		granted++;
	else
		denied++;
	if (wanted_error == 0 ? r < 0 : r >= 0 || error != wanted_error)
		wrong++;
}

static void *flood(void *queue)
{
	struct mq_attr attributes;
	int r;

	(void)pthread_barrier_wait(&barrier);
	while (!over) {
		r = mq_getattr(*(mqd_t *)queue, &attributes);
		count(r, errno, 0);
		r = mq_open(denied_name, O_RDONLY);
		count(r, errno, EACCES);
		r = mq_open(granted_name, O_RDWR);
		count(r, errno, 0);
		(void)mq_close(r);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	char line[16];
	mqd_t queue;
	int threads;

	if (argc != 4)
		return 2;
	threads = atoi(argv[1]);
	granted_name = argv[2];
	denied_name = argv[3];
	queue = create_queue(granted_name, O_RDWR, 4);
	if (queue < 0)
		return failed("mq_open", granted_name);
	(void)pthread_barrier_init(&barrier, NULL, (unsigned)threads + 1);
	for (int i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, flood, &queue) != 0)
			return failed("pthread_create", granted_name);
	(void)pthread_barrier_wait(&barrier);
	(void)puts("flooding");
	(void)fflush(stdout);
	if (!fgets(line, sizeof(line), stdin) && ferror(stdin))
		return 1;
	printf("granted %lu denied %lu wrong %lu\n", granted, denied, wrong);
	(void)fflush(stdout);
	over = true;
	return 0;
}
