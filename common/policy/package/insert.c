/* SPDX-License-Identifier: MIT */
/* Adding to a document that a person has written: whole lines are put between its own, which stay
 * as they are. */
#include "insert.h"

#include "include/util.h"

static const char *line_at(const char *text, unsigned line)
{
	while (line > 1 && *text) {
		text = strchrnul(text, '\n');
		text += *text == '\n';
		line--;
	}
	return text;
}

static const struct pair *find_pair(const struct value *root, const char *key)
{
	for (size_t i = 0; i < root->count; i++)
		if (streq(root->pairs[i].key->text, key))
			return &root->pairs[i];
	return NULL;
}

/* Whether a line is below a key of this indent; comments are if they are indented. */
static enum { OUTSIDE, INSIDE, EITHER } place_of(const char *line, unsigned indent)
{
	size_t column = strspn(line, " ");
	char c = line[column];

	if (c == '\n' || c == '\r' || c == '\0')
		return EITHER;
	if (column > indent)
		return INSIDE;
	if (c == '#')
		return EITHER;
	return column == indent && c == '-' && line[column + 1] == ' ' ? INSIDE : OUTSIDE;
}

/* from: the line after the key's. */
static const char *end_of_block(const char *from, unsigned indent)
{
	const char *end = from;

	for (const char *line = from; *line;) {
		const char *next = strchrnul(line, '\n');
		int place = place_of(line, indent);

		next += *next == '\n';
		if (place == OUTSIDE)
			break;
		if (place == INSIDE)
			end = next;
		line = next;
	}
	return end;
}

int block_find(const char *file, const char *text, const struct value *root, const char *key,
	struct diagnostics *diagnostics, struct block *ret)
{
	const struct pair *pair = find_pair(root, key);
	const char *begin = line_at(text, root->line) + root->column - 1, *from;
	unsigned indent = root->column - 1;

	if (!pair && *begin != '{') {
		*ret = (struct block){strlen(text), indent + 2, true};
		return 0;
	}
	from = pair ? line_at(text, pair->value->line) + pair->value->column - 1 : begin;
	if (*begin == '{' || (pair->value->kind != VALUE_NULL && (*from == '{' || *from == '['))) {
		diagnostics_add(diagnostics, SEVERITY_ERROR, file,
			pair ? pair->value->line : root->line,
			pair ? pair->value->column : root->column,
			"nothing can be added between brackets; write each entry on a line of its own");
		return -EBADMSG;
	}
	ret->at = (size_t)(end_of_block(line_at(text, pair->key->line + 1), indent) - text);
	ret->indent = pair->value->kind == VALUE_NULL ? indent + 2 : pair->value->column - 1;
	ret->missing = false;
	return 0;
}

char *block_insert(
	const char *text, const struct block *block, const char *key, const char *addition)
{
	const bool ends = block->at == 0 || text[block->at - 1] == '\n';
	char *result;

	if (asprintf(&result, "%.*s%s%*s%s%s%s%s", (int)block->at, text, ends ? "" : "\n",
		    block->missing ? (int)block->indent - 2 : 0, "", block->missing ? key : "",
		    block->missing ? ":\n" : "", addition, text + block->at) < 0)
		return NULL;
	return result;
}
