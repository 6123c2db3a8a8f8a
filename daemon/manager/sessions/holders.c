/* SPDX-License-Identifier: MIT */
/* After a disconnect: who still holds what was taken, or is registered on it. The sessions'
 * processes are asked, since looking takes a while; the caller's reply waits for the last of them.
 * What a session process has not answered when it dies, the next one is asked. */
#include "holders.h"

#include "include/limits.h"
#include "include/log.h"
#include "daemon/manager/core/timer.h"
#include "include/protocol.h"

#define SLACK_USEC (2 * 1000000ULL)

/* One session's share. In its session's list until it is answered, whatever session processes come
 * and go. */
struct holders_request {
	struct holders_request *previous, *next; /* in session->holders_requests */
	struct holders_query *query;
	uint64_t number;
};

static void drop_requests(struct session *session, const struct holders_query *query)
{
	FOREACH (request, session->holders_requests)
		if (request->query == query) {
			LIST_DROP(session->holders_requests, request);
			free(request);
		}
}

struct holders_query *holders_query_free(struct holders_query *query)
{
	if (!query)
		return NULL;
	FOREACH (session, query->manager->sessions)
		drop_requests(session, query);
	/* Of those that have ended, each has a session process that is not yet reaped. */
	FOREACH (process, query->manager->session_processes)
		if (process->session)
			drop_requests(process->session, query);
	LIST_DROP(query->manager->holders_queries, query);
	query->deadline_source = sd_event_source_disable_unref(query->deadline_source);
	if (query->asker.userdata)
		query->asker.drop(query->asker.userdata);
	query->scope = safe_close(query->scope);
	free(query->plug);
	free(query->who);
	free(query);
	return NULL;
}

static bool names_slot(const struct policy *policy, const char *ref)
{
	struct fault fault = {0};
	const struct slot *slot;
	int r = policy_find_slot(policy, ref, &slot, &fault);

	fault_clear(&fault);
	return r == 0;
}

/* The queues that the slot offers; or all, if it was not named. */
static int collect_scope(const struct policy *policy, const char *slot, struct grants *scope)
{
	struct grant all = {.name = "*", .pattern = true};
	int r;

	if (*slot)
		return policy_add_slot_scope(policy, slot, scope);
	r = grants_add(scope, &all);
	all.host = true;
	return r < 0 ? r : grants_add(scope, &all);
}

static int make_scope(struct holders_query *query, const char *slot)
{
	_cleanup_(grants_freep) struct grants *scope = NULL;
	int r;

	r = grants_new(0, &scope);
	if (r < 0)
		return r;
	r = collect_scope(&query->manager->policy, slot, scope);
	if (r < 0)
		return r;
	grants_seal(scope);
	return grants_memfd(scope, &query->scope, &query->scope_size);
}

int holders_query_new(struct manager *manager, const char *first, const char *second,
	const struct holders_options *options, const char *who, struct holders_query **ret)
{
	bool slot_alone = !*second && names_slot(&manager->policy, first);
	_cleanup_(holders_query_freep) struct holders_query *query = calloc(1, sizeof(*query));
	int r;

	if (!query)
		return -ENOMEM;
	query->manager = manager;
	query->options = *options;
	query->scope = -EBADF;
	LIST_ADD(manager->holders_queries, query);
	query->plug = strdup(slot_alone ? "" : first);
	query->who = strdup(who);
	if (!query->plug || !query->who)
		return -ENOMEM;
	r = make_scope(query, slot_alone ? first : second);
	if (r < 0)
		return r;
	*ret = take_pointer(query);
	return 0;
}

static void finish(struct holders_query *query)
{
	const struct holders_result *result = &query->result;

	if (query->options.kill && (result->killed > 0 || result->left > 0))
		log_notice("disconnect --kill: %u processes killed, %u still run: %s",
			result->killed, result->left, query->who);
	if (!query->manager->stopping) {
		struct holders_asker asker = query->asker;

		query->asker.userdata = NULL;
		asker.done(result, asker.userdata);
	}
	(void)holders_query_free(query);
}

static void answered(struct holders_query *query)
{
	if (--query->pending == 0)
		finish(query);
}

/* Session processes died, or were busy, for so long. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct holders_query *query = userdata;

	query->result.failed += (uint32_t)query->pending;
	finish(query);
	return 0;
}

static bool is_asked(const struct holders_query *query, const struct session *session)
{
	if (*query->plug && !session_has_plug(session, query->plug))
		return false;
	return !session_is_over(session);
}

/* How long to wait for holders, from now. Never 0 if waiting was asked for, which means more than
 * its length (struct session_message). */
static uint64_t remaining_wait(const struct holders_query *query)
{
	uint64_t now = now_usec();

	if (query->options.wait_usec == 0)
		return 0;
	return query->wait_end > now ? query->wait_end - now : 1;
}

/* Afterwards the query may be gone. */
static void request_done(struct session *session, struct holders_request *request)
{
	struct holders_query *query = request->query;

	LIST_DROP(session->holders_requests, request);
	free(request);
	answered(query);
}

static void request_failed(struct session *session, struct holders_request *request)
{
	request->query->result.failed++;
	request_done(session, request);
}

/* One that is dead and not yet reaped is about to be replaced, and the next one is asked. */
static void put_request(struct session *session, struct holders_request *request)
{
	const struct holders_query *query = request->query;
	const struct session_message message = {.type = SESSION_HOLDERS,
		.holders = {.number = request->number,
			.size = query->scope_size,
			.wait_usec = remaining_wait(query),
			.kill = query->options.kill}};
	int r = message_send(session->process->socket, &message, sizeof(message), &query->scope, 1);

	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		request_failed(session, request);
}

static int ask(struct holders_query *query, struct session *session)
{
	struct holders_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->query = query;
	request->number = ++query->manager->holders_requests;
	LIST_ADD(session->holders_requests, request);
	query->pending++;
	if (session->process)
		put_request(session, request);
	return 0;
}

void holders_query_ask_again(struct session *session)
{
	FOREACH (request, session->holders_requests)
		put_request(session, request);
}

static int arm_deadline(struct holders_query *query)
{
	uint64_t usec = query->options.wait_usec + HOLDERS_DEADLINE_USEC + SLACK_USEC;

	if (query->options.kill)
		usec += ENDING_DEADLINE_USEC;
	return timer_start(
		query->manager->event, &query->deadline_source, usec, on_deadline, query);
}

void holders_query_start(struct holders_query *query, const struct holders_asker *asker)
{
	bool armed = arm_deadline(query) >= 0;

	query->asker = *asker;
	query->wait_end = now_usec() + query->options.wait_usec;
	/* While it is made, it holds on to itself. */
	query->pending = 1;
	FOREACH (session, query->manager->sessions)
		if (is_asked(query, session) && (!armed || ask(query, session) < 0))
			query->result.failed++;
	answered(query);
}

static void name_left(struct holders_result *result, const int32_t *pids)
{
	for (size_t i = 0; i < HOLDERS_PIDS_MAX && pids[i] > 0; i++) {
		size_t used = strlen(result->left_pids);

		if (sizeof(result->left_pids) - used >= sizeof(", -2147483648"))
			(void)snprintf(result->left_pids + used, sizeof(result->left_pids) - used,
				"%s%d", used ? ", " : "", pids[i]);
	}
}

static void add_result(struct holders_query *query, const struct session_message *answer)
{
	struct holders_result *result = &query->result;

	result->sessions += answer->found.processes > 0;
	result->processes += answer->found.processes;
	result->holders += answer->found.holders;
	result->registrants += answer->found.registrants;
	/* Every session that had opened the queue sees the same ones. */
	result->unknown = MAX(result->unknown, answer->found.unknown);
	result->killed += answer->found.killed;
	result->left += answer->found.left;
	name_left(result, answer->found.left_pids);
	result->failed += answer->found.error != 0;
}

/* Nobody has asked: its session process has ended the session of a container by itself. */
static void tell_broken(struct session *session, const struct session_message *answer)
{
	if (!session->container || (session->broken && answer->found.killed == 0))
		return;
	session->broken = true;
	log_error(
		"container %s: a message queue file system was mounted in it, which would lead past mqgate: nothing is granted to it any more; %u processes were killed, %u could not be%s",
		session->container, answer->found.killed, answer->found.left,
		answer->found.left || answer->found.error ? "; that is tried again" : "");
}

void holders_query_answer(struct session *session, const struct session_message *answer)
{
	if (answer->found.number == 0) {
		tell_broken(session, answer);
		return;
	}
	FOREACH (request, session->holders_requests)
		/* Others may have been given up meanwhile. */
		if (request->number == answer->found.number) {
			add_result(request->query, answer);
			request_done(session, request);
			return;
		}
}

void holders_query_session_gone(struct session *session)
{
	while (session->holders_requests)
		request_done(session, session->holders_requests);
}

void holders_query_session_lost(struct session *session)
{
	while (session->holders_requests)
		request_failed(session, session->holders_requests);
}
