/* SPDX-License-Identifier: MIT */
/* What the service manager keeps of a session. */
#pragma once

#include "state.h"

/* Four hexadecimal digits: all names of all sessions come back in one string of the environment,
 * which the kernel limits to 128 KiB. */
#define STORED_NUMBER_MAX        0xffff
#define STORED_NUMBER_STRING_MAX sizeof("ffff")
#define STORED_DESCRIPTORS       3 /* of each session */

/* The name under which all that belongs to a session is kept. Returns buffer. */
char *stored_name(uint32_t number, char buffer[static STORED_NUMBER_STRING_MAX]);
/* The service manager need not keep what has this name. */
void stored_forget(const char *name);

/* Whether this is the memfd of that name, by its link text. */
bool is_memfd(int fd, const char *name);
/* Gives the session's listener, in-flight memfd and snapshot to the service manager, if there is
 * one. It survives the manager only then; logs if it cannot be. */
void store_session(struct session *session);
/* It has ended: the service manager need not keep it. Nothing happens while the manager stops. */
void store_forget(struct session *session);
