/* SPDX-License-Identifier: MIT */
/* What of the manager is a pure function, or needs no privilege. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/manager/changes/change.h"
#include "daemon/manager/mounts.h"
#include "daemon/manager/peers/peer.h"
#include "daemon/manager/sessions/kept-processes.h"
#include "daemon/manager/sessions/records.h"
#include "daemon/manager/sessions/session.h"
#include "fixture.h"
#include "include/protocol.h"
#include "include/verdict.h"

/* --- who is at the other end ------------------------------------------------------------------ */

Test(status, says_whether_it_may_be_confined)
{
	cr_expect_eq(status_may_be_confined("Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\n"
					    "Seccomp_filters:\t1\n",
			     false),
		1);
	cr_expect_eq(
		status_may_be_confined("NoNewPrivs:\t0\nSeccomp:\t2\n", false), 0, "a container");
	cr_expect_eq(
		status_may_be_confined("NoNewPrivs:\t0\nSeccomp:\t2\n", true), 1, "one of ours");
	cr_expect_eq(status_may_be_confined("NoNewPrivs:\t0\nSeccomp:\t0\n", true), 0);
	cr_expect_eq(status_may_be_confined("NoNewPrivs:\t1\nSeccomp:\t0\n", false), 0);
	cr_expect_eq(
		status_may_be_confined("NoNewPrivs:\t1\nSeccomp:\t1\n", false), 0, "strict mode");
}

Test(status, fails_closed)
{
	cr_expect_eq(status_may_be_confined("", false), -EBADMSG);
	cr_expect_eq(status_may_be_confined("NoNewPrivs:\t1\n", false), -EBADMSG);
	cr_expect_eq(status_may_be_confined("Seccomp:\t2\n", false), -EBADMSG);
	cr_expect_eq(status_may_be_confined("NoNewPrivs:\t1\nSeccomp:\t\n", false), -EBADMSG);
	cr_expect_eq(status_may_be_confined("NoNewPrivs:\t1\nSeccomp:\t2x\n", false), -EBADMSG);
	cr_expect_eq(
		status_may_be_confined("NoNewPrivs:\t1\nSeccomp_filters:\t2\n", false), -EBADMSG);
}

Test(status, a_name_forges_nothing)
{
	/* The kernel shows a line break in a name as "\n", two characters. */
	cr_expect_eq(status_may_be_confined(
			     "Name:\t\\nSeccomp:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\n", false),
		1);
	cr_expect_eq(
		status_may_be_confined("Name:\tSeccomp:\t0\nNoNewPrivs:\t1\nSeccomp:\t2\n", false),
		1);
}

Test(status, says_which_capabilities_there_can_ever_be)
{
	uint64_t capabilities = 0;

	cr_expect_eq(status_capabilities("CapInh:\t00000000000000ff\nCapPrm:\t0000000000000006\n"
					 "CapEff:\t0000000000000002\nNoNewPrivs:\t1\n",
			     &capabilities),
		0);
	cr_expect_eq(capabilities, 6);
	cr_expect_eq(
		status_capabilities("CapPrm:\t000001ffffffffff\nNoNewPrivs:\t1\n", &capabilities),
		0);
	cr_expect_eq(capabilities, 0x1ffffffffff);
	/* An exec may give it any. */
	cr_expect_eq(
		status_capabilities("CapPrm:\t0000000000000000\nNoNewPrivs:\t0\n", &capabilities),
		0);
	cr_expect_eq(capabilities, UINT64_MAX);
	cr_expect_eq(status_capabilities("CapPrm:\t0000000000000000\n", &capabilities), -EBADMSG);
	cr_expect_eq(status_capabilities("NoNewPrivs:\t1\n", &capabilities), -EBADMSG);
	cr_expect_eq(
		status_capabilities("CapPrm:\t00x\nNoNewPrivs:\t1\n", &capabilities), -EBADMSG);
}

Test(peer, has_the_ids_that_its_status_tells)
{
	static const char status[] = "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t9 10 \n";
	static const char no_groups[] = "Uid:\t1\t2\t3\t4\nGid:\t5\t6\t7\t8\nGroups:\t \n";
	const struct identity same = {.uid = 2, .gid = 6}, user = {.uid = 1, .gid = 6},
			      group = {.uid = 2, .gid = 5};
	const gid_t groups[] = {9, 10, 11};

	cr_expect(status_has_ids(status, &same, groups, 2));
	cr_expect_not(status_has_ids(status, &user, groups, 2));
	cr_expect_not(status_has_ids(status, &group, groups, 2));
	cr_expect_not(status_has_ids(status, &same, groups, 1), "a further one");
	cr_expect_not(status_has_ids(status, &same, groups, 3), "one less");
	cr_expect_not(status_has_ids(status, &same, groups + 1, 2), "others");
	cr_expect(status_has_ids(no_groups, &same, NULL, 0));
	cr_expect_not(status_has_ids(no_groups, &same, groups, 1));
	cr_expect_not(status_has_ids("Uid:\t1\t2\nGid:\t5\t6\n", &same, NULL, 0));
	cr_expect_not(status_has_ids("Uid:\t1\t2\nGroups:\t\n", &same, NULL, 0));
	cr_expect_not(status_has_ids("Gid:\t5\t6\nGroups:\t\n", &same, NULL, 0));
}

static void peers(int ret[static 2], struct identity *identity)
{
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ret), 0);
	cr_assert_eq(identity_of_peer(ret[0], identity), 0);
}

Test(peer, is_known_by_its_credentials)
{
	char command[COMMAND_STRING_MAX];
	struct identity identity;
	int sockets[2];

	(void)prctl(PR_SET_NAME, "a\tb");
	peers(sockets, &identity);
	cr_expect_eq(identity.pid, getpid());
	cr_expect_eq(identity.uid, geteuid());
	cr_expect(pidfd_is_alive(identity.pidfd));
	cr_expect_str_eq(identity_command(&identity, command), "a\\x09b");
	cr_expect_eq(peer_in_group(sockets[0], &identity, getegid()), 1);
	cr_expect_eq(peer_in_group(sockets[0], &identity, 4000000000U), 0);
	(void)close(identity.pidfd);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
}

Test(peer, is_gone_when_its_process_is)
{
	char command[COMMAND_STRING_MAX];
	struct identity identity = {.pidfd = -EBADF};
	uint64_t capabilities;

	identity.pid = fork();
	if (identity.pid == 0)
		_exit(0);
	cr_assert_eq(waitpid(identity.pid, NULL, 0), identity.pid);
	cr_expect_lt(identity_may_be_confined(&identity, false), 0);
	cr_expect_str_eq(identity_command(&identity, command), "");

	/* A pid that somebody else has by now. */
	identity.pid = getpid();
	cr_expect_eq(identity_may_be_confined(&identity, false), -ESRCH);
	cr_expect_eq(identity_capabilities(&identity, &capabilities), -ESRCH);
	cr_expect_str_eq(identity_command(&identity, command), "");
}

Test(listener, is_nothing_else)
{
	int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC), sockets[2];

	cr_expect_eq(listener_check(file), -EBADF);
	cr_expect_eq(listener_check(-1), -EBADF);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	cr_expect_eq(listener_check(sockets[0]), -EBADF);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	(void)close(file);
}

Test(listener, is_no_file_of_that_name)
{
	char directory[] = "/tmp/mqgate-test-XXXXXX", path[128], longer[128];
	int fd;

	cr_assert(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/anon_inode:seccomp notify", directory);
	(void)snprintf(longer, sizeof(longer), "%s/anon_inode:seccomp notify more", directory);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	cr_assert_geq(fd, 0);
	cr_expect_eq(listener_check(fd), -EBADF);
	(void)rename(path, longer);
	cr_expect_eq(listener_check(fd), -EBADF);
	(void)close(fd);
	(void)unlink(longer);
	(void)rmdir(directory);
}

/* --- bounds ----------------------------------------------------------------------------------- */

Test(restart, burst_costs_nothing_then_one_each_delay)
{
	uint64_t memory = 0, now = 1000000000;

	for (unsigned i = 0; i < RESTART_BURST; i++)
		cr_expect_eq(restart_at(&memory, now), now);
	cr_expect_eq(restart_at(&memory, now), now + RESTART_DELAY_USEC);
	now += RESTART_DELAY_USEC;
	cr_expect_eq(restart_at(&memory, now), now + RESTART_DELAY_USEC);
	now += (RESTART_BURST + 2) * RESTART_DELAY_USEC;
	for (unsigned i = 0; i < RESTART_BURST; i++)
		cr_expect_eq(restart_at(&memory, now), now, "credit comes back");
	cr_expect_gt(restart_at(&memory, now), now, "but no more than the burst");
}

Test(sessions, up_to_the_bounds)
{
	const size_t most = SESSIONS_MAX - SESSIONS_PER_USER_MAX;

	cr_expect_not(sessions_are_full(most - 1, 0, SESSIONS_PER_USER_MAX - 1));
	cr_expect(sessions_are_full(SESSIONS_PER_USER_MAX, 0, SESSIONS_PER_USER_MAX), "this user");
	cr_expect(sessions_are_full(most, 0, 1), "the rest is for root");
	cr_expect_not(sessions_are_full(SESSIONS_MAX - 1, SESSIONS_PER_USER_MAX, 1));
	cr_expect(sessions_are_full(SESSIONS_MAX, SESSIONS_PER_USER_MAX, 1));
}

Test(processes, a_user_has_a_share_of_those_kept)
{
	cr_expect_not(processes_are_full(0, KEPT_PROCESSES_PER_USER_MAX - 1));
	cr_expect(processes_are_full(0, KEPT_PROCESSES_PER_USER_MAX));
	cr_expect_not(processes_are_full(KEPT_PROCESSES_MAX - 1, 0));
	cr_expect(processes_are_full(KEPT_PROCESSES_MAX, 0));
}

Test(in_hand, too_long_is_two_looks_and_the_deadline)
{
	uint64_t since = 5000000;

	cr_expect(in_hand_too_long(since, since, since + IN_HAND_DEADLINE_USEC + 1));
	cr_expect_not(in_hand_too_long(since, since, since + IN_HAND_DEADLINE_USEC));
	cr_expect_not(in_hand_too_long(since, since - 1, since + IN_HAND_DEADLINE_USEC + 1),
		"another request at the last look");
	cr_expect_not(in_hand_too_long(0, 0, 1 + IN_HAND_DEADLINE_USEC * 2), "none in hand");
}

/* --- records ---------------------------------------------------------------------------------- */

static void expect_line(const struct record *record, const char *expected)
{
	_cleanup_free_ char *line = record_format(record);

	cr_expect_str_eq(line, expected);
}

static struct record denial(void)
{
	return (struct record){.call = "mq_open",
		.reason = "permission not granted",
		.queue = "/events",
		.missing = "read",
		.plug = (char *)"logger:events",
		.suggestion = (char *)"mqctl connect logger:events sensor:events",
		.command = "logger",
		.pid = 4242,
		.uid = 1000};
}

Test(record, says_who_what_and_the_remedy)
{
	struct record record = denial();

	expect_line(&record,
		"denied mq_open /events: read not granted to logger:events (pid 4242, uid 1000, "
		"logger); to allow: mqctl connect logger:events sensor:events");
}

Test(record, without_a_remedy_and_with_suppressed_ones)
{
	struct record record = denial();

	record.suggestion = NULL;
	record.suppressed = 7;
	expect_line(&record,
		"denied mq_open /events: read not granted to logger:events (pid 4242, uid 1000, "
		"logger); 7 before this one not recorded");
}

Test(record, of_other_reasons)
{
	struct record record = denial();

	record.suggestion = NULL;
	record.missing[0] = '\0';
	record.queue[0] = '\0';
	record.reason = "queue cannot be identified";
	expect_line(
		&record, "denied mq_open: queue cannot be identified (pid 4242, uid 1000, logger)");
	record.allowed = true;
	(void)strcpy(record.queue, "/events");
	expect_line(
		&record, "allowed mq_open /events: to logger:events (pid 4242, uid 1000, logger)");
}

Test(record, of_a_process_that_was_killed)
{
	struct record record = denial();

	record.suggestion = NULL;
	record.missing[0] = record.queue[0] = '\0';
	record.call = "";
	record.killed = true;
	record.reason = reason_to_string(REASON_KILLED);
	expect_line(&record,
		"killed: what it had could not be taken back otherwise (pid 4242, uid 1000, "
		"logger)");
}

Test(record, tells_open_only_when_nothing_else_is_missing)
{
	char buffer[PERMISSIONS_STRING_MAX];

	cr_expect_str_eq(missing_format(PERMISSION_OPEN | PERMISSION_READ, buffer), "read");
	cr_expect_str_eq(missing_format(PERMISSION_OPEN, buffer), "open");
	cr_expect_str_eq(
		missing_format(PERMISSION_READ | PERMISSION_CREATE, buffer), "read,create");
}

static struct session_message record_message(void)
{
	return (struct session_message){.type = SESSION_RECORD,
		.record = {.call = MQ_CALL_OPEN,
			.reason = REASON_NOT_GRANTED,
			.error = EACCES,
			.command = "x"}};
}

Test(record, that_no_session_process_sends_is_refused)
{
	struct session session = {0};
	struct session_message message;

	message = record_message();
	message.record.call = MQ_CALL_COUNT;
	cr_expect_eq(records_handle(&session, &message), -EBADMSG);
	message = record_message();
	message.record.reason = REASON_KILLED;
	cr_expect_eq(records_handle(&session, &message), -EBADMSG, "killed for a call");
	message = record_message();
	message.record.reason = 1000;
	cr_expect_eq(records_handle(&session, &message), -EBADMSG);
	message = record_message();
	message.record.missing = PERMISSIONS_ALL + 1;
	cr_expect_eq(records_handle(&session, &message), -EBADMSG);
	message = record_message();
	memset(message.record.name, 'x', sizeof(message.record.name));
	cr_expect_eq(records_handle(&session, &message), -EBADMSG);
	message = record_message();
	memset(message.record.command, 'x', sizeof(message.record.command));
	cr_expect_eq(records_handle(&session, &message), -EBADMSG);
}

/* --- mount table ------------------------------------------------------------------------------ */

Test(mounts, finds_mqueue_anywhere_but_at_its_place)
{
	char text[] = "36 35 0:19 / /dev/mqueue rw shared:1 - mqueue mqueue rw\n"
		      "37 35 0:20 / /proc rw shared:2 - proc proc rw\n"
		      "38 35 0:20 / /a\\040-\\040mqueue\\040x rw - tmpfs none rw\n"
		      "39 35 0:19 / /mnt/my\\040queues rw - mqueue none rw\n";
	char junk[] = "junk - mqueue none rw\n";
	struct mqueue_mounts mounts = {0};

	cr_expect_eq(mqueue_mounts_find(text, &mounts), 0);
	cr_assert_eq(mounts.count, 1);
	cr_expect_eq(mounts.items[0].id, 39);
	cr_expect_str_eq(mounts.items[0].path, "/mnt/my queues");
	cr_expect(mqueue_mounts_have(&mounts, &mounts.items[0]));
	cr_expect_not(
		mqueue_mounts_have(&mounts, &(struct mqueue_mount){39, (char *)"/mnt/other"}));
	mqueue_mounts_clear(&mounts);
	cr_expect_eq(mqueue_mounts_find(junk, &mounts), -EBADMSG);
}

/* --- connections ------------------------------------------------------------------------------ */

Test(connections, of_a_plug_are_found_where_they_begin)
{
	struct connection items[] = {{.plug = (char *)"a:p", .slot = (char *)"s:s"},
		{.plug = (char *)"b:p", .slot = (char *)"s:s"},
		{.plug = (char *)"b:p", .slot = (char *)"s:t"},
		{.plug = (char *)"c:p", .slot = (char *)"s:s"}};
	struct connections connections = {.references = 1, .items = items, .count = 4};

	cr_expect_eq(connections_lower_bound(&connections, "a:p", ""), 0);
	cr_expect_eq(connections_lower_bound(&connections, "b:p", ""), 1);
	cr_expect_eq(connections_lower_bound(&connections, "bb:p", ""), 3);
	cr_expect_eq(connections_lower_bound(&connections, "z:p", ""), 4);
}

/* --- what a session has ----------------------------------------------------------------------- */

static struct launch_hello hello_of(uint32_t kind, const char *text)
{
	struct launch_hello hello = {.ref_count = 1};

	hello.refs[0].kind = kind;
	(void)strcpy(hello.refs[0].text, text);
	return hello;
}

static char *bindings_text(const struct bindings *bindings)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	for (size_t i = 0; i < bindings->plug_count; i++)
		(void)fprintf(f, "plug %s\n", bindings->plugs[i]);
	for (size_t i = 0; i < bindings->slot_count; i++)
		(void)fprintf(f, "slot %s\n", bindings->slots[i]);
	(void)fclose(f);
	return text;
}

static void expect_bound(const struct bindings *bindings, const char *expected)
{
	_cleanup_free_ char *text = bindings_text(bindings);

	cr_expect_str_eq(text, expected, "%s", text);
}

static const char station[] = "name: station\n"
			      "plugs: {commands: posix-mq, log: posix-mq}\n"
			      "slots: {data: {interface: posix-mq, path: /data}}\n"
			      "apps: {main: {plugs: [commands], slots: [data]}, tool: }\n"
			      "components: {maps: {hooks: {remove: {plugs: [commands]}}}}\n";

Test(bindings, app_has_what_names_it_and_what_names_nobody)
{
	struct launch_hello hello = hello_of(LAUNCH_REF_APP, "station.main");
	struct policy policy;
	struct bindings bindings;
	struct fault fault = {0};

	fixture_policy(&policy, station);
	cr_assert_eq(bindings_from_hello(&policy, &hello, &bindings, &fault), 0);
	expect_bound(&bindings, "plug station:commands\nplug station:log\nslot station:data\n");
	bindings_clear(&bindings);
	hello = hello_of(LAUNCH_REF_APP, "station.tool");
	cr_assert_eq(bindings_from_hello(&policy, &hello, &bindings, &fault), 0);
	expect_bound(&bindings, "plug station:log\n");
	bindings_clear(&bindings);
	hello = hello_of(LAUNCH_REF_APP, "station+maps.hook.remove");
	cr_assert_eq(bindings_from_hello(&policy, &hello, &bindings, &fault), 0);
	expect_bound(&bindings, "plug station:commands\nplug station:log\n");
	cr_expect_str_eq(bindings.apps[0], "station+maps.hook.remove");
	bindings_clear(&bindings);
	hello = hello_of(LAUNCH_REF_APP, "station.tol");
	cr_expect_eq(bindings_from_hello(&policy, &hello, &bindings, &fault), -ENOENT);
	cr_expect_not_null(fault.message);
	fault_clear(&fault);
	fixture_policy_clear(&policy);
}

/* What was named itself stays; what came by the app follows the document. */
Test(bindings, again_follows_the_app)
{
	struct launch_hello hello = hello_of(LAUNCH_REF_APP, "station.tool");
	struct policy policy, later, gone;
	struct bindings bindings, again;
	struct fault fault = {0};

	hello.refs[1] = (struct launch_ref){.kind = LAUNCH_REF_PLUG, .text = "commands"};
	hello.ref_count = 2;
	fixture_policy(&policy, station);
	fixture_policy(&later, "name: station\nplugs: {log: posix-mq}\n"
			       "slots: {more: {interface: posix-mq, path: /more}}\n"
			       "apps: {main: {plugs: [log]}, tool: }\n");
	fixture_policy(&gone, "name: other\n");
	cr_assert_eq(bindings_from_hello(&policy, &hello, &bindings, &fault), 0);
	expect_bound(&bindings, "plug station:commands\nplug station:log\n");
	cr_assert_eq(bindings_again(&bindings, &later, &again), 0);
	expect_bound(&again, "plug station:commands\nslot station:more\n");
	bindings_clear(&bindings);
	cr_assert_eq(bindings_again(&again, &gone, &bindings), 0);
	expect_bound(&bindings, "plug station:commands\n");
	bindings_clear(&again);
	cr_assert_eq(bindings_again(&bindings, &policy, &again), 0);
	expect_bound(&again, "plug station:commands\nplug station:log\n");
	bindings_clear(&bindings);
	bindings_clear(&again);
	fixture_policy_clear(&policy);
	fixture_policy_clear(&later);
	fixture_policy_clear(&gone);
}

static char *package_of_plugs(size_t count)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	(void)fprintf(f, "name: many\napps: {a: }\nplugs:\n");
	for (size_t i = 0; i < count; i++)
		(void)fprintf(f, "  p%zu: posix-mq\n", i);
	(void)fclose(f);
	return text;
}

Test(bindings, plugs_of_a_session_bound)
{
	struct launch_hello hello = hello_of(LAUNCH_REF_APP, "many.a");

	for (size_t more = 0; more < 2; more++) {
		_cleanup_free_ char *text = package_of_plugs(SESSION_PLUGS_MAX + more);
		struct policy policy;
		struct bindings bindings;
		struct fault fault = {0};

		fixture_policy(&policy, text);
		cr_expect_eq(
			bindings_from_hello(&policy, &hello, &bindings, &fault), more ? -E2BIG : 0);
		if (more)
			cr_expect_not_null(strstr(fault.message, "more than 256 plugs or slots"));
		else
			bindings_clear(&bindings);
		fault_clear(&fault);
		fixture_policy_clear(&policy);
	}
}

/* --- changes ---------------------------------------------------------------------------------- */

static void note_done(const struct change *change, bool in_time, void *userdata)
{
	*(int *)userdata = in_time ? 1 : 2;
}

static void note_dropped(void *userdata)
{
	*(int *)userdata = 3;
}

/* An earlier manager may have saved that before it ended: it is not in force because nothing is
 * new. */
Test(changes, nothing_new_waits_for_a_session_that_was_taken_over)
{
	struct manager manager = {0};
	struct session session = {.manager = &manager, .unsettled = true};
	struct session_process process = {.manager = &manager};
	int told = 0;
	const struct change_asker asker = {note_done, note_dropped, &told};
	struct change *change;
	struct policy policy = {0};
	struct refusal refusal = {0};
	struct update *update;

	cr_assert_geq(sd_event_new(&manager.event), 0);
	LIST_ADD(manager.sessions, &session);
	cr_assert_eq(change_new(&manager, &asker, &change), 0);
	cr_assert_eq(change_apply(&change, &policy, &refusal), 0);
	cr_expect_eq(told, 0);
	update = session.updates;
	cr_assert_not_null(update);
	cr_expect_gt(update->generation, manager.generation, "the next grants are the first ones");
	LIST_DROP(session.updates, update);
	update->in_force(update);
	cr_expect_eq(told, 1);

	/* Also if it has a session process that could not be sent any. */
	session.process = &process;
	told = 0;
	cr_assert_eq(change_new(&manager, &asker, &change), 0);
	cr_assert_eq(change_apply(&change, &policy, &refusal), 0);
	cr_expect_eq(told, 0);
	update = session.updates;
	LIST_DROP(session.updates, update);
	update->in_force(update);

	session.unsettled = false;
	told = 0;
	cr_assert_eq(change_new(&manager, &asker, &change), 0);
	cr_assert_eq(change_apply(&change, &policy, &refusal), 0);
	cr_expect_eq(told, 1);
	manager.event = sd_event_unref(manager.event);
}
