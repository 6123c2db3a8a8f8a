/* SPDX-License-Identifier: MIT */
/* Whether a process of a container has no way to message queues but the door. */
#pragma once

#include <poll.h>

#include "include/verdict.h"
#include "target.h"

/* The namespaces in which all processes of the container are. */
struct contained {
	bool is; /* the session is a container's */
	/* pid_namespace 0: it is not served, since this is wrong with it; REASON_UNDECIDED: that is
	 * not known any more. */
	enum reason wrong;
	uint64_t pid_namespace, mount_namespace;
	bool watched;  /* somebody has been looked at */
	int mountinfo; /* then; keeps the mount namespace, too */
};

/* Looks at the process of a thread. REASON_GRANTED, or what is wrong with its container;
 * REASON_FAILED if that could not be seen. From the first that is found right on, its mounts are
 * watched. */
enum reason contained_look(struct contained *contained, struct target *target);

/* It is not served, from now on. */
void contained_refuse(struct contained *contained, enum reason wrong);

/* What poll() is to wait for if it is watched: something has been mounted. */
struct pollfd contained_poll(const struct contained *contained);
/* After it. Whether a message queue file system has come, or that cannot be seen. */
bool contained_is_broken(const struct contained *contained, const struct pollfd *fd);
