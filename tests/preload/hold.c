/* SPDX-License-Identifier: MIT */
/* Preloaded into a session process: holds it at a place, until it is told to go on.
 *
 * The places: "answer" and "inject" (before the kernel is told), "trace" (before a thread is
 * stopped). A file of that name in the directory HOLD_DIR arms one; whoever comes there removes it
 * (unless there is a file "always"), makes "held" and waits for "release". */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <unistd.h>

#define VISIBLE __attribute__((visibility("default")))

#define DEADLINE_MS 60000

int ioctl(int fd, unsigned long request, ...);
long ptrace(enum __ptrace_request request, ...);

static const char *in_directory(const char *name)
{
	static char path[256];
	const char *directory = getenv("HOLD_DIR");

	(void)snprintf(path, sizeof(path), "%s/%s", directory ? directory : "/", name);
	return path;
}

static int there_is(const char *name)
{
	return access(in_directory(name), F_OK) == 0;
}

static void hold(const char *place)
{
	if (!there_is(place))
		return;
	if (!there_is("always"))
		(void)unlink(in_directory(place));
	(void)close(open(in_directory("held"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	for (int i = 0; i < DEADLINE_MS && !there_is("release"); i++)
		(void)usleep(1000);
}

VISIBLE int ioctl(int fd, unsigned long request, ...)
{
	int (*real)(int, unsigned long, ...) =
		(int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (request == SECCOMP_IOCTL_NOTIF_SEND)
		hold("answer");
	if (request == SECCOMP_IOCTL_NOTIF_ADDFD)
		hold("inject");
	return real(fd, request, argument);
}

VISIBLE long ptrace(enum __ptrace_request request, ...)
{
	long (*real)(enum __ptrace_request, ...) =
		(long (*)(enum __ptrace_request, ...))dlsym(RTLD_NEXT, "ptrace");
	va_list arguments;
	void *address, *data;
	pid_t pid;

	va_start(arguments, request);
	pid = va_arg(arguments, pid_t);
	address = va_arg(arguments, void *);
	data = va_arg(arguments, void *);
	va_end(arguments);
	if (request == PTRACE_SEIZE)
		hold("trace");
	return real(request, pid, address, data);
}
