/* SPDX-License-Identifier: MIT */
/* The manager: start, signals, end. */
#include "start.h"

#include <signal.h>
#include <systemd/sd-daemon.h>

#include "daemon/manager/peers/fd-receiver.h"
#include "bus/peer.h"
#include "changes/expiry.h"
#include "changes/names.h"
#include "changes/reload.h"
#include "changes/report.h"
#include "core/list.h"
#include "include/capabilities.h"
#include "include/log.h"
#include "container.h"
#include "launch.h"
#include "mounts.h"
#include "sessions/holders.h"
#include "sessions/records.h"
#include "sessions/session-process.h"
#include "sessions/session.h"
#include "sessions/take-over.h"
#include "sessions/totals.h"
#include "sockets.h"
#include "daemon/manager/sessions/spawner.h"

#define NO_MEMORY_USEC 10000

static int on_stop(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct manager *manager = userdata;

	(void)sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
	manager->stopping = true;
	return sd_event_exit(manager->event, 0);
}

static int on_hangup(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
	struct refusal refusal = {0};

	/* It has logged what is wrong; the old policy stays. */
	(void)reload(userdata, NULL, &refusal);
	refusal_clear(&refusal);
	return 0;
}

static int prepare_signals(struct manager *manager)
{
	sigset_t set;
	int r;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGTERM);
	(void)sigaddset(&set, SIGINT);
	(void)sigaddset(&set, SIGHUP);
	(void)sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0 || signal(SIGPIPE, SIG_IGN) == SIG_ERR)
		return -errno;
	r = sd_event_add_signal(manager->event, NULL, SIGTERM, on_stop, manager);
	r = r < 0 ? r : sd_event_add_signal(manager->event, NULL, SIGINT, on_stop, manager);
	return r < 0 ? r : sd_event_add_signal(manager->event, NULL, SIGHUP, on_hangup, manager);
}

/* Before anything is opened and given up here. */
static int start_spawner(struct manager *manager)
{
	const struct manager_options *options = manager->options;

	return options->spawner_socket ? spawner_connect(options->spawner_socket, &manager->spawner)
				       : spawner_fork(options->session_program,
						 &manager->spawner_pid, &manager->spawner);
}

static int on_spawner(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct manager *manager = userdata;

	log_error("the spawner of session processes has ended, and they with it");
	return sd_event_exit(manager->event, -ECONNRESET);
}

static int start_loop(struct manager *manager)
{
	uint64_t permitted = 0;
	int r = process_restrict();

	r = r < 0 ? r : capabilities_get(&permitted);
	r = r < 0 ? r : capabilities_keep(CAPABILITIES_OF_MANAGER(permitted));
	r = r < 0 ? r : sd_event_new(&manager->event);
	r = r < 0 ? r : crowd_begin(manager->event, &manager->crowd);
	r = r < 0 ? r : prepare_signals(manager);
	r = r < 0 ? r : sd_event_set_watchdog(manager->event, true);
	r = r < 0 ? r : process_raise_descriptors();
	return r < 0 ? log_errno(r, "cannot set up the process") : 0;
}

/* Logs; what is wrong with a file is said by its diagnostics. */
static int check_loaded(int r, struct diagnostics *diagnostics, const char *what)
{
	log_diagnostics(diagnostics);
	if (r < 0 && diagnostics->errors == 0)
		log_errno(r, "cannot read the %s", what);
	diagnostics_clear(diagnostics);
	return r;
}

static int load(struct manager *manager)
{
	const struct manager_options *options = manager->options;
	struct diagnostics diagnostics = {0};
	int r;

	r = settings_load(options->config_file, &diagnostics, &manager->settings);
	r = check_loaded(r, &diagnostics, "configuration");
	if (r < 0)
		return r;
	/* Documents with errors are left out, the others are served. */
	r = packages_load(options->package_dirs, options->package_dir_count, &diagnostics,
		&manager->policy.packages);
	r = check_loaded(r, &diagnostics, "packages");
	if (r < 0)
		return r;
	r = connections_load(options->state_dir, &diagnostics, &manager->policy.connections);
	return check_loaded(r, &diagnostics, "connections");
}

static int start_parts(struct manager *manager)
{
	int r;

	r = mounts_start(manager);
	if (r < 0)
		return log_errno(r, "cannot watch the mount table");
	/* No events are asked for: what always comes is EPOLLHUP. */
	r = sd_event_add_io(
		manager->event, &manager->spawner_source, manager->spawner, 0, on_spawner, manager);
	r = r < 0 ? r : sessions_start(manager);
	return r < 0 ? log_errno(r, "cannot start a session process") : 0;
}

int manager_new(const struct manager_options *options, struct manager **ret)
{
	_cleanup_(manager_freep) struct manager *manager = calloc(1, sizeof(*manager));
	int r;

	if (!manager)
		return log_errno(-ENOMEM, "cannot start");
	*manager = (struct manager){.options = options,
		.lock = -EBADF,
		.crowd = CROWD_NONE,
		.spawner = -EBADF,
		.launch_socket = -EBADF,
		.control_socket = -EBADF,
		.container_socket = -EBADF};
	kernel_features_probe(&manager->features);
	manager->has_host = task_has_host_ipc();
	r = start_spawner(manager);
	r = r < 0 ? r : start_loop(manager);
	r = r < 0 ? r : lock_state_dir(options->state_dir, &manager->lock);
	r = r < 0 ? r : load(manager);
	r = r < 0 ? r : connections_start(manager);
	r = r < 0 ? r : sockets_open(manager);
	r = r < 0 ? r : totals_start(manager);
	r = r < 0 ? r : start_parts(manager);
	if (r < 0)
		return r;
	*ret = take_pointer(manager);
	return 0;
}

/* The spawner kills whatever still runs. */
static void end_session_processes(struct manager *manager)
{
	session_processes_end(manager);
	manager->spawner_source = sd_event_source_disable_unref(manager->spawner_source);
	if (manager->spawner >= 0)
		spawner_dismiss(take_fd(&manager->spawner), manager->spawner_pid);
}

struct manager *manager_free(struct manager *manager)
{
	if (!manager)
		return NULL;
	manager->stopping = true;
	sockets_close(manager);
	fd_receivers_free(manager);
	end_session_processes(manager);
	sessions_free(manager);
	store_free(manager);
	launches_free(manager);
	containers_free(manager);
	peers_free(manager);
	FOREACH (change, manager->changes)
		(void)change_free(change);
	FOREACH (query, manager->holders_queries)
		(void)holders_query_free(query);
	manager->mounts = mounts_free(manager->mounts);
	manager->expiry_source = sd_event_source_disable_unref(manager->expiry_source);
	policy_release(&manager->policy);
	settings_clear(&manager->settings);
	totals_free(manager);
	last_records_free(manager);
	crowd_end(&manager->crowd);
	manager->event = sd_event_unref(manager->event);
	manager->lock = safe_close(manager->lock);
	free(manager);
	return NULL;
}

/* What had no memory is done again: nothing of the loop is lost by that. */
static int serve(struct manager *manager)
{
	int r;

	while ((r = sd_event_loop(manager->event)) == -ENOMEM) {
		log_errno(r, "the event loop waits");
		(void)usleep(NO_MEMORY_USEC);
	}
	return r;
}

int manager_run(struct manager *manager)
{
	int r = store_take_over(manager);

	names_log_clashes(manager);
	r = r < 0 || manager->stopping ? r : sockets_serve(manager);
	if (r < 0)
		return r;
	if (manager->stopping)
		return serve(manager);
	log_info("ready: %zu packages, %zu connections; listening in %s",
		manager->policy.packages->count, manager->policy.connections->count,
		manager->options->runtime_dir);
	(void)sd_notify(false, "READY=1");
	manager_update_status(manager);
	return serve(manager);
}
