/* SPDX-License-Identifier: MIT */
/* mqctl monitor: records as they come. */
#include <inttypes.h>

#include "client.h"
#include "print.h"

#include "include/bus.h"
#include "include/limits.h"
#include "include/policy.h"

/* What of a record is looked at here; texts are the message's. */
struct facts {
	const char *plug, *text;
	uint64_t time, dropped;
};

static int read_fact(sd_bus_message *message, const char *key, void *context)
{
	struct facts *facts = context;

	if (streq(key, "plug"))
		return sd_bus_message_read(message, "v", "s", &facts->plug);
	if (streq(key, "text"))
		return sd_bus_message_read(message, "v", "s", &facts->text);
	if (streq(key, "time"))
		return sd_bus_message_read(message, "v", "t", &facts->time);
	if (streq(key, "dropped"))
		return sd_bus_message_read(message, "v", "t", &facts->dropped);
	return sd_bus_message_skip(message, "v");
}

/* "a:b, c:d" has one of the words; or there are none. */
static bool is_wanted(const char *plugs, const struct arguments *arguments)
{
	for (char **word = arguments->words; *word; word++) {
		const size_t length = strlen(*word);

		for (const char *p = plugs; (p = strstr(p, *word)); p += length)
			if ((p == plugs || p[-1] == ' ') && strchr(", ", p[length]))
				return true;
	}
	return arguments->word_count == 0;
}

/* Records that did not come, before those that are wanted. */
static uint64_t missing;

static void print_text(const struct facts *facts)
{
	_cleanup_free_ char *prefix = NULL;
	char time[UTC_STRING_MAX];

	if (missing > 0)
		(void)printf("%" PRIu64 " records before this one are missing here: they came "
			     "faster than they were read\n",
			missing);
	if (asprintf(&prefix, "%s ", utc_format(facts->time / 1000000, time)) >= 0)
		print_lines(prefix, facts->text, stdout);
	else
		prefix = NULL;
}

/* --- as JSON -------------------------------------------------------------------------------- */

static int print_value(sd_bus_message *message, char type)
{
	union {
		const char *s;
		int b;
		int32_t i;
		uint32_t u;
		uint64_t t;
	} value;
	int r = sd_bus_message_read_basic(message, type, &value);

	if (r < 0)
		return r;
	switch (type) {
	case 's':
		json_print_string(value.s, stdout);
		break;
	case 'b':
		(void)fputs(value.b ? "true" : "false", stdout);
		break;
	case 'i':
		(void)printf("%" PRIi32, value.i);
		break;
	case 'u':
		(void)printf("%" PRIu32, value.u);
		break;
	case 't':
		(void)printf("%" PRIu64, value.t);
		break;
	default:
		return -EBADMSG;
	}
	return 0;
}

static int print_member(sd_bus_message *message, const char *key, void *context)
{
	bool *begun = context;
	const char *type;
	int r = sd_bus_message_peek_type(message, NULL, &type);

	r = r < 0 ? r : sd_bus_message_enter_container(message, 'v', type);
	if (r < 0)
		return r;
	(void)fputs(*begun ? ", " : "{", stdout);
	*begun = true;
	json_print_string(key, stdout);
	(void)fputs(": ", stdout);
	if (streq(key, "dropped"))
		(void)printf("%" PRIu64, missing);
	r = streq(key, "dropped") ? sd_bus_message_skip(message, type)
				  : print_value(message, *type);
	return r < 0 ? r : sd_bus_message_exit_container(message);
}

static int print_json(sd_bus_message *message)
{
	bool begun = false;
	int r = sd_bus_message_rewind(message, true);

	r = r < 0 ? r : reply_read(message, print_member, &begun);
	(void)puts("}");
	return r;
}

/* --- as they come --------------------------------------------------------------------------- */

static int show(sd_bus_message *message, const struct arguments *arguments)
{
	struct facts facts = {.plug = "", .text = ""};
	int r = reply_read(message, read_fact, &facts);

	missing += facts.dropped;
	if (r < 0 || !is_wanted(facts.plug, arguments))
		return r;
	if (arguments->json)
		r = print_json(message);
	else
		print_text(&facts);
	missing = 0;
	if (r >= 0 && fflush(stdout) != 0)
		r = -errno;
	return r;
}

static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	int r = 0;

	if (sd_bus_message_is_signal(message, BUS_INTERFACE, "Record") > 0)
		r = show(message, userdata);
	return r;
}

static int follow(sd_bus *bus)
{
	int r;

	do {
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, UINT64_MAX);
	} while (r >= 0 || r == -EINTR);
	return r;
}

int verb_monitor(const struct arguments *arguments)
{
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r = manager_connect(arguments, STATUS_DEADLINE_USEC, &bus);

	if (r < 0)
		return r;
	r = sd_bus_add_filter(bus, NULL, on_message, (void *)arguments);
	r = r < 0 ? r : follow(bus);
	if (r == -EPIPE || ferror(stdout))
		return r;
	if (r == -ENOTCONN || r == -ECONNRESET)
		print_error("mqgated has ended, or closed the connection");
	else
		(void)print_bad_answer(r);
	return r;
}
