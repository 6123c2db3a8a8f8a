/* SPDX-License-Identifier: MIT */
/* Who may start a session. */
#pragma once

#include "core/manager.h"
#include "daemon/manager/peers/account.h"
#include "daemon/manager/peers/peer.h"

/* Whether this account may have no more of them. */
bool launches_full(const struct account *account);

/* One more, or less, that this account has under way: a launch, or the arrival of a container.
 * While root has all that it may have, further ones of root's wait, and others' with them. */
void launches_add(struct account *account);
void launches_drop(struct account *account);

/* Whether there is room for one more session of this user. */
bool sessions_full(const struct manager *manager, uid_t uid);

/* socket: the peer's own. 0, or negative errno and why not. */
int may_launch(const struct manager *manager, int socket, const struct identity *identity,
	const char **ret_text);
