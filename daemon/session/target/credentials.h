/* SPDX-License-Identifier: MIT */
/* Who the calling thread is. What was said in target.h about validity holds here, too. */
#pragma once

#include "target.h"

/* Who asks, in the ids of our own user namespace. */
struct credentials {
	uid_t real_uid, effective_uid, fs_uid;
	gid_t real_gid, effective_gid, fs_gid;
	gid_t *groups;
	size_t group_count;
	uint64_t capabilities; /* effective, and to be lent; 0 unless its user namespace is ours */
	mode_t umask;
	int ipc_namespace;  /* -EBADF if it is ours */
	rlim_t queue_bytes; /* soft RLIMIT_MSGQUEUE; 0 until it is read with target_limits() */
	pid_t tgid;
	/* Its number in its own PID namespace, and how many of these it is in, as seen from here.
	 */
	uint32_t nested_tgid, pid_depth;
	char command[16];
};
#define CREDENTIALS_NONE ((struct credentials){.ipc_namespace = -EBADF})

void credentials_clear(struct credentials *identity);

/* The names of namespaces as the kernel prints them, with their numbers. One that is alive, as ours
 * are, shares its number with no other. */
#define NAMESPACE_NAME_SIZE 32
struct namespaces {
	char user[NAMESPACE_NAME_SIZE], ipc[NAMESPACE_NAME_SIZE];
};
int namespaces_get(int proc, struct namespaces *ret);

/* The same of a text. 0 or -EBADMSG. */
int credentials_parse_nested(const char *text, uint32_t *ret_tgid, uint32_t *ret_depth);

/* Adds what the text of /proc/TID/status says; the identity is to be cleared in any case. 0 or
 * -EBADMSG, -ENOMEM. */
int credentials_parse(const char *text, struct credentials *identity);

/* Everything of struct credentials but queue_bytes. 0 or negative errno; then nothing may be done
 * in the thread's name. */
int target_credentials(
	struct target *target, const struct namespaces *own, struct credentials *ret);
