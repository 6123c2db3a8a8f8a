/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. A target gets any bytes whatever and aborts if what it tests breaks
 * its word. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "include/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever comes in. */
#define REQUIRE(condition)                                                   \
	do {                                                                 \
		if (!(condition))                                            \
			fuzz_violated(__FILE__, __LINE__, STR((condition))); \
	} while (0)
_noreturn_ void fuzz_violated(const char *file, int line, const char *condition);

/* What is left of an input that is taken apart. */
struct input {
	const uint8_t *data;
	size_t size;
};

/* So many bytes; what is not there any more is 0. */
void take(struct input *input, void *ret, size_t size);
uint8_t take_byte(struct input *input);
uint32_t take_number(struct input *input);

/* Up to the next line break, or all; to be freed. */
char *take_line(struct input *input);

/* The whole input as a string, cut at a NUL; to be freed. */
char *take_text(struct input *input);

/* The path of a file with these bytes; good until the next. */
const char *fuzz_file(const void *data, size_t size);

/* A directory of our own below $TMPDIR, gone at the end. */
const char *fuzz_directory(void);

/* Two packages, connected; always the same. */
const struct policy *fuzz_policy(void);

/* True if it can be printed as it is. */
bool is_fit_to_print(const char *text);

/* What was said about a document that came to r: printable, with a remedy, and an error if and only
 * if it was refused. */
void check_diagnostics(int r, const struct diagnostics *diagnostics);

/* What was said about words that came to r. */
void check_fault(int r, const struct fault *fault);

/* A command that connects: it would succeed, and says --any-id if and only if it must. */
void check_suggestion(const char *command);

/* Sorted, each pair once, and every reference well-formed. */
void check_connections(const struct connections *connections);
bool connections_same(const struct connections *a, const struct connections *b);
