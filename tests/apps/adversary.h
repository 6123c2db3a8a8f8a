/* SPDX-License-Identifier: MIT */
/* What the adversary's modes share: see adversary.c. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "app.h"

extern const char *queue_name, *directory;

/* "123456 got a": milliseconds of CLOCK_MONOTONIC, and the text, in one write. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);
/* Says why, with errno, and ends the process. */
__attribute__((noreturn)) void give_up(const char *what);

/* QUEUE, or QUEUE followed by suffix. */
mqd_t open_queue(const char *suffix, int oflag);

/* Whether the test has made that file in DIRECTORY; waits until it has. */
bool is_told(const char *word);
void wait_until_told(const char *word);

/* Tells what it gets. The first makes one call that waits so long and returns whether it got a
 * message; the others go on for ever, whatever they are answered. */
bool receive_once(mqd_t queue, long milliseconds);
__attribute__((noreturn)) void receive_for_ever(mqd_t queue);
void *receive_in_thread(void *queue);

void start_thread(void *(*run)(void *), void *data);
/* A child that dies with this process; 0 in the child. */
pid_t start_child(void);
/* A child that receives for ever. */
pid_t start_receiver(mqd_t queue);
/* A child with the same memory and the same table; negative where no process may have that. */
pid_t start_sharer(int (*run)(void *));

__attribute__((noreturn)) void stay(void);

/* Threads that stay in execve(): of scripts in DIRECTORY, whose interpreters another process has
 * write leases on. */
void get_stuck_in_execve(int count);
/* As many filters as the kernel takes. */
void pile_up_filters(void);

/* Each begins its attack, says "ready" and goes on. */
void attack_execlease(void);
void attack_execs(void);
void attack_recycle(void);
void attack_spent(void);
void attack_chain(void);
void attack_traced(void);
void attack_stopped(void);
void attack_idle(void);
void attack_dead_first(void);
void attack_exchange(void);
void attack_register(void);
void attack_register_writer(void);
void attack_flood(void);
void attack_listener(void);
void attack_filters(void);
void attack_fuse_exec(void);
void attack_fuse_exit(void);
void attack_fuse_send(void);
void attack_fuse_name(void);
void attack_fuse_receive(void);
