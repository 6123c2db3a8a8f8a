/* SPDX-License-Identifier: MIT */
/* The command line of mq-run. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "include/protocol.h"
#include "wall.h"

/* Points into argv and the environment. */
struct options {
	const char *runtime_dir;
	enum wall_form wall;
	struct launch_ref refs[LAUNCH_REFS_MAX];
	size_t ref_count;
	size_t instances;                     /* of them; at most 1 */
	char *policies[POLICY_FILES_MAX + 1]; /* NULL-terminated */
	size_t policy_count;                  /* 0: mqgated is asked */
	const char *learn;                    /* the file; NULL: nothing is learned */
	const char *learn_plug;               /* NULL: none was named */
	bool inherit_queues;
	char **command;
	bool help, version;
};

/* Options end at the command. With help or version set nothing else counts. Returns 0, or a
 * negative errno with a message (see refuse.h); -E2BIG at more than LAUNCH_REFS_MAX plugs,
 * slots and apps. */
int options_parse(int argc, char *argv[], struct options *ret, char **ret_message);

/* Whether it runs without mqgated. */
static inline bool options_alone(const struct options *options)
{
	return options->learn || options->policy_count > 0;
}
