/* SPDX-License-Identifier: MIT */
/* Connections that come and go without a command: automatic ones, and those that run out.
 *
 * Ends are points of CLOCK_REALTIME and so is the timer: the kernel fires it also when the clock is
 * set past the end, and after a suspend. */
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"

static uint64_t realtime_usec(void)
{
	struct timespec now = {0};

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

uint64_t end_of_span(uint64_t seconds)
{
	return realtime_usec() / 1000000 + 1 + seconds;
}

struct change_log {
	const char *who;
	size_t count;
};

static void log_difference(
	const struct connection *connection, enum connection_difference difference, void *userdata)
{
	struct change_log *log = userdata;
	char until[UTC_STRING_MAX];

	if (log->count++ >= CHANGES_LOGGED_MAX)
		return;
	log_notice("%s %s %s%s%s: %s",
		difference == CONNECTION_DISCONNECTED ? "disconnect" : "connect", connection->plug,
		connection->slot, connection->until ? " until " : "",
		connection->until ? utc_format(connection->until, until) : "", log->who);
}

void log_changes(const struct connections *old, const struct connections *new, const char *who)
{
	struct change_log log = {.who = who};

	connections_compare(old, new, log_difference, &log);
	if (log.count > CHANGES_LOGGED_MAX)
		log_notice(
			"%zu further connections changed: %s", log.count - CHANGES_LOGGED_MAX, who);
}

int settle_connections(const struct manager *manager, struct packages *packages,
	struct diagnostics *diagnostics, struct connections **ret)
{
	struct policy policy = {packages, manager->policy.connections};
	size_t left_out;
	int r;

	r = policy_auto_connect(&policy, ret, &left_out);
	if (r == 0 && left_out > 0)
		diagnostics_add(diagnostics, SEVERITY_WARNING, manager->options->state_dir, 0, 0,
			"%zu automatic connections are left out, since there may be at most %d "
			"connections; disconnect some, then reload",
			left_out, CONNECTIONS_MAX);
	return r;
}

static int save_if_new(struct manager *manager, const struct connections *loaded)
{
	const char *directory = manager->options->state_dir;
	int r;

	if (manager->policy.connections == loaded)
		return 0;
	r = connections_save(directory, manager->policy.connections);
	return r < 0 ? log_errno(r, "cannot write the connections in %s", directory) : 0;
}

static void replace(struct manager *manager, struct connections *connections, const char *who)
{
	log_changes(manager->policy.connections, connections, who);
	(void)connections_unref(manager->policy.connections);
	manager->policy.connections = connections;
}

int connections_start(struct manager *manager)
{
	_cleanup_(connections_unrefp) struct connections *loaded =
		connections_ref(manager->policy.connections);
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	struct connections *changed;
	int r;

	r = connections_expire(loaded, realtime_usec() / 1000000, &changed);
	if (r == 0) {
		replace(manager, changed, "by timer");
		r = settle_connections(manager, manager->policy.packages, &diagnostics, &changed);
	}
	if (r < 0)
		return log_errno(r, "cannot set up the connections");
	replace(manager, changed, "by start");
	log_diagnostics(&diagnostics);
	r = save_if_new(manager, loaded);
	return r < 0 ? r : expiry_arm(manager);
}

/* Whatever goes wrong, the end has come: it is tried again until it is made. */
static int expire(struct manager *manager)
{
	struct policy policy = {packages_ref(manager->policy.packages), NULL};
	_cleanup_(connections_unrefp) struct connections *old =
		connections_ref(manager->policy.connections);
	_cleanup_(change_freep) struct change *change = NULL;
	int r, state_error = 0;

	r = connections_expire(old, realtime_usec() / 1000000, &policy.connections);
	if (r == 0 && policy.connections != old)
		r = change_new(manager, CHANGE_EXPIRE, NULL, &change);
	if (change) {
		r = change_apply(&change, &policy, &state_error);
		if (r == 0)
			log_changes(old, manager->policy.connections, "by timer");
	}
	policy_release(&policy);
	if (state_error < 0)
		log_errno(state_error,
			"cannot write the connections in %s; what has run out is disconnected "
			"nevertheless",
			manager->options->state_dir);
	return r;
}

static int arm(struct manager *manager, uint64_t when)
{
	int r;

	r = sd_event_source_set_time(manager->expiry_source, when);
	return r < 0 ? r : sd_event_source_set_enabled(manager->expiry_source, SD_EVENT_ONESHOT);
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	r = expire(manager);
	if (r < 0) {
		log_errno(r, "cannot disconnect what has run out; trying again");
		return arm(manager, realtime_usec() + EXPIRY_RETRY_USEC);
	}
	return expiry_arm(manager);
}

int expiry_arm(struct manager *manager)
{
	uint64_t next = connections_next_end(manager->policy.connections);
	int r;

	if (!manager->expiry_source) {
		r = sd_event_add_time(manager->event, &manager->expiry_source, CLOCK_REALTIME,
			UINT64_MAX, 1, on_expiry, manager);
		if (r < 0)
			return log_errno(r, "cannot set up a timer");
	}
	if (next > 0)
		return arm(manager, next * 1000000);
	return sd_event_source_set_enabled(manager->expiry_source, SD_EVENT_OFF);
}
