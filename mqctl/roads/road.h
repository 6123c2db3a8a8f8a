/* SPDX-License-Identifier: MIT */
/* What the roads share: see main.c. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern const char *queue;     /* "/name" */
extern const char *directory; /* DIRECTORY */

/* What every road is started with, opened outside: the mount namespace of a neighbour for whom
 * DIRECTORY/bound is /dev/mqueue, that of one in a user namespace of this user's, a mount
 * namespace, / and /dev. */
enum {
	INHERITED_BOUND_NAMESPACE = 5,
	INHERITED_USER_NAMESPACE = 6,
	INHERITED_NAMESPACE = 7,
	INHERITED_ROOT = 8,
	INHERITED_DEV = 9,
};

/* An unconfined process of the same user that has the queue open. */
struct victim {
	int pid, fd;
	unsigned long command; /* address of an int; 1: send to the queue */
};

/* The three outcomes: print, and return the exit status. The first two take errno. */
int closed(const char *step);
int untried(const char *step);
int is_open(void);

/* A descriptor is worth something only if messages go through it. A negative one: closed(step). */
int use(int fd);
int use_or_closed(int fd, const char *step);

/* Of CLOCK_REALTIME. */
struct timespec from_now(long milliseconds);

/* Both return what nobody frees: a road is short. */
const char *path_in(const char *prefix, const char *suffix);
const char *queue_file(void);

int be_victim(void);
int find_victim(struct victim *ret);

/* User, IPC and mount namespaces of one's own; negative with errno. */
int enter_namespaces(void);

/* A mount of the queues that is nowhere; flags are fsmount(2)'s. Negative with errno, *ret_step
 * says of what. */
int mount_detached(unsigned flags, const char **ret_step);

/* What it gives at the socket of this name in DIRECTORY; negative with errno. */
int receive_descriptor(const char *name);

int road_ptrace(const struct victim *victim);
int road_proc_mem(const struct victim *victim);
int road_process_vm_writev(const struct victim *victim);
int road_pidfd_getfd(const struct victim *victim);
int road_proc_fd(const struct victim *victim);
int road_proc_root(const struct victim *victim);
int road_proc_cwd(const struct victim *victim);
int road_sent_descriptor(const struct victim *victim);
int road_sent_directory(const struct victim *victim);

int road_inherited_directory(void);
int road_inherited_root(void);
int road_inherited_link(void);
int road_inherited_namespace(void);
int road_inherited_user_namespace(void);
int road_parent(void);
int road_escaped_root(void);
int road_other_namespaces(void);
int road_user_other_namespaces(void);
int road_bound_namespace(void);
int road_bound_namespace_any_type(void);
int road_bound_namespace_pidfd(void);
int road_bound_namespace_proc(void);
int road_bound_namespace_unlink(void);
int road_listed_namespace(void);
int road_listed_namespace_any_type(void);
int road_listed_namespace_unlink(void);

int road_open_tree_namespace(void);
int road_fsmount_namespace(void);
int road_empty_namespace(void);
int road_user_open_tree_namespace(void);
int road_user_fsmount_namespace(void);
int road_user_empty_namespace(void);

int road_truncate(void);
int road_inherited_truncate(void);
int road_chmod(void);
int road_inherited_chmod(void);
int road_chown(void);
int road_utimes(void);
int road_setxattr(void);

int road_mq_open(void);
int road_mq_unlink(void);
int road_mq_create(void);

#if defined(__x86_64__)
int road_i386_open(void);
int road_i386_mq_open(void);
int road_i386_mq_unlink(void);
int road_x32_mq_open(void);
int road_x32_mq_unlink(void);
#endif
