/* SPDX-License-Identifier: MIT */
/* Which capabilities mqgate's processes have, and how they give up the others. */
#pragma once

#include <linux/capability.h>
#include <stdint.h>
#include <sys/resource.h>

#define CAPABILITY(name) (UINT64_C(1) << (CAP_##name))
#define CAPABILITIES_ALL UINT64_MAX

/* Every session process, for its own work: the ids and groups of a thread (on-behalf.c), the
 * descriptors and threads of others (target.c, bring-back.c), the memory file of a thread and
 * queues that it only looks at (target.c, own.c), IPC namespaces and the filters of others (own.c,
 * examine.c), ending processes, also those that do not get to run (bring-back.c, holders.c), the
 * priority of a real-time thread (urgency.c). */
#define CAPABILITIES_OF_SESSIONS                                                      \
	(CAPABILITY(SETUID) | CAPABILITY(SETGID) | CAPABILITY(SYS_PTRACE) |           \
		CAPABILITY(DAC_OVERRIDE) | CAPABILITY(SYS_ADMIN) | CAPABILITY(KILL) | \
		CAPABILITY(SYS_NICE))

/* What the kernel asks for in mq_open and mq_unlink. A session process lends them to threads that
 * have them, so it keeps those that a thread of its session can ever have. */
#define CAPABILITIES_LENT                                                              \
	(CAPABILITY(DAC_OVERRIDE) | CAPABILITY(DAC_READ_SEARCH) | CAPABILITY(FOWNER) | \
		CAPABILITY(SYS_RESOURCE))

/* The spawner, to pass them on; SETPCAP is for giving up the others. */
#define CAPABILITIES_OF_SPAWNER (CAPABILITIES_OF_SESSIONS | CAPABILITIES_LENT | CAPABILITY(SETPCAP))

/* The manager: to look at launchers in /proc (peer.c). The others are for one that is root, and the
 * unit does not give them: for files and directories named on the command line that belong to
 * somebody else; and to send descriptors. The kernel counts for each user those that are under way,
 * so any program of root's could keep us from that; with SYS_RESOURCE it does not ask, nor with
 * SYS_ADMIN, which is kept where there is no SYS_RESOURCE (containers). */
#define CAPABILITIES_OF_MANAGER(permitted)                                              \
	(CAPABILITY(SYS_PTRACE) | CAPABILITY(DAC_OVERRIDE) | CAPABILITY(SYS_RESOURCE) | \
		((permitted)&CAPABILITY(SYS_RESOURCE) ? 0 : CAPABILITY(SYS_ADMIN)))

int capabilities_get(uint64_t *ret_permitted);
int capabilities_set(uint64_t permitted, uint64_t effective);

/* Gives up all others for good: out of every set, the bounding set among them where CAP_SETPCAP is
 * there to do it. What is kept is permitted and effective, neither inheritable nor ambient. 0 or
 * negative errno; then this process must not go on. */
int capabilities_keep(uint64_t kept);

/* From now on neither exec nor memory that is writable and executable gives this process or its
 * children more; the latter where the kernel can (6.3). 0 or negative errno. */
int process_restrict(void);

/* As many descriptors as are permitted: there are some for each of many sessions, and for each of a
 * session's many queues. 0 or negative errno. */
int process_raise_descriptors(void);

/* As many bytes of message queues as are permitted to this process and those that it starts: with
 * CAP_SYS_RESOURCE or without a hard limit RLIM_INFINITY, else the hard limit. Returns what it is
 * now. */
rlim_t process_raise_queue_bytes(void);
