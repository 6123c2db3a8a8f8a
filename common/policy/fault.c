/* SPDX-License-Identifier: MIT */
/* Faults with a message, and the names that a message proposes. */
#include "fault.h"

#include <stdarg.h>

#include "include/array.h"

/* More than this many names help nobody. */
#define NAMES_SHOWN 10

int fault_set(struct fault *fault, enum fault_kind kind, int error, const char *format, ...)
{
	va_list arguments;
	int n;

	fault_clear(fault);
	va_start(arguments, format);
	n = vasprintf(&fault->message, format, arguments);
	va_end(arguments);
	if (n < 0) {
		fault->message = NULL;
		return -ENOMEM;
	}
	fault->kind = kind;
	return error;
}

void fault_clear(struct fault *fault)
{
	free(fault->message);
	*fault = (struct fault){0};
}

void names_clear(struct names *names)
{
	free(names->items);
	*names = (struct names){0};
}

int names_add(struct names *names, const char *name)
{
	return array_append(&names->items, &names->count, &name, sizeof(name));
}

char *names_join(const struct names *names)
{
	size_t shown = MIN(names->count, (size_t)NAMES_SHOWN), size = 64;
	char *text, *at;

	for (size_t i = 0; i < shown; i++)
		size += strlen(names->items[i]) + 2;
	text = malloc(size);
	if (!text)
		return NULL;
	at = text;
	*at = '\0';
	for (size_t i = 0; i < shown; i++)
		at += sprintf(at, "%s%s", i ? ", " : "", names->items[i]);
	if (shown < names->count)
		(void)sprintf(at, " and %zu more", names->count - shown);
	return text;
}
