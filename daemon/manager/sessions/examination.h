/* SPDX-License-Identifier: MIT */
/* Whether a peer that has a filter is confined. */
#pragma once

#include "daemon/manager/peers/account.h"
#include "daemon/manager/peers/peer.h"

/* Has the peer's filters read by a process of the spawner's, which is killed when it takes longer
 * than EXAMINATION_DEADLINE_USEC. Then done() is called once, when the examination is freed:
 *
 *	0               it is not confined, and was not when it was asked for
 *	1               it is
 *	negative errno  it cannot be told: to be treated as if it were
 *
 * If too many of its user's are under way it waits for one of them. identity and account are the
 * caller's, and stay. 0, or negative errno: done() is not called. */
struct examination;
int examination_start(struct account *account, const struct identity *identity,
	void (*done)(int confined, void *userdata), void *userdata, struct examination **ret);

/* done() is not called any more. Returns NULL. */
struct examination *examination_free(struct examination *examination);

/* Why such a peer is refused; confined is not 0. */
const char *examination_refusal(int confined);
