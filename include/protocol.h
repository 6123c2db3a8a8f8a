/* SPDX-License-Identifier: MIT */
/* What goes over our two private sockets. Both are SOCK_SEQPACKET; every message is one fixed-size
 * struct, and any other size is a fault of the peer, which is then dropped.
 *
 * launcher → manager   hello                    which plugs, slots and apps
 * manager → launcher   answer                   error and text, or what the filter is to be
 * launcher → manager   handover + 1 descriptor  the seccomp listener
 * manager → launcher   answer                   the word: exec now
 *
 * manager → session    attach + 2 descriptors   listener, in-flight memfd
 * manager → session    grants + 1 descriptor    sealed memfd (grants_serialise)
 * session → manager    ack                      this generation is in force
 * session → manager    unstopped                it is not, and why; ack follows once it is
 * session → manager    process + 1 descriptor   the pidfd of one that may be inside a call
 * manager → session    holders + 1 descriptor   sealed memfd (grants_serialise): which queues
 * session → manager    holders found            who has them open, or is registered
 * session → manager    record                   one decision worth recording
 *
 * A session process that serves no session may be asked one question instead, and ends then:
 * manager → session    examine + 1 descriptor   a pidfd: is this process confined?
 * session → manager    examined                 the answer
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "include/kernel-refusal.h"
#include "include/limits.h"
#include "include/util.h"

#define LAUNCH_MAGIC UINT32_C(0x6d716731)

/* A launcher speaks the version of its release, the manager each that was ever released: it answers
 * in the launcher's own, and in the oldest, which all read, before it knows that. The messages are
 * the same in all; what the version tells is the form of the filter.
 *
 *	1  0.1.0
 *	2  the filter refuses a new listener when ours is closed, and tells of processes that
 *	   share a descriptor table (launcher/filter.c); a hello may name an instance */
#define LAUNCH_VERSION_OLDEST       1
#define LAUNCH_VERSION_STAYS_SHUT   2
#define LAUNCH_VERSION_TELLS_TABLES 2
#define LAUNCH_VERSION_INSTANCES    2
#define LAUNCH_VERSION              2

enum launch_ref_kind {
	LAUNCH_REF_NONE = 0,
	LAUNCH_REF_PLUG = 1,
	LAUNCH_REF_SLOT = 2,
	LAUNCH_REF_APP = 3,      /* package.app: what is bound to it */
	LAUNCH_REF_INSTANCE = 4, /* what {instance} stands for; at most one, and never alone */
};

struct launch_ref {
	uint32_t kind;
	char text[188]; /* [PKG:]NAME, or of an app PKG.APP, or an instance; NUL-terminated */
};
static_assert(sizeof(((struct launch_ref *)0)->text) > REF_MAX, "a reference must fit");
static_assert(APP_NAME_MAX <= PLUG_NAME_MAX, "so an app's reference is no longer");

struct launch_hello {
	uint32_t magic;
	uint32_t version;
	uint32_t ref_count; /* 1…LAUNCH_REFS_MAX; the others are all zero */
	uint32_t reserved;  /* 0 */
	struct launch_ref refs[LAUNCH_REFS_MAX];
};
static_assert(sizeof(struct launch_hello) == 16 + 192 * LAUNCH_REFS_MAX, "wire format");

struct launch_answer {
	uint32_t magic;
	uint32_t version;
	int32_t error; /* 0, or a negative errno and text; with the word, text is for the person */
	uint32_t mediation; /* enum mediation: which calls the session's filter intercepts */
	uint64_t filter_id; /* to be built into it (filter-id.h) */
	char text[LAUNCH_TEXT_MAX];
};
static_assert(sizeof(struct launch_answer) == 24 + LAUNCH_TEXT_MAX, "wire format");

struct launch_handover {
	uint32_t magic;
	uint32_t version;
};

bool launch_version_is_known(uint32_t version);

/* 1 to INSTANCE_MAX of A-Z a-z 0-9 . _ : - */
bool instance_is_valid(const char *text);

/* 0 or -EBADMSG (size, text not terminated, counts, trailing bytes) or -EPROTONOSUPPORT (a version
 * that was never released). */
int launch_hello_check(const void *data, size_t size);
int launch_answer_check(const void *data, size_t size);
int launch_handover_check(const void *data, size_t size);

enum session_message_type {
	SESSION_ATTACH = 1,
	SESSION_GRANTS = 2,
	SESSION_ACK = 3,
	SESSION_RECORD = 4,
	SESSION_HOLDERS = 5,
	SESSION_HOLDERS_FOUND = 6,
	SESSION_UNSTOPPED = 7,
	SESSION_PROCESS = 8,
	SESSION_EXAMINE = 9,
	SESSION_EXAMINED = 10,
};

/* The descriptor on which mqgate-session finds its manager. */
#define SESSION_FD 3

/* What became of an examination. */
struct examined {
	int32_t confined; /* 1; 0; negative errno: it cannot be told, or the next two say why not */
	uint32_t reason;  /* enum reason: what is wrong with a container; or REASON_GRANTED */
	char lacks[48];   /* what its filter lets through; "": nothing */
};

struct session_message {
	uint32_t type;
	uint32_t reserved; /* 0 */
	union {
		struct {
			uint32_t record_rate;    /* records a second */
			uint32_t record_allowed; /* 1: also allowed opens and deletes */
			uint32_t mediation;      /* enum mediation, as the launcher was told */
			uint32_t user;           /* who has launched it; believed for speed only */
			uint32_t tells_tables; /* 1: the filter tells of shared descriptor tables */
			uint32_t processes_unknown; /* 1: the manager is to be told of all that are
						       noted */
			int32_t launcher;   /* its filters are examined if its pidfd comes */
			uint64_t filter_id; /* in the session's filter */
			uint32_t contained; /* 1: as the mark of a container's profile */
			uint32_t runtime_user, runtime_group; /* of who has made the bundle */
			uint32_t unused;                      /* 0 */
			uint64_t capabilities;                /* that its processes can ever have */
			/* Whose config.json is looked at; "": of none. Where that path is from
			 * comes as the fourth descriptor. */
			char bundle[CONTAINER_BUNDLE_MAX + 1];
		} attach;
		struct {
			uint64_t generation;
			uint64_t size; /* bytes in the memfd */
		} grants;
		struct {
			uint64_t generation;
		} ack;
		/* Processes were killed and are not seen to have stopped: the kernel holds them. */
		struct {
			uint64_t generation;
			int32_t pid;    /* of one */
			uint32_t count; /* of all */
		} unstopped;
		struct {
			int32_t pid;
		} process, examine;
		struct examined examined;
		/* Which processes of the session have a descriptor open of one of these queues that
		 * its grants do not give any more, or are registered on one. */
		struct {
			uint64_t number; /* of the question; comes back with the answer */
			uint64_t size; /* bytes in the memfd; the permissions in it do not matter */
			uint64_t wait_usec; /* until there are none, at most so long */
			uint32_t kill;      /* 1: then, if there are any, ends the session; without
					       waiting also if there may be hidden ones */
			uint32_t unused;    /* 0 */
		} holders;
		struct {
			uint64_t number;
			uint32_t processes;   /* the next two together; 0 if it was to end them
						 without waiting */
			uint32_t holders;     /* that have one open, which may be used */
			uint32_t registrants; /* that are registered for notification on one */
			uint32_t unknown;     /* more that may do either: they could not be looked
						 at, or may be of another session */
			uint32_t killed;
			uint32_t left; /* not seen to have stopped in time, or not provable */
			int32_t left_pids[HOLDERS_PIDS_MAX]; /* the first of these; 0: not known */
			int32_t error; /* 0, or negative errno: it could not be looked */
		} found;
		struct {
			uint32_t call;   /* enum mq_call */
			uint32_t reason; /* enum reason */
			int32_t error;   /* as answered: 0, or errno, positive */
			uint32_t missing;
			int32_t oflag;
			int32_t tid;
			int32_t tgid;
			uint32_t uid;        /* real user of the thread */
			uint64_t suppressed; /* records that the rate limit held back before this
						one */
			char command[16];
			char name[QUEUE_NAME_MAX + 1]; /* without slash; longer ones are cut */
			/* The queue that it means; "": the same. */
			char queue[QUEUE_NAME_MAX + 1];
			struct kernel_refusal refusal; /* if REASON_REFUSED */
		} record;
	};
};

/* Descriptors of one message. */
#define MESSAGE_FDS_MAX 64

/* Sends one message with descriptors (at most MESSAGE_FDS_MAX). Never blocks, never raises SIGPIPE.
 * Returns 0, -EAGAIN, -EPIPE or another negative errno. */
int message_send(int socket, const void *data, size_t size, const int *fds, size_t fd_count);

/* Of what recvmsg() gave from a socket with SO_PASSCRED: whose process sent it, as the kernel says;
 * 0 if it does not. */
struct msghdr;
pid_t message_sender(struct msghdr *message);

/* Receives one message of exactly size bytes and exactly fd_count descriptors (close-on-exec).
 * Never blocks. Anything else that came (longer, shorter, more or fewer descriptors) is -EBADMSG,
 * and every descriptor that came is closed. Returns 1, 0 at end of file, -EAGAIN or another
 * negative errno. */
int message_receive(int socket, void *data, size_t size, int *ret_fds, size_t fd_count);

/* The same of a socket with SO_PASSCRED. ret_sender: as message_sender() says. */
int message_receive_from(
	int socket, void *data, size_t size, int *ret_fds, size_t fd_count, pid_t *ret_sender);

/* The same, with at most so many descriptors. -EMFILE: there was no room for them; they are lost,
 * and data is not. */
int message_receive_some(
	int socket, void *data, size_t size, int *ret_fds, size_t fds_max, size_t *ret_count);
