/* SPDX-License-Identifier: MIT */
/* What the attacks of exchange.c share. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "app.h"

struct score {
	atomic_ulong calls, kept, lost;
	atomic_ulong turns; /* of this attack: a call begins, and its partner has its moment */
	atomic_ulong taken; /* turns that the partner has used */
	atomic_int delay;   /* microseconds from the beginning of a call until it is looked at */
};

extern mqd_t lost, kept;
extern int number; /* the one that is called with; each call begins with KEPT there */
extern struct score *score;

/* "no-uffd: …" on stdout: this machine, or this kernel, has none of what the attack needs. */
__attribute__((noreturn)) void cannot(const char *what);

/* One call with that timeout, and a look at where its message went. */
void send_with(int fd, const struct timespec *timeout);
/* Puts KEPT behind the number, lets the partner know, and calls. */
void take_turn(void);
void take_turns(void);

/* Waits for the next turn, and then until the call has been looked at, as far as that is known. */
void wait_for_turn(void);
void wait_for_look(void);
void spin(unsigned microseconds);
/* Puts LOST behind the number. */
void exchange_once(void);

void start_thread(void *(*run)(void *));
/* A child that ends with its parent; 0 in the child. */
pid_t start_child(void);

/* io_uring: exchange-ring.c */
void attack_ring_worker(void);
void attack_ring_poll(void);
void attack_ring_deferred(void);
void attack_ring_sqpoll(void);
void attack_ring_inherited(void);
void attack_fault_worker(void);
void attack_fault_poll(void);

/* A page that is missing, under the timeout of a call: exchange-fault.c */
void attack_fault_thread(void);
void attack_fault_child(void);

/* ptrace(2): exchange-trace.c */
void attack_traced_entry(void);
void attack_traced_event(void);
void attack_traced_restart(void);
void attack_traced_storm(void);
void attack_suspended(void);
