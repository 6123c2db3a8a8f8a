/* SPDX-License-Identifier: MIT */
/* Roads over the bare system calls, of every architecture that this processor runs. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "road.h"
#include "tests/machine/int-0x80.h"

int road_mq_open(void)
{
	return use_or_closed((int)syscall(SYS_mq_open, queue + 1, O_RDWR, 0, NULL), "mq_open");
}

int road_mq_unlink(void)
{
	return syscall(SYS_mq_unlink, queue + 1) < 0 ? closed("mq_unlink") : is_open();
}

/* The kernel creates before it asks anybody: look whether something came into being. */
int road_mq_create(void)
{
	const char *name = path_in(queue, "-created");
	int fd = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, NULL);
	bool denied = fd < 0 && access(path_in("/dev/mqueue", name), F_OK) < 0;
	int r;

	if (fd < 0)
		errno = denied ? EACCES : EEXIST;
	r = fd < 0 ? closed("mq_open") : is_open();
	(void)mq_unlink(name);
	return r;
}

#if defined(__x86_64__)
#define I386_OPEN      5
#define I386_MQ_OPEN   277
#define I386_MQ_UNLINK 278
#define X32_BIT        0x40000000

static int call_i386(int nr, const char *text, int oflag)
{
	char *low = mmap(
		NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int r;

	strcpy(low, text);
	r = int_0x80(nr, low, oflag);
	if (r >= 0)
		return r;
	errno = -r;
	return -1;
}

int road_i386_open(void)
{
	return use_or_closed(call_i386(I386_OPEN, queue_file(), O_RDWR), "open");
}

int road_i386_mq_open(void)
{
	return use_or_closed(call_i386(I386_MQ_OPEN, queue + 1, O_RDWR), "mq_open");
}

int road_i386_mq_unlink(void)
{
	return call_i386(I386_MQ_UNLINK, queue + 1, 0) < 0 ? closed("mq_unlink") : is_open();
}

int road_x32_mq_open(void)
{
	return use_or_closed(
		(int)syscall(X32_BIT | SYS_mq_open, queue + 1, O_RDWR, 0, NULL), "mq_open");
}

int road_x32_mq_unlink(void)
{
	return syscall(X32_BIT | SYS_mq_unlink, queue + 1) < 0 ? closed("mq_unlink") : is_open();
}
#endif
