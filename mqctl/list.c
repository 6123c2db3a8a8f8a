/* SPDX-License-Identifier: MIT */
/* mqctl connections, plugs, slots, sessions: what the manager lists, as tables. */
#include <inttypes.h>
#include <sys/ioctl.h>

#include "list.h"

#include "include/bus.h"
#include "include/limits.h"
#include "include/policy.h"

static struct cell *find_cell(const struct table *table, struct cell *cells, const char *key)
{
	for (size_t i = 0; i < table->column_count; i++)
		if (strcasecmp(table->columns[i].title, key) == 0)
			return &cells[i];
	return NULL;
}

static int read_text(sd_bus_message *reply, struct cell *cell)
{
	const char *text;
	int r;

	r = sd_bus_message_read(reply, "s", &text);
	return r < 0 ? r : cell_set(cell, text);
}

static int read_number(sd_bus_message *reply, char type, struct cell *cell)
{
	char text[sizeof("18446744073709551615")];
	uint64_t number = 0;
	uint32_t small = 0;
	int r;

	r = type == 't' ? sd_bus_message_read(reply, "t", &number)
			: sd_bus_message_read(reply, "u", &small);
	if (r < 0)
		return r;
	(void)snprintf(text, sizeof(text), "%" PRIu64, type == 't' ? number : small);
	return cell_set(cell, text);
}

/* The value of a dictionary entry, into the cell of its kind. */
static int read_value(sd_bus_message *reply, const struct column *column, struct cell *cell)
{
	static const char *const types[] = {
		[COLUMN_TEXT] = "s", [COLUMN_NUMBER] = "u", [COLUMN_LIST] = "as"};
	const char *type;
	int r;

	if (cell->items)
		return -EBADMSG;
	r = sd_bus_message_peek_type(reply, NULL, &type);
	if (r < 0)
		return r;
	if (column->kind != COLUMN_NUMBER || !streq(type, "t"))
		type = types[column->kind];
	r = sd_bus_message_enter_container(reply, 'v', type);
	if (r < 0)
		return r;
	switch (column->kind) {
	case COLUMN_TEXT:
		r = read_text(reply, cell);
		break;
	case COLUMN_NUMBER:
		r = read_number(reply, *type, cell);
		break;
	case COLUMN_LIST:
		r = sd_bus_message_read_strv(reply, &cell->items);
		break;
	}
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

/* Into the last row. */
static int read_entry(sd_bus_message *reply, const char *key, void *context)
{
	const struct table *table = context;
	struct cell *cells = table->rows[table->row_count - 1];
	struct cell *cell = find_cell(table, cells, key);

	return cell ? read_value(reply, &table->columns[cell - cells], cell)
		    : sd_bus_message_skip(reply, "v");
}

static int read_rows(sd_bus_message *reply, struct table *table)
{
	struct cell *cells;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "a{sv}");
	while (r >= 0 && (r = sd_bus_message_at_end(reply, false)) == 0) {
		r = table_add_row(table, &cells);
		r = r < 0 ? r : reply_read(reply, read_entry, table);
	}
	return r;
}

/* Takes the reply. Reports its failures. */
static int read_table(sd_bus_message *reply, const struct column *columns, size_t column_count,
	struct table **ret)
{
	_cleanup_(table_freep) struct table *table = NULL;
	int r = table_new(columns, column_count, &table);

	if (r < 0)
		return print_no_memory();
	r = read_rows(reply, table);
	if (r < 0)
		return r == -ENOMEM ? print_no_memory() : print_bad_answer(r);
	table_sort(table);
	*ret = take_pointer(table);
	return 0;
}

int manager_list(const struct arguments *arguments, const char *what, const struct column *columns,
	size_t column_count, struct table **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "List", "s", what);

	return r < 0 ? r : read_table(reply, columns, column_count, ret);
}

int manager_last(const struct arguments *arguments, uint32_t pid, const struct column *columns,
	size_t column_count, struct table **ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = manager_call(arguments, CONTROL_DEADLINE_USEC, &reply, "Last", "u", pid);

	return r < 0 ? r : read_table(reply, columns, column_count, ret);
}

size_t terminal_width(void)
{
	struct winsize size = {0};

	if (!isatty(STDOUT_FILENO))
		return 0;
	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	return size.ws_col > 0 ? size.ws_col : 80;
}

int print_table(const struct arguments *arguments, const struct table *table)
{
	struct table_form form = {0};

	if (arguments->json) {
		table_print_json(table, stdout);
		return DONE;
	}
	form.no_legend = arguments->no_legend;
	form.width = terminal_width();
	return table_print(table, &form, stdout) < 0 ? print_no_memory() : DONE;
}

static int list_and_print(const struct arguments *arguments, const char *what,
	const struct column *columns, size_t column_count)
{
	_cleanup_(table_freep) struct table *table = NULL;
	int r;

	r = manager_list(arguments, what, columns, column_count, &table);
	return r < 0 ? r : print_table(arguments, table);
}

int verb_plugs(const struct arguments *arguments)
{
	static const struct column columns[] = {{"Plug"}, {"Id"}, {"Mediation"},
		{"Connected", COLUMN_LIST}, {"Path", COLUMN_LIST, .optional = true}};

	return list_and_print(arguments, "plugs", columns, ELEMENTSOF(columns));
}

int verb_slots(const struct arguments *arguments)
{
	static const struct column columns[] = {{"Slot"}, {"Id"}, {"Permissions", COLUMN_LIST},
		{"Queues", COLUMN_LIST}, {"Namespace", .optional = true},
		{"Max-Mode", .optional = true}};

	return list_and_print(arguments, "slots", columns, ELEMENTSOF(columns));
}

int verb_sessions(const struct arguments *arguments)
{
	static const struct column columns[] = {{"PID", COLUMN_NUMBER}, {"UID", COLUMN_NUMBER},
		{"Plugs", COLUMN_LIST}, {"Slots", COLUMN_LIST}, {"Mediation"}, {"Notes"},
		{"Command"}, {"Instance", .optional = true}, {"Container", .optional = true}};

	return list_and_print(arguments, "sessions", columns, ELEMENTSOF(columns));
}

enum {
	CONNECTION_INTERFACE,
	CONNECTION_PLUG,
	CONNECTION_SLOT,
	CONNECTION_NOTES,
};

static bool is_connected(const struct cell *cells, const void *userdata)
{
	return *cell_text(&cells[CONNECTION_PLUG]) && *cell_text(&cells[CONNECTION_SLOT]);
}

static bool belongs_to(const char *ref, const char *package)
{
	size_t length = strlen(package);

	return strncmp(ref, package, length) == 0 && ref[length] == ':';
}

static bool concerns_package(const struct cell *cells, const void *package)
{
	return belongs_to(cell_text(&cells[CONNECTION_PLUG]), package) ||
	       belongs_to(cell_text(&cells[CONNECTION_SLOT]), package);
}

/* packages: one column, the name. */
static int print_unknown_package(const struct table *packages, const char *name)
{
	_cleanup_free_ const char **names = calloc(packages->row_count + 1, sizeof(*names));
	const char *nearest;

	if (!names)
		return print_no_memory();
	for (size_t i = 0; i < packages->row_count; i++)
		names[i] = cell_text(&packages->rows[i][0]);
	nearest = nearest_name(name, names, packages->row_count);
	if (nearest)
		print_error("package \"%s\" not found; did you mean \"%s\"?", name, nearest);
	else
		print_error(
			"package \"%s\" not found; \"mqctl connections --all\" lists every plug "
			"and slot",
			name);
	return -ENOENT;
}

/* Reports its failures, an unknown package too. */
static int check_package(const struct arguments *arguments, const char *name)
{
	static const struct column columns[] = {{"Name"}};
	_cleanup_(table_freep) struct table *table = NULL;
	int r;

	r = manager_list(arguments, "packages", columns, ELEMENTSOF(columns), &table);
	if (r < 0)
		return r;
	for (size_t i = 0; i < table->row_count; i++)
		if (streq(cell_text(&table->rows[i][0]), name))
			return 0;
	return print_unknown_package(table, name);
}

int verb_connections(const struct arguments *arguments)
{
	static const struct column columns[] = {[CONNECTION_INTERFACE] = {"Interface"},
		[CONNECTION_PLUG] = {"Plug"},
		[CONNECTION_SLOT] = {"Slot"},
		[CONNECTION_NOTES] = {"Notes"}};
	const char *package = arguments->words[0];
	_cleanup_(table_freep) struct table *table = NULL;
	int r;

	if (package && arguments->all) {
		print_error("cannot use --all with a package name; leave one of them out");
		return USAGE;
	}
	if (package) {
		r = check_package(arguments, package);
		if (r < 0)
			return r;
	}
	r = manager_list(arguments, "connections", columns, ELEMENTSOF(columns), &table);
	if (r < 0)
		return r;
	if (package)
		table_keep(table, concerns_package, package);
	else if (!arguments->all)
		table_keep(table, is_connected, NULL);
	return print_table(arguments, table);
}
