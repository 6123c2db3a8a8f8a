/* SPDX-License-Identifier: MIT */
/* The manager: what its parts share.
 *
 * One thread, one sd-event loop. Who owns what:
 *
 *   manager   sessions, workers (session processes), launches, accounts with their control peers
 *   session   its duplicate of the listener, its in-flight memfd, its updates
 *   worker    its socket; freed when it has been reaped, and only then
 *   change    itself; freed when every session concerned has taken it over
 *   survey    itself, once started; freed when every session asked has answered
 *
 * A worker is never waited for: killing it is asked of the spawner, and what follows happens when
 * it has been reaped there. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

#include "include/policy.h"
#include "include/protocol.h"
#include "include/util.h"
#include "bound.h"
#include "list.h"
#include "peer.h"

struct account;
struct change;
struct launch;
struct courier;
struct facts;
struct kept;
struct killing;
struct manager;
struct mount_watch;
struct question;
struct session;
struct stored;
struct survey;
struct worker;

struct manager_options {
	const char *config_file;
	const char *state_dir;
	const char *runtime_dir;
	const char *session_program;
	const char *spawner_socket; /* NULL: the spawner is our child */
	const char *const *package_dirs;
	size_t package_dir_count;
};

/* mqgated.yaml, with groups looked up. */
struct settings {
	struct config config;
	gid_t admin_gid, launch_gid; /* valid if the group is configured */
};

struct kernel_features {
	int landlock_abi;                           /* 0: none */
	bool listener, wait_killable, sync_wake_up; /* of seccomp */
	bool peer_pidfd;
};

struct manager {
	const struct manager_options *options;
	sd_event *event;
	struct settings settings;
	struct policy policy;
	struct kernel_features features;
	uint64_t generation; /* of the newest grants made for anybody */
	bool stopping;

	int lock;
	int launch_socket, control_socket;
	char *launch_path, *control_path; /* ours to remove; NULL: passed to us */
	bool refuses_descriptors;         /* the kernel does, before they are sent */
	sd_event_source *launch_source, *control_source;

	struct session *sessions;
	size_t session_count;
	size_t kept_count;      /* processes, of all sessions */
	size_t unsettled_count; /* sessions of an earlier manager; see session_take_over() */
	uint32_t last_stored;   /* number of the session that was stored last */
	struct stored *stored;  /* came back and not taken over yet */
	sd_event_source
		*watch_source; /* looks at requests in hand; runs while there are sessions */
	int spawner;           /* asked for session processes */
	pid_t spawner_pid;     /* 0: not our child */
	sd_event_source *spawner_source;
	struct worker *workers;
	struct worker *spare;
	sd_event_source *spare_source; /* starts the next spare */
	struct launch *launches;
	struct courier *couriers;
	struct account *accounts;     /* of all who are connected */
	sd_event_source *turn_source; /* serves one peer of the control bus */
	struct change *changes;
	struct survey *surveys;
	uint64_t questions;             /* asked so far */
	sd_event_source *expiry_source; /* at the next end of a timed connection */
	struct mount_watch *mounts;
};

/* --- manager.c ----------------------------------------------------------------------------- */

/* Everything up to READY. Logs what went wrong. options must outlive the manager. */
int manager_new(const struct manager_options *options, struct manager **ret);
struct manager *manager_free(struct manager *manager);
DEFINE_CLEANUP(struct manager *, manager_free);
/* Until SIGTERM or SIGINT: 0; or negative errno. */
int manager_run(struct manager *manager);
void manager_update_status(struct manager *manager);

/* --- load.c: settings and packages --------------------------------------------------------- */

void policy_release(struct policy *policy);
void settings_clear(struct settings *settings);
/* Logs nothing; what is wrong is in diagnostics. 0 or negative errno. */
int settings_load(const char *file, struct diagnostics *diagnostics, struct settings *ret);
void log_diagnostics(const struct diagnostics *diagnostics);
/* All of them and a closing line, malloc'd; NULL on lack of memory. */
char *diagnostics_text(const struct diagnostics *diagnostics, const char *closing);

/* --- sockets.c ----------------------------------------------------------------------------- */

/* Both sockets listening, passed or made; what else was passed goes to store_take(). Logs. */
int sockets_open(struct manager *manager);
/* From now on whoever connects is served. Logs. */
int sockets_serve(struct manager *manager);
void sockets_close(struct manager *manager);
/* The state directory is ours alone until the descriptor is closed. Logs. */
int lock_state_dir(const char *directory, int *ret_fd);

/* --- session.c ----------------------------------------------------------------------------- */

/* New grants on their way to a session. */
struct update {
	struct update *previous, *next; /* in session->updates, once sent */
	struct change *change;
	uint64_t generation;
	int grants; /* sealed memfd, until sent */
	size_t size;
	struct bound bound; /* what the session has from now on; nothing if that stays */
	bool rebinds;
	bool revokes; /* something that the session had */
};

struct session {
	struct session *previous, *next;
	struct manager *manager;
	struct bound bound;
	struct identity launcher; /* for display only */
	uint64_t constant;
	uint64_t capabilities; /* that its processes can ever have */
	uint32_t number;       /* by which the service manager keeps it; 0: it does not */
	bool ended;            /* last process is gone; no longer in manager->sessions */
	bool unsettled; /* of an earlier manager, and what it has by now is not yet in force */
	enum mediation mediation; /* for as long as it runs */
	uint32_t launch_version;  /* of its launcher: the form of its filter, if that is to be
				     believed, so for display only */

	int listener;
	sd_event_source *listener_source;
	int inflight;
	const volatile uint64_t *in_hand; /* struct inflight's `since`, mapped */
	uint64_t in_hand_seen;

	struct worker *worker; /* NULL between two */
	uint64_t restart_time;
	sd_event_source *restart_source;

	/* processes.c */
	struct kept *kept; /* processes that may be inside a call */
	size_t kept_count;
	bool unkept;                   /* there was no room for one */
	sd_event_source *guard_source; /* while something is being taken back */
	unsigned failures;             /* session processes that died meanwhile */
	bool given_up;
	struct killing *killing;
	pid_t unstopped; /* it was killed and goes on: nothing is in force before it has stopped */

	struct update *prepared;    /* while a change is being made */
	struct update *updates;     /* sent and not yet acknowledged */
	struct question *questions; /* of surveys, not yet answered, whoever is asked */
	struct launch *launch;      /* waits for the first acknowledgement */
};

/* A session, and a session process on its way. bound and listener are empty or -EBADF afterwards if
 * they were taken over; on failure too. 0 or negative errno. */
int session_new(struct manager *manager, struct launch *launch, struct bound *bound, int *listener,
	struct session **ret);
/* A session of an earlier manager, with what it has by the policy as it is now. Nobody answers yet;
 * manager->unsettled_count counts it until what it has lost meanwhile is taken back. What was taken
 * over of facts, listener and inflight is empty or -EBADF afterwards; on failure too. 0 or negative
 * errno. */
int session_take_over(struct manager *manager, struct facts *facts, int *listener, int *inflight);
/* Its last process is gone, or its launcher is. Frees it as soon as its session process is
 * reaped. */
void session_end(struct session *session);
struct session *session_free(struct session *session);

/* Its last process is gone, noticed or not. */
bool session_is_over(const struct session *session);
/* This generation and all before it are in force. */
void session_in_force(struct session *session, uint64_t generation);
/* It is not, since this process, and perhaps others, was killed and is not seen to have stopped;
 * pid may be 0. Whoever waits for it is told. */
void session_unstopped(struct session *session, uint64_t generation, pid_t pid, uint32_t count);
/* Its session process is reaped: nobody answers until there is another. */
void session_worker_gone(struct session *session);

bool session_has_plug(const struct session *session, const char *plug);
size_t sessions_of_user(const struct manager *manager, uid_t uid);
/* Whether there may be no further session of a user, not of root, who has so many of them. Whatever
 * users do among them, there is room for root. */
bool sessions_are_full(size_t count, size_t of_root, size_t of_user);

/* When a session process that has died may be replaced: now, or later if they die too fast.
 * restart_time is the caller's memory, 0 at first. */
uint64_t restart_at(uint64_t *restart_time, uint64_t now);

/* True if a request has been in hand for too long: seen at two looks, and old. */
bool in_hand_too_long(uint64_t since, uint64_t seen, uint64_t now);

char **strings_free(char **strings, size_t count);

/* --- processes.c: who may be inside a call ---------------------------------------------------- */

/* A process that is about to be given a call back. Takes pidfd; -EBADF: there was no room for it.
 * -EBADMSG if no session process of ours would have told so many. */
int session_keep_process(struct session *session, pid_t pid, int *pidfd);
void session_forget_processes(struct session *session);
/* The command of the process that has not stopped, escaped. Returns buffer. */
char *session_unstopped_command(
	const struct session *session, char buffer[static COMMAND_STRING_MAX]);
/* Whether no further process is kept. */
bool processes_are_full(size_t count, size_t of_user);

/* Something is being taken back from now on. Unless that ends in time, or when a second session
 * process fails, all kept processes are killed. */
void session_guard(struct session *session);
void session_guard_failed(struct session *session);
void session_guard_end(struct session *session);
struct killing *killing_free(struct killing *killing);

/* --- store.c: what the service manager keeps ------------------------------------------------- */

/* Whether this is the memfd of that name, by its link text. */
bool is_memfd(int fd, const char *name);
/* Gives the session's listener, in-flight memfd and facts to the service manager, if there is one.
 * It survives the manager only then; logs if it cannot be. */
void store_session(struct session *session);
/* It has ended: the service manager need not keep it. Nothing happens while the manager stops. */
void store_forget(struct session *session);
/* A descriptor that came back. Takes fd. 0 or -ENOMEM. */
int store_take(struct manager *manager, int fd, const char *name);
/* Rebuilds all sessions that came back, and waits until what they have lost meanwhile is taken back
 * from them. What cannot be taken over is closed for good, and said. 0 or negative errno: fatal. */
int store_take_over(struct manager *manager);
void store_free(struct manager *manager);

/* --- worker.c ------------------------------------------------------------------------------ */

struct worker {
	struct worker *previous, *next;
	struct manager *manager;
	struct session *session; /* NULL: the spare */
	pid_t pid;               /* 0 until it is known; for display only */
	int socket;
	int lifeline; /* see spawner.h */
	sd_event_source *lifeline_source, *socket_source, *deadline_source;
	uint64_t generation_sent, generation_acknowledged;
	bool killed;
};

/* The spare if there is one, else a new one. */
int worker_take(struct manager *manager, struct worker **ret);
/* Starts the spare after delay, if there is none then. */
int spare_schedule(struct manager *manager, uint64_t delay_usec);
int worker_new(struct manager *manager, struct worker **ret);

/* Hands over a session: listener, in-flight memfd, and grants as the policy is now. On failure the
 * caller kills the worker. */
int worker_attach(struct worker *worker, struct session *session);
int worker_send_grants(struct worker *worker, int grants, size_t size, uint64_t generation);

/* Into a new memfd. 0 or negative errno. */
int write_sealed(int fd, const char *data, size_t size);
/* A sealed memfd of a sealed set. */
int sealed_memfd(const struct grants *grants, int *ret_fd, size_t *ret_size);

/* What these plugs and slots have under this policy, sealed. 0 or negative errno. */
int grants_of(const struct policy *policy, const struct bound *bound, uint64_t generation,
	struct grants **ret);

/* It is to read to the end of its socket and to exit; after a deadline it is killed. */
void worker_dismiss(struct worker *worker);
void worker_kill(struct worker *worker, const char *reason);
/* Its process is killed if it still lives, and reaped by the spawner. */
struct worker *worker_free(struct worker *worker);

/* --- launch.c ------------------------------------------------------------------------------ */

int launch_accept(sd_event_source *source, int fd, uint32_t events, void *userdata);
/* The session is ready: gives the word and lets go of the launcher. */
void launch_ready(struct launch *launch);
/* The session has ended before the word. */
void launch_session_ended(struct launch *launch);
const struct identity *launch_identity(const struct launch *launch);
uint64_t launch_constant(const struct launch *launch);
uint64_t launch_capabilities(const struct launch *launch);
enum mediation launch_mediation(const struct launch *launch);
uint32_t launch_version(const struct launch *launch);
void launches_free(struct manager *manager);

/* --- change.c ------------------------------------------------------------------------------ */

enum change_kind {
	CHANGE_CONNECT,
	CHANGE_DISCONNECT,
	CHANGE_RELOAD,
	CHANGE_APPLY,
	CHANGE_EXPIRE, /* made also if the state cannot be written: there the end has passed anyway
			*/
};

struct change {
	struct change *previous, *next;
	struct manager *manager;
	enum change_kind kind;
	sd_bus_message *call; /* NULL: nobody waits for the reply */
	sd_event_source *deadline_source;
	size_t pending;        /* sessions that have not taken it over */
	size_t cut;            /* connections */
	struct survey *survey; /* to be made before the reply; of CHANGE_DISCONNECT */
	struct diagnostics warnings;
	struct connections *before, *after; /* of CHANGE_APPLY, for its reply */
};

int change_new(
	struct manager *manager, enum change_kind kind, sd_bus_message *call, struct change **ret);
struct change *change_free(struct change *change);
DEFINE_CLEANUP(struct change *, change_free);

/* Makes the change: prepares every session's grants, then writes the state if connections changed,
 * then swaps and sends. Takes the references in policy if it succeeds, and the change in any case
 * (NULL afterwards); the reply goes out when all sessions have taken it over, perhaps at once. On
 * failure nothing has changed; -EIO stands for a state that could not be written, and
 * ret_state_error then says why; anything else is a lack of resources or a limit. (CHANGE_EXPIRE
 * succeeds in spite of a ret_state_error.) */
int change_apply(struct change **change, struct policy *policy, int *ret_state_error);

/* Where a plug's connections begin, or would. */
size_t connections_first(const struct connections *connections, const char *plug);

struct update *update_free(struct update *update);
DEFINE_CLEANUP(struct update *, update_free);
/* Taken over by its session. Frees it. */
void update_done(struct update *update);
/* It cannot be in force before somebody has stopped: who waits for it is told. */
void update_hindered(struct update *update);

/* Reads settings and packages again, all or nothing. call may be NULL (SIGHUP); the result is
 * logged. error is filled for the bus. */
int manager_reload(struct manager *manager, sd_bus_message *call, sd_bus_error *error);

/* --- survey.c: who still holds what was taken ------------------------------------------------- */

struct survey_options {
	bool kill;          /* ends the sessions that do */
	uint64_t wait_usec; /* before, for them to let go */
};

struct survey_result {
	uint32_t sessions, processes;       /* that hold, or are registered */
	uint32_t holders, registrants;      /* of these processes */
	uint32_t unknown;                   /* processes of which it cannot be told */
	uint32_t killed, left;              /* processes; left: could not be */
	char left_pids[HELD_PIDS_MAX * 14]; /* the first of these, as text */
	uint32_t failed;                    /* sessions that could not be looked at */
};

struct survey {
	struct survey *previous, *next;
	struct manager *manager;
	struct survey_options options;
	char *plug; /* of the sessions to be asked; "": all */
	char *who;
	int scope; /* sealed memfd: the queues in question */
	size_t scope_size;

	sd_bus_message *call;
	sd_event_source *deadline_source;
	uint64_t wait_end; /* for holders to let go */
	size_t cut;        /* connections */
	size_t pending;    /* questions, and 1 while it is started */
	struct survey_result result;
};

/* As mqctl disconnect names them; second may be "". who asked is for the log. 0 or negative errno.
 */
int survey_new(struct manager *manager, const char *first, const char *second,
	const struct survey_options *options, const char *who, struct survey **ret);
struct survey *survey_free(struct survey *survey);
DEFINE_CLEANUP(struct survey *, survey_free);

/* When what was disconnected is in force everywhere. Replies to the call and frees the survey when
 * every session has answered, perhaps at once. */
void survey_start(struct survey *survey, sd_bus_message *call, size_t cut);

/* message is a WORKER_HELD. */
void survey_answer(struct session *session, const struct worker_message *message);
/* It has another session process, which is asked what the last one has not answered. */
void survey_ask_again(struct session *session);
/* All of its processes are gone: there is nobody to be asked about. */
void survey_session_gone(struct session *session);
/* They live, but it gets no session process any more that could look at them. */
void survey_session_lost(struct session *session);

/* --- expiry.c: connections without a command ------------------------------------------------- */

/* When a connection of so many seconds ends, if it begins now. */
uint64_t end_of_span(uint64_t seconds);
/* One line for each connection that differs: "connect PLUG SLOT: WHO". */
void log_changes(const struct connections *old, const struct connections *new, const char *who);
/* The connections as they follow from other packages. 0 or -ENOMEM. */
int settle_connections(const struct manager *manager, struct packages *packages,
	struct diagnostics *diagnostics, struct connections **ret);
/* After loading: cuts what has run out meanwhile, connects automatically, writes the state if that
 * changed it, and arms the timer. Logs. */
int connections_start(struct manager *manager);
/* To be called whenever the connections are others. */
int expiry_arm(struct manager *manager);

/* --- bus*.c, status.c ------------------------------------------------------------ */

/* Before bus_accept(). 0 or negative errno. */
int bus_start(struct manager *manager);
int bus_accept(sd_event_source *source, int fd, uint32_t events, void *userdata);
void peers_free(struct manager *manager);
/* For a change_apply() that failed with r. Returns as sd_bus_error_set(). */
int bus_set_change_error(
	sd_bus_error *error, const struct manager *manager, int r, int state_error);
void bus_reply_change(struct change *change, bool in_time);
void bus_reply_survey(const struct survey *survey);
int bus_append_string(sd_bus_message *message, const char *key, const char *value);
int bus_append_uint32(sd_bus_message *message, const char *key, uint32_t value);
int bus_append_strings(
	sd_bus_message *message, const char *key, const char *const *values, size_t count);
/* The rows of one List; viewer sees its own sessions, or all if root. -EINVAL: no such list. */
int bus_append_list(
	struct manager *manager, uid_t viewer, const char *what, sd_bus_message *message);
void kernel_features_probe(struct kernel_features *ret);
int bus_append_status(struct manager *manager, sd_bus_message *message);
/* An option of a method. */
struct bus_option {
	const char *key;
	char type; /* 'b' (int), 't' (uint64_t), 's' (const char *) */
	void *ret;
};
/* Reads an a{sv}; what is not in options is refused. 0 or negative errno, with error. */
int bus_read_options(sd_bus_message *message, const struct bus_option *options, size_t count,
	sd_bus_error *error);
int bus_reply_apply(
	sd_bus_message *call, const struct connections *before, const struct connections *after);
/* Sends a Record to every peer that may see it. */
struct record;
int bus_send_record(sd_bus *bus, const struct record *record);
void bus_emit_record(struct manager *manager, const struct record *record);

/* --- records.c, mounts.c ------------------------------------------------------------------- */

/* message is a WORKER_RECORD. -EBADMSG if no session process of ours would have sent it. */
int record_handle(struct session *session, const struct worker_message *message);

int mounts_start(struct manager *manager);
struct mount_watch *mounts_free(struct mount_watch *mounts);
