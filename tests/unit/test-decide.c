/* SPDX-License-Identifier: MIT */
/* The pure decision: every call with every set of permissions. */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "include/verdict.h"

#define O PERMISSION_OPEN
#define R PERMISSION_READ
#define W PERMISSION_WRITE
#define C PERMISSION_CREATE
#define D PERMISSION_DELETE

struct kind {
	const char *what;
	enum mq_call call;
	int oflag;
	bool removes_notification;
	uint32_t needs; /* written down here, and not computed, on purpose */
};

static const struct kind kinds[] = {
	{"open for reading", MQ_CALL_OPEN, O_RDONLY, false, O | R},
	{"open for writing", MQ_CALL_OPEN, O_WRONLY, false, O | W},
	{"open for both", MQ_CALL_OPEN, O_RDWR, false, O | R | W},
	{"open in the fourth mode", MQ_CALL_OPEN, O_ACCMODE, false, O | R | W},
	{"create for reading", MQ_CALL_OPEN, O_RDONLY | O_CREAT, false, O | R | C},
	{"create for writing", MQ_CALL_OPEN, O_WRONLY | O_CREAT | O_EXCL, false, O | W | C},
	{"create for both", MQ_CALL_OPEN, O_RDWR | O_CREAT | O_NONBLOCK, false, O | R | W | C},
	{"exclusively without creating", MQ_CALL_OPEN, O_RDONLY | O_EXCL, false, O | R},
	{"open with other flags", MQ_CALL_OPEN, O_RDONLY | O_NONBLOCK | O_CLOEXEC, false, O | R},
	{"open with every flag", MQ_CALL_OPEN, -1, false, O | R | W | C},
	{"unlink", MQ_CALL_UNLINK, 0, false, D},
	{"send", MQ_CALL_SEND, 0, false, W},
	{"receive", MQ_CALL_RECEIVE, 0, false, R},
	{"receive, which removes nothing", MQ_CALL_RECEIVE, 0, true, R},
	{"notify", MQ_CALL_NOTIFY, 0, false, R},
	{"notify removed", MQ_CALL_NOTIFY, 0, true, 0},
	{"getsetattr", MQ_CALL_GETSETATTR, 0, false, O},
	{"a call that does not exist", MQ_CALL_COUNT, 0, false, PERMISSIONS_ALL},
};

static struct request request_of(const struct kind *kind, const char *name)
{
	struct request request = {.call = kind->call,
		.oflag = kind->oflag,
		.removes_notification = kind->removes_notification,
		.queue = QUEUE_NAMED};

	strcpy(request.name, name);
	return request;
}

static struct grants *grants_of(const char *name, bool pattern, uint32_t permissions)
{
	struct grants *grants = NULL;

	cr_assert(grants_new(1, &grants) == 0);
	if (name)
		cr_assert(grants_add(grants, &(struct grant){.name = name,
						     .pattern = pattern,
						     .permissions = permissions}) == 0);
	grants_seal(grants);
	return grants;
}

static bool by_name(enum mq_call call)
{
	return call == MQ_CALL_OPEN || call == MQ_CALL_UNLINK;
}

Test(decide, needs)
{
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		struct request request = request_of(&kinds[i], "q");

		cr_expect(request_needs(&request) == kinds[i].needs, "%s", kinds[i].what);
	}
}

static void expect_decision(
	const struct kind *kind, const struct grants *grants, const char *name, uint32_t granted)
{
	struct request request = request_of(kind, name);
	struct verdict verdict =
		decide(grants_find(grants, &SUBJECT_NOBODY, request.name).permissions, &request);
	uint32_t missing = kind->needs & ~granted;

	cr_expect(verdict.allow == (missing == 0), "%s with %x", kind->what, granted);
	cr_expect(verdict.missing == missing, "%s with %x", kind->what, granted);
	cr_expect(verdict.error == (missing ? EACCES : 0), "%s with %x", kind->what, granted);
	cr_expect(verdict.reason == (missing              ? REASON_NOT_GRANTED
					    : kind->needs ? REASON_GRANTED
							  : REASON_HARMLESS),
		"%s with %x", kind->what, granted);
}

Test(decide, every_call_with_every_set_of_permissions)
{
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		for (uint32_t permissions = 0; permissions <= PERMISSIONS_ALL; permissions++) {
			struct grants *exact = grants_of("q", false, permissions);
			struct grants *pattern = grants_of("q*", true, permissions);

			/* What is granted at all can be opened. */
			expect_decision(&kinds[i], exact, "q", permissions | O);
			expect_decision(&kinds[i], pattern, "q", permissions | O);
			expect_decision(&kinds[i], exact, "q2", 0);
			expect_decision(&kinds[i], pattern, "p", 0);
			grants_free(exact);
			grants_free(pattern);
		}
}

Test(decide, without_any_grant)
{
	struct grants *none = grants_of(NULL, false, 0);

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		expect_decision(&kinds[i], none, "q", 0);
	grants_free(none);
}

Test(decide, malformed_arguments_come_first)
{
	static const int refusals[] = {EFAULT, ENOENT, ENAMETOOLONG, EINVAL};
	struct grants *all = grants_of("q", false, PERMISSIONS_ALL);
	struct grants *none = grants_of(NULL, false, 0);

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		for (size_t j = 0; j < ELEMENTSOF(refusals); j++) {
			struct request request = request_of(&kinds[i], "q");
			struct verdict with, without;

			request.refusal = refusals[j];
			with = decide(grants_find(all, &SUBJECT_NOBODY, request.name).permissions,
				&request);
			without =
				decide(grants_find(none, &SUBJECT_NOBODY, request.name).permissions,
					&request);
			cr_expect(!with.allow && with.error == refusals[j] &&
				  with.reason == REASON_MALFORMED && with.missing == 0);
			/* It tells nothing about the queue. */
			cr_expect(!without.allow && without.error == with.error &&
				  without.reason == with.reason && without.missing == 0);
		}
	grants_free(all);
	grants_free(none);
}

Test(decide, what_is_no_queue_is_left_to_the_kernel)
{
	struct grants *none = grants_of(NULL, false, 0);

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		struct request request = request_of(&kinds[i], "q");
		struct verdict verdict;

		request.queue = QUEUE_NONE;
		verdict = decide(
			grants_find(none, &SUBJECT_NOBODY, request.name).permissions, &request);
		if (by_name(kinds[i].call))
			cr_expect(!verdict.allow && verdict.reason == REASON_NOT_GRANTED);
		else
			cr_expect(verdict.allow && verdict.reason == REASON_NO_QUEUE, "%s",
				kinds[i].what);
	}
	grants_free(none);
}

Test(decide, what_cannot_be_identified_is_denied)
{
	struct grants *all = grants_of("*", true, PERMISSIONS_ALL);

	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		struct request request = request_of(&kinds[i], "q");
		struct verdict verdict;

		if (by_name(kinds[i].call))
			continue;
		request.queue = QUEUE_UNKNOWN;
		verdict = decide(
			grants_find(all, &SUBJECT_NOBODY, request.name).permissions, &request);
		if (kinds[i].needs == 0)
			cr_expect(verdict.allow && verdict.reason == REASON_HARMLESS);
		else
			cr_expect(!verdict.allow && verdict.error == EACCES &&
					  verdict.reason == REASON_UNKNOWN_QUEUE &&
					  verdict.missing == 0,
				"%s", kinds[i].what);
	}
	grants_free(all);
}

Test(decide, the_initial_verdict_denies)
{
	struct verdict verdict = VERDICT_DENY;

	cr_expect(!verdict.allow && verdict.error == EACCES && verdict.reason == REASON_UNDECIDED);
}

Test(decide, every_reason_and_call_has_its_own_name)
{
	for (enum reason i = REASON_UNDECIDED; i <= REASON_KILLED; i++) {
		cr_expect_str_neq(reason_to_string(i), "unknown reason");
		for (enum reason j = REASON_UNDECIDED; j < i; j++)
			cr_expect(strcmp(reason_to_string(i), reason_to_string(j)) != 0);
	}
	cr_expect_str_eq(reason_to_string((enum reason)99), "unknown reason");
	for (enum mq_call i = MQ_CALL_OPEN; i <= MQ_CALL_COUNT; i++)
		for (enum mq_call j = MQ_CALL_OPEN; j < i; j++)
			cr_expect(strcmp(mq_call_to_string(i), mq_call_to_string(j)) != 0);
}
