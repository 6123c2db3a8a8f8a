/* SPDX-License-Identifier: MIT */
/* After a disconnect: who still holds descriptors of what was taken. The sessions' processes are
 * asked, since looking takes a while; the caller's reply waits for the last of them. */
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"

#define SLACK_USEC (2 * 1000000ULL)

/* One session's share. */
struct question {
	struct question *previous, *next; /* in session->questions */
	struct survey *survey;
	uint64_t number;
};

static void release_scope(struct survey *survey)
{
	survey->scope = safe_close(survey->scope);
}

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
	/* A session without a session process has no questions. */
	FOREACH (worker, survey->manager->workers)
		if (worker->session)
			drop_questions(worker->session, survey);
	LIST_DROP(survey->manager->surveys, survey);
	survey->deadline_source = sd_event_source_disable_unref(survey->deadline_source);
	survey->call = sd_bus_message_unref(survey->call);
	release_scope(survey);
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

/* Whoever has not answered by now may be killed, and its session asked again. */
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
	/* Under call mediation a descriptor is worth nothing once its queue is taken. */
	return (survey->options.kill || session->mediation == MEDIATION_OPEN) &&
	       !session_is_over(session);
}

static int ask(struct survey *survey, struct session *session)
{
	struct worker_message message = {.type = WORKER_HOLDERS,
		.holders = {.number = ++survey->manager->questions,
			.size = survey->scope_size,
			.wait_usec = survey->options.wait_usec,
			.kill = survey->options.kill}};
	struct question *question;
	int r;

	if (!session->worker)
		return -EAGAIN;
	question = calloc(1, sizeof(*question));
	if (!question)
		return -ENOMEM;
	r = message_send(session->worker->socket, &message, sizeof(message), &survey->scope, 1);
	if (r < 0) {
		free(question);
		return r;
	}
	question->survey = survey;
	question->number = message.holders.number;
	LIST_ADD(session->questions, question);
	survey->pending++;
	return 0;
}

static int arm_deadline(struct survey *survey)
{
	uint64_t usec = survey->options.wait_usec + HOLDERS_DEADLINE_USEC + SLACK_USEC;

	if (survey->options.kill)
		usec += ENDING_DEADLINE_USEC;
	return sd_event_add_time_relative(survey->manager->event, &survey->deadline_source,
		CLOCK_MONOTONIC, usec, 0, on_deadline, survey);
}

void survey_start(struct survey *survey, sd_bus_message *call, size_t cut)
{
	bool armed = arm_deadline(survey) >= 0;

	survey->call = sd_bus_message_ref(call);
	survey->cut = cut;
	/* While it is made, it holds on to itself. */
	survey->pending = 1;
	FOREACH (session, survey->manager->sessions)
		if (is_asked(survey, session) && (!armed || ask(survey, session) < 0))
			survey->result.failed++;
	release_scope(survey);
	answered(survey);
}

static void add_result(struct survey *survey, const struct worker_message *answer)
{
	struct survey_result *result = &survey->result;

	result->sessions += answer->held.processes > 0;
	result->processes += answer->held.processes;
	/* Every session that had opened the queue sees the same ones. */
	result->unknown = MAX(result->unknown, answer->held.unknown);
	result->killed += answer->held.killed;
	result->left += answer->held.left;
	result->failed += answer->held.error != 0;
}

void survey_answer(struct session *session, const struct worker_message *answer)
{
	FOREACH (question, session->questions) {
		struct survey *survey = question->survey;

		/* Others may have been given up meanwhile. */
		if (question->number != answer->held.number)
			continue;
		LIST_DROP(session->questions, question);
		free(question);
		add_result(survey, answer);
		answered(survey);
		return;
	}
}

void survey_session_gone(struct session *session)
{
	while (session->questions) {
		struct question *question = session->questions;
		struct survey *survey = question->survey;

		LIST_DROP(session->questions, question);
		free(question);
		survey->result.failed += !session->ended;
		answered(survey);
	}
}
