/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#include "disturb.h"

#include <fcntl.h>
#include <inttypes.h>

#include "include/util.h"

/* Where the timeout of a call is. */
enum timeout {
	TIMEOUT_NONE,
	TIMEOUT_MILLISECONDS, /* negative: none */
	TIMEOUT_ADDRESS,      /* 0: none */
	TIMEOUT_FLAG,         /* IORING_ENTER_EXT_ARG: somewhere in memory */
};

#define ENTER_EXT_ARG (1 << 3)

struct waiting_call {
	int nr;
	enum timeout timeout;
	int argument;
};

static const struct waiting_call native_calls[] = {
#if defined(__x86_64__)
	{232, TIMEOUT_MILLISECONDS, 3}, /* epoll_wait */
	{281, TIMEOUT_MILLISECONDS, 3}, /* epoll_pwait */
	{441, TIMEOUT_ADDRESS, 3},      /* epoll_pwait2 */
	{128, TIMEOUT_ADDRESS, 2},      /* rt_sigtimedwait */
	{65, TIMEOUT_NONE, 0},          /* semop */
	{220, TIMEOUT_ADDRESS, 3},      /* semtimedop */
	{208, TIMEOUT_ADDRESS, 4},      /* io_getevents */
	{333, TIMEOUT_ADDRESS, 4},      /* io_pgetevents */
	{426, TIMEOUT_FLAG, 3},         /* io_uring_enter */
#elif defined(__aarch64__)
	{22, TIMEOUT_MILLISECONDS, 3},  /* epoll_pwait */
	{441, TIMEOUT_ADDRESS, 3},      /* epoll_pwait2 */
	{137, TIMEOUT_ADDRESS, 2},      /* rt_sigtimedwait */
	{193, TIMEOUT_NONE, 0},         /* semop */
	{192, TIMEOUT_ADDRESS, 3},      /* semtimedop */
	{4, TIMEOUT_ADDRESS, 4},        /* io_getevents */
	{292, TIMEOUT_ADDRESS, 4},      /* io_pgetevents */
	{426, TIMEOUT_FLAG, 3},         /* io_uring_enter */
#endif
	{-1, TIMEOUT_NONE, 0},
};

static const struct waiting_call compat_calls[] = {
#if defined(__x86_64__)
	{256, TIMEOUT_MILLISECONDS, 3}, /* epoll_wait */
	{319, TIMEOUT_MILLISECONDS, 3}, /* epoll_pwait */
	{441, TIMEOUT_ADDRESS, 3},      /* epoll_pwait2 */
	{177, TIMEOUT_ADDRESS, 2},      /* rt_sigtimedwait */
	{421, TIMEOUT_ADDRESS, 2},      /* rt_sigtimedwait_time64 */
	{117, TIMEOUT_ADDRESS, 5},      /* ipc: semtimedop */
	{420, TIMEOUT_ADDRESS, 3},      /* semtimedop_time64 */
	{247, TIMEOUT_ADDRESS, 4},      /* io_getevents */
	{385, TIMEOUT_ADDRESS, 4},      /* io_pgetevents */
	{416, TIMEOUT_ADDRESS, 4},      /* io_pgetevents_time64 */
	{426, TIMEOUT_FLAG, 3},         /* io_uring_enter */
#elif defined(__aarch64__)
	{252, TIMEOUT_MILLISECONDS, 3}, /* epoll_wait */
	{346, TIMEOUT_MILLISECONDS, 3}, /* epoll_pwait */
	{441, TIMEOUT_ADDRESS, 3},      /* epoll_pwait2 */
	{177, TIMEOUT_ADDRESS, 2},      /* rt_sigtimedwait */
	{421, TIMEOUT_ADDRESS, 2},      /* rt_sigtimedwait_time64 */
	{312, TIMEOUT_ADDRESS, 3},      /* semtimedop */
	{420, TIMEOUT_ADDRESS, 3},      /* semtimedop_time64 */
	{245, TIMEOUT_ADDRESS, 4},      /* io_getevents */
	{399, TIMEOUT_ADDRESS, 4},      /* io_pgetevents */
	{416, TIMEOUT_ADDRESS, 4},      /* io_pgetevents_time64 */
	{426, TIMEOUT_FLAG, 3},         /* io_uring_enter */
#endif
	{-1, TIMEOUT_NONE, 0},
};

static bool blocked_read(int directory, const char *path, struct blocked *ret)
{
	_cleanup_close_ int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
	uint64_t *a = ret->arguments;
	char line[256] = "";

	return fd >= 0 && read(fd, line, sizeof(line) - 1) > 0 &&
	       sscanf(line,
		       "%d %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64 " %" SCNx64
		       " %" SCNx64 " %" SCNx64,
		       &ret->nr, a, a + 1, a + 2, a + 3, a + 4, a + 5, &ret->stack,
		       &ret->place) == 9;
}

bool blocked_read_of(pid_t tid, struct blocked *ret)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/syscall", (int)tid);
	return blocked_read(AT_FDCWD, path, ret);
}

static bool has_timeout(const struct waiting_call *call, const struct blocked *blocked)
{
	uint64_t argument = blocked->arguments[call->argument];

	switch (call->timeout) {
	case TIMEOUT_NONE:
		return false;
	case TIMEOUT_MILLISECONDS:
		return (int32_t)argument >= 0;
	case TIMEOUT_ADDRESS:
		return argument != 0;
	case TIMEOUT_FLAG:
		return argument & ENTER_EXT_ARG;
	}
	return true;
}

static bool is_timed_wait(const struct waiting_call *calls, const struct blocked *blocked)
{
	for (; calls->nr >= 0; calls++)
		if (calls->nr == blocked->nr)
			return has_timeout(calls, blocked);
	return false;
}

bool force_disturbs(int proc)
{
	struct blocked blocked;

	if (!blocked_read(proc, "syscall", &blocked))
		return false;
	/* The numbers of 32-bit programs are others; that a call is one of theirs is not told. */
	return is_timed_wait(native_calls, &blocked) ||
	       (blocked.stack <= UINT32_MAX && blocked.place <= UINT32_MAX &&
		       is_timed_wait(compat_calls, &blocked));
}
