/* SPDX-License-Identifier: MIT */
/* What the peers of one user have of both sockets.
 *
 * Each user has an account, and root one that nobody else can use up. A confined process has none:
 * until it is known to be one it has a share of its user's that nothing else needs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct manager;
struct peer;

/* In the order in which they are served. */
enum account_kind {
	ACCOUNT_ROOT,
	ACCOUNT_USER,
	ACCOUNT_KINDS,
};

enum share {
	SHARE_LAUNCHES,     /* between connect and the word */
	SHARE_FD_RECEIVERS, /* for their launches; one may be held up when it ends */
	SHARE_CONTROL,      /* connections to the control bus */
	SHARE_REFUSED,      /* those that are only told why they are refused */
	SHARE_EXAMINATIONS, /* of those that may be confined */
	SHARE_UNREAD,       /* bytes that the control bus has for them */
	SHARES,
};

struct account {
	struct account *previous, *next;
	struct manager *manager;
	enum account_kind kind;
	uid_t uid;
	unsigned references;
	size_t taken[SHARES]; /* whoever takes asks account_is_full() before, and gives it back */
	struct peer *peers;   /* of the control bus */
	bool reported;        /* the log has been told of one that does not read */
};

/* To be unreferenced. NULL on lack of memory. */
struct account *account_of(struct manager *manager, uid_t uid);
struct account *account_ref(struct account *account);
struct account *account_unref(struct account *account);

/* This account has all that it may have, or all of its kind together have. */
bool account_is_full(const struct account *account, enum share share);
