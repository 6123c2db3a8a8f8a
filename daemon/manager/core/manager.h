/* SPDX-License-Identifier: MIT */
/* The manager: what its parts share.
 *
 * One thread, one sd-event loop. Who owns what:
 *
 *   manager           sessions, session processes, launches, accounts with their control peers
 *   session           its duplicate of the listener, its in-flight memfd, its updates
 *   session process   its socket; freed when it has been reaped, and only then
 *   change            itself; freed when every session concerned has taken it over
 *   holders query     itself, once started; freed when every session asked has answered
 *
 * A session process is never waited for: killing it is asked of the spawner, and what follows
 * happens when it has been reaped there. What lies lower calls nothing that lies higher, but by a
 * function that it was given. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "include/policy.h"
#include "include/util.h"
#include "include/features.h"
#include "crowd.h"

struct account;
struct change;
struct fd_receiver;
struct holders_query;
struct last_records;
struct launch;
struct mount_watch;
struct record;
struct session;
struct session_process;
struct session_reports;
struct stored;
struct totals;

struct manager_options {
	const char *config_file;
	const char *state_dir;
	const char *runtime_dir;
	const char *session_program;
	const char *spawner_socket; /* NULL: the spawner is our child */
	bool containers;            /* open their socket, unless it is passed to us */
	const char *const *package_dirs;
	size_t package_dir_count;
};

/* mqgated.yaml, with groups looked up. */
struct settings {
	struct config config;
	gid_t admin_gid, launch_gid; /* valid if the group is configured */
};

struct manager {
	const struct manager_options *options;
	sd_event *event;
	struct settings settings;
	struct policy policy;
	struct kernel_features features;
	uint64_t generation; /* of the newest grants made for anybody */
	bool stopping;
	bool has_host; /* our IPC namespace is that of the system */

	int lock;
	int launch_socket, control_socket, container_socket; /* -EBADF: there is none */
	char *launch_path, *control_path, *container_path; /* ours to remove; NULL: passed to us */
	bool refuses_descriptors; /* the kernel does, before they are sent */
	sd_event_source *launch_source, *control_source, *container_source;

	struct crowd crowd; /* what there is one of for each session */
	struct session *sessions;
	size_t session_count;
	size_t kept_count;      /* processes, of all sessions */
	size_t unsettled_count; /* sessions of an earlier manager; see session_take_over() */
	uint32_t last_stored;   /* number of the session that was stored last */
	struct stored *stored;  /* came back and not taken over yet */
	sd_event_source
		*watch_source; /* looks at requests in hand; runs while there are sessions */
	int spawner;           /* asked for session processes */
	pid_t spawner_pid;     /* 0: not our child */
	sd_event_source *spawner_source;
	struct session_process *session_processes;
	struct session_process *spare;
	sd_event_source *spare_source; /* starts the next spare */
	struct launch *launches;
	struct arrival *arrivals; /* of containers */
	uint64_t refusals_second; /* of users' containers: told since then */
	unsigned refusals_told;
	struct examination *examinations;
	struct fd_receiver *fd_receivers;
	struct account *accounts;     /* of all who are connected */
	sd_event_source *turn_source; /* serves one peer of the control bus */
	struct change *changes;
	struct holders_query *holders_queries;
	uint64_t holders_requests;      /* asked so far */
	sd_event_source *expiry_source; /* at the next end of a timed connection */
	struct mount_watch *mounts;
	struct totals *totals;
	struct last_records *last_records;

	const struct session_reports *session_reports; /* see sessions/state.h */
	/* Records go there, too; not before it is set. */
	void (*tell)(struct manager *manager, const struct record *record);
};

static inline bool serves_containers(const struct manager *manager)
{
	return manager->container_socket >= 0;
}

/* Tells the service manager how much there is of everything. */
void manager_update_status(const struct manager *manager);
