/* SPDX-License-Identifier: MIT */
#include "change.h"

#include <stdarg.h>

#include "include/limits.h"
#include "include/log.h"
#include "concerned.h"
#include "names.h"
#include "daemon/manager/sessions/kept-processes.h"
#include "daemon/manager/sessions/session-process.h"
#include "daemon/manager/core/timer.h"

static struct update *update_free(struct update *update)
{
	if (update) {
		update->grants = safe_close(update->grants);
		bindings_clear(&update->bindings);
		free(update);
	}
	return NULL;
}

DEFINE_CLEANUP(struct update *, update_free);

void refusal_clear(struct refusal *refusal)
{
	free(take_pointer(refusal->text));
}

/* Takes text; NULL on lack of memory. */
static int refuse(struct refusal *refusal, int r, enum refusal_kind kind, char *text)
{
	*refusal = (struct refusal){kind, text};
	return r;
}

__attribute__((format(printf, 1, 2))) static char *format(const char *format, ...)
{
	char *text;
	va_list arguments;
	int r;

	va_start(arguments, format);
	r = vasprintf(&text, format, arguments);
	va_end(arguments);
	return r < 0 ? NULL : text;
}

int refuse_change(struct refusal *refusal, int r)
{
	return refuse(refusal, r, REFUSAL_FAILED,
		r == -E2BIG
			? format("a running session would have more than %d queues, %d patterns or "
				 "%d plugs; nothing has changed",
				  GRANTS_MAX, GRANTS_PATTERNS_MAX, SESSION_PLUGS_MAX)
			: format("%s; nothing has changed", strerror(-r)));
}

static void drop_asker(struct change *change)
{
	struct change_asker asker = change->asker;

	change->asker = (struct change_asker){0};
	if (asker.userdata)
		asker.drop(asker.userdata);
}

struct change *change_free(struct change *change)
{
	if (!change)
		return NULL;
	LIST_DROP(change->manager->changes, change);
	change->deadline_source = sd_event_source_disable_unref(change->deadline_source);
	drop_asker(change);
	diagnostics_clear(&change->warnings);
	free(change);
	return NULL;
}

int change_new(struct manager *manager, const struct change_asker *asker, struct change **ret)
{
	struct change *change = asker && !asker->userdata ? NULL : calloc(1, sizeof(*change));

	if (!change) {
		if (asker && asker->userdata)
			asker->drop(asker->userdata);
		return -ENOMEM;
	}
	change->manager = manager;
	if (asker)
		change->asker = *asker;
	LIST_ADD(manager->changes, change);
	*ret = change;
	return 0;
}

static void tell(struct change *change, bool in_time)
{
	struct change_asker asker = change->asker;

	if (change->manager->stopping) {
		drop_asker(change);
		return;
	}
	change->asker = (struct change_asker){0};
	if (asker.userdata)
		asker.done(change, in_time, asker.userdata);
}

static void update_in_force(struct update *update)
{
	struct change *change = update->change;

	(void)update_free(update);
	if (--change->pending > 0)
		return;
	tell(change, true);
	(void)change_free(change);
}

static void update_hindered(struct update *update)
{
	tell(update->change, false);
}

const struct session *change_hindered_by(const struct change *change)
{
	FOREACH (session, change->manager->sessions)
		FOREACH (update, session->updates)
			if (update->change == change && session->unstopped != 0)
				return session;
	return NULL;
}

/* The sessions still hold on to the change; the last of them frees it. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct change *change = userdata;

	log_warning(
		"%zu sessions did not take over a change of the policy in time", change->pending);
	tell(change, false);
	return 0;
}

/* Whether the session has less by the new policy. */
static int compare(
	struct update *update, const struct session *session, const struct policy *policy)
{
	_cleanup_(grants_freep) struct grants *old = NULL, *new = NULL;
	int r = bindings_grants(&session->bindings, &session->manager->policy, 0, &old);

	r = r < 0 ? r
		  : bindings_grants(update->rebinds ? &update->bindings : &session->bindings,
			    policy, update->generation, &new);
	r = r < 0 ? r : grants_memfd(new, &update->grants, &update->size);
	update->revokes = r == 0 && !grants_give(new, old);
	return r;
}

static struct update *update_new(struct change *change, uint64_t generation)
{
	struct update *update = calloc(1, sizeof(*update));

	if (update)
		*update = (struct update){.change = change,
			.in_force = update_in_force,
			.hindered = update_hindered,
			.generation = generation,
			.grants = -EBADF};
	return update;
}

static int prepare_session(
	struct change *change, struct session *session, const struct policy *policy)
{
	_cleanup_(update_freep) struct update *update =
		update_new(change, ++change->manager->generation);
	int r;

	if (!update)
		return -ENOMEM;
	update->rebinds = session->bindings.app_count > 0 &&
			  change->manager->policy.packages != policy->packages;
	if (update->rebinds) {
		r = bindings_again(&session->bindings, policy, &update->bindings);
		if (r < 0)
			return r;
	}
	r = compare(update, session, policy);
	if (r < 0)
		return r;
	session->prepared = take_pointer(update);
	return 0;
}

static void forget_prepared(struct manager *manager)
{
	FOREACH (session, manager->sessions)
		session->prepared = update_free(session->prepared);
}

static int prepare(struct change *change, const struct policy *policy)
{
	struct manager *manager = change->manager;

	FOREACH (session, manager->sessions) {
		int r;

		if (!session_is_concerned(session, &manager->policy, policy))
			continue;
		r = prepare_session(change, session, policy);
		if (r < 0) {
			forget_prepared(manager);
			return r;
		}
	}
	return 0;
}

static void forget_followed(struct change *change)
{
	FOREACH (session, change->manager->sessions)
		FOREACH (update, session->updates)
			if (update->change == change) {
				LIST_DROP(session->updates, update);
				(void)update_free(update);
				change->pending--;
			}
}

/* The generation that is still to be acknowledged; 0: none. A session that was taken over may have
 * what an earlier manager has taken from it. */
static uint64_t outstanding(const struct session *session)
{
	uint64_t newest = 0;

	if (session->unsettled)
		newest = session->process && session->process->generation_sent != 0
				 ? session->process->generation_sent
				 : session->manager->generation + 1;
	FOREACH (update, session->updates)
		newest = MAX(newest, update->generation);
	return newest;
}

/* Nothing is new, but an earlier change of the same may still be on its way. */
static int follow_others(struct change *change)
{
	FOREACH (session, change->manager->sessions) {
		const uint64_t generation = outstanding(session);
		struct update *update;

		if (generation == 0)
			continue;
		update = update_new(change, generation);
		if (!update) {
			forget_followed(change);
			return -ENOMEM;
		}
		LIST_ADD(session->updates, update);
		change->pending++;
	}
	return 0;
}

static void send_prepared(struct change *change, struct session *session)
{
	_cleanup_(update_freep) struct update *update = take_pointer(session->prepared);
	struct session_process *process = session->process;
	int r;

	if (!update)
		return;
	if (update->rebinds) {
		bindings_clear(&session->bindings);
		session->bindings = update->bindings;
		update->bindings = (struct bindings){0};
	}
	/* Without a session process the next one gets the policy as it is then, and acknowledges
	 * that. */
	if (process) {
		r = session_process_send_grants(
			process, update->grants, update->size, update->generation);
		if (r < 0)
			session_process_kill(process, "does not take its grants");
	}
	update->grants = safe_close(update->grants);
	if (update->revokes)
		session_guard(session);
	change->pending++;
	LIST_ADD(session->updates, update);
	update = NULL;
}

static void swap_policy(struct manager *manager, struct policy *policy)
{
	(void)packages_unref(manager->policy.packages);
	(void)connections_unref(manager->policy.connections);
	manager->policy.packages = take_pointer(policy->packages);
	manager->policy.connections = take_pointer(policy->connections);
}

int expiry_arm(struct manager *manager)
{
	const uint64_t next = connections_next_end(manager->policy.connections);
	int r;

	if (next == 0)
		return sd_event_source_set_enabled(manager->expiry_source, SD_EVENT_OFF);
	r = sd_event_source_set_time(manager->expiry_source, next * 1000000);
	return r < 0 ? r : sd_event_source_set_enabled(manager->expiry_source, SD_EVENT_ONESHOT);
}

static int save(
	const struct change *change, const struct policy *policy, struct refusal *ret_refusal)
{
	const char *directory = change->manager->options->state_dir;
	int r;

	if (change->manager->policy.connections == policy->connections)
		return 0;
	r = connections_save(directory, policy->connections);
	if (r < 0 && change->inevitable) {
		log_errno(r,
			"cannot write the connections in %s; timed connections that have ended are disconnected nevertheless",
			directory);
		return 0;
	}
	return r < 0 ? refuse(ret_refusal, r, REFUSAL_STATE,
			       format("cannot write the connections in %s: %s; nothing has changed",
				       directory, strerror(-r)))
		     : 0;
}

int change_check(
	const struct manager *manager, const struct policy *policy, struct refusal *ret_refusal)
{
	_cleanup_(fault_clear) struct fault fault = {0};
	int r = names_check(manager, policy, &fault);

	if (r < 0 && fault.message)
		return refuse(ret_refusal, r, REFUSAL_NAMES,
			format("%s; nothing has changed", fault.message));
	return r < 0 ? refuse_change(ret_refusal, r) : 0;
}

static int make(struct change *change, struct policy *policy, struct refusal *ret_refusal)
{
	struct manager *manager = change->manager;
	int r;

	if (manager->policy.packages == policy->packages &&
		manager->policy.connections == policy->connections) {
		r = follow_others(change);
		return r < 0 ? refuse_change(ret_refusal, r) : 0;
	}
	r = change_check(manager, policy, ret_refusal);
	if (r < 0)
		return r;
	r = prepare(change, policy);
	if (r < 0)
		return refuse_change(ret_refusal, r);
	r = save(change, policy, ret_refusal);
	if (r < 0) {
		forget_prepared(manager);
		return r;
	}
	swap_policy(manager, policy);
	(void)expiry_arm(manager);
	FOREACH (session, manager->sessions)
		send_prepared(change, session);
	return 0;
}

static int arm_deadline(struct change *change)
{
	return timer_start(change->manager->event, &change->deadline_source,
		CHANGE_DEADLINE_USEC + change->manager->session_count * SESSION_SHARE_USEC,
		on_deadline, change);
}

int change_apply(struct change **change, struct policy *policy, struct refusal *ret_refusal)
{
	_cleanup_(change_freep) struct change *c = take_pointer(*change);
	int r;

	r = arm_deadline(c);
	if (r < 0)
		return refuse_change(ret_refusal, r);
	/* While it is made, it holds on to itself. */
	c->pending = 1;
	r = make(c, policy, ret_refusal);
	c->pending--;
	if (r < 0)
		return r;
	if (c->pending == 0)
		tell(c, true);
	else
		c = NULL;
	return 0;
}
