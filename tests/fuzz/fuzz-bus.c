/* SPDX-License-Identifier: MIT */
/* What a peer of the control bus may say: references, words, queues, spans and options, a line
 * each. The first byte is the method. What was made succeeds or fails as it must. */
#include <sys/socket.h>
#include <systemd/sd-bus.h>

#include "include/names.h"
#include "daemon/manager/bus/messages.h"
#include "daemon/manager/peers/peer.h"
#include "daemon/manager/sessions/state.h"
#include "structure-bus.h"

static bool ids_differ(const struct connection *connection)
{
	_cleanup_(fault_clear) struct fault fault = {0};
	const struct plug *plug;
	const struct slot *slot;

	return policy_find_plug(fuzz_policy(), connection->plug, &plug, &fault) == 0 &&
	       policy_find_slot(fuzz_policy(), connection->slot, &slot, &fault) == 0 &&
	       !streq(plug->id, slot->id);
}

/* Two of differing ids are new only if that was asked for. */
static void check_ids(const struct connections *connections, bool any_id)
{
	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *item = &connections->items[i],
					*before = connections_find(
						fuzz_policy()->connections, item->plug, item->slot);

		REQUIRE(any_id || item->state != CONNECTION_MANUAL || !ids_differ(item) ||
			(before && before->state != CONNECTION_UNDESIRED));
	}
}

static int check_connect(const char *plug, const char *slot, bool any_id)
{
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	_cleanup_(fault_clear) struct fault fault = {0};
	int r = policy_connect(
		fuzz_policy(), plug, slot, strlen(plug), any_id, &connections, &fault);

	check_fault(r, &fault);
	if (r < 0)
		return r;
	check_connections(connections);
	check_ids(connections, any_id);
	for (size_t i = 0; i < connections->count; i++)
		if (connections->items[i].until != 0)
			return 0;
	REQUIRE(strlen(plug) == 0);
	return 0;
}

static int check_disconnect(const char *first, const char *second, bool forget)
{
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	_cleanup_(fault_clear) struct fault fault = {0};
	size_t count = 0;
	int r = policy_disconnect(
		fuzz_policy(), first, second, forget, &connections, &count, &fault);

	check_fault(r, &fault);
	if (r < 0)
		return r;
	check_connections(connections);
	REQUIRE(count <= fuzz_policy()->connections->count);
	REQUIRE(connections->count <= fuzz_policy()->connections->count);
	REQUIRE(count > 0 || *second == '\0');
	return 0;
}

/* What explain allows, the grants of that plug give. */
static int check_explain(
	const char *plug, const char *operation, const char *queue, bool *ret_allowed)
{
	_cleanup_(explanation_clear) struct explanation explanation = {0};
	_cleanup_(fault_clear) struct fault fault = {0};
	struct grants *grants;
	uint32_t permission;
	int r = policy_explain(fuzz_policy(), plug, operation, queue, &explanation, &fault);

	check_fault(r, &fault);
	if (r < 0)
		return r;
	*ret_allowed = explanation.allowed;
	REQUIRE(permission_from_string(operation, &permission) == 0);
	REQUIRE(queue[0] == '/' && !strchr(queue + 1, '/'));
	REQUIRE(explanation.text && !(explanation.allowed && explanation.command));
	if (explanation.command)
		check_suggestion(explanation.command);
	REQUIRE(grants_new(1, &grants) == 0);
	REQUIRE(policy_add_plug_grants(fuzz_policy(), plug, NULL, grants) == 0);
	grants_seal(grants);
	if (!explanation.allowed || !strstr(explanation.text, ", with {"))
		REQUIRE(explanation.allowed ==
			!(permission &
				~grants_find(grants, &SUBJECT_NOBODY, queue + 1).permissions));
	(void)grants_free(grants);
	return 0;
}

static void check_names(const char *text)
{
	_cleanup_(fault_clear) struct fault fault = {0};
	const struct package *package;
	const struct plug *plug;
	const struct slot *slot;
	const struct app *app;
	char again[REF_MAX + 1];
	struct ref ref;
	int r;

	if (ref_parse(text, &ref) == 0)
		REQUIRE(streq(ref_format(ref.package, ref.name, again), text));
	r = policy_resolve_plug(fuzz_policy(), text, &plug, &fault);
	check_fault(r, &fault);
	fault_clear(&fault);
	r = policy_resolve_slot(fuzz_policy(), text, &slot, &fault);
	check_fault(r, &fault);
	fault_clear(&fault);
	r = policy_find_app(fuzz_policy(), text, &package, &app, &fault);
	check_fault(r, &fault);
}

static void check_times(const char *text)
{
	char again[UTC_STRING_MAX];
	uint64_t seconds = 0;
	int r = span_parse(text, &seconds);

	REQUIRE(r == 0 || r == -EINVAL || r == -ERANGE);
	REQUIRE(r < 0 || (seconds > 0 && seconds <= CONNECTION_SPAN_MAX));
	if (utc_parse(text, &seconds) == 0)
		REQUIRE(streq(utc_format(seconds, again), text));
}

/* A bus that leads nowhere, to make messages with. */
static sd_bus *open_bus(void)
{
	static sd_bus *bus;
	int sockets[2];

	if (bus)
		return bus;
	REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sockets) == 0);
	REQUIRE(sd_bus_new(&bus) >= 0 && sd_bus_set_fd(bus, sockets[0], sockets[0]) >= 0);
	REQUIRE(sd_bus_start(bus) >= 0);
	return bus;
}

static sd_bus_message *new_message(void)
{
	sd_bus_message *message = NULL;

	REQUIRE(sd_bus_message_new_method_call(open_bus(), &message, NULL, "/o", "a.b", "Method") >=
		0);
	return message;
}

/* Negative if the library takes no such text: bytes that are no UTF-8 never reach us. */
static int append_option(sd_bus_message *message, struct input *input, bool *ret_known)
{
	uint8_t type = take_byte(input);
	_cleanup_free_ char *key = take_line(input);

	*ret_known = streq(key, "forget") || streq(key, "wait") || streq(key, "file");
	switch (type) {
	case 'b':
		return sd_bus_message_append(message, "{sv}", key, "b", (int)take_byte(input) & 1);
	case 't':
		return sd_bus_message_append(
			message, "{sv}", key, "t", (uint64_t)take_number(input));
	case 'a':
		return sd_bus_message_append(message, "{sv}", key, "as", 1, key);
	default:
		return sd_bus_message_append(message, "{sv}", key, "s", key);
	}
}

static void open_options(sd_bus_message *message)
{
	REQUIRE(sd_bus_message_open_container(message, 'a', "{sv}") >= 0);
}

/* What has been read of options that must have these keys. */
static int read_options(sd_bus_message *message, int *ret_forget, uint64_t *ret_wait)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	const char *file = "";
	const struct bus_option options[] = {
		{"forget", 'b', ret_forget}, {"wait", 't', ret_wait}, {"file", 's', &file}};
	int r;

	REQUIRE(sd_bus_message_close_container(message) >= 0);
	REQUIRE(sd_bus_message_seal(message, 1, 0) >= 0);
	r = bus_read_options(message, options, ELEMENTSOF(options), &error);
	REQUIRE((r < 0) == (sd_bus_error_is_set(&error) > 0));
	REQUIRE(!error.message || *error.message);
	REQUIRE(*ret_forget == 0 || *ret_forget == 1);
	return r;
}

static void check_options(struct input *input)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	uint64_t wait = 0;
	bool known, all_known = true;
	int forget = 0;

	open_options(message);
	while (input->size > 0) {
		if (append_option(message, input, &known) < 0)
			return;
		all_known &= known;
	}
	REQUIRE(read_options(message, &forget, &wait) < 0 || all_known);
}

static void append_made(sd_bus_message *message, const struct made_option *option)
{
	const char type[] = {option->type, '\0'};
	int r;

	if (option->type == 'a')
		r = sd_bus_message_append(message, "{sv}", option->key, "as", 1, "x");
	else if (option->type == 's')
		r = sd_bus_message_append(message, "{sv}", option->key, type, "x");
	else if (option->type == 'b')
		r = sd_bus_message_append(message, "{sv}", option->key, type, (int)option->number);
	else
		r = sd_bus_message_append(message, "{sv}", option->key, type, option->number);
	REQUIRE(r >= 0);
}

static void check_made_options(const struct made_bus *made)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	uint64_t wait = 0;
	int forget = 0;

	open_options(message);
	for (size_t i = 0; i < made->option_count; i++)
		append_made(message, &made->options[i]);
	REQUIRE((read_options(message, &forget, &wait) >= 0) == made->right);
	if (made->right)
		REQUIRE((uint64_t)forget == made->forget && wait == made->wait);
}

static void check_made_times(const struct made_bus *made)
{
	uint64_t seconds = 0;
	int r = made->method == 't' ? span_parse(made->words[0], &seconds)
				    : utc_parse(made->words[0], &seconds);

	REQUIRE((r == 0) == made->right);
	REQUIRE(r < 0 || seconds == made->seconds);
	check_times(made->words[0]);
}

static void check_made(struct input *choices)
{
	struct made_bus made;
	char *const *words = made.words;
	bool allowed = false;

	make_bus(choices, &made);
	if (made.method == 'c')
		REQUIRE((check_connect(words[0], words[1], *words[2]) == 0) == made.right);
	else if (made.method == 'd')
		REQUIRE((check_disconnect(words[0], words[1], *words[2]) == 0) == made.right);
	else if (made.method == 'e')
		REQUIRE((check_explain(words[0], words[1], words[2], &allowed) == 0) ==
				made.right &&
			(!made.right || allowed == made.allowed));
	else if (made.method == 'o')
		check_made_options(&made);
	else
		check_made_times(&made);
	made_bus_clear(&made);
}

static void check_list(const char *what, uid_t viewer)
{
	static struct manager manager;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = new_message();
	const struct bus_viewer who = {.uid = viewer, .all = viewer == 0};
	int r;

	manager.policy = *fuzz_policy();
	REQUIRE(sd_bus_message_open_container(message, 'a', "a{sv}") >= 0);
	r = bus_append_list(&manager, &who, what, message);
	REQUIRE(r >= 0 || r == -EINVAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	uint8_t method = take_byte(&input);

	if (size > 0 && method == STRUCTURED) {
		check_made(&input);
	} else if (method == 'o') {
		check_options(&input);
	} else {
		_cleanup_free_ char *first = take_line(&input), *second = take_line(&input),
				    *third = take_line(&input);
		bool allowed;

		switch (method) {
		case 'c':
			(void)check_connect(first, second, *third != '\0');
			break;
		case 'd':
			(void)check_disconnect(first, second, *third != '\0');
			break;
		case 'e':
			(void)check_explain(first, second, third, &allowed);
			break;
		case 'l':
			check_list(first, *second == '0' ? 0 : 1000);
			break;
		case 't':
			check_times(first);
			break;
		default:
			check_names(first);
			break;
		}
	}
	return 0;
}
