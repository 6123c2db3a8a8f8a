/* SPDX-License-Identifier: MIT */
/* Sessions across the manager's end, kept by the service manager.
 *
 * A listener whose last descriptor is closed is closed for good: the calls of its programs fail. So
 * before a session's programs run, its listener, its in-flight memfd and its facts go to the
 * service manager, under one name, the session's number. They come back to the next mqgated, which
 * rebuilds the session with what the policy on disk gives it then.
 *
 * A session is taken over completely or not at all. What came back incomplete, malformed or of
 * another version is closed, here and in the store: the door stays shut.
 *
 * The service manager itself lets go of a listener that hangs up. */
#include <inttypes.h>
#include <poll.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "daemon/session/inflight.h"
#include "facts.h"
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"

/* Four hexadecimal digits: all names of all sessions come back in one string of the environment,
 * which the kernel limits to 128 KiB. */
#define NUMBER_MAX        0xffff
#define NUMBER_STRING_MAX sizeof("ffff")
#define DESCRIPTORS       3 /* of each session */
#define ENVIRONMENT_MAX   (128 * 1024)
static_assert(DESCRIPTORS * SESSIONS_MAX * NUMBER_STRING_MAX + 256 < ENVIRONMENT_MAX,
	"the names of all sessions' descriptors must fit");
static_assert(NUMBER_MAX > SESSIONS_MAX, "there must be a free number");

struct stored {
	struct stored *previous, *next;
	char *name;
	int listener, inflight, facts;
	bool strange; /* something came back that does not belong there */
};

static bool link_is(int fd, const char *expected)
{
	char path[64], link[128];
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	n = readlink(path, link, sizeof(link));
	return n == (ssize_t)strlen(expected) && memcmp(link, expected, (size_t)n) == 0;
}

bool is_memfd(int fd, const char *name)
{
	char expected[96];

	(void)snprintf(expected, sizeof(expected), "/memfd:%s (deleted)", name);
	return link_is(fd, expected);
}

static char *name_of(uint32_t number, char buffer[static NUMBER_STRING_MAX])
{
	(void)snprintf(buffer, NUMBER_STRING_MAX, "%" PRIx32, number & NUMBER_MAX);
	return buffer;
}

static void forget(const char *name)
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
		manager->last_stored = manager->last_stored % NUMBER_MAX + 1;
	while (number_is_taken(manager, manager->last_stored));
	return manager->last_stored;
}

static int store(struct session *session)
{
	const struct facts facts = {.number = free_number(session->manager),
		.mediation = session->mediation,
		.launch_version = session->launch_version,
		.launcher = session->launcher,
		.constant = session->constant,
		.capabilities = session->capabilities,
		.bound = session->bound};
	_cleanup_close_ int fd = -EBADF;
	char name[NUMBER_STRING_MAX], text[64];
	int r;

	r = facts_write(&facts, &fd);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s", name_of(facts.number, name));
	r = sd_pid_notify_with_fds(0, false, text,
		(const int[DESCRIPTORS]){session->listener, session->inflight, fd}, DESCRIPTORS);
	if (r > 0)
		session->number = facts.number;
	return r;
}

void store_session(struct session *session)
{
	int r = getenv("NOTIFY_SOCKET") ? store(session) : 0;

	if (r < 0)
		log_errno(r,
			"the service manager cannot keep the session of pid %d; it will not survive "
			"the end of this mqgated",
			(int)session->launcher.pid);
}

void store_forget(struct session *session)
{
	char name[NUMBER_STRING_MAX];

	if (session->number == 0 || session->manager->stopping)
		return;
	forget(name_of(session->number, name));
}

static struct stored *stored_free(struct manager *manager, struct stored *stored)
{
	LIST_DROP(manager->stored, stored);
	(void)safe_close(stored->listener);
	(void)safe_close(stored->inflight);
	(void)safe_close(stored->facts);
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
		.name = strdup(name), .listener = -EBADF, .inflight = -EBADF, .facts = -EBADF};
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
	if (is_memfd(fd, FACTS_MEMFD))
		return &stored->facts;
	return NULL;
}

int store_take(struct manager *manager, int fd, const char *name)
{
	struct stored *stored = find_or_add(manager, name);
	int *place = stored ? place_of(stored, fd) : NULL;

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

	if (fstat(fd, &st) < 0 || pread(fd, &version, sizeof(version),
					  offsetof(struct inflight, version)) != sizeof(version))
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
		return "another version of mqgated has kept it";
	case -EBADMSG:
		return "what was kept of it is malformed";
	case -ENODATA:
		return "what was kept of it is incomplete";
	default:
		return strerror(-error);
	}
}

static int rebuild(struct manager *manager, struct stored *stored)
{
	_cleanup_(facts_clear) struct facts facts = {.launcher.pidfd = -EBADF};
	char name[NUMBER_STRING_MAX];
	int r;

	if (stored->inflight < 0 || stored->facts < 0)
		return -ENODATA;
	r = facts_read(stored->facts, &facts);
	r = r < 0 ? r : check_inflight(stored->inflight);
	if (r < 0)
		return r;
	if (stored->strange || facts.number == 0 || facts.number > NUMBER_MAX ||
		!streq(name_of(facts.number, name), stored->name))
		return -EBADMSG;
	manager->last_stored = MAX(manager->last_stored, facts.number);
	return session_take_over(manager, &facts, &stored->listener, &stored->inflight);
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
		log_warning("the service manager kept a descriptor \"%s\" that is not known; it is "
			    "dropped",
			escape(stored->name, name, sizeof(name)));
	if (r < 0 || !running)
		forget(stored->name);
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
		log_error("%zu sessions have not yet taken over what the policy gives them now",
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
