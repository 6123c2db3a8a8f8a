/* SPDX-License-Identifier: MIT */
/* What a plug has, why it has not more, and what would give it. */
#include <fcntl.h>
#include <sys/stat.h>

#include "connections.h"
#include "find.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/verdict.h"
#include "include/names.h"
#include "rules.h"
#include "suggest.h"
#include "variables.h"

static bool slot_offers(const struct plug *plug, const struct slot *slot, const char *name)
{
	struct values values = {0};
	struct rule rule;

	return find_rule(plug, slot, name, &values, &rule);
}

static char *ref_new(const struct package *package, const char *name)
{
	char *ref;

	return asprintf(&ref, "%s:%s", package->name, name) < 0 ? NULL : ref;
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
	const char *word; /* of the permission */
	const char *name; /* that the program says, without slash */
	char shown[4 * QUEUE_NAME_MAX + 8];
	/* Found: */
	struct values values; /* for which the answer holds */
	bool given;           /* by this rule: */
	struct rule rule;
};

/* Values for which the plug has something under the name, by as many of its rules as possible;
 * first by one that gives the permission, and if there is one, that is the rule. */
static void find_values(struct question *question)
{
	const struct connections *connections = question->policy->connections;
	const size_t first = connections_lower_bound(connections, question->plug_ref, "");
	const struct slot *slot;
	struct rule rule;

	for (size_t at = first;
		!question->given && (slot = next_slot(question->policy, question->plug_ref, &at));)
		question->given = (slot->permissions & question->permission) &&
				  find_rule(question->plug, slot, question->name, &question->values,
					  &question->rule);
	for (size_t at = first; (slot = next_slot(question->policy, question->plug_ref, &at));)
		(void)find_rule(question->plug, slot, question->name, &question->values, &rule);
}

/* The request that an app would make to use the permission. To create is to open with O_CREAT, in
 * the access mode that is granted. */
static void make_request(const struct question *question, uint32_t granted, struct request *request)
{
	bool only_write = (granted & PERMISSION_WRITE) && !(granted & PERMISSION_READ);

	*request = (struct request){.queue = QUEUE_NAMED};
	(void)stpcpy(request->name, question->name);
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
	const struct subject subject = values_subject(&question->values);
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_free_ struct request *request = malloc(sizeof(*request));
	uint32_t granted;
	int r;

	if (!request)
		return -ENOMEM;
	r = grants_new(0, &grants);
	if (r < 0)
		return r;
	r = policy_add_plug_grants(
		question->policy, question->plug_ref, values_instance(&question->values), grants);
	if (r < 0)
		return r;
	grants_seal(grants);
	granted = grants_find(grants, &subject, question->name).permissions;
	make_request(question, granted, request);
	*ret = decide(granted, request);
	return 0;
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

/* Which rule with which values, and what is special about its queues. */
static void write_rule(const struct question *question, FILE *f)
{
	static const char *const names[] = {"{pid}", "{uid}", "{instance}"};
	const struct rule *rule = &question->rule;
	const char *joint = ", with";

	if (!streq(rule->name + 1, question->name))
		(void)fprintf(f, " %s %s", rule->queue ? "by the name" : "to", typed(rule->name));
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strstr(rule->name, names[i])) {
			(void)fprintf(f, "%s %s = %s", joint, names[i], question->values.texts[i]);
			joint = " and";
		}
	if (rule->slot->host)
		(void)fputs(", in the host's IPC namespace", f);
	if (rule->slot->mode_cut && question->permission == PERMISSION_CREATE)
		(void)fprintf(f, ", with at most mode %04o", ACCESSPERMS & ~rule->slot->mode_cut);
}

/* To whom it does not apply. */
static void write_whose(const struct question *question, FILE *f)
{
	const struct values *values = &question->values;
	const char *name = question->rule.name;

	if (strstr(name, "{pid}"))
		(void)fprintf(f,
			"\nonly the process %s, in the PID namespace in which mq-run was "
			"started, has this name",
			values->texts[VARIABLE_PID]);
	if (strstr(name, "{uid}"))
		(void)fprintf(f, "\nonly processes of the user %s have this name",
			values->texts[VARIABLE_UID]);
	if (strstr(name, "{instance}"))
		(void)fprintf(f, "\nonly what \"mq-run --instance %s\" has started has this name",
			values->texts[VARIABLE_INSTANCE]);
}

static void write_allowed(const struct question *question, const char *slot, FILE *f)
{
	const struct rule *rule = &question->rule;
	char permissions[PERMISSIONS_STRING_MAX];

	(void)fprintf(f, "%s may %s %s", question->plug_ref, question->word, question->shown);
	if (rule->queue && !streq(rule->queue + 1, question->name))
		(void)fprintf(f, ", which is the queue %s", typed(rule->queue));
	(void)fprintf(f, ": it is connected to %s, which gives %s", slot,
		permissions_format(rule->slot->permissions, permissions));
	write_rule(question, f);
	write_whose(question, f);
	(void)fputs(mediation_note(question), f);
}

static int explain_allowed(const struct question *question, struct explanation *ret)
{
	size_t size;
	FILE *f;

	ret->allowed = true;
	ret->slot = ref_new(question->rule.slot->package, question->rule.slot->name);
	f = ret->slot ? open_memstream(&ret->text, &size) : NULL;
	if (!f)
		return -ENOMEM;
	write_allowed(question, ret->slot, f);
	return fclose(f) == 0 ? 0 : -ENOMEM;
}

/* A text for the reason that no slot can be proposed; NULL on lack of memory. */
static char *no_other_names(const struct question *question)
{
	_cleanup_(names_clear) struct names names = {0};
	_cleanup_free_ char *joined = NULL;
	const struct plug *plug = question->plug;
	char *text;
	int r = 0;

	for (size_t i = 0; i < plug->path_count && r == 0; i++)
		r = names_add(&names, plug->paths[i]);
	joined = r < 0 ? NULL : names_join(&names);
	if (!joined || asprintf(&text, "the plug has queues by the names of its path only: %s",
			       typed(joined)) < 0)
		return NULL;
	return text;
}

static char *offered_with_less(const struct slot *slot)
{
	char permissions[PERMISSIONS_STRING_MAX];
	char *text;

	return asprintf(&text, "no slot gives that; %s:%s offers the queue, but only with %s",
		       slot->package->name, slot->name,
		       permissions_format(slot->permissions, permissions)) < 0
		       ? NULL
		       : text;
}

static char *not_offered(const struct question *question, const struct names *queues)
{
	const char *nearest = nearest_name(question->name, queues->items, queues->count);
	char *text;

	if (!nearest)
		return strdup("no slot offers that queue");
	return asprintf(&text, "no slot offers that queue; did you mean /%s?", typed(nearest)) < 0
		       ? NULL
		       : text;
}

static bool plug_says(const struct question *question)
{
	const struct plug *plug = question->plug;
	struct values values = {0};
	bool says = plug->path_count == 0;

	for (size_t i = 0; i < plug->path_count && !says; i++)
		says = values_find(plug->paths[i] + 1, question->name, &values);
	return says;
}

/* Any slot that fits a plug with names of its own would offer them. */
static bool may_be_meant(const struct question *question, const struct slot *slot)
{
	const struct plug *plug = question->plug;

	return plug->path_count == 0 || streq(plug->id, slot->id) ||
	       is_connected(question->policy, plug, slot);
}

/* Of the plug's id there may be one that does not fit. */
static char *does_not_fit(const struct question *question)
{
	const struct packages *packages = question->policy->packages;
	_cleanup_(fault_clear) struct fault fault = {0};

	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; j < packages->items[i]->slot_count; j++) {
			const struct slot *slot = &packages->items[i]->slots[j];

			if (streq(slot->id, question->plug->id) &&
				policy_check_fit(question->plug, slot, &fault) < 0)
				return take_pointer(fault.message);
		}
	return strdup("no slot that the plug can be connected to gives that");
}

/* Why no slot can be proposed: nobody offers the queue, or nobody offers enough. */
static int hopeless_reason(const struct question *question, char **ret)
{
	const struct packages *packages = question->policy->packages;
	_cleanup_(names_clear) struct names queues = {0};
	const struct slot *less = NULL;

	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; j < packages->items[i]->slot_count; j++) {
			const struct slot *slot = &packages->items[i]->slots[j];

			if (!less && slot_offers(question->plug, slot, question->name) &&
				may_be_meant(question, slot) &&
				question->permission & ~slot->permissions)
				less = slot;
			for (size_t k = 0; k < slot->path_count; k++)
				if (names_add(&queues, slot->paths[k] + 1) < 0)
					return -ENOMEM;
		}
	*ret = less                             ? offered_with_less(less)
	       : !plug_says(question)           ? no_other_names(question)
	       : question->plug->path_count > 0 ? does_not_fit(question)
						: not_offered(question, &queues);
	return *ret ? 0 : -ENOMEM;
}

/* What a connection is that gives nothing: "" or a line. 0 or -ENOMEM. */
static int misfit_note(const struct question *question, char **ret)
{
	size_t at = connections_lower_bound(question->policy->connections, question->plug_ref, "");
	_cleanup_(fault_clear) struct fault fault = {0};
	const struct slot *slot;

	while ((slot = next_slot(question->policy, question->plug_ref, &at)))
		if (policy_check_fit(question->plug, slot, &fault) < 0)
			break;
	if (slot && !fault.message)
		return -ENOMEM;
	if (!slot)
		*ret = strdup("");
	else if (asprintf(ret, "\nit is connected to %s:%s, but that gives nothing: %s",
			 slot->package->name, slot->name, fault.message) < 0)
		*ret = NULL;
	return *ret ? 0 : -ENOMEM;
}

/* A rule gives it, but another one means another queue by the name, or it would. */
static int clash_reason(const struct question *question, char **ret)
{
	const char *const plugs[] = {question->plug_ref};
	const struct bound bound = {.plugs = plugs, .plug_count = 1};
	_cleanup_(fault_clear) struct fault fault = {0};
	int r = policy_check_names(question->policy, &bound, true, &fault);

	if (r == 0 || !fault.message)
		return r == 0 ? hopeless_reason(question, ret) : r;
	*ret = take_pointer(fault.message);
	return 0;
}

/* "a:b", or "a:b and c:d together"; malloc'd, NULL on lack of memory. */
static char *givers(const struct suggestion *suggestion)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < suggestion->count; i++)
		(void)fprintf(f, "%s%s:%s",
			i == 0                       ? ""
			: i + 1 == suggestion->count ? " and "
						     : ", ",
			suggestion->slots[i]->package->name, suggestion->slots[i]->name);
	(void)fputs(suggestion->count > 1 ? " together" : "", f);
	return fclose(f) == 0 ? text : NULL;
}

static const char *other_ids(const struct suggestion *suggestion)
{
	for (size_t i = 0; i < suggestion->count; i++)
		if (*any_id_option(suggestion->plug, suggestion->slots[i]))
			return suggestion->count == 1 ? ", and has another id"
						      : ", and not all have its id";
	return "";
}

static int propose(const struct suggestion *suggestion, const char *what, struct explanation *ret,
	char **ret_reason)
{
	const struct slot *first = suggestion->slots[0];
	_cleanup_free_ char *slots = givers(suggestion);
	bool several = suggestion->count > 1;
	int n;

	ret->slot = ref_new(first->package, first->name);
	ret->command = suggestion->clashes ? NULL : suggestion_command(suggestion);
	if (!slots || !ret->slot || (!suggestion->clashes && !ret->command))
		return -ENOMEM;
	n = suggestion->clashes
		    ? asprintf(ret_reason,
			      "%s give%s %s, but with %s a name of the plug would mean two queues; "
			      "mqctl connect says which",
			      slots, several ? "" : "s", what, several ? "them" : "it")
		    : asprintf(ret_reason, "%s give%s %s, but %s not connected%s", slots,
			      several ? "" : "s", what, several ? "are" : "is",
			      other_ids(suggestion));
	if (n < 0)
		*ret_reason = NULL;
	return n < 0 ? -ENOMEM : 0;
}

static int deny_reason(const struct question *question, uint32_t missing, struct explanation *ret,
	char **ret_reason)
{
	struct suggestion suggestion;
	const char *what = "it";
	bool found;

	if (question->given && missing & question->permission)
		return clash_reason(question, ret_reason);
	found = suggest(question->policy, question->plug, question->name, missing, &suggestion);
	if (!found && missing & question->permission) {
		what = question->word;
		found = suggest(question->policy, question->plug, question->name,
			question->permission, &suggestion);
	}
	return found ? propose(&suggestion, what, ret, ret_reason)
		     : hopeless_reason(question, ret_reason);
}

static int explain_denied(
	const struct question *question, uint32_t missing, struct explanation *ret)
{
	_cleanup_free_ char *reason = NULL, *misfit = NULL;
	char permissions[PERMISSIONS_STRING_MAX];
	int r;

	ret->missing = missing;
	r = deny_reason(question, missing, ret, &reason);
	r = r < 0 ? r : misfit_note(question, &misfit);
	if (r < 0)
		return r;
	if (asprintf(&ret->text, "%s may not %s %s: it lacks %s\n%s%s", question->plug_ref,
		    question->word, question->shown, permissions_format(missing, permissions),
		    reason, misfit) < 0) {
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
	question->name = queue + 1;
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
	find_values(&question);
	r = ask(&question, &verdict);
	/* What gives it was not found for lack of memory. */
	if (r == 0 && verdict.allow && !question.given)
		r = -ENOMEM;
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
