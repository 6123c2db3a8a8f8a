/* SPDX-License-Identifier: MIT */
/* road-inherited NUMBER: sends to the queue that is open there already, and receives. Exits with 0
 * or the errno. */
#include "app.h"

int main(int argc, char *argv[])
{
	struct timespec soon = from_now(1000);

	char buffer[8192];
	int fd = argc == 2 ? atoi(argv[1]) : -1;

	if (mq_timedsend(fd, "x", 1, 0, &soon) < 0)
		return errno;
	return mq_timedreceive(fd, buffer, sizeof(buffer), NULL, &soon) < 0 ? errno : 0;
}
