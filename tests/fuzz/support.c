/* SPDX-License-Identifier: MIT */
/* What the fuzz targets share. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "common/policy/connections.h"
#include "include/names.h"
#include "fuzz.h"

_noreturn_ void fuzz_violated(const char *file, int line, const char *condition)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
	abort();
}

void take(struct input *input, void *ret, size_t size)
{
	size_t have = MIN(size, input->size);

	memset(ret, 0, size);
	if (have > 0)
		memcpy(ret, input->data, have);
	input->data += have;
	input->size -= have;
}

uint8_t take_byte(struct input *input)
{
	uint8_t byte;

	take(input, &byte, sizeof(byte));
	return byte;
}

uint32_t take_number(struct input *input)
{
	uint32_t number;

	take(input, &number, sizeof(number));
	return number;
}

static char *take_until(struct input *input, size_t length)
{
	char *text = malloc(length + 1);

	REQUIRE(text);
	take(input, text, length);
	text[length] = '\0';
	return text;
}

char *take_line(struct input *input)
{
	const uint8_t *end = input->size > 0 ? memchr(input->data, '\n', input->size) : NULL;
	char *line = take_until(input, end ? (size_t)(end - input->data) : input->size);

	if (end)
		(void)take_byte(input);
	return line;
}

char *take_text(struct input *input)
{
	return take_until(input, input->size);
}

const char *fuzz_file(const void *data, size_t size)
{
	static char path[64];
	static int fd = -EBADF;

	if (fd < 0) {
		fd = memfd_create("input", MFD_CLOEXEC);
		REQUIRE(fd >= 0);
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	REQUIRE(ftruncate(fd, 0) == 0);
	REQUIRE(size == 0 || pwrite(fd, data, size, 0) == (ssize_t)size);
	return path;
}

static char directory[PATH_MAX];

static void remove_directory(void)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		(void)closedir(dir);
	(void)rmdir(directory);
}

const char *fuzz_directory(void)
{
	const char *parent = getenv("TMPDIR");

	if (!directory[0]) {
		(void)snprintf(directory, sizeof(directory), "%s/mqgate-fuzz-XXXXXX",
			parent ? parent : "/tmp");
		REQUIRE(mkdtemp(directory));
		REQUIRE(atexit(remove_directory) == 0);
	}
	return directory;
}

static struct package *parse_package(const char *text)
{
	struct diagnostics diagnostics = {0};
	struct package *package;

	REQUIRE(package_parse("built-in", text, strlen(text), &diagnostics, &package) == 0);
	REQUIRE(diagnostics.count == 0);
	return package;
}

static void connect(
	struct policy *policy, const char *plug, const char *slot, enum connection_state state)
{
	struct connections *changed;

	REQUIRE(connections_with(policy->connections, plug, slot, state, &changed) == 0);
	connections_unref(policy->connections);
	policy->connections = changed;
}

const struct policy *fuzz_policy(void)
{
	static struct package *items[2];
	static struct packages packages = {.references = 1, .items = items, .count = 2};
	static struct policy policy;

	if (policy.packages)
		return &policy;
	items[0] =
		parse_package("name: logger\n"
			      "apps: {app: {plugs: [events]}, other: {}}\n"
			      "hooks: {configure: {}}\n"
			      "plugs:\n"
			      "  events: {interface: posix-mq}\n"
			      "  fast: {interface: posix-mq, mediation: open, posix-mq: events}\n"
			      "  lost: {interface: posix-mq}\n"
			      "  own: {interface: posix-mq, path: [/x, '/y-{pid}']}\n");
	items[1] = parse_package(
		"name: sensor\n"
		"publisher: acme\n"
		"slots:\n"
		"  events: {interface: posix-mq, path: /events, permissions: [read, write]}\n"
		"  many: {interface: posix-mq, path: [/a, /b], path-pattern: '/m-*?'}\n"
		"  replies: {interface: posix-mq, path-pattern: '/r-{pid}-*,{uid}'}\n"
		"  two: {interface: posix-mq, path: [/a, /b], namespace: host, max-mode: 0640}\n");
	policy.packages = &packages;
	REQUIRE(connections_new(&policy.connections) == 0);
	connect(&policy, "logger:events", "sensor:events", CONNECTION_MANUAL);
	connect(&policy, "logger:fast", "sensor:events", CONNECTION_AUTO);
	connect(&policy, "logger:fast", "sensor:replies", CONNECTION_MANUAL);
	connect(&policy, "logger:lost", "gone:slot", CONNECTION_MANUAL);
	connect(&policy, "logger:lost", "sensor:many", CONNECTION_UNDESIRED);
	connect(&policy, "logger:own", "sensor:many", CONNECTION_MANUAL);
	connect(&policy, "logger:own", "sensor:two", CONNECTION_MANUAL);
	return &policy;
}

/* Bytes of the character at c; 0 if it is none, or a control character. */
static size_t printable(const unsigned char *c)
{
	size_t length = *c < 0x80 ? 1 : *c >= 0xf0 ? 4 : *c >= 0xe0 ? 3 : 2;

	if (*c < 0x20 || *c == 0x7f || (*c >= 0x80 && *c < 0xc2) || *c > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

bool is_fit_to_print(const char *text)
{
	size_t length;

	for (; *text; text += length) {
		length = printable((const unsigned char *)text);
		if (length == 0)
			return false;
	}
	return true;
}

void check_diagnostics(int r, const struct diagnostics *diagnostics)
{
	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE((r == -EBADMSG) == (diagnostics->errors > 0));
	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = diagnostic_format(&diagnostics->items[i]);

		REQUIRE(line && is_fit_to_print(line));
		REQUIRE(strstr(line, "; ") || strchr(line, '?') || strstr(line, "(want "));
	}
}

void check_fault(int r, const struct fault *fault)
{
	_cleanup_free_ char *text = NULL;
	char *rest, *line;

	REQUIRE((r < 0) == (fault->kind != FAULT_NONE));
	REQUIRE((r < 0) == (fault->message != NULL));
	if (!fault->message)
		return;
	REQUIRE(*fault->message);
	rest = text = strdup(fault->message);
	REQUIRE(text);
	while ((line = strsep(&rest, "\n")))
		REQUIRE(is_fit_to_print(line));
}

static bool connects(const char *plug, const char *slot, bool any_id)
{
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	_cleanup_(fault_clear) struct fault fault = {0};

	return policy_connect(fuzz_policy(), plug, slot, 0, any_id, &connections, &fault) == 0;
}

/* Changes it. */
static void check_command(char *slot)
{
	char *plug;
	bool any_id;

	REQUIRE(streq(strsep(&slot, " "), "mqctl") && streq(strsep(&slot, " "), "connect"));
	plug = strsep(&slot, " ");
	any_id = streq(plug, "--any-id");
	if (any_id)
		plug = strsep(&slot, " ");
	REQUIRE(plug && slot && connects(plug, slot, any_id));
	REQUIRE(!any_id || !connects(plug, slot, false));
}

void check_suggestion(const char *command)
{
	_cleanup_free_ char *text = strdup(command);
	char *next;

	REQUIRE(text);
	for (char *one = text; one; one = next) {
		next = strstr(one, " && ");
		if (next) {
			*next = '\0';
			next += strlen(" && ");
		}
		check_command(one);
	}
}

void check_connections(const struct connections *connections)
{
	struct ref ref;

	REQUIRE(connections->count <= CONNECTIONS_MAX);
	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *item = &connections->items[i];

		REQUIRE(ref_parse(item->plug, &ref) == 0 && ref_parse(item->slot, &ref) == 0);
		REQUIRE(item->until == 0 || item->state == CONNECTION_MANUAL);
		REQUIRE(i == 0 || connection_compare(item - 1, item) < 0);
	}
}

bool connections_same(const struct connections *a, const struct connections *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (connection_compare(&a->items[i], &b->items[i]) != 0 ||
			a->items[i].state != b->items[i].state ||
			a->items[i].until != b->items[i].until)
			return false;
	return true;
}
