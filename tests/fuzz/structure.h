/* SPDX-License-Identifier: MIT */
/* Inputs of which the fuzzer knows the structure. What begins with STRUCTURED is no input itself,
 * but a list of choices, from which the target makes one; so it knows what must come of it.
 * Whatever the choices are, something well-formed is made, or something of which exactly one thing
 * is wrong. */
#pragma once

#include "fuzz.h"
#include "include/limits.h"

#define STRUCTURED 0xff

/* What is being made. */
struct text {
	char *data;
	size_t size, room;
	unsigned line; /* the one that is being written, from 1 */
};
void text_clear(struct text *text);
void text_bytes(struct text *text, const void *data, size_t size);
void text_add(struct text *text, const char *format, ...) _printf_(2, 3);

/* Fills in what a table says in short: "<255>" so many letters, "</1024>" so many names of queues
 * with commas, "<[63>" so many lists, each within the one before. */
void text_expand(struct text *text, const char *value);

/* One of so many; 0 if there are no more choices. */
size_t choose(struct input *choices, size_t count);

/* True one time in four, and not if there are no more choices. */
bool maybe(struct input *choices);

/* The numbers below count, each once. */
void shuffle(struct input *choices, size_t *ret_order, size_t count);

/* A grammar is tables of rules: a key, and what may stand behind it. A rule without a key has wrong
 * pairs. */
struct good {
	const char *value;
	unsigned means; /* what is read is told by one number */
};

struct wrong {
	const char *value; /* or one of these: the pair is there twice, or not at all */
	enum severity severity;
	const char *words; /* among what is said */
	bool keeps;        /* with a warning, but nothing is dropped */
};
extern const char made_twice[], made_missing[];

#define GOOD_MAX  12
#define WRONG_MAX 24

struct rule {
	const char *key;
	bool needed;
	unsigned absent; /* what it means if it is not there */
	struct good good[GOOD_MAX];
	struct wrong wrong[WRONG_MAX];
};

#define WRONG(value, severity, words, keeps)  \
	{                                     \
		value, severity, words, keeps \
	}
#define WARN(value, words)   WRONG(value, SEVERITY_WARNING, words, false)
#define KEEP(value, words)   WRONG(value, SEVERITY_WARNING, words, true)
#define REFUSE(value, words) WRONG(value, SEVERITY_ERROR, words, false)
#define TWICE                REFUSE(made_twice, "is already on line")
#define NOT_A_STRING(value)  WARN(value, "must be a string")

size_t count_wrong(const struct rule *rule);
/* NULL: it has none. */
const struct good *choose_good(struct input *choices, const struct rule *rule);

/* Of a target: the input that these choices make; and what its inputs consist of. */
void structure_make(struct input *choices, struct text *ret);
enum pieces {
	PIECES_LINES,
	PIECES_NODES, /* of YAML */
	PIECES_NONE,
};
extern const enum pieces structure_pieces;

/* What must be said about a document that was made. */
struct expected {
	bool wrong; /* or nothing is said */
	enum severity severity;
	unsigned line;     /* the only one that something is said about; 0: the file */
	const char *words; /* among what is said */
};
void check_expected(const struct expected *expected, int r, const struct diagnostics *diagnostics);
