/* SPDX-License-Identifier: MIT */
/* The processes of sessions that may be inside a call, and ending them when session processes fail.
 *
 * A session process takes back what was disconnected, and kills who resists. If it does not do that
 * in time, or dies twice on the way, the threads inside the kernel are no safer: then every process
 * that was ever given a call back is killed, by its pidfd, which came here before it was. The
 * spawner does it, which is their user's superior and has nothing to do with the session. */
#include "kept-processes.h"

#include <sys/socket.h>

#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "session-process.h"
#include "spawner.h"
#include "daemon/manager/core/timer.h"

#define SESSION_END_USEC (300 * 1000ULL)

struct kept {
	struct kept *previous, *next; /* in session->kept */
	struct session *session;
	pid_t pid;
	int pidfd;
	struct watch *watch;
};

/* --- keeping --------------------------------------------------------------------------------- */

static void kept_free(struct kept *kept)
{
	LIST_DROP(kept->session->kept, kept);
	kept->session->kept_count--;
	kept->session->manager->kept_count--;
	kept->watch = watch_end(kept->watch);
	(void)safe_close(kept->pidfd);
	free(kept);
}

static void on_exit_of_kept(int fd, uint32_t events, void *userdata)
{
	kept_free(userdata);
}

static void forget_gone(struct session *session)
{
	FOREACH (kept, session->kept)
		if (!pidfd_is_alive(kept->pidfd))
			kept_free(kept);
}

/* Another session process may have told of it before. */
static bool is_kept(const struct session *session, pid_t pid)
{
	FOREACH (kept, session->kept)
		if (kept->pid == pid && pidfd_is_alive(kept->pidfd))
			return true;
	return false;
}

static size_t kept_of_user(const struct manager *manager, uid_t uid)
{
	size_t count = 0;

	FOREACH (session, manager->sessions)
		if (session->launcher.uid == uid)
			count += session->kept_count;
	return count;
}

bool processes_are_full(size_t count, size_t of_user)
{
	return count >= KEPT_PROCESSES_MAX || of_user >= KEPT_PROCESSES_PER_USER_MAX;
}

static int keep(struct session *session, pid_t pid, int *pidfd)
{
	struct kept *kept = calloc(1, sizeof(*kept));
	int r;

	if (!kept)
		return -ENOMEM;
	*kept = (struct kept){.session = session, .pid = pid, .pidfd = take_fd(pidfd)};
	LIST_ADD(session->kept, kept);
	session->kept_count++;
	session->kept_ever++;
	session->manager->kept_count++;
	r = crowd_watch(&session->manager->crowd, kept->pidfd, EPOLLIN, on_exit_of_kept, kept,
		&kept->watch);
	if (r < 0)
		kept_free(kept);
	return r;
}

int session_keep_process(struct session *session, pid_t pid, int *pidfd)
{
	const struct manager *manager = session->manager;
	int r = -ENFILE;

	if (session->ended || is_kept(session, pid))
		return 0;
	if (session->kept_count >= SESSION_PROCESSES_MAX)
		forget_gone(session);
	if (session->kept_count >= SESSION_PROCESSES_MAX)
		return -EBADMSG;
	if (*pidfd >= 0 && !processes_are_full(manager->kept_count,
				   kept_of_user(manager, session->launcher.uid)))
		r = keep(session, pid, pidfd);
	if (r < 0 && !session->unkept)
		log_errno(r,
			"mqgated cannot watch process %d of the session of pid %d; only its session process can kill it",
			(int)pid, (int)session->launcher.pid);
	session->unkept |= r < 0;
	return 0;
}

void session_forget_processes(struct session *session)
{
	FOREACH (kept, session->kept)
		kept_free(kept);
}

char *session_unstopped_command(
	const struct session *session, char buffer[static COMMAND_STRING_MAX])
{
	buffer[0] = '\0';
	FOREACH (kept, session->kept)
		if (kept->pid == session->unstopped)
			return identity_command(
				&(struct identity){.pid = kept->pid, .pidfd = kept->pidfd}, buffer);
	return buffer;
}

/* --- killing --------------------------------------------------------------------------------- */

struct killing {
	struct session *session;
	uint64_t generation; /* of the newest grants when it began */
	uint64_t kept_ever;
	int channel, lifeline;
	sd_event_source *source;
};

struct killing *killing_free(struct killing *killing)
{
	if (!killing)
		return NULL;
	killing->session->killing = NULL;
	killing->source = sd_event_source_disable_unref(killing->source);
	(void)safe_close(killing->channel);
	(void)safe_close(killing->lifeline);
	free(killing);
	return NULL;
}

/* The last processes that it gave a call back may be among what it has said. */
static void hear_all(struct session *session)
{
	while (session->process && session_process_hear(session->process))
		;
}

static void kill_processes(struct session *session);

/* Nobody who was given a call back under older grants can receive any more. Of a session that was
 * taken over that is not certain before a session process has told of all: its acknowledgement is
 * waited for. */
static int on_killed(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct killing *killing = userdata;
	struct session *session = killing->session;
	struct spawner_killed killed = {0};
	uint64_t generation = killing->generation;
	bool certain = message_receive(fd, &killed, sizeof(killed), NULL, 0) == 1 &&
		       killed.unstopped == 0 && !session->unkept;

	hear_all(session);
	if (session->killing != killing)
		return 0;
	if (session->kept_ever != killing->kept_ever) {
		kill_processes(session);
		return 0;
	}
	(void)killing_free(killing);
	if (certain && session->processes_unknown)
		return 0;
	if (certain)
		session->manager->session_reports->in_force(session, generation);
	else
		session->manager->session_reports->unstopped(
			session, generation, killed.pid, MAX(killed.unstopped, 1U));
	return 0;
}

/* Some of them, with their pidfds. Returns where to go on. */
static struct kept *fill(struct kept *from, struct spawner_victims *message, int *fds)
{
	struct kept *kept = from;

	*message = (struct spawner_victims){0};
	for (; kept && message->count < MESSAGE_FDS_MAX; kept = kept->next) {
		message->pids[message->count] = kept->pid;
		fds[message->count++] = kept->pidfd;
	}
	message->last = !kept;
	return kept;
}

static int send_victims(int channel, struct kept *kept)
{
	struct spawner_victims message;
	int fds[MESSAGE_FDS_MAX], r;

	do {
		kept = fill(kept, &message, fds);
		r = message_send(channel, &message, sizeof(message), fds, message.count);
	} while (r == 0 && kept);
	return r;
}

static int begin(struct killing *killing)
{
	struct session *session = killing->session;
	int r = spawner_begin(
		session->manager->spawner, SPAWNER_KILL, &killing->channel, &killing->lifeline);

	r = r < 0 ? r : send_victims(killing->channel, session->kept);
	return r < 0 ? r
		     : sd_event_add_io(session->manager->event, &killing->source, killing->channel,
			       EPOLLIN, on_killed, killing);
}

static void kill_processes(struct session *session)
{
	struct killing *killing = calloc(1, sizeof(*killing));
	int r = -ENOMEM;

	(void)sd_event_source_set_enabled(session->guard_source, SD_EVENT_OFF);
	if (session->kept_count > 0)
		log_warning(
			"the %zu processes of the session of pid %d are killed: its session processes did not take back the queues in time",
			session->kept_count, (int)session->launcher.pid);
	if (killing) {
		*killing = (struct killing){.session = session,
			.generation = session->manager->generation,
			.kept_ever = session->kept_ever,
			.channel = -EBADF,
			.lifeline = -EBADF};
		session->killing = killing_free(session->killing);
		session->killing = killing;
		r = begin(killing);
	}
	if (r < 0) {
		(void)killing_free(killing);
		log_errno(r, "they cannot be killed");
		session->manager->session_reports->unstopped(
			session, session->manager->generation, 0, 1);
	}
}

/* --- when ------------------------------------------------------------------------------------ */

/* A session process that has not acknowledged may be about to give a call back under older grants:
 * its end is waited for, but not for ever. One that was killed and is still held by the kernel can
 * end the system call that it is in, and make no other. */
static int on_give_up(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct session *session = userdata;
	bool again = session->given_up;

	hear_all(session);
	if (!session->guard_source)
		return 0;
	session->given_up = true;
	if (!session->process || again) {
		kill_processes(session);
		return 0;
	}
	session_process_kill(session->process, "did not take back the queues in time");
	return timer_start(session->manager->event, &session->guard_source, SESSION_END_USEC,
		on_give_up, session);
}

void session_guard(struct session *session)
{
	const struct manager *manager = session->manager;
	uint64_t usec = REVOKE_GIVE_UP_USEC + manager->session_count * SESSION_SHARE_USEC;

	if (session->guard_source)
		return;
	session->failures = 0;
	session->given_up =
		timer_start(manager->event, &session->guard_source, usec, on_give_up, session) < 0;
}

void session_guard_failed(struct session *session)
{
	if (session->guard_source && (++session->failures > 1 || session->given_up))
		kill_processes(session);
}

void session_guard_end(struct session *session)
{
	session->guard_source = sd_event_source_disable_unref(session->guard_source);
	session->killing = killing_free(session->killing);
}
