/* SPDX-License-Identifier: MIT */
/* Connections that come and go without a command: automatic ones, and those that run out.
 *
 * Ends are points of CLOCK_REALTIME and so is the timer: the kernel fires it also when the clock is
 * set past the end, and after a suspend. */
#include "expiry.h"

#include "include/limits.h"
#include "include/log.h"
#include "change.h"
#include "report.h"

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

int settle_connections(const struct manager *manager, struct packages *packages,
	struct diagnostics *diagnostics, struct connections **ret)
{
	struct policy policy = {packages, manager->policy.connections};
	size_t left_out;
	int r;

	r = policy_auto_connect(&policy, ret, &left_out);
	if (r < 0)
		return r;
	policy.connections = *ret;
	policy_report_misfits(&policy, diagnostics);
	if (left_out > 0)
		diagnostics_add(diagnostics, SEVERITY_WARNING, manager->options->state_dir, 0, 0,
			"%zu automatic connections are left out, since there may be at most %d "
			"connections; disconnect some, then reload",
			left_out, CONNECTIONS_MAX);
	return 0;
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

/* Whatever goes wrong, the end has come: it is tried again until it is made. */
static int expire(struct manager *manager)
{
	struct policy policy = {packages_ref(manager->policy.packages), NULL};
	_cleanup_(connections_unrefp) struct connections *old =
		connections_ref(manager->policy.connections);
	_cleanup_(change_freep) struct change *change = NULL;
	_cleanup_(refusal_clear) struct refusal refusal = {0};
	int r;

	r = connections_expire(old, realtime_usec() / 1000000, &policy.connections);
	if (r == 0 && policy.connections != old)
		r = change_new(manager, NULL, &change);
	if (change) {
		change->inevitable = true;
		r = change_apply(&change, &policy, &refusal);
		if (r == 0)
			log_changes(old, manager->policy.connections, "by timer");
	}
	policy_release(&policy);
	return r;
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct manager *manager = userdata;
	int r;

	r = expire(manager);
	if (r == 0)
		return expiry_arm(manager);
	log_errno(r, "cannot cut the timed connections that have ended; trying again");
	r = sd_event_source_set_time(source, realtime_usec() + EXPIRY_RETRY_USEC);
	return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int start_timer(struct manager *manager)
{
	int r = sd_event_add_time(manager->event, &manager->expiry_source, CLOCK_REALTIME,
		UINT64_MAX, 1, on_expiry, manager);

	r = r < 0 ? r : expiry_arm(manager);
	return r < 0 ? log_errno(r, "cannot set up a timer") : 0;
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
	return r < 0 ? r : start_timer(manager);
}
