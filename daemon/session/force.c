/* SPDX-License-Identifier: MIT */
/* Having a thread of an app remove its process's registration. */
#include "force.h"

#include "include/limits.h"
#include "include/util.h"

static enum force_result force_stopped(
	struct detour *detour, int fd, uint64_t patience, bool *ret_late)
{
	const struct forced_call removal = {.call = MQ_CALL_NOTIFY, .arguments = {(uint64_t)fd, 0}};
	enum force_result result = detour_prepare(detour, now_usec() + patience);

	if (result == FORCE_DONE)
		result = detour_make(detour, &removal, MIN(2 * patience, FORCE_DEADLINE_USEC / 2),
			now_usec() + FORCE_DEADLINE_USEC);
	if (result != FORCE_BROKEN && detour_let_go(detour) == 0)
		return result;
	detour_forget(detour);
	if (detour->moved)
		return FORCE_BROKEN;
	/* It runs, or is dead. */
	*ret_late = true;
	return result;
}

enum force_result force_removal(
	pid_t tid, int fd, const struct force_hooks *hooks, uint64_t patience, bool *ret_late)
{
	struct detour detour;
	int r = detour_ask(tid, hooks, &detour);

	*ret_late = false;
	if (r < 0)
		return r == -ESRCH ? FORCE_GONE : FORCE_NEVER;
	r = detour_await(&detour, now_usec() + patience);
	if (r == 0)
		return force_stopped(&detour, fd, patience, ret_late);
	detour_forget(&detour);
	*ret_late = r == -EINPROGRESS;
	return *ret_late ? FORCE_LATER : FORCE_GONE;
}
