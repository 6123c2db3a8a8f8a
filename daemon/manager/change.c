/* SPDX-License-Identifier: MIT */
/* Changes of the policy: prepared completely, made, and reported when every session concerned has
 * taken them over. */
#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"
#include "timer.h"

struct update *update_free(struct update *update)
{
	if (update) {
		update->grants = safe_close(update->grants);
		bound_clear(&update->bound);
		free(update);
	}
	return NULL;
}

struct change *change_free(struct change *change)
{
	if (!change)
		return NULL;
	LIST_DROP(change->manager->changes, change);
	change->deadline_source = sd_event_source_disable_unref(change->deadline_source);
	change->call = sd_bus_message_unref(change->call);
	change->survey = survey_free(change->survey);
	diagnostics_clear(&change->warnings);
	(void)connections_unref(change->before);
	(void)connections_unref(change->after);
	free(change);
	return NULL;
}

int change_new(
	struct manager *manager, enum change_kind kind, sd_bus_message *call, struct change **ret)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return -ENOMEM;
	change->manager = manager;
	change->kind = kind;
	change->call = sd_bus_message_ref(call);
	LIST_ADD(manager->changes, change);
	*ret = change;
	return 0;
}

static void reply(struct change *change, bool in_time)
{
	if (change->call && !change->manager->stopping) {
		if (in_time && change->survey)
			survey_start(take_pointer(change->survey), change->call, change->cut);
		else
			bus_reply_change(change, in_time);
	}
	change->call = sd_bus_message_unref(change->call);
}

void update_done(struct update *update)
{
	struct change *change = update->change;

	(void)update_free(update);
	if (--change->pending > 0)
		return;
	reply(change, true);
	(void)change_free(change);
}

void update_hindered(struct update *update)
{
	reply(update->change, false);
}

/* The sessions still hold on to the change; the last of them frees it. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct change *change = userdata;

	log_warning(
		"%zu sessions have not taken over a change of the policy in time", change->pending);
	reply(change, false);
	return 0;
}

size_t connections_first(const struct connections *connections, const char *plug)
{
	size_t low = 0, high = connections->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(connections->items[middle].plug, plug) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool differs_for_plug(
	const struct connections *a, const struct connections *b, const char *plug)
{
	size_t i = connections_first(a, plug), j = connections_first(b, plug);

	for (;; i++, j++) {
		bool in_a = i < a->count && streq(a->items[i].plug, plug);
		bool in_b = j < b->count && streq(b->items[j].plug, plug);

		if (!in_a || !in_b)
			return in_a != in_b;
		if (!streq(a->items[i].slot, b->items[j].slot) ||
			a->items[i].state != b->items[j].state)
			return true;
	}
}

static bool is_concerned(
	const struct session *session, const struct policy *old, const struct policy *new)
{
	if (old->packages != new->packages)
		return true;
	for (size_t i = 0; i < session->bound.plug_count; i++)
		if (differs_for_plug(old->connections, new->connections, session->bound.plugs[i]))
			return true;
	return false;
}

/* Whether the session has less by the new policy. */
static int compare(
	struct update *update, const struct session *session, const struct policy *policy)
{
	_cleanup_(grants_freep) struct grants *old = NULL, *new = NULL;
	int r = grants_of(&session->manager->policy, &session->bound, 0, &old);

	r = r < 0 ? r
		  : grants_of(policy, update->rebinds ? &update->bound : &session->bound,
			    update->generation, &new);
	r = r < 0 ? r : sealed_memfd(new, &update->grants, &update->size);
	update->revokes = r == 0 && !grants_give(new, old);
	return r;
}

static int prepare_session(
	struct change *change, struct session *session, const struct policy *policy)
{
	_cleanup_(update_freep) struct update *update = calloc(1, sizeof(*update));
	int r;

	if (!update)
		return -ENOMEM;
	update->change = change;
	update->generation = ++change->manager->generation;
	update->grants = -EBADF;
	update->rebinds = session->bound.app_count > 0 &&
			  change->manager->policy.packages != policy->packages;
	if (update->rebinds) {
		r = bound_again(&session->bound, policy, &update->bound);
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

		if (!is_concerned(session, &manager->policy, policy))
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

static uint64_t newest_update(const struct session *session)
{
	uint64_t newest = 0;

	FOREACH (update, session->updates)
		newest = MAX(newest, update->generation);
	return newest;
}

/* Nothing is new, but an earlier change of the same may still be on its way. */
static int follow_others(struct change *change)
{
	FOREACH (session, change->manager->sessions) {
		struct update *update;

		if (!session->updates)
			continue;
		update = calloc(1, sizeof(*update));
		if (!update) {
			forget_followed(change);
			return -ENOMEM;
		}
		update->change = change;
		update->generation = newest_update(session);
		update->grants = -EBADF;
		LIST_ADD(session->updates, update);
		change->pending++;
	}
	return 0;
}

static void send_prepared(struct change *change, struct session *session)
{
	_cleanup_(update_freep) struct update *update = take_pointer(session->prepared);
	struct worker *worker = session->worker;
	int r;

	if (!update)
		return;
	if (update->rebinds) {
		bound_clear(&session->bound);
		session->bound = update->bound;
		update->bound = (struct bound){0};
	}
	/* Without a session process the next one gets the policy as it is then, and acknowledges
	 * that. */
	if (worker) {
		r = worker_send_grants(worker, update->grants, update->size, update->generation);
		if (r < 0)
			worker_kill(worker, "does not take its grants");
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

static int make(struct change *change, struct policy *policy, int *ret_state_error)
{
	struct manager *manager = change->manager;
	int r;

	if (manager->policy.packages == policy->packages &&
		manager->policy.connections == policy->connections)
		return follow_others(change);
	r = prepare(change, policy);
	if (r < 0)
		return r;
	if (manager->policy.connections != policy->connections) {
		*ret_state_error =
			connections_save(manager->options->state_dir, policy->connections);
		if (*ret_state_error < 0 && change->kind != CHANGE_EXPIRE) {
			forget_prepared(manager);
			return -EIO;
		}
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

int change_apply(struct change **change, struct policy *policy, int *ret_state_error)
{
	_cleanup_(change_freep) struct change *c = take_pointer(*change);
	int r;

	*ret_state_error = 0;
	r = arm_deadline(c);
	if (r < 0)
		return r;
	/* While it is made, it holds on to itself. */
	c->pending = 1;
	r = make(c, policy, ret_state_error);
	c->pending--;
	if (r < 0)
		return r;
	if (c->pending == 0)
		reply(c, true);
	else
		c = NULL;
	return 0;
}
