/* SPDX-License-Identifier: MIT */
#include "names.h"

#include "include/limits.h"
#include "include/log.h"
#include "concerned.h"
#include "daemon/manager/core/list.h"
#include "daemon/manager/sessions/state.h"

/* What is bound has names that clash by the new policy, and had none by the old. */
static int check_bound(const struct manager *manager, const struct bound *old,
	const struct policy *policy, const struct bound *new, struct fault *fault)
{
	_cleanup_(fault_clear) struct fault before = {0};
	int r, q;

	r = policy_check_names(policy, new, manager->has_host, fault);
	if (r == 0 || r == -ENOMEM)
		return r;
	q = policy_check_names(&manager->policy, old, manager->has_host, &before);
	if (q == 0)
		return r;
	fault_clear(fault);
	return q == -ENOMEM ? q : 0;
}

struct check {
	const struct manager *manager;
	const struct policy *policy;
	struct fault *fault;
	const char *plug; /* looked at last */
	int r;
};

static void check_plug(struct check *check, const char *plug)
{
	const struct bound bound = {.plugs = &plug, .plug_count = 1};

	check->plug = plug;
	check->r = check_bound(check->manager, &bound, check->policy, &bound, check->fault);
}

static void check_connection(
	const struct connection *connection, enum connection_difference difference, void *userdata)
{
	struct check *check = userdata;

	if (difference == CONNECTION_CONNECTED && check->r == 0 &&
		!(check->plug && streq(check->plug, connection->plug)))
		check_plug(check, connection->plug);
}

/* Other packages: each plug that is connected. */
static void check_plugs(struct check *check)
{
	const struct connections *connections = check->policy->connections;

	for (size_t i = 0; i < connections->count && check->r == 0; i++)
		if (!check->plug || !streq(check->plug, connections->items[i].plug))
			check_plug(check, connections->items[i].plug);
}

/* Two plugs that do not clash by themselves may in a session. */
static int name_session(const struct session *session, int r, struct fault *fault)
{
	_cleanup_free_ char *message = take_pointer(fault->message);

	if (!message)
		return r;
	if (asprintf(&fault->message, "in the running program of pid %d: %s",
		    (int)session->launcher.pid, message) < 0) {
		fault->message = NULL;
		return -ENOMEM;
	}
	return r;
}

static int check_session(
	const struct session *session, const struct policy *policy, struct fault *fault)
{
	const struct manager *manager = session->manager;
	const struct bound old = bindings_bound(&session->bindings);
	_cleanup_(bindings_clear) struct bindings bindings = {0};
	struct bound new = old;
	int r;

	if (manager->policy.packages != policy->packages) {
		r = bindings_again(&session->bindings, policy, &bindings);
		if (r < 0)
			return r;
		new = bindings_bound(&bindings);
	}
	r = check_bound(manager, &old, policy, &new, fault);
	return r < 0 ? name_session(session, r, fault) : r;
}

int names_check(const struct manager *manager, const struct policy *policy, struct fault *fault)
{
	struct check check = {.manager = manager, .policy = policy, .fault = fault};

	const bool reloads = manager->policy.packages != policy->packages;

	if (reloads)
		check_plugs(&check);
	else
		connections_compare(
			manager->policy.connections, policy->connections, check_connection, &check);
	if (reloads || check.plug)
		FOREACH (session, manager->sessions)
			if (check.r == 0 && session_is_concerned(session, &manager->policy, policy))
				check.r = check_session(session, policy, fault);
	return check.r;
}

/* 1 if there is a clash. */
static size_t log_clash(const struct manager *manager, const struct bound *bound)
{
	_cleanup_(fault_clear) struct fault fault = {0};
	int r = policy_check_names(&manager->policy, bound, manager->has_host, &fault);

	if (r < 0)
		log_error("%s; such names give nothing",
			fault.message ? fault.message : strerror(-r));
	return r < 0;
}

void names_log_clashes(const struct manager *manager)
{
	const struct connections *connections = manager->policy.connections;
	const char *plug = "";
	size_t logged = 0;

	for (size_t i = 0; i < connections->count && logged < CHANGES_LOGGED_MAX; i++)
		if (!streq(connections->items[i].plug, plug)) {
			plug = connections->items[i].plug;
			logged += log_clash(
				manager, &(struct bound){.plugs = &plug, .plug_count = 1});
		}
	FOREACH (session, manager->sessions) {
		const struct bound bound = bindings_bound(&session->bindings);

		if (logged < CHANGES_LOGGED_MAX && bound.plug_count + bound.slot_count > 1)
			logged += log_clash(manager, &bound);
	}
}
