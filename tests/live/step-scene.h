/* SPDX-License-Identifier: MIT */
/* The scene of test-step.c: the app and the victim (step-app.c), one run (step-run.c), and what
 * became of it (step-check.c). */
#pragma once

#include <fcntl.h>
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <linux/sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include "daemon/session/call/on-behalf.h"
#include "daemon/session/target/inflight.h"
#include "door.h"
#include "step.h"
#include "support.h"
#include "tests/patience.h"

#define QUEUE_FD      100 /* of caller and victim */
#define PATIENCE_USEC (10 * 1000000ULL * (uint64_t)patience())
#define TRACED_MS     100 /* more than anybody needs to reap */
#define SESSION_FDS   256 /* of the session process, that are looked at */
#define MESSAGES      4
#define MESSAGE       "own"

enum deed { UNDISTURBED, DIES, EXECS, REUSED, CHANGES, LEAVES };

/* The queues. */
enum place {
	OWN,     /* the caller's user's; all is granted */
	ROOTS,   /* root's; all is granted, and the file's mode forbids it */
	DENIED,  /* the caller's user's; nothing is granted */
	FOREIGN, /* of the name of the first, in another IPC namespace */
	PLACES,
	NOWHERE = PLACES /* no descriptor */
};

struct kind {
	const char *name;
	long (*call)(void);
	long expected;         /* of mq_open 0 stands for a descriptor */
	bool on_descriptor;    /* QUEUE_FD is a descriptor of at; else the name is at's */
	enum place at;         /* what it is about */
	enum place after;      /* what another thread puts in its place */
	enum place victims;    /* what the victim has there */
	bool known, tainted;   /* the session knows OWN; has lost something */
	bool no_own, no_root;  /* OWN, ROOTS do not exist */
	bool creates, deletes; /* OWN */
	int messages, delta;   /* in OWN before; how many more there are afterwards */
	int flags;             /* of the caller's descriptor of OWN, afterwards */
	int trigger;           /* it waits until there is a message (1) more, or one less (-1) */
	bool leased;           /* OWN, which is a new one; it waits until it is not */
	bool watched;          /* ROOTS may only be written, so each mq_notify is watched */
	bool partly;           /* OWN may only be written, whatever the descriptor does */
};

/* Shared by all. */
struct play {
	enum command { RUN, ASK, END } command;
	const struct kind *kind;
	pid_t caller;
	atomic_bool answered, victim_ready, victim_disturbed;
	long result;
	bool is_own; /* the descriptor that it got */
	int flags;   /* of the app's descriptor of OWN after a run */
	long asked[2];
};

struct facts {
	struct queue_key key[FOREIGN];
	uid_t owner[FOREIGN];
	long messages[FOREIGN];
	struct mq_attr size; /* of OWN */
};

struct run {
	const struct kind *kind;
	enum deed deed;
	unsigned at; /* the step before which it is done; 0: not at all */
	bool done, reaped;
	bool killed;                       /* by the session process */
	bool replied_before, noted_before; /* the deed */
	char step[STEP_NAME_MAX];
	pid_t caller, victim;
	unsigned victims_descriptors;
	struct facts before, after;
};

extern struct play *play;
extern struct door door;
extern struct stepper stepper;
extern struct inflight *inflight;
extern char names[PLACES][64];
extern int descriptors[PLACES]; /* the app's, and the victim's */
extern struct queue_key keys[PLACES];
extern int foreign_namespace, nudge[2], nudged[2];
extern char session_facts[8192];
extern char complaint[512];
extern char name[64], message[64];
extern struct mq_attr attributes;
extern unsigned priority;
extern struct timespec timeout;
extern struct sigevent event;

void set_arguments(enum place place, bool first);

long call_open(void);

long call_create(void);

long call_create_exclusively(void);

long call_unlink(void);

long call_send(void);

long call_receive(void);

long call_get_attributes(void);

long call_set_attributes(void);

long call_register(void);

long call_remove(void);

bool is_own(long fd);

void be_app(struct stage *stage);

int make_queue(enum place place, int flags);

void name_queues(const struct stage *stage);

void be_given_queues(struct stage *stage);

void keep_patience(uint64_t deadline);

pid_t start_victim(const struct kind *kind, pid_t number);

_printf_(2, 3) void complain(const struct run *run, const char *format, ...);

struct facts look(void);

bool same_key(struct queue_key a, struct queue_key b);

void arrange(const struct kind *kind);

void tell(enum command command);

bool wait_for_event(int fd, int timeout_ms);

bool is_to_let_go(void);

void serve_app(void);

bool is_dead(pid_t pid);

void kill_caller(struct run *run);

pid_t registered_on(enum place place);

unsigned count_entries(pid_t pid);

void trigger(const struct kind *kind);

void step_through(struct run *run);

void wait_for_answer(struct run *run);

unsigned run_once(const struct kind *kind, enum deed deed, unsigned at);
