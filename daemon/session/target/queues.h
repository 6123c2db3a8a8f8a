/* SPDX-License-Identifier: MIT */
/* The queues that a session has opened: device and inode → name, and by what it may use it.
 *
 * A queue is not pinned: even an O_PATH descriptor would keep a dead queue charged to its user. So
 * an entry outlives its queue, and its inode number may come back: after 2^32 allocations of the
 * kernel's counter, and the new queue's descriptor would have to reach the app without this
 * session's opening it, that is from an outsider. Then it passes for a queue that this session was
 * granted under the old name; an outsider who gives away a descriptor could as well send the
 * messages on. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "include/grants.h"
#include "include/limits.h"

struct queue_key {
	uint64_t device;
	uint64_t inode; /* 0: entry not in use */
};

bool queue_key_same(struct queue_key a, struct queue_key b);

struct queue_entry {
	uint32_t permissions; /* that the session has on it, by the grants in force; what one of its
				 processes is given, all are */
	uint32_t opened; /* that it had whenever it opened it, or that a descriptor from outside
			    can do */
	uint32_t last_used;
	uint32_t spaces;  /* SPACE_…, where they are */
	uint16_t counted; /* by whom it was given (counters.h); 0: not known */
	struct subject subject;
	char name[QUEUE_NAME_MAX + 1];  /* its own */
	char alias[QUEUE_NAME_MAX + 1]; /* what programs call it; "": that */
};

struct queues {
	uint32_t count;  /* entries 0…count-1 have been used */
	uint32_t clock;  /* grows with each use */
	uint32_t forgot; /* 1: one was forgotten that may be open still */
	uint32_t hidden; /* 1: one that had its name still */
	struct queue_key keys[SESSION_QUEUES_MAX];
	struct queue_entry entries[SESSION_QUEUES_MAX];
};

/* A queue that is opened. */
struct queue_facts {
	const char *name;
	const char *alias;
	uint32_t spaces;
	uint16_t counted; /* by whom it was given */
	/* Who opened it, if it was granted to nobody else: what one process of a session may open
	 * those may use to which it passes the descriptor on. SUBJECT_NOBODY: it was granted to
	 * all. */
	struct subject subject;
};

/* Remembers (or renames) a queue, and what these grants give on it; forgets the least recently used
 * one when full. Names longer than QUEUE_NAME_MAX, which no queue can have, are not remembered. */
void queues_remember(struct queues *queues, struct queue_key key, const struct queue_facts *facts,
	const struct grants *grants);

/* These grants give somebody more than they give all, and the descriptor has come to that one. */
void queues_adopt(struct queues *queues, uint32_t place, const struct subject *subject,
	const struct grants *grants);

/* The session has a descriptor of this queue that it did not open, and that can do this. */
void queues_note_access(struct queues *queues, struct queue_key key, uint32_t access);

/* The entry that would be forgotten for this queue; SESSION_QUEUES_MAX: none. */
uint32_t queues_find_victim(const struct queues *queues, struct queue_key key);

/* True if by these grants the session has lost a permission on a queue that it may have open. */
bool queues_lose(const struct queues *queues, const struct grants *grants);

/* True if the session may have a descriptor of one of these queues with more than the grants in
 * force give, hidden or not. The permissions in scope do not matter. */
bool queues_may_be_held(const struct queues *queues, const struct grants *scope);

/* These grants are in force. */
void queues_update(struct queues *queues, const struct grants *grants);

/* Whether a queue is one of the scope. */
bool queues_are_in(const struct queues *queues, uint32_t i, const struct grants *scope);

/* The place of a queue of this name, its own or the program's, on which the session has lost one of
 * these permissions since it opened it, or has a descriptor from outside that could do it;
 * SESSION_QUEUES_MAX: there is none.
 */
uint32_t queues_find_lost(const struct queues *queues, const char *name, uint32_t permissions);

/* The place, valid until the next queues_remember(); SESSION_QUEUES_MAX if unknown. */
uint32_t queues_find(struct queues *queues, struct queue_key key);
