/* SPDX-License-Identifier: MIT */
/* Settings and packages: read, and read again. */
#include <grp.h>
#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "include/bus.h"
#include "include/limits.h"
#include "include/log.h"
#include "manager.h"

void policy_release(struct policy *policy)
{
	if (policy->packages)
		policy->packages = packages_unref(policy->packages);
	if (policy->connections)
		policy->connections = connections_unref(policy->connections);
}

void settings_clear(struct settings *settings)
{
	config_clear(&settings->config);
	*settings = (struct settings){0};
}

static int find_group(const char *file, const char *key, const char *name,
	struct diagnostics *diagnostics, gid_t *ret)
{
	const struct group *group;

	if (!name)
		return 0;
	group = getgrnam(name);
	if (!group) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, file, 0, 0,
			"%s: there is no group \"%s\"; create it, or name another one", key, name);
		return -EBADMSG;
	}
	*ret = group->gr_gid;
	return 0;
}

int settings_load(const char *file, struct diagnostics *diagnostics, struct settings *ret)
{
	struct settings settings = {0};
	int r;

	r = config_load(file, diagnostics, &settings.config);
	if (r < 0)
		return r;
	r = find_group(
		file, "admin-group", settings.config.admin_group, diagnostics, &settings.admin_gid);
	if (r == 0)
		r = find_group(file, "launch-group", settings.config.launch_group, diagnostics,
			&settings.launch_gid);
	if (r < 0) {
		settings_clear(&settings);
		return r;
	}
	*ret = settings;
	return 0;
}

void log_diagnostics(const struct diagnostics *diagnostics)
{
	static const int levels[] = {
		[SEVERITY_NOTE] = LOG_NOTICE,
		[SEVERITY_WARNING] = LOG_WARNING,
		[SEVERITY_ERROR] = LOG_ERR,
	};

	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&diagnostics->items[i]);

		log_message(levels[diagnostics->items[i].severity], "%s",
			line ? line : "out of memory");
	}
	if (diagnostics->suppressed > 0)
		log_warning("%zu further errors and warnings", diagnostics->suppressed);
}

char *diagnostics_text(const struct diagnostics *diagnostics, const char *closing)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&diagnostics->items[i]);

		(void)fprintf(f, "%s\n", line ? line : "out of memory");
	}
	if (diagnostics->suppressed > 0)
		(void)fprintf(f, "%zu further errors and warnings\n", diagnostics->suppressed);
	(void)fputs(closing, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int refuse_reload(const struct diagnostics *diagnostics, sd_bus_error *error)
{
	_cleanup_free_ char *text = diagnostics_text(
		diagnostics, "nothing has changed; correct the files and reload again");

	log_diagnostics(diagnostics);
	log_error("not reloaded, the old policy stays in force");
	return sd_bus_error_set(error, BUS_ERROR_POLICY, text ? text : strerror(ENOMEM));
}

static int apply_reload(struct manager *manager, struct packages *packages,
	struct diagnostics *diagnostics, sd_bus_message *call, sd_bus_error *error)
{
	struct policy policy = {packages_ref(packages), NULL};
	_cleanup_(connections_unrefp) struct connections *old =
		connections_ref(manager->policy.connections);
	_cleanup_(change_freep) struct change *change = NULL;
	int r, state_error = 0;

	r = settle_connections(manager, packages, diagnostics, &policy.connections);
	if (r == 0)
		r = change_new(manager, CHANGE_RELOAD, call, &change);
	if (r == 0) {
		log_diagnostics(diagnostics);
		change->warnings = *diagnostics;
		*diagnostics = (struct diagnostics){0};
		r = change_apply(&change, &policy, &state_error);
		if (r < 0)
			(void)bus_set_change_error(error, manager, r, state_error);
		else
			log_changes(old, manager->policy.connections, "by reload");
	}
	policy_release(&policy);
	return r;
}

static int reload(struct manager *manager, sd_bus_message *call, struct diagnostics *diagnostics,
	sd_bus_error *error)
{
	const struct manager_options *options = manager->options;
	_cleanup_(packages_unrefp) struct packages *packages = NULL;
	struct settings settings = {0};
	int r;

	r = settings_load(options->config_file, diagnostics, &settings);
	if (r == 0 || r == -EBADMSG) {
		int q = packages_load(
			options->package_dirs, options->package_dir_count, diagnostics, &packages);

		r = q < 0 ? q : r;
	}
	if (diagnostics->errors > 0)
		r = refuse_reload(diagnostics, error);
	else if (r == 0)
		r = apply_reload(manager, packages, diagnostics, call, error);
	if (r < 0) {
		settings_clear(&settings);
		return r;
	}
	settings_clear(&manager->settings);
	manager->settings = settings;
	log_info("reloaded: %zu packages", manager->policy.packages->count);
	return 0;
}

int manager_reload(struct manager *manager, sd_bus_message *call, sd_bus_error *error)
{
	struct diagnostics diagnostics = {0};
	int r;

	(void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec());
	r = reload(manager, call, &diagnostics, error);
	if (r < 0 && !sd_bus_error_is_set(error))
		(void)bus_set_change_error(error, manager, r, 0);
	/* Malformed documents have been logged. */
	if (r < 0 && !sd_bus_error_has_name(error, BUS_ERROR_POLICY))
		log_error("not reloaded, the old policy stays in force: %s", error->message);
	diagnostics_clear(&diagnostics);
	(void)sd_notify(false, "READY=1");
	manager_update_status(manager);
	return r;
}
