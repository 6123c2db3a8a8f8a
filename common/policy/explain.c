/* SPDX-License-Identifier: MIT */
/* What a plug has, why it has not more, and what would give it. */
#include <fcntl.h>

#include "connections.h"
#include "find.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/verdict.h"
#include "names.h"

static int add_queues(
	struct grants *grants, char *const *names, size_t count, bool pattern, uint32_t permissions)
{
	int r = 0;

	/* Policy writes the slash, the kernel does not see it. */
	for (size_t i = 0; i < count && r == 0; i++)
		r = grants_add(grants, names[i] + 1, pattern, permissions);
	return r;
}

static int add_slot(struct grants *grants, const struct slot *slot, uint32_t permissions)
{
	int r = add_queues(grants, slot->paths, slot->path_count, false, permissions);

	return r < 0 ? r
		     : add_queues(grants, slot->patterns, slot->pattern_count, true, permissions);
}

int policy_add_plug_grants(const struct policy *policy, const char *plug, struct grants *grants)
{
	const struct connections *connections = policy->connections;
	int r = 0;

	if (!policy_plug(policy, plug))
		return 0;
	for (size_t i = connections_lower_bound(connections, plug, "");
		i < connections->count && r == 0; i++) {
		const struct connection *connection = &connections->items[i];
		const struct slot *slot;

		if (!streq(connection->plug, plug))
			break;
		if (connection->state == CONNECTION_UNDESIRED)
			continue;
		slot = policy_slot(policy, connection->slot);
		if (slot)
			r = add_slot(grants, slot, slot->permissions);
	}
	return r;
}

int policy_add_slot_grants(const struct policy *policy, const char *slot, struct grants *grants)
{
	const struct slot *found = policy_slot(policy, slot);

	return found ? add_slot(grants, found, PERMISSIONS_ALL) : 0;
}

/* queue without slash. */
static bool slot_offers(const struct slot *slot, const char *queue)
{
	for (size_t i = 0; i < slot->path_count; i++)
		if (streq(slot->paths[i] + 1, queue))
			return true;
	for (size_t i = 0; i < slot->pattern_count; i++)
		if (pattern_match(slot->patterns[i] + 1, queue))
			return true;
	return false;
}

static bool slot_gives(const struct slot *slot, const char *queue, uint32_t permissions)
{
	return (permissions & ~slot->permissions) == 0 && slot_offers(slot, queue);
}

/* The first slot by name that gives the permissions, or if there is one, the first with that id. */
static const struct slot *find_giver(
	const struct policy *policy, const char *id, const char *queue, uint32_t permissions)
{
	const struct slot *first = NULL;

	for (size_t i = 0; i < policy->packages->count; i++) {
		const struct package *package = policy->packages->items[i];

		for (size_t j = 0; j < package->slot_count; j++) {
			const struct slot *slot = &package->slots[j];

			if (first && !streq(slot->id, id))
				continue;
			if (!slot_gives(slot, queue, permissions))
				continue;
			if (streq(slot->id, id))
				return slot;
			first = slot;
		}
	}
	return first;
}

static char *ref_new(const struct package *package, const char *name)
{
	char *ref;

	return asprintf(&ref, "%s:%s", package->name, name) < 0 ? NULL : ref;
}

static char *connect_command(const struct plug *plug, const struct slot *slot)
{
	char *command;

	if (asprintf(&command, "mqctl connect %s%s:%s %s:%s", any_id_option(plug, slot),
		    plug->package->name, plug->name, slot->package->name, slot->name) < 0)
		return NULL;
	return command;
}

int policy_suggest(const struct policy *policy, const char *const *plugs, size_t plug_count,
	const char *queue, uint32_t missing, char **ret_plug, char **ret_command)
{
	_cleanup_free_ char *plug = NULL, *command = NULL;
	const struct slot *giver = NULL;
	const struct plug *taker = NULL;

	for (size_t i = 0; i < plug_count; i++) {
		const struct plug *found = policy_plug(policy, plugs[i]);
		const struct slot *slot =
			found ? find_giver(policy, found->id, queue, missing) : NULL;
		bool same_id = slot && streq(slot->id, found->id);

		if (slot && (!giver || same_id)) {
			giver = slot;
			taker = found;
		}
		if (same_id)
			break;
	}
	*ret_plug = *ret_command = NULL;
	if (!giver)
		return 0;
	plug = ref_new(taker->package, taker->name);
	command = connect_command(taker, giver);
	if (!plug || !command)
		return -ENOMEM;
	*ret_plug = take_pointer(plug);
	*ret_command = take_pointer(command);
	return 0;
}

void explanation_clear(struct explanation *explanation)
{
	free(explanation->slot);
	free(explanation->command);
	free(explanation->text);
	*explanation = (struct explanation){0};
}

/* The question. */
struct question {
	const struct policy *policy;
	const struct plug *plug;
	char plug_ref[REF_MAX + 1];
	uint32_t permission;
	const char *word;  /* of the permission */
	const char *queue; /* without slash */
	char shown[4 * QUEUE_NAME_MAX + 8];
};

/* The request that an app would make to use the permission. To create is to open with O_CREAT, in
 * the access mode that is granted. */
static void make_request(
	const struct question *question, const struct grants *grants, struct request *request)
{
	uint32_t granted = grants_lookup(grants, question->queue);
	bool only_write = (granted & PERMISSION_WRITE) && !(granted & PERMISSION_READ);

	*request = (struct request){.queue = QUEUE_NAMED};
	(void)stpcpy(request->name, question->queue);
	switch (question->permission) {
	case PERMISSION_READ:
		request->call = MQ_CALL_RECEIVE;
		break;
	case PERMISSION_WRITE:
		request->call = MQ_CALL_SEND;
		break;
	case PERMISSION_CREATE:
		request->call = MQ_CALL_OPEN;
		request->oflag = O_CREAT | (only_write ? O_WRONLY : O_RDONLY);
		break;
	case PERMISSION_DELETE:
		request->call = MQ_CALL_UNLINK;
		break;
	default:
		request->call = MQ_CALL_GETSETATTR;
		break;
	}
}

static int ask(const struct question *question, struct verdict *ret)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_free_ struct request *request = malloc(sizeof(*request));
	int r;

	if (!request)
		return -ENOMEM;
	r = grants_new(0, &grants);
	if (r < 0)
		return r;
	r = policy_add_plug_grants(question->policy, question->plug_ref, grants);
	if (r < 0)
		return r;
	grants_seal(grants);
	make_request(question, grants, request);
	*ret = decide(grants, request);
	return 0;
}

/* The connected slot that gives the permission (connections add up; this is the first one). */
static const struct slot *connected_giver(const struct question *question, uint32_t permissions)
{
	const struct connections *connections = question->policy->connections;

	for (size_t i = connections_lower_bound(connections, question->plug_ref, "");
		i < connections->count && streq(connections->items[i].plug, question->plug_ref);
		i++) {
		const struct slot *slot = policy_slot(question->policy, connections->items[i].slot);

		if (connections->items[i].state != CONNECTION_UNDESIRED && slot &&
			slot_gives(slot, question->queue, permissions))
			return slot;
	}
	return NULL;
}

/* "" or what else is to be known about sending and receiving. */
static const char *mediation_note(const struct question *question)
{
	const uint32_t data = PERMISSION_READ | PERMISSION_WRITE;

	if (question->plug->mediation != MEDIATION_OPEN || !(question->permission & data))
		return "";
	return "\nmediation open: sending and receiving are not checked call by call; after a "
	       "disconnect, an open queue can be used until it is closed; \"mqctl disconnect\" "
	       "says who has it open, \"--kill\" ends them";
}

static int explain_allowed(const struct question *question, struct explanation *ret)
{
	const struct slot *slot = connected_giver(question, question->permission);
	char permissions[PERMISSIONS_STRING_MAX];

	ret->allowed = true;
	ret->slot = slot ? ref_new(slot->package, slot->name) : NULL;
	if (!ret->slot)
		return -ENOMEM;
	if (asprintf(&ret->text, "%s may %s %s: it is connected to %s, which gives %s%s",
		    question->plug_ref, question->word, question->shown, ret->slot,
		    permissions_format(slot->permissions, permissions),
		    mediation_note(question)) < 0) {
		ret->text = NULL;
		return -ENOMEM;
	}
	return 0;
}

/* Why no slot can be proposed: nobody offers the queue, or nobody offers enough. */
static int hopeless_reason(const struct question *question, char **ret)
{
	const struct packages *packages = question->policy->packages;
	_cleanup_(names_clear) struct names queues = {0};
	const char *nearest;
	int n;

	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; j < packages->items[i]->slot_count; j++) {
			const struct slot *slot = &packages->items[i]->slots[j];
			char permissions[PERMISSIONS_STRING_MAX];

			if (slot_offers(slot, question->queue)) {
				n = asprintf(ret,
					"no slot gives that; %s:%s offers the queue, but only with "
					"%s",
					slot->package->name, slot->name,
					permissions_format(slot->permissions, permissions));
				return n < 0 ? -ENOMEM : 0;
			}
			for (size_t k = 0; k < slot->path_count; k++)
				if (names_add(&queues, slot->paths[k] + 1) < 0)
					return -ENOMEM;
		}
	nearest = nearest_name(question->queue, queues.items, queues.count);
	n = nearest ? asprintf(ret, "no slot offers that queue; did you mean /%s?", typed(nearest))
		    : asprintf(ret, "no slot offers that queue");
	return n < 0 ? -ENOMEM : 0;
}

static int explain_denied(
	const struct question *question, uint32_t missing, struct explanation *ret)
{
	_cleanup_free_ char *reason = NULL;
	char permissions[PERMISSIONS_STRING_MAX];
	const char *what = "it";
	const struct slot *slot;
	int r = 0;

	ret->missing = missing;
	slot = find_giver(question->policy, question->plug->id, question->queue, missing);
	if (!slot && missing & question->permission) {
		what = question->word;
		slot = find_giver(question->policy, question->plug->id, question->queue,
			question->permission);
	}
	if (slot) {
		ret->slot = ref_new(slot->package, slot->name);
		ret->command = connect_command(question->plug, slot);
		if (!ret->slot || !ret->command)
			return -ENOMEM;
		if (asprintf(&reason, "%s gives %s, but is not connected%s", ret->slot, what,
			    *any_id_option(question->plug, slot) ? ", and has another id" : "") <
			0) {
			reason = NULL;
			return -ENOMEM;
		}
	} else {
		r = hopeless_reason(question, &reason);
	}
	if (r < 0)
		return r;
	if (asprintf(&ret->text, "%s may not %s %s: it lacks %s\n%s", question->plug_ref,
		    question->word, question->shown, permissions_format(missing, permissions),
		    reason) < 0) {
		ret->text = NULL;
		return -ENOMEM;
	}
	return 0;
}

static int read_question(struct question *question, const char *plug, const char *operation,
	const char *queue, struct fault *fault)
{
	int r;

	r = policy_find_plug(question->policy, plug, &question->plug, fault);
	if (r < 0)
		return r;
	ref_format(question->plug->package->name, question->plug->name, question->plug_ref);
	if (permission_from_string(operation, &question->permission) < 0)
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"unknown operation \"%s\"; use one of open, read, write, create, delete",
			typed(operation));
	question->word = operation;
	if (*queue != '/')
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"\"%s\" is not a queue; write /NAME", typed(queue));
	if (!queue[1] || strchr(queue + 1, '/') || strlen(queue + 1) > QUEUE_NAME_MAX)
		return fault_set(fault, FAULT_INVALID, -EINVAL,
			"\"%s\" is not a queue; a name is \"/\" and 1 to %d bytes without another "
			"slash",
			typed(queue), QUEUE_NAME_MAX);
	question->queue = queue + 1;
	(void)escape(queue, question->shown, sizeof(question->shown));
	return 0;
}

int policy_explain(const struct policy *policy, const char *plug, const char *operation,
	const char *queue, struct explanation *ret, struct fault *fault)
{
	_cleanup_(explanation_clear) struct explanation explanation = {0};
	struct question question = {.policy = policy};
	struct verdict verdict;
	int r;

	r = read_question(&question, plug, operation, queue, fault);
	if (r < 0)
		return r;
	r = ask(&question, &verdict);
	if (r < 0)
		return r;
	r = verdict.allow ? explain_allowed(&question, &explanation)
			  : explain_denied(&question, verdict.missing, &explanation);
	if (r < 0)
		return r;
	*ret = explanation;
	explanation = (struct explanation){0};
	return 0;
}
