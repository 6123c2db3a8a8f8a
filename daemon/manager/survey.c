/* SPDX-License-Identifier: MIT */
/* After a disconnect: who still holds what was taken, or is registered on it. The sessions'
 * processes are asked, since looking takes a while; the caller's reply waits for the last of them.
 * What a session process has not answered when it dies, the next one is asked. */
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"
#include "timer.h"

#define SLACK_USEC (2 * 1000000ULL)

/* One session's share. In its session's list until it is answered, whatever session processes come
 * and go. */
struct question {
	struct question *previous, *next; /* in session->questions */
	struct survey *survey;
	uint64_t number;
};

static void drop_questions(struct session *session, const struct survey *survey)
{
	FOREACH (question, session->questions)
		if (question->survey == survey) {
			LIST_DROP(session->questions, question);
			free(question);
		}
}

struct survey *survey_free(struct survey *survey)
{
	if (!survey)
		return NULL;
	FOREACH (session, survey->manager->sessions)
		drop_questions(session, survey);
	/* Of those that have ended, each has a session process that is not yet reaped. */
	FOREACH (worker, survey->manager->workers)
		if (worker->session)
			drop_questions(worker->session, survey);
	LIST_DROP(survey->manager->surveys, survey);
	survey->deadline_source = sd_event_source_disable_unref(survey->deadline_source);
	survey->call = sd_bus_message_unref(survey->call);
	survey->scope = safe_close(survey->scope);
	free(survey->plug);
	free(survey->who);
	free(survey);
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
	return *slot ? policy_add_slot_grants(policy, slot, scope)
		     : grants_add(scope, "*", true, PERMISSIONS_ALL);
}

static int make_scope(struct survey *survey, const char *slot)
{
	_cleanup_(grants_freep) struct grants *scope = NULL;
	int r;

	r = grants_new(0, &scope);
	if (r < 0)
		return r;
	r = collect_scope(&survey->manager->policy, slot, scope);
	if (r < 0)
		return r;
	grants_seal(scope);
	return sealed_memfd(scope, &survey->scope, &survey->scope_size);
}

int survey_new(struct manager *manager, const char *first, const char *second,
	const struct survey_options *options, const char *who, struct survey **ret)
{
	bool slot_alone = !*second && names_slot(&manager->policy, first);
	_cleanup_(survey_freep) struct survey *survey = calloc(1, sizeof(*survey));
	int r;

	if (!survey)
		return -ENOMEM;
	survey->manager = manager;
	survey->options = *options;
	survey->scope = -EBADF;
	LIST_ADD(manager->surveys, survey);
	survey->plug = strdup(slot_alone ? "" : first);
	survey->who = strdup(who);
	if (!survey->plug || !survey->who)
		return -ENOMEM;
	r = make_scope(survey, slot_alone ? first : second);
	if (r < 0)
		return r;
	*ret = take_pointer(survey);
	return 0;
}

static void finish(struct survey *survey)
{
	const struct survey_result *result = &survey->result;

	if (survey->options.kill && (result->killed > 0 || result->left > 0))
		log_notice("%u processes of what was disconnected are killed, %u are left: %s",
			result->killed, result->left, survey->who);
	if (!survey->manager->stopping)
		bus_reply_survey(survey);
	(void)survey_free(survey);
}

static void answered(struct survey *survey)
{
	if (--survey->pending == 0)
		finish(survey);
}

/* Session processes died, or were busy, for so long. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct survey *survey = userdata;

	survey->result.failed += (uint32_t)survey->pending;
	finish(survey);
	return 0;
}

static bool is_asked(const struct survey *survey, const struct session *session)
{
	if (*survey->plug && !session_has_plug(session, survey->plug))
		return false;
	return !session_is_over(session);
}

/* How long to wait for holders, from now. Never 0 if waiting was asked for, which means more than
 * its length (struct worker_message). */
static uint64_t remaining_wait(const struct survey *survey)
{
	uint64_t now = now_usec();

	if (survey->options.wait_usec == 0)
		return 0;
	return survey->wait_end > now ? survey->wait_end - now : 1;
}

/* Afterwards the survey may be gone. */
static void question_done(struct session *session, struct question *question)
{
	struct survey *survey = question->survey;

	LIST_DROP(session->questions, question);
	free(question);
	answered(survey);
}

static void question_failed(struct session *session, struct question *question)
{
	question->survey->result.failed++;
	question_done(session, question);
}

/* One that is dead and not yet reaped is about to be replaced, and the next one is asked. */
static void put_question(struct session *session, struct question *question)
{
	const struct survey *survey = question->survey;
	const struct worker_message message = {.type = WORKER_HOLDERS,
		.holders = {.number = question->number,
			.size = survey->scope_size,
			.wait_usec = remaining_wait(survey),
			.kill = survey->options.kill}};
	int r = message_send(session->worker->socket, &message, sizeof(message), &survey->scope, 1);

	if (r < 0 && r != -EPIPE && r != -ECONNRESET)
		question_failed(session, question);
}

static int ask(struct survey *survey, struct session *session)
{
	struct question *question = calloc(1, sizeof(*question));

	if (!question)
		return -ENOMEM;
	question->survey = survey;
	question->number = ++survey->manager->questions;
	LIST_ADD(session->questions, question);
	survey->pending++;
	if (session->worker)
		put_question(session, question);
	return 0;
}

void survey_ask_again(struct session *session)
{
	FOREACH (question, session->questions)
		put_question(session, question);
}

static int arm_deadline(struct survey *survey)
{
	uint64_t usec = survey->options.wait_usec + HOLDERS_DEADLINE_USEC + SLACK_USEC;

	if (survey->options.kill)
		usec += ENDING_DEADLINE_USEC;
	return timer_start(
		survey->manager->event, &survey->deadline_source, usec, on_deadline, survey);
}

void survey_start(struct survey *survey, sd_bus_message *call, size_t cut)
{
	bool armed = arm_deadline(survey) >= 0;

	survey->call = sd_bus_message_ref(call);
	survey->cut = cut;
	survey->wait_end = now_usec() + survey->options.wait_usec;
	/* While it is made, it holds on to itself. */
	survey->pending = 1;
	FOREACH (session, survey->manager->sessions)
		if (is_asked(survey, session) && (!armed || ask(survey, session) < 0))
			survey->result.failed++;
	answered(survey);
}

static void name_left(struct survey_result *result, const int32_t *pids)
{
	for (size_t i = 0; i < HELD_PIDS_MAX && pids[i] > 0; i++) {
		size_t used = strlen(result->left_pids);

		if (sizeof(result->left_pids) - used >= sizeof(", -2147483648"))
			(void)snprintf(result->left_pids + used, sizeof(result->left_pids) - used,
				"%s%d", used ? ", " : "", pids[i]);
	}
}

static void add_result(struct survey *survey, const struct worker_message *answer)
{
	struct survey_result *result = &survey->result;

	result->sessions += answer->held.processes > 0;
	result->processes += answer->held.processes;
	result->holders += answer->held.holders;
	result->registrants += answer->held.registrants;
	/* Every session that had opened the queue sees the same ones. */
	result->unknown = MAX(result->unknown, answer->held.unknown);
	result->killed += answer->held.killed;
	result->left += answer->held.left;
	name_left(result, answer->held.left_pids);
	result->failed += answer->held.error != 0;
}

void survey_answer(struct session *session, const struct worker_message *answer)
{
	FOREACH (question, session->questions)
		/* Others may have been given up meanwhile. */
		if (question->number == answer->held.number) {
			add_result(question->survey, answer);
			question_done(session, question);
			return;
		}
}

void survey_session_gone(struct session *session)
{
	while (session->questions)
		question_done(session, session->questions);
}

void survey_session_lost(struct session *session)
{
	while (session->questions)
		question_failed(session, session->questions);
}
