/* SPDX-License-Identifier: MIT */
/* Every bound of mqgate, by name. What happens at a bound is said beside it and tested at it. */
#pragma once

#include <limits.h>

/* Names. A queue name is counted without its leading slash; the kernel refuses longer ones. */
#define QUEUE_NAME_MAX   255
#define PACKAGE_NAME_MAX 51  /* 40, and "_" and an instance key of 10 */
#define PLUG_NAME_MAX    128 /* plugs, slots and their ids; the plug or slot is dropped */
#define REF_MAX          (PACKAGE_NAME_MAX + 1 + PLUG_NAME_MAX) /* "package:name" */
#define APP_NAME_MAX     128 /* with "hook." before it for a hook; the document is refused */
#define PUBLISHER_MAX    255
#define INSTANCE_MAX     64 /* mq-run --instance; mq-run refuses more */
/* A pattern of queue names in a session, with {instance} filled in; a longer one gives nothing. */
#define PATTERN_MAX (QUEUE_NAME_MAX + INSTANCE_MAX)

/* Policy. Past one of these the document or the change is refused, and the old one stays. */
#define PACKAGE_FILE_MAX    (1024 * 1024) /* bytes of one document */
#define PACKAGES_MAX        20000
#define STATE_FILE_MAX      (96 * 1024 * 1024) /* CONNECTIONS_MAX of the longest names fit */
#define CONFIG_FILE_MAX     (64 * 1024)
#define CONNECTIONS_MAX     200000
#define APPLY_FILE_MAX      (32 * 1024 * 1024)    /* of mqctl apply */
#define CONNECTION_SPAN_MAX (10 * 366 * 86400ULL) /* seconds of a timed connection */
#define DISCONNECT_WAIT_MAX 3600                  /* seconds; of mqctl disconnect --wait */
#define TOP_INTERVAL_MAX    3600                  /* seconds; of mqctl --interval */
#define SLOT_QUEUES_MAX     1024                  /* names and patterns of one slot */
#define VALUES_STEPS_MAX    1048576 /* of looking for the values of variables; none are found */
/* Bytes compared with bytes to find the name that was meant; further names are not proposed. */
#define NEAREST_STEPS_MAX 4000000
#define DIAGNOSTICS_MAX   200 /* further ones are counted, not kept */

/* YAML of every kind. Past one of these the document is refused. */
#define YAML_DEPTH_MAX   64    /* nesting, aliases followed */
#define YAML_ANCHORS_MAX 256   /* of one document */
#define YAML_MERGED_MAX  65536 /* keys that merging ("<<") adds to a document's maps */

/* Sessions. Past one of these the launch is refused (mq-run exits with 125). */
#define SESSIONS_MAX              8192
#define SESSIONS_PER_USER_MAX     2048 /* root: SESSIONS_MAX, of which users leave it so many */
#define LAUNCH_REFS_MAX           32   /* plugs and slots of one hello */
#define SESSION_PLUGS_MAX         256  /* plugs of one session, and as many slots */
#define CONTAINER_ID_MAX          128
#define CONTAINER_DEADLINE_USEC   (10 * 1000000ULL) /* of a runtime that has connected */
#define CONTAINER_BUNDLE_MAX      511               /* bytes of the path of its bundle */
#define CONTAINER_REFUSALS_MAX    10                /* of users' containers, told in a second */
#define CONTAINER_MOUNTS_MAX      (1024 * 1024)     /* bytes of its mountinfo */
#define CONTAINER_MESSAGE_MAX     (512 * 1024)      /* bytes of what a runtime says of one */
#define CONTAINER_DESCRIPTORS_MAX 8                 /* that it hands over with it */
#define POLICY_FILES_MAX          64                /* --policy of one mq-run */
#define FRONT_SIGNALS_MAX         16   /* that wait for a look; with more the first is passed on */
#define LEARNED_MAX               4096 /* queues of one learned document; further ones are left out */
#define LEARNED_BYTES_MAX         900000 /* that they take in it, about, below PACKAGE_FILE_MAX */
#define DENIALS_TOLD_MAX          64     /* that it tells of, each once; further ones it does not */
#define LAUNCH_TEXT_MAX           2048   /* message of an answer, longer ones are cut */
#define WALL_COSTS_MAX            8 /* directories that mq-run's warning names; others are counted */
#define GRANTS_MAX                16384 /* queue names and patterns of one session */
#define GRANTS_PATTERNS_MAX       1024
#define GRANTS_BYTES_MAX          (8 * 1024 * 1024)
#define GRANTS_GIVERS_MAX         (2 * SESSION_PLUGS_MAX)
/* Queues that a session whose callers are in other IPC namespaces has created in mqgated's, and
 * that exist; a further one is refused (ENOSPC). */
#define HOST_QUEUES_MAX 32
/* Queues a session remembers having opened; then the least recently used is forgotten. */
#define SESSION_QUEUES_MAX 4096
/* Kept for speed only; past them the rest takes the slower way. Open queues that are recognised
 * without /proc, and threads whose directory in /proc stays open. */
#define SESSION_WATCHED_MAX 64
#define SESSION_CALLERS_MAX 64
/* The same for queues on which calls are carried out, of which a descriptor is held so long. */
#define SESSION_HELD_MAX 16
#define HELD_USEC        (1 * 1000000ULL)
/* Real-time threads of a session whose priority is followed; above it those of the lowest are not.
 */
#define SESSION_URGENT_MAX 16
/* Threads of a session inside calls on descriptors; a further one is refused its call. */
#define SESSION_THREADS_MAX 8192
/* Processes of a session whose calls were given back to the kernel, as long as they live; a further
 * one is refused them. */
#define SESSION_PROCESSES_MAX 1024
/* Of them, in all sessions, those that the manager can end itself; in all, and of one user. Of a
 * further one only its session process can; should two of these fail in the course of a
 * disconnection, mqctl says that it is not in force. */
#define KEPT_PROCESSES_MAX          65536
#define KEPT_PROCESSES_PER_USER_MAX 16384
/* Calls that wait inside the door, in a session that has lost something; further ones are refused.
 */
#define SESSION_WAITING_MAX 1024
/* Refusals on one queue that the session has lost: so many are answered at once, further ones
 * later, up to REFUSAL_DELAY_MAX_USEC microseconds; after a while without one they count from the
 * first. When REFUSALS_DELAYED_MAX are to be answered later, further ones are answered at once. */
#define REFUSALS_AT_ONCE         100
#define REFUSALS_DELAYED_MAX     512
#define REFUSAL_DELAY_MAX_USEC   (20 * 1000ULL)
#define REFUSAL_DELAY_LEAST_USEC (2 * 1000ULL) /* when several queues share it */
#define REFUSALS_FORGET_USEC     (1 * 1000000ULL)
/* Denials of different queues or permissions that a session remembers; then the oldest is
 * forgotten. The same of all sessions of a user that have ended, by their plugs. */
#define SESSION_DENIALS_MAX        256
#define ENDED_DENIALS_PER_USER_MAX 512
/* Refusals of the kernel's, of different queues, that are told once each; then the earliest may be
 * told again. */
#define REFUSALS_TOLD_MAX 32
/* The largest queues of a user that are named when it has used up its RLIMIT_MSGQUEUE. */
#define KERNEL_QUEUES_TOLD_MAX 3
/* A message carried by the session process; a larger one is refused in such a session. */
#define SESSION_MESSAGE_MAX (16 * 1024 * 1024)
/* All messages that such calls wait to send; a further one is refused. */
#define SESSION_WAITING_BYTES_MAX (4 * SESSION_MESSAGE_MAX)
/* Of the memory through which messages are received; what a larger one took is given back. */
#define SESSION_MESSAGE_KEPT (64 * 1024)

/* Processes of which a session process remembers whether they belong to its session; then the
 * earliest is forgotten, and proved again when it comes up. */
#define MEMBERS_KNOWN_MAX 4096

/* Filters of a process that are read, the oldest first; if the session's is not among them and
 * there are more, it cannot be told whose it is, or whether it is confined. mq-run adds one. */
#define EXAMINED_FILTERS_MAX 128
/* Processes that start while a session's are looked for, and are looked at; if there are more, it
 * cannot be told whether one of them is the session's. */
#define NEWCOMERS_MAX 4096
/* Processes of which it cannot be told whose they are, and which are compared with those that are
 * proved: whether they share their memory. */
#define MEMBERS_UNPROVED_MAX 256
/* Looks for processes that hold what was taken, under way in one session; a further one fails. */
#define HOLDER_LOOKS_MAX 8
/* Processes that could not be ended of which the number is told; further ones are counted. */
#define HOLDERS_PIDS_MAX 8

/* Plugs and slots of sessions that have ended of which it is known what was counted; further ones
 * are counted together. */
#define TOTALS_REFS_MAX 4096

/* Facts of a calling thread. Past one of these the call is denied. */
#define STATUS_FILE_MAX   (1024 * 1024) /* /proc/TID/status: 65536 groups fit */
#define LIMITS_FILE_MAX   8192
#define TARGET_GROUPS_MAX 65536

/* Sockets: what peers may have at once. Nobody but root can use up what is root's. */
#define ACCOUNTS_FULL_MAX 16 /* all users together: so many times what each may */
/* Connections that wait to be accepted, of each socket. Further ones wait in connect(), in the
 * order in which they came: who makes many does not stand in line many times. The units say the
 * same. */
#define LISTEN_BACKLOG 64

/* Launchers between connect and exec. Further ones are told so; root's wait in listen(). */
#define LAUNCHES_OF_ROOT_MAX  64
#define LAUNCHES_PER_USER_MAX 16
/* Children that stand between mqgated and the launchers of a user, also those that have not ended
 * yet. With more its launches are refused. */
#define FD_RECEIVERS_PER_USER_MAX 32

/* Peers of both sockets that have a filter and of which it is being found out whether they are
 * confined; root: the same. Further ones wait. */
#define EXAMINATIONS_PER_USER_MAX 4

/* Control bus. Further connections are told so by an error to each call, and past
 * CONTROL_REFUSED_MAX of them closed. */
#define CONTROL_CONNECTIONS_PER_USER_MAX 64 /* root: the same */
#define CONTROL_REFUSED_MAX              4
#define CONTROL_MESSAGE_MAX              65536 /* bytes; a longer one is not read, but refused */
#define CONTROL_GREETING_MAX             4096  /* bytes before the first message; then closed */
/* Records of one user's sessions that are sent in a second, to all connections together; further
 * ones are left out. */
#define CONTROL_RECORDS_PER_USER_MAX 500
/* Records that are kept for mqctl explain --last: of each user, and of so many users. */
#define LAST_RECORDS_PER_USER_MAX 32
#define LAST_RECORDS_USERS_MAX    64
/* Bytes of records that a connection was sent and has not read; further ones are left out. */
#define CONTROL_RECORDS_UNREAD_MAX (128 * 1024)
/* Bytes that were sent to the connections of a user, and are neither read nor in the socket. Past
 * them a list is refused, and records are left out. */
#define CONTROL_UNREAD_OF_ROOT_MAX  (32 * 1024 * 1024)
#define CONTROL_UNREAD_PER_USER_MAX (1024 * 1024)

/* Deadlines, in microseconds. */
#define LAUNCH_DEADLINE_USEC  (10 * 1000000ULL) /* from connect to the word; then closed */
#define REVOKE_DEADLINE_USEC  (700 * 1000ULL)   /* for all threads to leave their calls */
#define READY_DEADLINE_USEC   (1 * 1000000ULL)  /* more for those that wait for a processor */
#define KILL_DEADLINE_USEC    (500 * 1000ULL)   /* for those killed to have stopped; then said so */
#define CLAIM_DEADLINE_USEC   (1 * 1000000ULL)  /* for an earlier session process; then it exits */
#define GRANTS_DEADLINE_USEC  (2700 * 1000ULL)  /* to acknowledge; then killed and replaced */
#define IN_HAND_DEADLINE_USEC (3 * 1000000ULL)  /* for one request; then killed and replaced */
/* For a peer of the control bus to greet, to end a message that it has begun, and to read some more
 * of what it was sent: for each of them; then dropped. */
#define CONTROL_SILENCE_USEC  (5 * 1000000ULL)
#define CONTROL_DEADLINE_USEC (25 * 1000000ULL) /* mqctl waiting for an answer */
#define STATUS_DEADLINE_USEC  (5 * 1000000ULL)
#define REVOKE_GIVE_UP_USEC   (3200 * 1000ULL) /* for all that; then those inside are killed */
#define CHANGE_DEADLINE_USEC  (4800 * 1000ULL) /* for a change to be in force; then said so */
#define SESSION_SHARE_USEC    (1 * 1000ULL) /* more of the last three for each session there is */
#define HOLDERS_DEADLINE_USEC (3 * 1000000ULL) /* to look; then that is said, too */
/* For one step of looking at a process; then it cannot be told whose it is. Much less when those of
 * others have cost STRANGERS_PATIENCE_USEC together. */
#define EXAMINATION_STEP_USEC   (20 * 1000ULL)
#define STRANGERS_PATIENCE_USEC (1 * 1000000ULL)
/* To find out whether a peer is confined; then it counts as confined. */
#define EXAMINATION_DEADLINE_USEC (1 * 1000000ULL)
/* For the program of a launch to get a processor, to be looked at; then it is refused. */
#define BEGINNING_PATIENCE_USEC (2 * 1000000ULL)
#define ENDING_DEADLINE_USEC    (5 * 1000000ULL) /* to kill a session's processes; then said so */
#define SPAWNER_BUSY_USEC       (1 * 1000000ULL) /* to take a request; then the session process fails */
#define SPAWNER_DEADLINE_USEC   (5 * 1000000ULL) /* to end at the manager's end; then killed */
#define DISMISS_DEADLINE_USEC   (1 * 1000000ULL) /* to exit after the session; then killed */
/* For sessions of an earlier manager to acknowledge; then said, and mqgated is ready without them.
 */
#define TAKE_OVER_DEADLINE_USEC (10 * 1000000ULL)

/* The manager's own pace. */
#define EXPIRY_RETRY_USEC        (1 * 1000000ULL) /* after a run-out that could not be made */
#define CHANGES_LOGGED_MAX       100              /* connections of one change; then counted */
#define WATCH_INTERVAL_USEC      (1 * 1000000ULL) /* looks at the requests in hand */
#define SPARE_RETRY_USEC         (1 * 1000000ULL) /* after a session process could not be started */
#define SESSION_MESSAGES_AT_ONCE 64               /* of one session process, then others' turn */
#define ACCEPT_INTERVAL_USEC     (100 * 1000ULL)  /* no more than ACCEPT_BURST connections in it */
#define ACCEPT_BURST             500

/* Session processes that die: this many at once cost nothing, then one each RESTART_DELAY. */
#define RESTART_BURST      8
#define RESTART_DELAY_USEC (100 * 1000ULL)

/* Records of one session: what comes faster is counted and reported with the next one. */
#define RECORD_BURST        20
#define RECORD_RATE_DEFAULT 10 /* a second */
#define RECORD_RATE_MAX     10000
