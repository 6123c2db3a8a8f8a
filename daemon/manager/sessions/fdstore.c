/* SPDX-License-Identifier: MIT */
/* Sessions across the manager's end, kept by the service manager.
 *
 * A listener whose last descriptor is closed is closed for good: the calls of its programs fail. So
 * before a session's programs run, its listener, its in-flight memfd and its snapshot go to the
 * service manager, under one name, the session's number. They come back to the next mqgated, which
 * rebuilds the session with what the policy on disk gives it then.
 *
 * A session is taken over completely or not at all. What came back incomplete, malformed or of
 * another version is closed, here and in the store: the door stays shut.
 *
 * The service manager itself lets go of a listener that hangs up. */
#include "fdstore.h"

#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "include/limits.h"
#include "include/log.h"
#include "include/text.h"
#include "snapshot.h"

#define ENVIRONMENT_MAX (128 * 1024)
static_assert(STORED_DESCRIPTORS * SESSIONS_MAX * STORED_NUMBER_STRING_MAX + 256 < ENVIRONMENT_MAX,
	"the names of all sessions' descriptors must fit");
static_assert(STORED_NUMBER_MAX > SESSIONS_MAX, "there must be a free number");

bool is_memfd(int fd, const char *name)
{
	char expected[96];

	(void)snprintf(expected, sizeof(expected), "/memfd:%s (deleted)", name);
	return text_link_is(fd, expected);
}

char *stored_name(uint32_t number, char buffer[static STORED_NUMBER_STRING_MAX])
{
	(void)snprintf(buffer, STORED_NUMBER_STRING_MAX, "%" PRIx32, number & STORED_NUMBER_MAX);
	return buffer;
}

void stored_forget(const char *name)
{
	(void)sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
}

static bool number_is_taken(const struct manager *manager, uint32_t number)
{
	FOREACH (session, manager->sessions)
		if (session->number == number)
			return true;
	return false;
}

static uint32_t free_number(struct manager *manager)
{
	do
		manager->last_stored = manager->last_stored % STORED_NUMBER_MAX + 1;
	while (number_is_taken(manager, manager->last_stored));
	return manager->last_stored;
}

static int store(struct session *session)
{
	const struct snapshot snapshot = {.number = free_number(session->manager),
		.mediation = session->mediation,
		.launch_version = session->launch_version,
		.launcher = session->launcher,
		.filter_id = session->filter_id,
		.capabilities = session->capabilities,
		.container = session->container,
		.refused = session->refused,
		.bindings = session->bindings};
	_cleanup_close_ int fd = -EBADF;
	char name[STORED_NUMBER_STRING_MAX], text[64];
	int r;

	r = snapshot_write(&snapshot, &fd);
	if (r < 0)
		return r;
	(void)snprintf(
		text, sizeof(text), "FDSTORE=1\nFDNAME=%s", stored_name(snapshot.number, name));
	r = sd_pid_notify_with_fds(0, false, text,
		(const int[STORED_DESCRIPTORS]){session->listener, session->inflight, fd},
		STORED_DESCRIPTORS);
	if (r > 0)
		session->number = snapshot.number;
	return r;
}

void store_session(struct session *session)
{
	int r = getenv("NOTIFY_SOCKET") ? store(session) : 0;

	if (r < 0)
		log_errno(r,
			"the service manager cannot store the session of pid %d; its message-queue calls will fail when mqgated ends",
			(int)session->launcher.pid);
}

void store_forget(struct session *session)
{
	char name[STORED_NUMBER_STRING_MAX];

	if (session->number == 0 || session->manager->stopping)
		return;
	stored_forget(stored_name(session->number, name));
}
