/* SPDX-License-Identifier: MIT */
/* Containers whose runtime hands over the listener: what mqctl writes into their profile, and what
 * the runtime says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "include/limits.h"
#include "include/protocol.h"

#define CONTAINER_SOCKET "oci" /* in the runtime directory */
#define CONTAINER_FLAG   "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"

/* listenerMetadata: "mqgate:1 id=HEX plug=PKG:PLUG…" */
#define CONTAINER_METADATA "mqgate:1"

/* The mark of the profile: a call that no kernel has any more, and every architecture a number for,
 * fails with this error if its first argument is the id, and otherwise as the profile has it. */
#define CONTAINER_MARK_NAME  "nfsservctl"
#define CONTAINER_MARK_ERROR 4093

/* What a runtime says of a process that has just got the filter. Nothing of it is believed. */
struct container_message {
	char id[CONTAINER_ID_MAX + 1];   /* of letters, digits, "_.+-" */
	char name[CONTAINER_ID_MAX + 1]; /* the same, as an orchestrator has it; "": it says none */
	/* An absolute path; "": a process is put into a container, and pid is perhaps 0. */
	char bundle[CONTAINER_BUNDLE_MAX + 1];
	pid_t pid;
	uint64_t filter_id;
	struct launch_hello hello; /* the plugs */
	size_t descriptor_count;   /* that come with it, */
	size_t listener;           /* which of them */
};

/* How a container is called in lists and records: its id, and after a space its name, if it has
 * one. */
#define CONTAINER_LABEL_MAX (2 * CONTAINER_ID_MAX + 1)
void container_label(
	const struct container_message *message, char ret[static CONTAINER_LABEL_MAX + 1]);
bool container_label_is_valid(const char *label);

/* How far a JSON document that comes in pieces has been looked at. Zero when new. */
struct container_scan {
	size_t at, depth;
	bool quoted, escaped;
};
/* Whether all of it is among these bytes, of which those before are unchanged. */
bool container_scan_ends(struct container_scan *scan, const char *text, size_t size);

/* Whether it can be one that was parsed, or a part of one: its texts end, and are what they say. */
bool container_message_is_valid(const struct container_message *message);

/* 0, -ENOMEM, or -EBADMSG with what is wrong, for the log. */
int container_message_parse(
	const char *text, size_t size, struct container_message *ret, const char **ret_fault);
