/* SPDX-License-Identifier: MIT */
/* hand-on NUMBER FLAGS NAME CMD…: becomes CMD, with this queue open as descriptor NUMBER. FLAGS of
 * r w n(onblock) d(eletes it, once it is open). */
#include "app.h"

static int flags(const char *letters)
{
	int oflag = O_RDONLY;

	if (strchr(letters, 'w'))
		oflag = strchr(letters, 'r') ? O_RDWR : O_WRONLY;
	return strchr(letters, 'n') ? oflag | O_NONBLOCK : oflag;
}

int main(int argc, char *argv[])
{
	mqd_t queue;
	int number;

	if (argc < 5)
		return 2;
	number = atoi(argv[1]);
	queue = mq_open(argv[3], flags(argv[2]));
	if (queue < 0)
		return failed("mq_open", argv[3]);
	/* mq_open() sets close-on-exec, which dup() does not keep. */
	if (queue == number ? fcntl(queue, F_SETFD, 0) < 0 : dup2(queue, number) < 0)
		return failed("dup2", argv[1]);
	if (queue != number)
		(void)mq_close(queue);
	if (strchr(argv[2], 'd') && mq_unlink(argv[3]) < 0)
		return failed("mq_unlink", argv[3]);
	(void)execvp(argv[4], argv + 4);
	return failed("exec", argv[4]);
}
