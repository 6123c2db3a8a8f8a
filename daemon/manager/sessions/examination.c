/* SPDX-License-Identifier: MIT */
/* Whether a peer that has a filter is confined: asked of a process that may read filters, since the
 * manager is under one itself. */
#include "examination.h"

#include "daemon/manager/core/list.h"
#include "daemon/manager/core/manager.h"
#include "daemon/manager/core/timer.h"
#include "include/limits.h"
#include "include/protocol.h"
#include "include/task.h"
#include "spawner.h"

struct examination {
	struct examination *previous, *next; /* in manager->examinations, the latest first */
	struct account *account;
	const struct identity *identity;
	int channel, lifeline; /* see spawner.h */
	sd_event_source *channel_source, *deadline_source;
	void (*done)(int confined, void *userdata);
	void *userdata;
	bool begun; /* or it waits, and has neither channel nor deadline */
};

static void begin_next(struct manager *manager);

struct examination *examination_free(struct examination *examination)
{
	struct manager *manager;

	if (!examination)
		return NULL;
	manager = examination->account->manager;
	LIST_DROP(manager->examinations, examination);
	if (examination->begun)
		examination->account->taken[SHARE_EXAMINATIONS]--;
	examination->account = account_unref(examination->account);
	examination->channel_source = sd_event_source_disable_unref(examination->channel_source);
	examination->deadline_source = sd_event_source_disable_unref(examination->deadline_source);
	(void)safe_close(examination->channel);
	(void)safe_close(examination->lifeline);
	free(examination);
	if (!manager->stopping)
		begin_next(manager);
	return NULL;
}

static int finish(struct examination *examination, int confined)
{
	void (*const done)(int confined, void *userdata) = examination->done;
	void *const userdata = examination->userdata;

	(void)examination_free(examination);
	done(confined, userdata);
	return 0;
}

/* It lives: so what was examined was this process, whoever has its number later. */
static int confirm(const struct examination *examination, int confined)
{
	return confined == 0 && !pidfd_is_alive(examination->identity->pidfd) ? -ESRCH : confined;
}

static int on_channel(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct examination *examination = userdata;
	struct session_message message;
	int r = message_receive(fd, &message, sizeof(message), NULL, 0);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	if (r == 0 || (r > 0 && message.type != SESSION_EXAMINED))
		r = -ECHILD;
	return finish(examination, r < 0 ? r : confirm(examination, message.examined.confined));
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	return finish(userdata, -ETIMEDOUT);
}

static int ask(const struct examination *examination)
{
	const struct session_message message = {
		.type = SESSION_EXAMINE, .examine = {.pid = examination->identity->pid}};

	return message_send(
		examination->channel, &message, sizeof(message), &examination->identity->pidfd, 1);
}

static int begin(struct examination *examination)
{
	const struct manager *manager = examination->account->manager;
	int r = spawner_begin(
		manager->spawner, SPAWNER_START, &examination->channel, &examination->lifeline);

	examination->begun = true;
	examination->account->taken[SHARE_EXAMINATIONS]++;
	r = r < 0 ? r : ask(examination);
	r = r < 0 ? r
		  : sd_event_add_io(manager->event, &examination->channel_source,
			    examination->channel, EPOLLIN, on_channel, examination);
	return r < 0 ? r
		     : timer_start(manager->event, &examination->deadline_source,
			       EXAMINATION_DEADLINE_USEC, on_deadline, examination);
}

/* The earliest that may. One that cannot be begun is over at once, but not before we return. */
static void begin_next(struct manager *manager)
{
	struct examination *next = NULL;

	FOREACH (examination, manager->examinations)
		if (!examination->begun &&
			!account_is_full(examination->account, SHARE_EXAMINATIONS))
			next = examination;
	if (next && begin(next) < 0)
		(void)timer_start(manager->event, &next->deadline_source, 0, on_deadline, next);
}

int examination_start(struct account *account, const struct identity *identity,
	void (*done)(int confined, void *userdata), void *userdata, struct examination **ret)
{
	struct examination *examination = calloc(1, sizeof(*examination));
	int r;

	if (!examination)
		return -ENOMEM;
	*examination = (struct examination){.account = account_ref(account),
		.identity = identity,
		.channel = -EBADF,
		.lifeline = -EBADF,
		.done = done,
		.userdata = userdata};
	LIST_ADD(account->manager->examinations, examination);
	r = account_is_full(account, SHARE_EXAMINATIONS) ? 0 : begin(examination);
	if (r < 0) {
		(void)examination_free(examination);
		return r;
	}
	*ret = examination;
	return 0;
}

const char *examination_refusal(int confined)
{
	if (confined > 0)
		return "this process is confined already: it may neither start another session nor see or change anything of mqgate; use a process that mq-run did not start, nor a container with a profile of mqctl oci-profile";
	return "it cannot be found out whether this process is confined, since its system call filters could not be read; try again, without a debugger, when the machine is less busy; an mqgated without CAP_SYS_ADMIN can read none (see mqgated(8))";
}
