/* SPDX-License-Identifier: MIT */
/* Making inputs out of choices. */
#include "structure.h"

#include <stdarg.h>

const char made_twice[] = "twice", made_missing[] = "missing";

void text_clear(struct text *text)
{
	free(text->data);
	*text = (struct text){.line = 1};
}

void text_bytes(struct text *text, const void *data, size_t size)
{
	if (text->size + size > text->room) {
		text->room = 2 * (text->size + size);
		text->data = realloc(text->data, text->room);
		REQUIRE(text->data);
	}
	for (size_t i = 0; i < size; i++)
		text->line += ((const char *)data)[i] == '\n';
	if (size > 0)
		memcpy(text->data + text->size, data, size);
	text->size += size;
}

void text_add(struct text *text, const char *format, ...)
{
	_cleanup_free_ char *piece = NULL;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vasprintf(&piece, format, arguments);
	va_end(arguments);
	REQUIRE(n >= 0);
	text_bytes(text, piece, (size_t)n);
}

static void add_many(struct text *text, char kind, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (kind == '/')
			text_add(text, "%s/q%zu", i > 0 ? ", " : "", i);
		else
			text_bytes(text, kind == '[' ? "[" : "n", 1);
	for (size_t i = 0; kind == '[' && i < count; i++)
		text_bytes(text, "]", 1);
}

void text_expand(struct text *text, const char *value)
{
	for (; *value; value++)
		if (*value == '<' && strchr("/[123456789", value[1])) {
			add_many(text, value[1],
				strtoul(value + 1 + strspn(value + 1, "/["), NULL, 10));
			value = strchr(value, '>');
		} else {
			text_bytes(text, value, 1);
		}
}

size_t choose(struct input *choices, size_t count)
{
	size_t choice = take_byte(choices);

	if (count > 256)
		choice = choice << 8 | take_byte(choices);
	return choice % count;
}

bool maybe(struct input *choices)
{
	return choose(choices, 4) == 3;
}

void shuffle(struct input *choices, size_t *ret_order, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t j = choose(choices, i + 1);

		ret_order[i] = ret_order[j];
		ret_order[j] = i;
	}
}

size_t count_wrong(const struct rule *rule)
{
	size_t count = 0;

	while (count < WRONG_MAX && rule->wrong[count].value)
		count++;
	return count;
}

const struct good *choose_good(struct input *choices, const struct rule *rule)
{
	size_t count = 0, choice;

	while (count < GOOD_MAX && rule->good[count].value)
		count++;
	if (count == 0)
		return NULL;
	choice = choose(choices, count);
	/* What takes long is made rarely, and lists that are as long as they may be still more so.
	 */
	if ((strchr(rule->good[choice].value, '<') && choose(choices, 16) > 0) ||
		(strstr(rule->good[choice].value, "</") && choose(choices, 32) > 0))
		choice = 0;
	return &rule->good[choice];
}

void check_expected(const struct expected *expected, int r, const struct diagnostics *diagnostics)
{
	bool said = false;

	REQUIRE((r < 0) == (expected->wrong && expected->severity == SEVERITY_ERROR));
	REQUIRE((diagnostics->count > 0) == expected->wrong);
	for (size_t i = 0; i < diagnostics->count; i++) {
		const struct diagnostic *item = &diagnostics->items[i];

		REQUIRE(item->line == expected->line);
		said |= item->severity == expected->severity && strstr(item->text, expected->words);
	}
	REQUIRE(said == expected->wrong);
}
