/* SPDX-License-Identifier: MIT */
/* A hand-made launcher, and what it runs behind its own filter. See rogue-launcher.c. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* What the launcher and its app share: the memory, the table of descriptors. */
struct rogue {
	int listener;   /* -1 until the filter is in force */
	int everything; /* the filter notifies of every call, not of mq_* alone */
	int go, done;   /* the app waits for the one and sets the other */
	char target[256], granted[256];
	unsigned count;
	struct {
		char what[40];
		long result; /* negative: errno */
	} results[64];
};

/* One kind of app: before() without the filter, run() behind it, by bare system calls alone. */
struct rogue_app {
	const char *name;
	bool everything;
	int (*before)(struct rogue *rogue); /* 0, or -1 with errno */
	void (*run)(struct rogue *rogue);
};

const struct rogue_app *rogue_app_find(const char *name);

/* Puts the calling process under a filter with a listener; its number, or -1 with errno. */
int rogue_filter(bool everything);
