/* SPDX-License-Identifier: MIT */
/* Calls that wait inside the door, and those that an earlier session process has left: each is
 * answered once, with what has become of it, and nothing is done for whoever is gone. The kernel's
 * side of the listener is played here. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "daemon/session/call/resume.h"
#include "daemon/session/call/serve.h"
#include "include/compat.h"
#include "include/log.h"

#define LISTENER 7
#define SECOND   UINT64_C(1000000)

/* --- the listener ---------------------------------------------------------------------------- */

#define CALLERS (SESSION_WAITING_MAX + 2)

/* By the id of their call. */
static struct caller {
	bool waits;
	unsigned answers;
	struct answer answer;
} callers[CALLERS];

static bool undeliverable; /* whatever is answered */

bool __wrap_notify_is_valid(int listener, uint64_t id);
bool __wrap_notify_is_valid(int listener, uint64_t id)
{
	cr_assert_eq(listener, LISTENER);
	return id < CALLERS && callers[id].waits;
}

int __wrap_notify_reply(int listener, uint64_t id, const struct answer *answer);
int __wrap_notify_reply(int listener, uint64_t id, const struct answer *answer)
{
	if (undeliverable || !__wrap_notify_is_valid(listener, id))
		return -ENOENT;
	callers[id] = (struct caller){false, callers[id].answers + 1, *answer};
	return 0;
}

static void expect_answer(uint64_t id, long result)
{
	const struct caller *caller = &callers[id];
	long is =
		caller->answer.kind == ANSWER_ERROR ? -caller->answer.error : caller->answer.value;

	cr_expect_eq(caller->answers, 1U, "call %d has %u answers", (int)id, caller->answers);
	cr_expect_eq(is, result, "call %d: %ld", (int)id, is);
	cr_expect_neq(caller->answer.kind, ANSWER_CONTINUE);
}

static void expect_no_answer(uint64_t id)
{
	cr_expect_eq(callers[id].answers, 0U, "call %d is answered", (int)id);
}

/* --- time and memory ------------------------------------------------------------------------- */

static uint64_t now; /* by every clock */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	(void)clock;
	*ret = (struct timespec){(time_t)(now / SECOND), (long)(now % SECOND * 1000)};
	return 0;
}

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

/* --- what is asked of the callers ------------------------------------------------------------ */

static pid_t signalled;    /* for this one there is a signal */
static bool cannot_bounce; /* and it cannot be stopped */
static uint32_t bounced_arch;

bool __wrap_target_has_signal(struct target *target);
bool __wrap_target_has_signal(struct target *target)
{
	return target->tid == signalled;
}

int __wrap_revoke_bounce(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context);
int __wrap_revoke_bounce(
	const struct target *target, uint32_t arch, int (*answer)(void *context), void *context)
{
	cr_expect_eq(target->tid, signalled);
	bounced_arch = arch;
	return cannot_bounce ? -EPERM : answer(context);
}

static unsigned tries;
static long outcome; /* of what is tried */
static uint64_t tried_id, takes;

long __wrap_emulate_try(
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done);
long __wrap_emulate_try(
	struct target *target, struct emulated *emulated, uint64_t id, struct done_call *done)
{
	(void)target;
	(void)emulated;
	tries++;
	tried_id = id;
	now += takes;
	if (outcome != -EINPROGRESS)
		done->id = id;
	return outcome;
}

static unsigned served; /* calls from the beginning, or again */
static bool served_again;
static char served_name[QUEUE_NAME_MAX + 1];
static struct seccomp_notif in_hand; /* then */
static uint64_t taken_up_at;
static bool was_noted; /* as one that waits, too */

static bool is_noted(uint64_t id);

static void note_serving(struct supervisor *one)
{
	served++;
	in_hand = one->inflight->notification;
	taken_up_at = one->inflight->head.since;
	was_noted = is_noted(in_hand.id);
	cr_expect_eq(one->inflight->done.id, 0U, "what was done before is settled by then");
}

void __wrap_serve(struct supervisor *one, bool again);
void __wrap_serve(struct supervisor *one, bool again)
{
	note_serving(one);
	served_again = again;
}

void __wrap_serve_again(struct supervisor *one, const struct request *request);
void __wrap_serve_again(struct supervisor *one, const struct request *request)
{
	note_serving(one);
	(void)strcpy(served_name, request->name);
}

static bool cannot_open;

int __wrap_target_open(pid_t tid, struct target *ret);
int __wrap_target_open(pid_t tid, struct target *ret)
{
	*ret = TARGET_CLOSED;
	ret->tid = tid;
	return cannot_open ? -EMFILE : 0;
}

static struct queue_key key_behind; /* the descriptor of whoever is looked at */

int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret);
int __wrap_target_descriptor(const struct target *target, int fd, struct descriptor *ret)
{
	(void)target;
	*ret = (struct descriptor){.key = key_behind};
	return fd == 3 && key_behind.inode != 0 ? 0 : -EBADF;
}

static unsigned handed_out;

long __wrap_emulate_hand_out(
	struct target *target, const struct data_call *call, const struct done_call *done);
long __wrap_emulate_hand_out(
	struct target *target, const struct data_call *call, const struct done_call *done)
{
	cr_expect_neq(target->tid, 0);
	cr_expect_eq(call->call, MQ_CALL_RECEIVE);
	handed_out++;
	return done->result;
}

static char logged[1024];

void __wrap_log_message(int level, const char *format, ...) _printf_(2, 3);
void __wrap_log_message(int level, const char *format, ...)
{
	va_list arguments;

	(void)level;
	va_start(arguments, format);
	(void)vsnprintf(logged, sizeof(logged), format, arguments);
	va_end(arguments);
}

/* --- a session process ----------------------------------------------------------------------- */

static struct supervisor supervisor;
static struct waiters *waiters = &supervisor.waiters;
static struct inflight *inflight;
static struct counters counters;
static struct pollfd fds[SESSION_WAITING_MAX];
static uint64_t latest_id;

static void setup(void)
{
	_cleanup_close_ int fd = memfd_create("test", MFD_CLOEXEC);

	cr_assert_eq(ftruncate(fd, (off_t)INFLIGHT_SIZE), 0);
	cr_assert_eq(inflight_map(fd, &inflight), 0);
	supervisor.inflight = inflight;
	supervisor.listener = LISTENER;
	waiters->next_look = UINT64_MAX;
	now = 1000 * SECOND;
}

TestSuite(waiting, .init = setup);
TestSuite(resuming, .init = setup);

static struct seccomp_notif call_of(uint64_t id, int nr)
{
	callers[id].waits = true;
	return (struct seccomp_notif){
		.id = id, .pid = 100 + (uint32_t)id, .data = {.nr = nr, .arch = native_arch}};
}

static const struct wanted reading = {.name = "queue",
	.spaces = SPACE_CALLER,
	.subject = {.uid = UID_NONE},
	.needs = PERMISSION_READ,
	.counters = &counters};

/* Its id; it has a descriptor of the queue, and a thread. */
static uint64_t wait_as(enum mq_call call, struct emulated emulated, const struct wanted *wanted)
{
	struct target target = TARGET_CLOSED;

	emulated.call.call = call;
	inflight->notification = call_of(++latest_id, SYS_mq_timedreceive);
	target.tid = (pid_t)inflight->notification.pid;
	cr_assert_eq(waiters_add(waiters, inflight, &target, &emulated, wanted), 0);
	cr_expect_eq(target.tid, 0, "it is taken over");
	cr_expect_eq(emulated.queue, -EBADF);
	return latest_id;
}

static uint64_t wait_to_receive(void)
{
	return wait_as(MQ_CALL_RECEIVE, EMULATED_NONE, &reading);
}

static uint64_t wait_no_longer_than(uint64_t usec)
{
	struct emulated emulated = EMULATED_NONE;

	emulated.has_deadline = true;
	(void)__wrap_clock_gettime(CLOCK_REALTIME, &emulated.deadline);
	emulated.deadline.tv_sec += (time_t)(usec / SECOND);
	emulated.deadline.tv_nsec += (long)(usec % SECOND * 1000);
	return wait_as(MQ_CALL_RECEIVE, emulated, &reading);
}

static uint64_t wait_to_open(const char *name)
{
	struct request request = {.call = MQ_CALL_OPEN};
	struct wanted wanted = reading;
	struct target target = TARGET_CLOSED;

	(void)snprintf(request.name, sizeof(request.name), "%s", name);
	wanted.name = name;
	wanted.spaces = 0;
	inflight->notification = call_of(++latest_id, SYS_mq_open);
	target.tid = (pid_t)inflight->notification.pid;
	cr_assert_eq(waiters_add_open(waiters, inflight, &target, &request, &wanted), 0);
	return latest_id;
}

/* As after poll(): those with these bits are ready. */
static void serve_ready(uint64_t ready)
{
	waiters_poll(waiters, fds);
	for (size_t i = 0; i < waiters->count; i++)
		fds[i].revents = ready >> i & 1 ? POLLIN : 0;
	waiters_serve(waiters, LISTENER, fds, &inflight->done);
}

static void serve_none_at_a_look(void)
{
	waiters->next_look = now;
	serve_ready(0);
}

static bool is_noted(uint64_t id)
{
	const struct seccomp_notif *noted;

	for (uint32_t i = 1; (noted = inflight_noted(inflight, i)); i++)
		if (noted->id == id)
			return true;
	return false;
}

/* --- what becomes of them -------------------------------------------------------------------- */

Test(waiting, what_is_done_is_answered_and_counted)
{
	uint64_t id = wait_to_receive();

	outcome = 5;
	serve_ready(1);
	expect_answer(id, 5);
	cr_expect_eq(tried_id, id);
	cr_expect_eq(counters.received, 1U);
	cr_expect_eq(inflight->done.id, 0U, "it is not taken up again");
	cr_expect_eq(waiters->count, 0U);
	cr_expect_not(is_noted(id));
}

Test(waiting, what_fails_is_answered)
{
	uint64_t id = wait_to_receive();

	outcome = -EBADF;
	serve_ready(1);
	expect_answer(id, -EBADF);
	cr_expect_eq(counters.refused, 1U);
	cr_expect_eq(waiters->count, 0U);
}

Test(waiting, who_was_too_late_waits_on)
{
	uint64_t id = wait_to_receive();

	outcome = -EINPROGRESS;
	serve_ready(1);
	cr_expect_eq(tries, 1U);
	expect_no_answer(id);
	cr_expect_eq(waiters->count, 1U);
	cr_expect(is_noted(id));
	serve_ready(0);
	cr_expect_eq(tries, 1U, "it is not tried before it is ready");
}

/* A message would be taken for nobody. */
Test(waiting, nothing_is_tried_for_who_is_gone)
{
	uint64_t id = wait_to_receive();

	callers[id].waits = false;
	serve_ready(1);
	cr_expect_eq(tries, 0U);
	cr_expect_eq(waiters->count, 0U);
	cr_expect_not(is_noted(id));
}

Test(waiting, who_is_gone_is_seen_at_a_look_only)
{
	uint64_t id = wait_to_receive();

	callers[id].waits = false;
	waiters->next_look = UINT64_MAX;
	serve_ready(0);
	cr_expect_eq(waiters->count, 1U);
	serve_none_at_a_look();
	cr_expect_eq(waiters->count, 0U);
	cr_expect_not(is_noted(id));
}

Test(waiting, each_is_tried_by_its_own_readiness)
{
	uint64_t first = wait_to_receive(), second = wait_to_receive(), third = wait_to_receive();

	outcome = 1;
	serve_ready(1 | 1 << 2);
	expect_answer(first, 1);
	expect_no_answer(second);
	expect_answer(third, 1);
	cr_assert_eq(waiters->count, 1U);
	cr_expect_eq(waiters->items[0]->note->id, second);
}

Test(waiting, a_timeout_ends_it)
{
	uint64_t late = wait_no_longer_than(0), later = wait_no_longer_than(100 * SECOND);
	uint64_t never = wait_to_receive();

	serve_none_at_a_look();
	expect_answer(late, -ETIMEDOUT);
	expect_no_answer(later);
	expect_no_answer(never);
	cr_expect_eq(waiters->count, 2U);
}

Test(waiting, a_signal_lets_it_go_to_be_handled)
{
	uint64_t id = wait_to_receive(), other = wait_to_receive();

	signalled = 100 + (pid_t)id;
	serve_none_at_a_look();
	expect_answer(id, -ERESTARTSYS);
	cr_expect_eq(bounced_arch, native_arch);
	expect_no_answer(other);
	cr_expect_eq(waiters->count, 1U);
}

Test(waiting, who_cannot_be_stopped_hears_of_a_signal_all_the_same)
{
	uint64_t id = wait_to_receive();

	signalled = 100 + (pid_t)id;
	cannot_bounce = true;
	serve_none_at_a_look();
	expect_answer(id, -EINTR);
	cr_expect_eq(waiters->count, 0U);
}

/* --- mq_open --------------------------------------------------------------------------------- */

Test(waiting, an_open_is_due_after_each_look_the_oldest_first)
{
	uint64_t data = wait_to_receive(), first = wait_to_open("one"),
		 second = wait_to_open("two");
	struct seccomp_notif *note;
	struct request request;

	cr_expect_not(waiters_take_due(waiters, &note, &request));
	serve_none_at_a_look();
	cr_assert(waiters_take_due(waiters, &note, &request));
	cr_expect_eq(note->id, first, "it is noted until it is taken up");
	cr_expect_str_eq(request.name, "one");
	cr_assert(waiters_take_due(waiters, &note, &request));
	cr_expect_eq(note->id, second);
	cr_expect_str_eq(request.name, "two");
	cr_expect_not(waiters_take_due(waiters, &note, &request));
	cr_assert_eq(waiters->count, 1U);
	cr_expect_eq(waiters->items[0]->note->id, data);
	cr_expect(callers[first].waits && callers[second].waits && callers[data].waits);
}

/* --- when ------------------------------------------------------------------------------------ */

#define EACH 500 /* microseconds that each one adds */

static uint64_t interval_after(uint64_t waited_usec)
{
	waiters->newest = now - waited_usec;
	serve_none_at_a_look();
	return waiters->next_look - now;
}

Test(waiting, the_next_look_is_soon_after_a_new_one_came)
{
	(void)wait_to_receive();
	cr_expect_eq(waiters->newest, now);
	cr_expect_eq(waiters->next_look, now + 5000);
	waiters->next_look = now + 42;
	now++;
	(void)wait_to_receive();
	cr_expect_eq(waiters->newest, now);
	cr_expect_eq(waiters->next_look, now + 41, "or before that");
}

Test(waiting, the_longer_nothing_new_came_the_later_is_the_next_look)
{
	for (int i = 0; i < 10; i++)
		(void)wait_to_receive();
	cr_expect_eq(interval_after(0), 5000U + 10 * EACH);
	cr_expect_eq(interval_after(300000), 30000U + 10 * EACH);
	cr_expect_eq(interval_after(900 * SECOND), 50000U + 10 * EACH);
	now = waiters->next_look - 1;
	serve_ready(0);
	cr_expect_eq(waiters->next_look, now + 1, "not before it is due");
}

Test(waiting, a_look_is_no_later_than_a_timeout)
{
	(void)wait_no_longer_than(30000);
	cr_expect_eq(interval_after(900 * SECOND), 30001U);
	(void)wait_no_longer_than(20000);
	(void)wait_no_longer_than(100 * SECOND);
	cr_expect_eq(interval_after(900 * SECOND), 20001U);
}

Test(waiting, the_time_that_looking_took_is_no_reason_to_look_again)
{
	(void)wait_to_receive();
	outcome = -EINPROGRESS;
	takes = 30000;
	waiters->next_look = now;
	serve_ready(1);
	cr_expect_eq(waiters->next_look, now + 5000 + EACH);
}

Test(waiting, poll_waits_until_the_next_look)
{
	cr_expect_eq(waiters_timeout(waiters), -1, "there is none");
	inflight->notification = call_of(++latest_id, SYS_mq_open);
	cr_assert_eq(waiters_delay(waiters, inflight, now + 10 * SECOND), 0);
	waiters->next_look = now;
	cr_expect_eq(waiters_timeout(waiters), 10000, "a refusal needs no look");
	(void)wait_to_receive();
	waiters->next_look = now + 5 * SECOND;
	cr_expect_eq(waiters_timeout(waiters), 5000);
	waiters->next_look = now + 100 * SECOND;
	cr_expect_eq(waiters_timeout(waiters), 10000);
	waiters->items[0]->refuse_at = now;
	cr_expect_eq(waiters_timeout(waiters), 0);
	waiters->items[0]->refuse_at = now - 1;
	cr_expect_eq(waiters_timeout(waiters), 0);
}

/* It does not wake up early, to find nothing to do. */
Test(waiting, the_time_until_the_next_look_is_rounded_up)
{
	(void)wait_to_receive();
	waiters->next_look = now + 1;
	cr_expect_eq(waiters_timeout(waiters), 1);
	waiters->next_look = now + 1000;
	cr_expect_eq(waiters_timeout(waiters), 1);
	waiters->next_look = now + 1001;
	cr_expect_eq(waiters_timeout(waiters), 2);
}

Test(waiting, a_sender_waits_for_room_and_a_receiver_for_a_message)
{
	int queue = open("/dev/null", O_RDONLY | O_CLOEXEC), another = dup(queue);

	(void)wait_as(MQ_CALL_RECEIVE, (struct emulated){.queue = queue}, &reading);
	(void)wait_as(MQ_CALL_SEND, (struct emulated){.queue = another}, &reading);
	waiters_poll(waiters, fds);
	cr_expect(fds[0].fd == queue && fds[0].events == POLLIN);
	cr_expect(fds[1].fd == another && fds[1].events == POLLOUT);
}

/* --- grants ---------------------------------------------------------------------------------- */

static void revise(const struct grant *rules, size_t count)
{
	struct grants *grants;

	cr_assert_eq(grants_new(1, &grants), 0);
	for (size_t i = 0; i < count; i++)
		cr_assert_eq(grants_add(grants, &rules[i]), 0);
	grants_seal(grants);
	waiters_revise(waiters, LISTENER, grants);
	(void)grants_free(grants);
}

static uint64_t wait_for_permissions(const char *name, uint32_t spaces, uint32_t needs)
{
	struct wanted wanted = reading;
	char text[16];
	uint64_t id;

	wanted.name = strcpy(text, name);
	wanted.spaces = spaces;
	wanted.needs = needs;
	id = wait_as(MQ_CALL_RECEIVE, EMULATED_NONE, &wanted);
	memset(text, 'x', sizeof(text) - 1); /* its own memory */
	return id;
}

Test(waiting, what_is_not_granted_any_more_is_refused)
{
	const struct grant rule = {.name = "queue", .permissions = PERMISSION_READ};
	uint64_t read = wait_for_permissions("queue", SPACE_CALLER, PERMISSION_READ);
	uint64_t write = wait_for_permissions("queue", SPACE_CALLER, PERMISSION_WRITE);
	uint64_t both =
		wait_for_permissions("queue", SPACE_CALLER, PERMISSION_READ | PERMISSION_WRITE);
	uint64_t other = wait_for_permissions("other", SPACE_CALLER, PERMISSION_READ);
	uint64_t last = wait_for_permissions("queue", SPACE_CALLER, PERMISSION_READ);

	revise(&rule, 1);
	expect_no_answer(read);
	expect_no_answer(last);
	expect_answer(write, -EACCES);
	expect_answer(both, -EACCES);
	expect_answer(other, -EACCES);
	cr_expect_eq(waiters->count, 2U);
	cr_expect_eq(counters.denied, 3U);
	cr_expect(is_noted(read) && is_noted(last));
	cr_expect_not(is_noted(write) || is_noted(both) || is_noted(other));
}

/* What an mq_open named is the program's name; what is known of a descriptor is the queue's. */
Test(waiting, a_name_of_the_programs_is_not_one_of_a_queue)
{
	const struct grant rule = {
		.name = "alias", .queue = "queue", .permissions = PERMISSION_READ};
	uint64_t by_alias = wait_for_permissions("alias", 0, PERMISSION_READ);
	uint64_t by_name = wait_for_permissions("queue", 0, PERMISSION_READ);
	uint64_t of_alias = wait_for_permissions("alias", SPACE_CALLER, PERMISSION_READ);
	uint64_t of_queue = wait_for_permissions("queue", SPACE_CALLER, PERMISSION_READ);

	revise(&rule, 1);
	expect_no_answer(by_alias);
	expect_no_answer(of_queue);
	expect_answer(by_name, -EACCES);
	expect_answer(of_alias, -EACCES);
}

Test(waiting, a_refusal_that_waits_is_answered_and_not_counted_again)
{
	const struct grant rule = {.name = "queue", .permissions = PERMISSION_READ};
	uint64_t id = ++latest_id;

	inflight->notification = call_of(id, SYS_mq_timedreceive);
	cr_assert_eq(waiters_delay(waiters, inflight, now + 100 * SECOND), 0);
	cr_expect_eq(waiters->delayed, 1U);
	serve_none_at_a_look();
	expect_no_answer(id);
	revise(&rule, 1);
	expect_answer(id, -EACCES);
	cr_expect_eq(waiters->delayed, 0U);
	cr_expect_eq(counters.denied, 0U);
}

Test(waiting, a_refusal_is_answered_when_its_time_has_come)
{
	uint64_t id = ++latest_id;

	inflight->notification = call_of(id, SYS_mq_timedreceive);
	cr_assert_eq(waiters_delay(waiters, inflight, now + 1), 0);
	serve_ready(0);
	expect_no_answer(id);
	now++;
	serve_ready(0);
	expect_answer(id, -EACCES);
	cr_expect_eq(waiters->count, 0U);
}

/* --- bounds ---------------------------------------------------------------------------------- */

Test(waiting, one_of_as_many_as_can_wait_is_taken_out)
{
	uint64_t last_but_one = 0;

	for (int i = 0; i < SESSION_WAITING_MAX; i++)
		last_but_one = wait_to_receive() - 1;
	callers[last_but_one].waits = false;
	serve_none_at_a_look();
	cr_assert_eq(waiters->count, SESSION_WAITING_MAX - 1U);
	cr_expect_eq(waiters->delayed, 0U);
	for (size_t i = 0; i < waiters->count; i++)
		cr_assert(callers[waiters->items[i]->note->id].waits);
}

/* The notes are in memory that is not only ours. */
Test(waiting, a_note_that_is_wiped_makes_no_room)
{
	struct emulated emulated = EMULATED_NONE;
	struct target target = TARGET_CLOSED;

	for (int i = 0; i < SESSION_WAITING_MAX; i++)
		(void)wait_to_receive();
	inflight->waiting[7].id = 0;
	inflight->notification = call_of(++latest_id, SYS_mq_timedreceive);
	cr_expect_eq(waiters_add(waiters, inflight, &target, &emulated, &reading), -ENOSPC);
	cr_expect_eq(waiters->count, (size_t)SESSION_WAITING_MAX);
	cr_expect_eq(inflight->waiting[7].id, 0U);
}

Test(waiting, without_memory_nothing_waits)
{
	struct emulated emulated = EMULATED_NONE;
	struct target target = TARGET_CLOSED;
	static const struct request request = {.call = MQ_CALL_OPEN};

	inflight->notification = call_of(++latest_id, SYS_mq_timedreceive);
	no_memory = true;
	cr_expect_eq(waiters_add(waiters, inflight, &target, &emulated, &reading), -ENOMEM);
	cr_expect_eq(waiters_add_open(waiters, inflight, &target, &request, &reading), -ENOMEM);
	cr_expect_eq(waiters_delay(waiters, inflight, now), -ENOMEM);
	cr_expect_eq(waiters->count, 0U);
	cr_expect_eq(waiters->delayed, 0U);
	cr_expect_not(is_noted(latest_id));
}

/* --- what is kept ---------------------------------------------------------------------------- */

Test(waiting, a_call_is_noted_whole_for_the_next_session_process)
{
	uint64_t id = wait_to_receive();
	struct seccomp_notif expected = call_of(id, SYS_mq_timedreceive);

	cr_expect_eq(inflight->waiting_used, 1U);
	cr_expect_arr_eq(&inflight->waiting[0], &expected, sizeof(expected));
	(void)wait_to_receive();
	callers[id].waits = false;
	serve_ready(1);
	cr_expect_eq(inflight->waiting[0].id, 0U);
	cr_expect_eq(wait_to_receive(), inflight->waiting[0].id, "its place is free");
	cr_expect_eq(inflight->waiting_used, 2U);
}

/* They are taken up one by one: meanwhile the call in hand may have to wait. */
Test(waiting, what_an_earlier_session_process_has_noted_leaves_no_room)
{
	struct emulated emulated = EMULATED_NONE;
	struct target target = TARGET_CLOSED;

	inflight->waiting_used = SESSION_WAITING_MAX;
	for (uint32_t i = 0; i < SESSION_WAITING_MAX; i++)
		inflight->waiting[i].id = i + 1;
	target.tid = 42;
	emulated.queue = 43;
	inflight->notification = call_of(SESSION_WAITING_MAX + 1, SYS_mq_timedreceive);
	cr_expect_eq(waiters_add(waiters, inflight, &target, &emulated, &reading), -ENOSPC);
	cr_expect(target.tid == 42 && emulated.queue == 43, "nothing is taken over");
	cr_expect_eq(inflight->waiting_used, (uint32_t)SESSION_WAITING_MAX);
	inflight->waiting[SESSION_WAITING_MAX - 1].id = 0;
	cr_expect_eq(waiters_add(waiters, inflight, &target, &emulated, &reading), 0);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

Test(waiting, who_waits_no_longer_leaves_no_descriptor)
{
	struct target target = TARGET_CLOSED;
	struct emulated emulated = EMULATED_NONE;

	target.proc = open("/proc/self", O_PATH | O_CLOEXEC);
	emulated.queue = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fds[0].fd = target.proc;
	fds[1].fd = emulated.queue;
	inflight->notification = call_of(++latest_id, SYS_mq_timedreceive);
	cr_assert_eq(waiters_add(waiters, inflight, &target, &emulated, &reading), 0);
	cr_assert(is_open(fds[0].fd) && is_open(fds[1].fd));
	revise(NULL, 0);
	cr_expect_not(is_open(fds[0].fd));
	cr_expect_not(is_open(fds[1].fd));
}

/* With sanitizers they tell. */
Test(waiting, who_waits_no_longer_leaves_no_memory)
{
	size_t before = mallinfo2().uordblks;

	for (int i = 0; i < 100; i++) {
		struct emulated emulated = EMULATED_NONE;

		emulated.call.size = 512;
		emulated.message = malloc(512);
		(void)wait_as(MQ_CALL_SEND, emulated, &reading);
		(void)wait_to_open("queue");
		revise(NULL, 0);
	}
	cr_expect_eq(waiters->bytes, 0U);
	cr_expect_lt(mallinfo2().uordblks, before + 20000);
}

/* --- the next session process ---------------------------------------------------------------- */

Test(resuming, an_open_that_is_due_is_in_hand_again)
{
	uint64_t id = wait_to_open("one");

	serve_none_at_a_look();
	resume_due(&supervisor);
	cr_expect_eq(served, 1U);
	cr_expect_str_eq(served_name, "one");
	cr_expect_eq(in_hand.id, id);
	cr_expect_eq(in_hand.data.nr, SYS_mq_open);
	cr_expect_not(was_noted, "it would be taken up twice");
	cr_expect_gt(taken_up_at, 0U, "the clock runs");
	cr_expect_eq(inflight->notification.id, 0U);
	cr_expect_eq(inflight->head.since, 0U);
	resume_due(&supervisor);
	cr_expect_eq(served, 1U);
}

/* Its id. */
static uint64_t leave_in_hand(void)
{
	inflight->notification = call_of(++latest_id, SYS_mq_timedreceive);
	inflight->notification.data.args[0] = 3;
	return latest_id;
}

static uint64_t leave_waiting(void)
{
	inflight->waiting[inflight->waiting_used++] = call_of(++latest_id, SYS_mq_timedreceive);
	return latest_id;
}

static void leave_done(uint64_t id, int64_t result)
{
	inflight->done.id = id;
	inflight->done.result = result;
}

static void expect_left_nothing(void)
{
	cr_expect_eq(inflight->notification.id, 0U);
	cr_expect_eq(inflight->done.id, 0U);
	cr_expect_eq(inflight->head.since, 0U);
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		cr_expect_eq(inflight->waiting[i].id, 0U);
}

Test(resuming, what_was_in_hand_is_served)
{
	uint64_t id = leave_in_hand();

	inflight->phase = INFLIGHT_ACTED;
	resume_all(&supervisor);
	cr_expect_eq(served, 1U);
	cr_expect_not(served_again);
	cr_expect_eq(in_hand.id, id);
	cr_expect_eq(inflight->phase, INFLIGHT_ACTED, "what it had done is known");
	cr_expect_gt(taken_up_at, 0U, "the clock runs");
	expect_left_nothing();
}

Test(resuming, what_waited_is_served_and_no_longer_noted)
{
	uint64_t id = leave_waiting();

	inflight->waiting_used = 3;
	inflight->phase = INFLIGHT_ACTED;
	resume_all(&supervisor);
	cr_expect_eq(served, 1U);
	cr_expect(served_again);
	cr_expect_eq(in_hand.id, id);
	cr_expect_eq(inflight->phase, INFLIGHT_RECEIVED);
	cr_expect_not(was_noted, "it would be taken up twice");
	cr_expect_gt(taken_up_at, 0U, "the clock runs");
	expect_left_nothing();
}

Test(resuming, as_many_as_can_wait_are_served)
{
	inflight->processes.count = 1;
	for (int i = 0; i < SESSION_WAITING_MAX; i++)
		(void)leave_waiting();
	resume_all(&supervisor);
	cr_expect_eq(served, (unsigned)SESSION_WAITING_MAX);
	cr_expect_eq(inflight->processes.count, 1U, "what lies behind them is no call");
	expect_left_nothing();
}

Test(resuming, who_is_gone_is_not_served)
{
	uint64_t first = leave_in_hand(), second = leave_waiting();

	callers[first].waits = callers[second].waits = false;
	resume_all(&supervisor);
	cr_expect_eq(served, 0U);
	expect_left_nothing();
}

Test(resuming, there_is_nothing_to_do)
{
	callers[0].waits = true;
	resume_all(&supervisor);
	cr_expect_eq(served, 0U);
	expect_no_answer(0);
	expect_left_nothing();
}

Test(resuming, what_was_done_in_hand_is_answered_and_not_served)
{
	uint64_t id = leave_in_hand();

	leave_done(id, 5);
	resume_all(&supervisor);
	expect_answer(id, 5);
	cr_expect_eq(handed_out, 1U);
	cr_expect_eq(served, 0U);
	cr_expect_str_empty(logged);
	expect_left_nothing();
}

/* The result of a send of nothing, or of an empty message. */
Test(resuming, what_has_a_result_of_nothing_is_handed_out_too)
{
	uint64_t id = leave_in_hand();

	leave_done(id, 0);
	resume_all(&supervisor);
	expect_answer(id, 0);
	cr_expect_eq(handed_out, 1U);
}

Test(resuming, what_was_done_is_not_done_again_if_the_answer_gets_lost)
{
	uint64_t id = leave_in_hand();

	undeliverable = true;
	leave_done(id, 5);
	resume_all(&supervisor);
	cr_expect_eq(served, 0U);
	expect_left_nothing();
}

Test(resuming, what_was_done_of_what_waited_is_answered_and_not_served)
{
	uint64_t first = leave_waiting(), second = leave_waiting(), third = leave_waiting();

	leave_done(second, 5);
	resume_all(&supervisor);
	expect_no_answer(first);
	expect_answer(second, 5);
	expect_no_answer(third);
	cr_expect_eq(served, 2U);
	expect_left_nothing();
}

Test(resuming, what_has_done_nothing_is_served)
{
	uint64_t id = leave_in_hand();

	leave_done(id, -EINPROGRESS);
	resume_all(&supervisor);
	expect_no_answer(id);
	cr_expect_eq(served, 1U);
	cr_expect_eq(in_hand.id, id);
	expect_left_nothing();
}

Test(resuming, what_was_done_for_nobody_that_is_noted_is_forgotten)
{
	uint64_t id = leave_in_hand();

	callers[id + 1].waits = true;
	leave_done(id + 1, 5);
	resume_all(&supervisor);
	expect_no_answer(id + 1);
	cr_expect_eq(served, 1U, "the one in hand");
	expect_left_nothing();
}

Test(resuming, who_is_gone_is_not_handed_what_was_done)
{
	uint64_t id = leave_in_hand();

	callers[id].waits = false;
	leave_done(id, -EIO);
	resume_all(&supervisor);
	expect_no_answer(id);
	cr_expect_eq(handed_out, 0U);
	cr_expect_str_empty(logged, "nobody's message is uncertain");
	expect_left_nothing();
}

Test(resuming, who_cannot_be_looked_at_is_answered_all_the_same)
{
	uint64_t id = leave_in_hand();

	cannot_open = true;
	leave_done(id, 5);
	resume_all(&supervisor);
	expect_answer(id, -EIO);
	cr_expect_eq(handed_out, 0U);
	cr_expect_not_null(strstr(logged, "uncertain"));
}

static void expect_logged(const char *text)
{
	uint64_t id = leave_in_hand();
	char expected[256];

	leave_done(id, -EIO);
	resume_all(&supervisor);
	expect_answer(id, -EIO);
	cr_expect_eq(handed_out, 0U);
	(void)snprintf(expected, sizeof(expected),
		"uncertain mq_timedreceive %s of thread %d: ", text, 100 + (int)id);
	cr_expect(startswith(logged, expected), "%s", logged);
}

Test(resuming, what_is_uncertain_is_told_with_the_name_of_its_queue)
{
	struct queues *queues = &inflight->queues;

	key_behind = (struct queue_key){.device = 1, .inode = 2};
	queues->count = 2;
	queues->keys[1] = key_behind;
	(void)strcpy(queues->entries[0].name, "another");
	(void)strcpy(queues->entries[1].name, "jobs\n");
	expect_logged("/jobs\\x0a");
}

Test(resuming, what_is_uncertain_is_told_of_an_unknown_queue_too)
{
	inflight->queues.count = 1;
	(void)strcpy(inflight->queues.entries[0].name, "another");
	expect_logged("/");
	key_behind = (struct queue_key){.device = 1, .inode = 2};
	handed_out = 0;
	expect_logged("/");
}
