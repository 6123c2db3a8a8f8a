/* SPDX-License-Identifier: MIT */
/* Calls that die, and apps that change, between any two steps of the session process.
 *
 * Each kind of call is made once undisturbed, which tells its steps; then again for each step, and
 * exactly before that step
 *
 *   dies      the caller is killed and reaped;
 *   execs     another thread of it executes a program;
 *   reused    it is killed, and its number is at once that of a victim: a process of root's, which
 *             is not confined, has other things at the same addresses and under the same
 *             descriptor, and hears of it if anything disturbs it;
 *   changes   another thread rewrites the arguments and exchanges the descriptor;
 *   leaves    the same, and it has ended before the step is made: the caller is alone then.
 *
 * Then it is looked at what became of the queues, of the session process and of the victim, and
 * whether the next calls are answered rightly. */
#include "step-scene.h"

/* --- kinds --- */

static void set_scene(const struct kind *kind)
{
	play = mmap(NULL, sizeof(*play), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert_neq(play, MAP_FAILED);
	cr_assert_eq(pipe(nudge), 0);
	cr_assert_eq(pipe(nudged), 0);
	door_open(&door, NOBODY, be_given_queues, be_app);
	name_queues(door.stage);
	door_grant_both(&door, kind->partly ? PERMISSION_WRITE : PERMISSIONS_ALL,
		kind->watched ? PERMISSION_WRITE : PERMISSIONS_ALL);
	inflight = door_notes(&door);
	door_wait(&door);
}

static void make_foreign_queue(void)
{
	_cleanup_close_ int home = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	struct descriptor descriptor;

	cr_assert_eq(unshare(CLONE_NEWIPC), 0);
	foreign_namespace = open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC);
	descriptors[FOREIGN] = make_queue(FOREIGN, 0);
	cr_assert_eq(own_descriptor(descriptors[FOREIGN], &descriptor), 0);
	keys[FOREIGN] = descriptor.key;
	cr_assert_eq(setns(home, CLONE_NEWIPC), 0);
}

static void set_victims_queues(void)
{
	for (int i = 0; i < FOREIGN; i++) {
		struct descriptor descriptor;

		descriptors[i] = make_queue((enum place)i, 0);
		cr_assert_eq(own_descriptor(descriptors[i], &descriptor), 0);
		keys[i] = descriptor.key;
	}
	make_foreign_queue();
}

/* Sanitized it is held at every third step of a kind. */
static void run_kinds(const struct kind *kinds, size_t count, enum deed deed)
{
	const unsigned stride = getenv("SANITIZED") ? 3 : 1;

	set_scene(kinds);
	set_victims_queues();
	step_attach(&stepper, door.session);
	for (size_t i = 0; i < count && complaint[0] == '\0'; i++) {
		unsigned steps = run_once(&kinds[i], UNDISTURBED, 0);

		cr_expect_gt(steps, 4);
		for (unsigned at = 1 + i % stride; at <= steps && complaint[0] == '\0';
			at += stride)
			(void)run_once(&kinds[i], deed, at);
	}
	cr_expect_eq(complaint[0], '\0', "%s", complaint);
	tell(END);
	(void)mq_unlink(names[DENIED]);
	door_close(&door);
}

static const struct kind on_names[] = {
	{.name = "mq_open", .call = call_open, .at = OWN, .after = DENIED},
	{.name = "mq_open of root's",
		.call = call_open,
		.at = ROOTS,
		.after = DENIED,
		.expected = -EACCES},
	{.name = "mq_open of a denied one",
		.call = call_open,
		.at = DENIED,
		.after = OWN,
		.expected = -EACCES},
	{.name = "mq_open with O_CREAT",
		.call = call_create,
		.at = OWN,
		.after = DENIED,
		.no_own = true,
		.no_root = true,
		.creates = true},
	{.name = "mq_open with O_CREAT and O_EXCL",
		.call = call_create_exclusively,
		.at = OWN,
		.after = DENIED,
		.no_own = true,
		.no_root = true,
		.creates = true},
	{.name = "mq_open with O_CREAT of a denied one",
		.call = call_create,
		.at = DENIED,
		.after = OWN,
		.no_root = true,
		.expected = -EACCES},
	{.name = "mq_unlink", .call = call_unlink, .at = OWN, .after = DENIED, .deletes = true},
	{.name = "mq_unlink of root's",
		.call = call_unlink,
		.at = ROOTS,
		.after = DENIED,
		.expected = -EPERM},
	{.name = "mq_unlink of a denied one",
		.call = call_unlink,
		.at = DENIED,
		.after = OWN,
		.expected = -EACCES},
};

/* Of a queue that somebody has leased. */
static const struct kind that_wait_for_a_lease[] = {
	{.name = "mq_open that waits",
		.call = call_open,
		.at = OWN,
		.after = DENIED,
		.leased = true},
	{.name = "mq_open with O_CREAT that waits",
		.call = call_create,
		.at = OWN,
		.after = DENIED,
		.no_root = true,
		.leased = true},
};

#define DATA_CALLS 6

static const struct kind on_descriptors[DATA_CALLS] = {
	{.name = "mq_timedsend", .call = call_send, .messages = 1, .delta = 1},
	{.name = "mq_timedreceive",
		.call = call_receive,
		.expected = 3,
		.messages = 1,
		.delta = -1},
	{.name = "mq_getattr", .call = call_get_attributes},
	{.name = "mq_setattr", .call = call_set_attributes, .flags = O_NONBLOCK},
	{.name = "mq_notify", .call = call_register},
	{.name = "mq_notify(NULL)", .call = call_remove},
};

static const struct kind that_wait[] = {
	{.name = "mq_timedreceive that waits",
		.call = call_receive,
		.expected = 3,
		.delta = -1,
		.trigger = 1,
		.on_descriptor = true,
		.tainted = true,
		.known = true,
		.at = OWN,
		.after = DENIED,
		.victims = OWN},
	{.name = "mq_timedsend that waits",
		.call = call_send,
		.delta = 1,
		.messages = MESSAGES,
		.trigger = -1,
		.on_descriptor = true,
		.tainted = true,
		.known = true,
		.at = OWN,
		.after = DENIED,
		.victims = OWN},
};

static const struct kind watched = {.name = "mq_notify that is watched",
	.call = call_register,
	.on_descriptor = true,
	.known = true,
	.watched = true,
	.at = OWN,
	.after = DENIED,
	.victims = OWN};

/* The calls on a descriptor of such a queue, in such a session. */
static void run_data_calls(const struct kind *setting, enum deed deed)
{
	static struct kind kinds[DATA_CALLS];

	for (size_t i = 0; i < DATA_CALLS; i++) {
		const struct kind *call = &on_descriptors[i];

		kinds[i] = *setting;
		kinds[i].on_descriptor = true;
		kinds[i].name = call->name;
		kinds[i].call = call->call;
		kinds[i].messages = 1;
		kinds[i].expected = -EACCES;
		if (setting->at == OWN) {
			kinds[i].expected = call->expected;
			kinds[i].delta = call->delta;
			kinds[i].flags = call->flags;
		} else if (call->call == call_remove) {
			kinds[i].expected = 0;
		}
		if (setting->partly &&
			(call->call == call_receive || call->call == call_register)) {
			kinds[i].expected = -EACCES;
			kinds[i].delta = 0;
		}
		/* Nobody can make it for the caller. */
		if (call->call == call_remove)
			kinds[i].after = NOWHERE;
	}
	run_kinds(kinds, DATA_CALLS, deed);
}

/* clang-format off */
static const struct kind
	known = {.at = OWN, .after = NOWHERE, .victims = OWN, .known = true},
	against_denied = {.at = OWN, .after = NOWHERE, .victims = DENIED, .known = true},
	stranger = {.at = OWN, .after = NOWHERE, .victims = FOREIGN},
	refused = {.at = DENIED, .after = NOWHERE, .victims = OWN},
	tainted_known = {.at = OWN, .after = DENIED, .victims = OWN, .known = true, .tainted = true},
	tainted_stranger = {.at = OWN, .after = DENIED, .victims = FOREIGN, .tainted = true},
	/* Somebody outside has sent a descriptor that does more than is granted. */
	partly_known = {.at = OWN, .after = DENIED, .victims = OWN, .known = true, .partly = true},
	partly_stranger = {.at = OWN, .after = DENIED, .victims = FOREIGN, .partly = true};

#define STEP_TESTS(deed, DEED) \
	Test(deed, names) { run_kinds(on_names, ELEMENTSOF(on_names), DEED); } \
	Test(deed, known_queues) { run_data_calls(&known, DEED); } \
	Test(deed, strange_queues) { run_data_calls(&stranger, DEED); } \
	Test(deed, refused_queues) { run_data_calls(&refused, DEED); } \
	Test(deed, carried_known) { run_data_calls(&tainted_known, DEED); } \
	Test(deed, carried_strange) { run_data_calls(&tainted_stranger, DEED); } \
	Test(deed, partly_granted_known) { run_data_calls(&partly_known, DEED); } \
	Test(deed, partly_granted_strange) { run_data_calls(&partly_stranger, DEED); } \
	Test(deed, watched) { run_kinds(&watched, 1, DEED); } \
	Test(deed, waiting) { run_kinds(that_wait, ELEMENTSOF(that_wait), DEED); } \
	Test(deed, waiting_for_a_lease) { run_kinds(that_wait_for_a_lease, ELEMENTSOF(that_wait_for_a_lease), DEED); }

STEP_TESTS(dies, DIES)
STEP_TESTS(execs, EXECS)
STEP_TESTS(reused, REUSED)
STEP_TESTS(changes, CHANGES)
STEP_TESTS(leaves, LEAVES)
/* clang-format on */

Test(reused, known_queues_against_denied_ones)
{
	run_data_calls(&against_denied, REUSED);
}
