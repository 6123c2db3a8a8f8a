/* SPDX-License-Identifier: MIT */
#include "take-over.h"

#include <poll.h>
#include <sys/stat.h>

#include "fdstore.h"
#include "include/inflight.h"
#include "include/limits.h"
#include "include/log.h"
#include "session.h"
#include "totals.h"

struct stored {
	struct stored *previous, *next;
	char *name;
	int listener, inflight, snapshot;
	bool strange; /* something came back that does not belong there */
};

static struct stored *stored_free(struct manager *manager, struct stored *stored)
{
	LIST_DROP(manager->stored, stored);
	(void)safe_close(stored->listener);
	(void)safe_close(stored->inflight);
	(void)safe_close(stored->snapshot);
	free(stored->name);
	free(stored);
	return NULL;
}

void store_free(struct manager *manager)
{
	FOREACH (stored, manager->stored)
		(void)stored_free(manager, stored);
}

static struct stored *find_or_add(struct manager *manager, const char *name)
{
	struct stored *stored;

	FOREACH (known, manager->stored)
		if (streq(known->name, name))
			return known;
	stored = calloc(1, sizeof(*stored));
	if (!stored)
		return NULL;
	*stored = (struct stored){
		.name = strdup(name), .listener = -EBADF, .inflight = -EBADF, .snapshot = -EBADF};
	if (!stored->name) {
		free(stored);
		return NULL;
	}
	LIST_ADD(manager->stored, stored);
	return stored;
}

static int *place_of(struct stored *stored, int fd)
{
	if (listener_check(fd) == 0)
		return &stored->listener;
	if (is_memfd(fd, INFLIGHT_MEMFD))
		return &stored->inflight;
	if (is_memfd(fd, SNAPSHOT_MEMFD))
		return &stored->snapshot;
	return NULL;
}

int store_take(struct manager *manager, int fd, const char *name)
{
	struct stored *stored;
	int *place;

	if (streq(name, TOTALS_NAME)) {
		totals_take(manager, fd);
		return 0;
	}
	stored = find_or_add(manager, name);
	place = stored ? place_of(stored, fd) : NULL;

	if (place && *place < 0) {
		*place = fd;
		return 0;
	}
	(void)safe_close(fd);
	if (!stored)
		return log_errno(-ENOMEM, "cannot take over what the service manager kept");
	stored->strange = true;
	return 0;
}

static bool has_ended(const struct stored *stored)
{
	struct pollfd p = {.fd = stored->listener};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR);
}

/* The rest of it is the session process's to check. */
static int check_inflight(int fd)
{
	struct stat st;
	uint32_t version;

	if (fstat(fd, &st) < 0 ||
		pread(fd, &version, sizeof(version), offsetof(struct inflight_head, version)) !=
			sizeof(version))
		return -EBADMSG;
	/* 0: no session process has come as far as writing it. */
	if (version != 0 && version != INFLIGHT_VERSION)
		return -EPROTONOSUPPORT;
	return st.st_size == (off_t)INFLIGHT_SIZE ? 0 : -EBADMSG;
}

static const char *unusable(int error)
{
	switch (error) {
	case -EPROTONOSUPPORT:
		return "its snapshot is of another version";
	case -EBADMSG:
		return "its snapshot is malformed";
	case -ENODATA:
		return "its snapshot is incomplete";
	default:
		return strerror(-error);
	}
}

static int rebuild(struct manager *manager, struct stored *stored)
{
	_cleanup_(snapshot_clear) struct snapshot snapshot = {.launcher.pidfd = -EBADF};
	char name[STORED_NUMBER_STRING_MAX];
	int r;

	if (stored->inflight < 0 || stored->snapshot < 0)
		return -ENODATA;
	r = snapshot_read(stored->snapshot, &snapshot);
	r = r < 0 ? r : check_inflight(stored->inflight);
	if (r < 0)
		return r;
	if (stored->strange || snapshot.number == 0 || snapshot.number > STORED_NUMBER_MAX ||
		!streq(stored_name(snapshot.number, name), stored->name))
		return -EBADMSG;
	manager->last_stored = MAX(manager->last_stored, snapshot.number);
	return session_take_over(manager, &snapshot, &stored->listener, &stored->inflight);
}

static void take_over(struct manager *manager, struct stored *stored)
{
	bool running = stored->listener >= 0 && !has_ended(stored);
	char name[256];
	int r = running ? rebuild(manager, stored) : 0;

	if (r < 0)
		log_error("session %s is not taken over: %s; message-queue calls of its programs "
			  "fail with ENOSYS until they are started again",
			escape(stored->name, name, sizeof(name)), unusable(r));
	else if (!running && stored->strange)
		log_warning(
			"the service manager stored an unknown descriptor \"%s\"; it is dropped",
			escape(stored->name, name, sizeof(name)));
	if (r < 0 || !running)
		stored_forget(stored->name);
	(void)stored_free(manager, stored);
}

static int wait_until_settled(struct manager *manager)
{
	uint64_t deadline = now_usec() + TAKE_OVER_DEADLINE_USEC, now;

	while (manager->unsettled_count > 0 && !manager->stopping &&
		(now = now_usec()) < deadline) {
		int r = sd_event_run(manager->event, deadline - now);

		if (r < 0)
			return log_errno(r, "cannot take over sessions");
	}
	if (manager->unsettled_count > 0 && !manager->stopping)
		log_error("%zu sessions do not yet have their current permissions",
			manager->unsettled_count);
	return 0;
}

int store_take_over(struct manager *manager)
{
	if (!manager->stored)
		return 0;
	FOREACH (stored, manager->stored)
		take_over(manager, stored);
	log_info("%zu sessions are taken over", manager->session_count);
	return wait_until_settled(manager);
}
