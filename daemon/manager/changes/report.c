/* SPDX-License-Identifier: MIT */
#include "report.h"

#include "include/limits.h"
#include "include/log.h"
#include "include/util.h"

void log_diagnostics(const struct diagnostics *diagnostics)
{
	static const int levels[] = {
		[SEVERITY_NOTE] = LOG_NOTICE,
		[SEVERITY_WARNING] = LOG_WARNING,
		[SEVERITY_ERROR] = LOG_ERR,
	};

	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&diagnostics->items[i]);

		log_message(levels[diagnostics->items[i].severity], "%s",
			line ? line : "out of memory");
	}
	if (diagnostics->suppressed > 0)
		log_warning("%zu further errors and warnings", diagnostics->suppressed);
}

char *diagnostics_text(const struct diagnostics *diagnostics, const char *closing)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&diagnostics->items[i]);

		(void)fprintf(f, "%s\n", line ? line : "out of memory");
	}
	if (diagnostics->suppressed > 0)
		(void)fprintf(f, "%zu further errors and warnings\n", diagnostics->suppressed);
	(void)fputs(closing, f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

struct change_log {
	const char *who;
	size_t count;
};

static void log_difference(
	const struct connection *connection, enum connection_difference difference, void *userdata)
{
	struct change_log *log = userdata;
	char until[UTC_STRING_MAX];

	if (log->count++ >= CHANGES_LOGGED_MAX)
		return;
	log_notice("%s %s %s%s%s: %s",
		difference == CONNECTION_DISCONNECTED ? "disconnect" : "connect", connection->plug,
		connection->slot, connection->until ? " until " : "",
		connection->until ? utc_format(connection->until, until) : "", log->who);
}

void log_changes(const struct connections *old, const struct connections *new, const char *who)
{
	struct change_log log = {.who = who};

	connections_compare(old, new, log_difference, &log);
	if (log.count > CHANGES_LOGGED_MAX)
		log_notice(
			"%zu further connections changed: %s", log.count - CHANGES_LOGGED_MAX, who);
}
