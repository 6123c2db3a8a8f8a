/* SPDX-License-Identifier: MIT */
/* What is being learned into one document. */
#pragma once

#include <stdio.h>

#include "include/learn.h"

/* Of a need: others like it. */
struct like {
	size_t next; /* 0: none; the first of all comes before any other */
	bool comes_later;
};

/* Additions to one document. */
struct lesson {
	const char *file, *what;
	const struct needs *needs;
	uint32_t *left;                /* permissions of each that the document does not give yet */
	struct policy policy;          /* of the file, as it was */
	const struct package *package; /* of that; NULL: the file is new */
	char package_name[PACKAGE_NAME_MAX + 1], plug[PLUG_NAME_MAX + 1];
	const char *id;
	struct like *likes;
	bool *done;   /* of each need: it is in an addition */
	char **slots; /* names of the additions */
	size_t slot_count;
};

/* hints.c: finds of each need the next one of the same permissions that is the same but for its
 * digits. 0 or -ENOMEM. */
int find_likes(struct lesson *lesson);
/* Of names that have their like, or a process's number, the first one points it out. */
void print_hint(FILE *f, int indent, const struct lesson *lesson, size_t i);
