/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#include "disturb.h"

#include <fcntl.h>
#include <inttypes.h>

#include "child.h"
#include "include/util.h"

static const int native_calls[] = {
#if defined(__x86_64__)
	232, /* epoll_wait */
	281, /* epoll_pwait */
	441, /* epoll_pwait2 */
	128, /* rt_sigtimedwait */
	65,  /* semop */
	220, /* semtimedop */
	208, /* io_getevents */
	333, /* io_pgetevents */
	426, /* io_uring_enter */
#elif defined(__aarch64__)
	22,  /* epoll_pwait */
	441, /* epoll_pwait2 */
	137, /* rt_sigtimedwait */
	193, /* semop */
	192, /* semtimedop */
	4,   /* io_getevents */
	292, /* io_pgetevents */
	426, /* io_uring_enter */
#endif
};

static const int compat_calls[] = {
#if defined(__x86_64__)
	256, /* epoll_wait */
	319, /* epoll_pwait */
	441, /* epoll_pwait2 */
	177, /* rt_sigtimedwait */
	421, /* rt_sigtimedwait_time64 */
	117, /* ipc: semop and semtimedop among others */
	420, /* semtimedop_time64 */
	247, /* io_getevents */
	385, /* io_pgetevents */
	416, /* io_pgetevents_time64 */
	426, /* io_uring_enter */
#elif defined(__aarch64__)
	252, /* epoll_wait */
	346, /* epoll_pwait */
	441, /* epoll_pwait2 */
	177, /* rt_sigtimedwait */
	421, /* rt_sigtimedwait_time64 */
	298, /* semop */
	312, /* semtimedop */
	420, /* semtimedop_time64 */
	245, /* io_getevents */
	399, /* io_pgetevents */
	416, /* io_pgetevents_time64 */
	426, /* io_uring_enter */
#endif
};

static bool is_among(int nr, const int *calls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (calls[i] == nr)
			return true;
	return false;
}

/* "running", or the call with its arguments. */
static bool read_call(int proc, char *line, size_t size)
{
	_cleanup_close_ int fd = openat(proc, "syscall", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	step_begin();
	n = fd < 0 ? -1 : read(fd, line, size - 1);
	step_end();
	line[MAX(n, 0)] = '\0';
	return n > 0;
}

bool stop_disturbs(int proc)
{
	uint64_t stack, place;
	char line[256];
	int nr;

	if (!read_call(proc, line, sizeof(line)) ||
		sscanf(line, "%d %*s %*s %*s %*s %*s %*s %" SCNx64 " %" SCNx64, &nr, &stack,
			&place) != 3)
		return false;
	/* The numbers of 32-bit programs are others; that a call is one of theirs is not told. */
	return is_among(nr, native_calls, ELEMENTSOF(native_calls)) ||
	       (stack <= UINT32_MAX && place <= UINT32_MAX &&
		       is_among(nr, compat_calls, ELEMENTSOF(compat_calls)));
}
