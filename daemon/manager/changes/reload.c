/* SPDX-License-Identifier: MIT */
#include "reload.h"

#include <grp.h>
#include <inttypes.h>
#include <systemd/sd-daemon.h>

#include "include/log.h"
#include "expiry.h"
#include "report.h"

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

/* Takes the warnings. */
static int apply_reload(struct manager *manager, struct packages *packages,
	struct diagnostics *diagnostics, struct change **change, struct refusal *ret_refusal)
{
	struct policy policy = {packages_ref(packages), NULL};
	_cleanup_(connections_unrefp) struct connections *old =
		connections_ref(manager->policy.connections);
	int r;

	r = settle_connections(manager, packages, diagnostics, &policy.connections);
	if (r < 0) {
		policy_release(&policy);
		return refuse_change(ret_refusal, r);
	}
	log_diagnostics(diagnostics);
	(*change)->warnings = *diagnostics;
	*diagnostics = (struct diagnostics){0};
	r = change_apply(change, &policy, ret_refusal);
	if (r == 0)
		log_changes(old, manager->policy.connections, "by reload");
	policy_release(&policy);
	return r;
}

static int load(const struct manager_options *options, struct diagnostics *diagnostics,
	struct settings *ret_settings, struct packages **ret_packages)
{
	int r, q;

	r = settings_load(options->config_file, diagnostics, ret_settings);
	if (r < 0 && r != -EBADMSG)
		return r;
	q = packages_load(
		options->package_dirs, options->package_dir_count, diagnostics, ret_packages);
	return q < 0 ? q : r;
}

static int refuse_documents(const struct diagnostics *diagnostics, struct refusal *ret_refusal)
{
	log_diagnostics(diagnostics);
	*ret_refusal = (struct refusal){REFUSAL_DOCUMENTS,
		diagnostics_text(
			diagnostics, "nothing has changed; correct the files and reload again")};
	return -EBADMSG;
}

static int load_and_apply(
	struct manager *manager, struct change **change, struct refusal *ret_refusal)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(packages_unrefp) struct packages *packages = NULL;
	struct settings settings = {0};
	int r;

	r = load(manager->options, &diagnostics, &settings, &packages);
	if (diagnostics.errors > 0)
		r = refuse_documents(&diagnostics, ret_refusal);
	else if (r < 0)
		r = refuse_change(ret_refusal, r);
	else
		r = apply_reload(manager, packages, &diagnostics, change, ret_refusal);
	if (r < 0) {
		settings_clear(&settings);
		return r;
	}
	settings_clear(&manager->settings);
	manager->settings = settings;
	log_info("reloaded: %zu packages", manager->policy.packages->count);
	return 0;
}

static void log_refusal(const struct refusal *refusal)
{
	/* What is wrong with documents has been logged. */
	if (refusal->kind == REFUSAL_DOCUMENTS)
		log_error("not reloaded, the old policy stays in force");
	else
		log_error("not reloaded, the old policy stays in force: %s",
			refusal->text ? refusal->text : strerror(ENOMEM));
}

int reload(struct manager *manager, const struct change_asker *asker, struct refusal *ret_refusal)
{
	_cleanup_(change_freep) struct change *change = NULL;
	int r;

	(void)sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, now_usec());
	r = change_new(manager, asker, &change);
	r = r < 0 ? refuse_change(ret_refusal, r) : load_and_apply(manager, &change, ret_refusal);
	if (r < 0)
		log_refusal(ret_refusal);
	(void)sd_notify(false, "READY=1");
	manager_update_status(manager);
	return r;
}
