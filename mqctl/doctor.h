/* SPDX-License-Identifier: MIT */
/* mqctl doctor: what is found, a line each. */
#pragma once

#include "mqctl.h"
#include "print.h"

enum grade {
	GRADE_OK,
	GRADE_WARNING, /* with what to do */
	GRADE_FAILED,  /* the promise does not hold here */
};

struct doctor {
	const struct arguments *arguments;
	struct table *table; /* what was found */
	enum grade worst;
	int landlock_abi; /* what examine_machine() has found */
	bool road_open;
	char *state_file;   /* of the daemon that answers, or in the usual place */
	char **directories; /* of packages, the same; NULL-terminated */
	int error;          /* -ENOMEM: something is not in the table */
};

/* One line. remedy: what to do; NULL: nothing. */
void found(struct doctor *doctor, enum grade grade, const char *subject, const char *remedy,
	const char *format, ...) _printf_(5, 6);

/* doctor-machine.c: the kernel, its limits, where queues are mounted, who else guards. */
void examine_machine(struct doctor *doctor);

/* doctor-daemon.c: sockets, units, documents, connections, state. */
void examine_daemon(struct doctor *doctor);

/* doctor-roads.c: each road to a queue, bare and confined. */
void examine_roads(struct doctor *doctor);
