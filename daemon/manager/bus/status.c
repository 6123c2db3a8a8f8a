/* SPDX-License-Identifier: MIT */
/* Status: what runs here, and what this kernel can do. */

#include "config.h"
#include "include/log.h"
#include "messages.h"

static int append_count(sd_bus_message *message, const char *key, size_t count)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%zu", count);
	return bus_append_string(message, key, text);
}

static size_t wanted_connections(const struct connections *connections)
{
	size_t count = 0;

	for (size_t i = 0; i < connections->count; i++)
		count += connections->items[i].state != CONNECTION_UNDESIRED;
	return count;
}

static const char *yes_no(bool yes)
{
	return yes ? "yes" : "no";
}

static int append_path(sd_bus_message *message, const char *key, const char *path)
{
	char text[4096];

	return bus_append_string(message, key, escape(path, text, sizeof(text)));
}

static int append_features(const struct kernel_features *features, sd_bus_message *message)
{
	char landlock[32];
	int r;

	(void)snprintf(landlock, sizeof(landlock), "ABI %d", features->landlock_abi);
	r = bus_append_string(message, "landlock", features->landlock_abi ? landlock : "no");
	r = r < 0 ? r : bus_append_string(message, "seccomp-listener", yes_no(features->listener));
	r = r < 0 ? r
		  : bus_append_string(
			    message, "seccomp-wait-killable", yes_no(features->wait_killable));
	r = r < 0 ? r
		  : bus_append_string(
			    message, "seccomp-sync-wake-up", yes_no(features->sync_wake_up));
	return r < 0 ? r : bus_append_string(message, "peer-pidfd", yes_no(features->peer_pidfd));
}

/* One after the other, with ":" between them. */
static int append_directories(sd_bus_message *message, const struct packages *packages)
{
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return -ENOMEM;
	for (size_t i = 0; i < packages->directory_count; i++)
		(void)fprintf(f, i == 0 ? "%s" : ":%s", packages->directories[i]);
	return fclose(f) == 0 ? append_path(message, "packages-from", text) : -ENOMEM;
}

int bus_append_status(const struct manager *manager, sd_bus_message *message)
{
	int r;

	r = bus_append_string(message, "version", MQGATE_VERSION);
	r = r < 0 ? r : append_path(message, "state", manager->options->state_dir);
	r = r < 0 ? r : append_path(message, "runtime", manager->options->runtime_dir);
	r = r < 0 ? r : append_directories(message, manager->policy.packages);
	r = r < 0 ? r : append_count(message, "packages", manager->policy.packages->count);
	r = r < 0 ? r
		  : append_count(message, "connections",
			    wanted_connections(manager->policy.connections));
	r = r < 0 ? r : append_count(message, "sessions", manager->session_count);
	r = r < 0 ? r : append_features(&manager->features, message);
	r = r < 0 ? r
		  : bus_append_string(message, "containers", yes_no(serves_containers(manager)));
	return r < 0 ? r : bus_append_string(message, "journal", yes_no(log_to_journal()));
}
