/* SPDX-License-Identifier: MIT */
/* mqsend NAME TEXT [PRIORITY]: sends one message to an existing queue. */
#include "app.h"

int main(int argc, char **argv)
{
	struct timespec deadline = from_now(5000);
	mqd_t queue;

	if (argc < 3 || argc > 4) {
		fprintf(stderr, "usage: mqsend NAME TEXT [PRIORITY]\n");
		return 2;
	}
	queue = mq_open(argv[1], O_WRONLY);
	if (queue < 0)
		return failed("mq_open", argv[1]);
	if (mq_timedsend(queue, argv[2], strlen(argv[2]),
		    argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 0, &deadline) < 0)
		return failed("mq_send", argv[1]);
	return 0;
}
