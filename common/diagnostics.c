/* SPDX-License-Identifier: MIT */
/* What is wrong with a file: collected, bounded, fit to print. */
#include "include/diagnostics.h"

#include <stdarg.h>

#include "include/array.h"
#include "include/limits.h"
#include "include/log.h"

/* Every byte may become four. */
static char *escaped(const char *text)
{
	size_t size = 4 * strlen(text) + 5;
	char *buffer = malloc(size);

	return buffer ? escape(text, buffer, size) : NULL;
}

void diagnostics_add(struct diagnostics *diagnostics, enum severity severity, const char *file,
	unsigned line, unsigned column, const char *format, ...)
{
	struct diagnostic item = {.severity = severity, .line = line, .column = column};
	_cleanup_free_ char *raw = NULL;
	va_list arguments;
	int n;

	diagnostics->errors += severity == SEVERITY_ERROR;
	diagnostics->notes += severity == SEVERITY_NOTE;
	if (diagnostics->count < DIAGNOSTICS_MAX) {
		va_start(arguments, format);
		n = vasprintf(&raw, format, arguments);
		va_end(arguments);
		if (n < 0)
			raw = NULL;
		item.text = raw ? escaped(raw) : NULL;
		item.file = escaped(file);
		if (item.text && item.file &&
			array_append(
				&diagnostics->items, &diagnostics->count, &item, sizeof(item)) == 0)
			return;
		free(item.text);
		free(item.file);
	}
	diagnostics->suppressed++;
}

void diagnostics_clear(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		free(diagnostics->items[i].file);
		free(diagnostics->items[i].text);
	}
	free(diagnostics->items);
	*diagnostics = (struct diagnostics){0};
}

char *diagnostic_format(const struct diagnostic *diagnostic)
{
	static const char *const severities[] = {
		[SEVERITY_NOTE] = "note",
		[SEVERITY_WARNING] = "warning",
		[SEVERITY_ERROR] = "error",
	};
	const char *severity = severities[diagnostic->severity];
	char *line = NULL;
	int n;

	if (diagnostic->line > 0)
		n = asprintf(&line, "%s:%u:%u: %s: %s", diagnostic->file, diagnostic->line,
			diagnostic->column, severity, diagnostic->text);
	else
		n = asprintf(&line, "%s: %s: %s", diagnostic->file, severity, diagnostic->text);
	return n < 0 ? NULL : line;
}
