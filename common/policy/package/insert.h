/* SPDX-License-Identifier: MIT */
/* Adding to a document that a person has written. */
#pragma once

#include "include/tree.h"

/* Where something is to be added to a block of the document's root. */
struct block {
	size_t at;       /* byte of the text: the beginning of a line, or its end */
	unsigned indent; /* of its entries */
	bool missing;    /* the key is not there: it is to be added, too */
};

/* The end of the block below a key: behind its last line, before what comments the next one. 0, or
 * -EBADMSG with an error in diagnostics if it is not written as a block. */
int block_find(const char *file, const char *text, const struct value *root, const char *key,
	struct diagnostics *diagnostics, struct block *ret);

/* The text with an addition there, to be freed; NULL on lack of memory. */
char *block_insert(
	const char *text, const struct block *block, const char *key, const char *addition);
