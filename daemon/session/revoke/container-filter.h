/* SPDX-License-Identifier: MIT */
/* Whether the filter of a container closes the roads that no wall closes there. */
#pragma once

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By what the filter of a session is known. */
struct filter_mark {
	uint64_t id;
	bool contained; /* of a container's profile (include/container.h), or else as filter-id.h
			   has it */
};
bool filter_is(const struct sock_filter *program, size_t length, const struct filter_mark *mark);

/* NULL: on each architecture that runs here it refuses every call by which a process could get to a
 * message queue as a file, share its descriptor table unseen, or be asked by another listener, and
 * hands over those of message queues. Otherwise what it lets through, for the log. */
const char *container_filter_lacks(const struct sock_filter *program, size_t length);
