/* SPDX-License-Identifier: MIT */
/* Preloaded into a session process: it takes half a second to read new grants. */
#undef _FORTIFY_SOURCE /* its pread() is an inline function */
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

__attribute__((visibility("default"))) ssize_t pread(int fd, void *data, size_t size, off_t at)
{
	const struct timespec pause = {.tv_nsec = 500000000};
	char path[64], link[64] = "";

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, link, sizeof(link) - 1) > 0 && strstr(link, "mqgate-grants"))
		(void)nanosleep(&pause, NULL);
	return syscall(SYS_pread64, fd, data, size, at);
}
