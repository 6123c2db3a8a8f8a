/* SPDX-License-Identifier: MIT */
/* The memfd in which a session process notes what the next one must know.
 *
 * The manager makes it, seals it against shrinking and growing, keeps it with the listener and
 * hands it to each session process of the session in turn. Written by the session process only; the
 * manager reads the head, nothing else. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "include/counters.h"
#include "include/denials.h"

#define INFLIGHT_VERSION 13
/* Its name; by it the manager tells what it gets back. */
#define INFLIGHT_MEMFD "mqgate-inflight"
/* Bytes. What is not written takes no memory. */
#define INFLIGHT_SIZE (20 * 1024 * 1024)

struct inflight_head {
	/* CLOCK_MONOTONIC in microseconds when the request in hand was taken up; 0: none in hand.
	 */
	uint64_t since;
	uint32_t version;       /* 0 until the first session process has written INFLIGHT_VERSION */
	uint32_t counted_count; /* entries that are in use; the first always is */
	struct counted counted[COUNTED_MAX];
	struct denials denials;
};

/* For the manager, while a session process may write: never more than there are. */
uint32_t inflight_counted_count(const struct inflight_head *head);
/* A copy; false if it is none that a session process of ours would have written. */
bool inflight_counted_ref(
	const struct inflight_head *head, uint32_t i, char ret[static REF_MAX + 1]);
