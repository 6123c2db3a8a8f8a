/* SPDX-License-Identifier: MIT */
/* What became of the queues, the session process and the victim. */
#include "step-scene.h"

/* --- what became of it --- */

static bool has_died(const struct run *run)
{
	return run->killed || (run->done && run->deed >= DIES && run->deed <= REUSED);
}

static void check_result(struct run *run)
{
	const struct kind *kind = run->kind;
	long result = play->result;
	bool as_expected = kind->expected == 0 ? result >= 0 : result == kind->expected;

	if (has_died(run)) {
		if (atomic_load(&play->answered) && !run->replied_before)
			complain(run, "it was answered: %ld", result);
		return;
	}
	/* What is refused in the first place may be granted after the change. */
	if (!as_expected &&
		!(run->deed >= CHANGES && (result == -EACCES || result == -EBADF || result >= 0)))
		complain(run, "result %ld", result);
	if (!kind->on_descriptor && result >= 0 && kind->call != call_unlink && !play->is_own)
		complain(run, "it got another queue");
}

static void check_others(struct run *run)
{
	const struct facts *before = &run->before, *after = &run->after;

	for (int i = ROOTS; i <= DENIED; i++) {
		if (!same_key(before->key[i], after->key[i]))
			complain(run, "%s was created or deleted", names[i]);
		if (before->messages[i] != after->messages[i])
			complain(run, "%s has %ld messages", names[i], after->messages[i]);
	}
}

static void check_existence(struct run *run)
{
	bool existed = run->before.key[OWN].inode != 0, exists = run->after.key[OWN].inode != 0;
	const struct mq_attr *size = &run->after.size;
	bool dead = has_died(run), deleted = existed && !exists;

	if (deleted && !(run->kind->deletes || (run->deed >= CHANGES && run->kind->at == DENIED &&
						       run->kind->call == call_unlink)))
		complain(run, "the queue was deleted");
	if (!dead && run->kind->call == call_unlink && deleted != (play->result == 0))
		complain(run, "deleted: %d, result %ld", deleted, play->result);
	if (!existed && exists && !run->kind->creates)
		complain(run, "the queue was created");
	if (!existed && exists && run->after.owner[OWN] != NOBODY)
		complain(run, "user %u owns it", run->after.owner[OWN]);
	if (!existed && exists && !(size->mq_maxmsg == MESSAGES && size->mq_msgsize == 32) &&
		!(run->deed >= CHANGES && size->mq_maxmsg == 1 && size->mq_msgsize == 16))
		complain(run, "it is of %ld × %ld", size->mq_maxmsg, size->mq_msgsize);
}

/* One step, and no more, lies between the last look at whether the caller is there and the act. */
static void check_contents(struct run *run)
{
	const struct kind *kind = run->kind;
	long due = kind->messages + kind->trigger;
	long now = run->after.messages[OWN];
	bool moved = now != due, set = (play->flags & O_NONBLOCK) != 0;

	if (kind->no_own || run->after.key[OWN].inode == 0)
		return;
	if (moved && now != due + kind->delta)
		complain(run, "%ld messages instead of %ld", now, due);
	if (has_died(run)) {
		if ((moved || set) && !run->replied_before &&
			!(stepper.acted != 0 && run->at >= stepper.acted))
			complain(run, "it took effect: %ld messages, flags %#x", now,
				(unsigned)play->flags);
		return;
	}
	if (kind->delta != 0 && moved != (play->result >= 0))
		complain(run, "result %ld, and %ld messages", play->result, now);
	if (run->deed < CHANGES && set != (kind->flags != 0))
		complain(run, "flags %#x", (unsigned)play->flags);
}

static bool remembers(struct queue_key key)
{
	for (uint32_t i = 0; i < inflight->queues.count; i++)
		if (same_key(inflight->queues.keys[i], key))
			return true;
	return false;
}

/* Who is killed for it may take a moment to end. */
static bool stays_registered_on(enum place place)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC / 10;

	while (registered_on(place) != 0) {
		if (now_usec() > deadline)
			return true;
		(void)usleep(200);
	}
	return false;
}

static void check_notes(struct run *run)
{
	if (inflight->notification.id != 0)
		complain(run, "a notification is in hand");
	for (uint32_t i = 0; i < inflight->waiting_used; i++)
		if (inflight->waiting[i].id != 0)
			complain(run, "a caller waits still");
	if (remembers(keys[FOREIGN]))
		complain(run, "the victim's queue is remembered as one of the app's");
	if (inflight->tainted && !run->kind->tainted && run->kind->at != DENIED &&
		!run->kind->partly && run->deed < CHANGES)
		complain(run, "the session counts as one that has lost something");
	if (run->kind->partly && !inflight->tainted && !has_died(run) &&
		!(run->deed >= CHANGES && run->kind->after == NOWHERE))
		complain(run, "a descriptor that does more than is granted was overlooked");
	if (stays_registered_on(DENIED))
		complain(run, "somebody is registered where it may not");
}

static bool is_unchanged(pid_t victim, void *address, size_t size)
{
	char copy[sizeof(name)];
	struct iovec ours = {copy, size}, its = {address, size};

	return process_vm_readv(victim, &ours, 1, &its, 1, 0) == (ssize_t)size &&
	       memcmp(copy, address, size) == 0;
}

static bool is_stopped(pid_t pid)
{
	char path[64], line[256] = "", *after;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	(void)!fgets(line, sizeof(line), f);
	(void)fclose(f);
	after = strrchr(line, ')');
	return after && after[2] == 't';
}

static void check_victim(struct run *run)
{
	int status;

	if (run->victim == 0)
		return;
	/* For comparison. */
	set_arguments(ROOTS, false);
	if (!is_unchanged(run->victim, name, sizeof(name)) ||
		!is_unchanged(run->victim, message, sizeof(message)) ||
		!is_unchanged(run->victim, &attributes, sizeof(attributes)) ||
		!is_unchanged(run->victim, &priority, sizeof(priority)))
		complain(run, "the victim's memory was written");
	if (count_entries(run->victim) != run->victims_descriptors)
		complain(run, "the victim has got a descriptor");
	if (atomic_load(&play->victim_disturbed) || is_stopped(run->victim))
		complain(run, "the victim was stopped");
	if (waitpid(run->victim, &status, WNOHANG) != 0)
		complain(run, "the victim has died");
	if (inflight->processes.entries[0].pid == run->victim && !run->noted_before)
		complain(run, "the victim is noted");
}

static void reap_victim(pid_t pid)
{
	uint64_t deadline = now_usec() + PATIENCE_USEC;

	while (waitpid(pid, NULL, WNOHANG) == 0) {
		keep_patience(deadline);
		if (is_to_let_go())
			step_next(&stepper);
		else
			(void)usleep(20);
	}
}

static void end_run(struct run *run)
{
	if (!run->reaped && !is_dead(run->caller))
		kill_caller(run);
	if (!run->reaped)
		serve_app();
	if (run->victim != 0) {
		(void)kill(run->victim, SIGKILL);
		reap_victim(run->victim);
	}
}

/* --- the session process --- */

static _printf_(2, 3) void append(char *text, const char *format, ...)
{
	size_t length = strlen(text);
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text + length, sizeof(session_facts) - length, format, arguments);
	va_end(arguments);
}

static void append_identity(char *text)
{
	static const char *const keep[] = {"Uid:", "Gid:", "Groups:", "Cap", "Umask:", "SigBlk:"};
	char path[64], line[1024];
	struct rlimit limit;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", door.session);
	f = fopen(path, "re");
	cr_assert_not_null(f);
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < ELEMENTSOF(keep); i++)
			if (startswith(line, keep[i]))
				append(text, "%s", line);
	(void)fclose(f);
	cr_assert_eq(prlimit(door.session, RLIMIT_MSGQUEUE, NULL, &limit), 0);
	append(text, "bytes %lu %lu\n", (unsigned long)limit.rlim_cur,
		(unsigned long)limit.rlim_max);
}

static unsigned queues_held;

static void append_link(char *text, const char *what)
{
	char path[64], link[128] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", door.session, what);
	/* Some watch queues, some are kept of callers and of their processes: all have bounds of
	 * their own. */
	if (readlink(path, link, sizeof(link) - 1) <= 0)
		return;
	if (startswith(link, "/mqgate-live-"))
		queues_held++;
	else if (!streq(link, "anon_inode:[eventpoll]") && !streq(link, "anon_inode:[pidfd]") &&
		 !startswith(link, "/proc/"))
		append(text, "%s: %s\n", what, link);
}

/* All that must be as it was. */
static void describe_session(char text[static sizeof(session_facts)])
{
	text[0] = '\0';
	append_identity(text);
	append_link(text, "ns/ipc");
	queues_held = 0;
	for (int fd = 0; fd < SESSION_FDS; fd++) {
		char what[16];

		(void)snprintf(what, sizeof(what), "fd/%d", fd);
		append_link(text, what);
	}
}

static void check_records(struct run *run)
{
	struct session_message record;

	while (wait_for_event(door.channel, 0)) {
		cr_assert_eq(door_receive(door.channel, &record), 1);
		if (record.type == SESSION_RECORD && has_died(run) && !run->killed &&
			!run->replied_before && record.record.tid == run->caller)
			complain(run, "a record of %s", record.record.name);
	}
}

static const char *first_difference(const char *now)
{
	const char *line = now;

	for (size_t i = 0; now[i] != '\0' && now[i] == session_facts[i]; i++)
		if (now[i] == '\n')
			line = now + i + 1;
	return line;
}

static void check_next_calls(struct run *run)
{
	static char now[sizeof(session_facts)];

	tell(ASK);
	serve_app();
	if (run->after.key[OWN].inode != 0 ? play->asked[0] < 0 : play->asked[0] != -ENOENT)
		complain(run, "the next mq_open gives %ld", play->asked[0]);
	if (play->asked[1] != -EACCES)
		complain(run, "the next denied call gives %ld", play->asked[1]);
	describe_session(now);
	if (session_facts[0] == '\0')
		(void)strcpy(session_facts, now);
	if (queues_held > SESSION_HELD_MAX)
		complain(run, "the session process holds %u queues", queues_held);
	if (!streq(now, session_facts))
		complain(run, "the session process is not as it was: %.60s, not %.60s",
			first_difference(now), session_facts + (first_difference(now) - now));
}

static void check(struct run *run)
{
	check_result(run);
	check_others(run);
	check_existence(run);
	check_notes(run);
	check_victim(run);
}

/* Returns how many steps it took. */
unsigned run_once(const struct kind *kind, enum deed deed, unsigned at)
{
	struct run run = {.kind = kind, .deed = deed, .at = at};
	unsigned steps;

	arrange(kind);
	run.before = look();
	tell(RUN);
	cr_assert(wait_for_event(door.listener, DOOR_DEADLINE_SECONDS * 1000));
	run.caller = play->caller;
	step_through(&run);
	steps = stepper.count;
	if (!has_died(&run))
		wait_for_answer(&run);
	run.after = look();
	check(&run);
	end_run(&run);
	check_contents(&run);
	check_records(&run);
	check_next_calls(&run);
	return steps;
}
