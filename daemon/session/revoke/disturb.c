/* SPDX-License-Identifier: MIT */
/* Whether a thread would notice that it was stopped. */
#include "disturb.h"

#include "daemon/session/target/child.h"
#include "include/task.h"
#include "include/util.h"

static const int restarted_calls[] = {
#if defined(__x86_64__)
	202, /* futex */
	7,   /* poll */
	271, /* ppoll */
	23,  /* select */
	270, /* pselect6 */
	35,  /* nanosleep */
	230, /* clock_nanosleep */
	61,  /* wait4 */
	247, /* waitid */
	34,  /* pause */
	130, /* rt_sigsuspend */
#elif defined(__aarch64__)
	98,  /* futex */
	73,  /* ppoll */
	72,  /* pselect6 */
	101, /* nanosleep */
	115, /* clock_nanosleep */
	260, /* wait4 */
	95,  /* waitid */
	133, /* rt_sigsuspend */
#endif
};

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

/* The numbers of 32-bit programs are others; that a call is one of theirs is not told. */
static bool fails(const struct task_call *call)
{
	return is_among(call->nr, native_calls, ELEMENTSOF(native_calls)) ||
	       (call->stack <= UINT32_MAX && call->place <= UINT32_MAX &&
		       is_among(call->nr, compat_calls, ELEMENTSOF(compat_calls)));
}

enum disturbance stop_disturbs(int proc)
{
	struct task_call call;
	int r;

	step_begin();
	r = task_call(proc, &call);
	step_end();
	if (r < 0)
		return DISTURBS_NOT;
	if (fails(&call))
		return DISTURBS;
	return is_among(call.nr, restarted_calls, ELEMENTSOF(restarted_calls)) ? DISTURBS_NOT
									       : DISTURBS_PERHAPS;
}
