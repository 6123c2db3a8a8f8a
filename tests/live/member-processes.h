/* SPDX-License-Identifier: MIT */
/* Processes that may be members of a session, and looking for them. */
#pragma once

#include "daemon/session/revoke/members.h"

#define SEEN_MAX 16

/* Of this test; others run at the same time. All of its processes have its name. */
extern uint64_t filter_id;
void choose_filter_id(void);
bool is_of_this_test(void *context, const struct member *member);

/* What was found. */
extern struct seen {
	pid_t found[SEEN_MAX];
	size_t found_count;
	pid_t unknown[SEEN_MAX];
	size_t unknown_count;
} * seen;

void see(void *context, const struct member *member, enum membership membership);
bool is_in(pid_t pid, const pid_t *list, size_t count);
bool found(pid_t pid);

/* Looks for the processes of this test. Another test may look at the same ones just then, and then
 * they cannot be told: so again. look_once() says what members_for_each() says. */
struct members *new_members(void);
void look(void);
void look_with(struct members *members);
int look_once(struct members *members, const struct member_visitor *visitor);

/* A child of the test: what it does, then waits to be killed. Reports a pid of its own (or 0). */
pid_t start(pid_t (*f)(void), pid_t *ret_reported);

/* In a child: under the session's filter, under another's, and waiting. */
void confine(uint64_t its_filter_id);
pid_t member(void);
pid_t neighbour(void);
int wait_to_be_killed(void *unused);

/* Of a test; made by it. */
extern char directory[];
void remove_directory(void);
