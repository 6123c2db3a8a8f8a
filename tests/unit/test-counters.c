/* SPDX-License-Identifier: MIT */
/* What is counted: by whom, in what order of time, and what is kept of sessions that are over. */
#include <criterion/criterion.h>
#include <pthread.h>

#include "daemon/manager/core/manager.h"
#include "daemon/manager/sessions/records.h"
#include "daemon/manager/sessions/totals.h"
#include "include/util.h"

static struct manager manager;
static struct inflight_head head;

static void setup(void)
{
	cr_assert(totals_start(&manager) == 0);
	head.counted_count = 1;
}

static void teardown(void)
{
	totals_free(&manager);
	last_records_free(&manager);
}

TestSuite(counters, .init = setup, .fini = teardown, .timeout = 60);

static void count(uint32_t place, const char *ref, uint64_t calls)
{
	(void)strcpy(head.counted[place].ref, ref);
	head.counted[place].counters.calls = calls;
	head.counted_count = MAX(head.counted_count, place + 1);
}

static uint64_t calls_of(const char *ref)
{
	for (uint32_t i = 0; i < manager.totals->ended_count; i++)
		if (streq(manager.totals->ended[i].ref, ref))
			return manager.totals->ended[i].counters.calls;
	return 0;
}

Test(counters, of_sessions_that_are_over_are_added_up)
{
	count(0, "", 1);
	count(1, "app:a", 2);
	totals_add_session(manager.totals, &head);
	count(1, "app:b", 4);
	count(2, "app:a", 8);
	totals_add_session(manager.totals, &head);
	cr_expect_eq(calls_of(""), 2);
	cr_expect_eq(calls_of("app:a"), 10);
	cr_expect_eq(calls_of("app:b"), 4);
}

Test(counters, at_the_bound_further_plugs_are_counted_together)
{
	for (int i = 1; i <= TOTALS_REFS_MAX + 1; i++) {
		char ref[32];

		(void)snprintf(ref, sizeof(ref), "app:n%d", i);
		count(1, ref, 1);
		totals_add_session(manager.totals, &head);
	}
	cr_expect_eq(manager.totals->ended_count, TOTALS_REFS_MAX);
	cr_expect_eq(calls_of("app:n1"), 1);
	cr_expect_eq(calls_of(""), 2);
}

Test(counters, what_a_session_process_would_not_write_is_no_danger)
{
	head.counted_count = UINT32_MAX;
	memset(head.counted[1].ref, 'x', sizeof(head.counted[1].ref));
	head.counted[1].counters.calls = 1;
	totals_add_session(manager.totals, &head);
	cr_expect_eq(inflight_counted_count(&head), COUNTED_MAX);
	cr_expect_eq(manager.totals->ended_count, 1);
}

Test(counters, durations_are_counted_up_to_their_bounds)
{
	static const uint64_t bounds[] = {DURATION_BOUNDS};
	const struct durations *durations = &manager.totals->changes[CHANGE_CONNECT];

	totals_count_change(manager.totals, CHANGE_CONNECT, 0);
	totals_count_change(manager.totals, CHANGE_CONNECT, bounds[0]);
	totals_count_change(manager.totals, CHANGE_CONNECT, bounds[0] + 1);
	totals_count_change(manager.totals, CHANGE_CONNECT, bounds[DURATION_BOUNDS_COUNT - 1] + 1);
	cr_expect_eq(durations->counts[0], 2);
	cr_expect_eq(durations->counts[1], 1);
	cr_expect_eq(durations->counts[DURATION_BOUNDS_COUNT], 1);
	cr_expect_eq(durations->usec, 2 * bounds[0] + bounds[DURATION_BOUNDS_COUNT - 1] + 2);
	cr_expect_eq(manager.totals->changes[CHANGE_DISCONNECT].usec, 0);
}

/* --- the last records ----------------------------------------------------------------------- */

static void add_record(uid_t uid, int number)
{
	struct record record = {.session_uid = uid, .error = number, .time = (uint64_t)number};

	last_records_add(&manager, &record);
}

static const struct last_records *records_of(uid_t uid)
{
	for (const struct last_records *records = manager.last_records; records;
		records = records->next)
		if (records->uid == uid)
			return records;
	return NULL;
}

Test(counters, of_each_user_the_last_records_are_kept)
{
	for (int i = 1; i <= LAST_RECORDS_PER_USER_MAX + 1; i++)
		add_record(1000, i);
	add_record(1001, 5);
	cr_expect_eq(last_records_at(records_of(1000), 0)->error, 2);
	cr_expect_eq(last_records_at(records_of(1000), LAST_RECORDS_PER_USER_MAX - 1)->error,
		LAST_RECORDS_PER_USER_MAX + 1);
	cr_expect_null(last_records_at(records_of(1000), LAST_RECORDS_PER_USER_MAX));
	cr_expect_eq(last_records_at(records_of(1001), 0)->error, 5);
}

Test(counters, of_many_users_who_was_silent_for_longest_is_forgotten_and_never_root)
{
	add_record(0, 1);
	for (int i = 1; i <= LAST_RECORDS_USERS_MAX; i++)
		add_record((uid_t)i, i + 1);
	cr_expect_not_null(records_of(0));
	cr_expect_null(records_of(1));
	cr_expect_not_null(records_of(2));
	cr_expect_not_null(records_of(LAST_RECORDS_USERS_MAX));
}

static bool stop;

static void *write_nonsense(void *unused)
{
	for (uint32_t number = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); number = ~number) {
		__atomic_store_n(&head.counted_count, number, __ATOMIC_RELAXED);
		__atomic_store_n(&head.denials.count, number, __ATOMIC_RELAXED);
	}
	return unused;
}

/* Whatever is written meanwhile: what was compared with the bound is what is used. */
Test(counters, no_number_past_the_bound_is_believed)
{
	uint64_t until = now_usec() + 200000;
	uint32_t counted = 0, denials = 0;
	pthread_t writer;

	cr_assert_eq(pthread_create(&writer, NULL, write_nonsense, NULL), 0);
	while (now_usec() < until)
		for (int i = 0; i < 1000; i++) {
			const uint32_t one = inflight_counted_count(&head);
			const uint32_t other = denials_count(&head.denials);

			counted = MAX(counted, one);
			denials = MAX(denials, other);
		}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	(void)pthread_join(writer, NULL);
	cr_expect_leq(counted, COUNTED_MAX);
	cr_expect_leq(denials, SESSION_DENIALS_MAX);
}
