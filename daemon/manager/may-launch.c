/* SPDX-License-Identifier: MIT */
/* Who may start a session: by mq-run, or a container runtime's. */
#include "may-launch.h"

#include "daemon/manager/sessions/session.h"
#include "include/limits.h"

static void accept_further(const struct manager *manager, bool further)
{
	sd_event_source *const sources[] = {manager->launch_source, manager->container_source};

	for (size_t i = 0; i < ELEMENTSOF(sources); i++)
		if (sources[i])
			(void)sd_event_source_set_enabled(
				sources[i], further ? SD_EVENT_ON : SD_EVENT_OFF);
}

bool launches_full(const struct account *account)
{
	return account_is_full(account, SHARE_LAUNCHES) ||
	       account_is_full(account, SHARE_FD_RECEIVERS);
}

void launches_add(struct account *account)
{
	account->taken[SHARE_LAUNCHES]++;
	if (account->kind == ACCOUNT_ROOT && account_is_full(account, SHARE_LAUNCHES))
		accept_further(account->manager, false);
}

void launches_drop(struct account *account)
{
	account->taken[SHARE_LAUNCHES]--;
	if (account->kind == ACCOUNT_ROOT)
		accept_further(account->manager, true);
}

bool sessions_full(const struct manager *manager, uid_t uid)
{
	size_t count = manager->session_count;

	return uid == 0 ? count >= SESSIONS_MAX
			: sessions_are_full(count, sessions_of_user(manager, 0),
				  sessions_of_user(manager, uid));
}

int may_launch(const struct manager *manager, int socket, const struct identity *identity,
	const char **ret_text)
{
	const struct settings *settings = &manager->settings;
	int r;

	if (settings->config.launch_group && identity->uid != 0) {
		r = peer_in_group(socket, identity, settings->launch_gid);
		if (r <= 0) {
			*ret_text =
				"only root and members of launch-group (mqgated.yaml) may start confined programs; ask the administrator";
			return r < 0 ? r : -EACCES;
		}
	}
	if (sessions_full(manager, identity->uid)) {
		*ret_text = "too many sessions; end some of them";
		return -EAGAIN;
	}
	return 0;
}
