/* SPDX-License-Identifier: MIT */
/* Tables for people and as JSON; the address of a socket. */
#include <criterion/criterion.h>
#include <locale.h>

#include "mqctl/client.h"
#include "mqctl/print.h"

static const struct column columns[] = {
	{"Slot"}, {"PID", COLUMN_NUMBER}, {"Queues", COLUMN_LIST}, {"Notes"}};

static void set_utf8(void)
{
	cr_assert(setlocale(LC_CTYPE, "C.UTF-8"));
}

TestSuite(print, .init = set_utf8);

/* list is separated by spaces; NULL: no value. */
static void add_row(struct table *table, const char *text, const char *number, const char *list,
	const char *notes)
{
	_cleanup_free_ char *copy = list ? strdup(list) : NULL;
	struct cell *cells;
	size_t count = 0;

	cr_assert(table_add_row(table, &cells) == 0);
	cr_assert(text == NULL || cell_set(&cells[0], text) == 0);
	cr_assert(number == NULL || cell_set(&cells[1], number) == 0);
	cr_assert(notes == NULL || cell_set(&cells[3], notes) == 0);
	if (!copy)
		return;
	cells[2].items = calloc(10, sizeof(char *));
	cr_assert(cells[2].items);
	for (char *item = strtok(copy, " "); item; item = strtok(NULL, " "))
		cells[2].items[count++] = strdup(item);
}

static struct table *new_table(void)
{
	struct table *table;

	cr_assert(table_new(columns, ELEMENTSOF(columns), &table) == 0);
	return table;
}

enum form {
	FORM_TEXT,
	FORM_JSON,
};

static void check_form(
	const struct table *table, const struct table_form *form, const char *expected)
{
	_cleanup_free_ char *output = NULL;
	size_t size;
	FILE *file = open_memstream(&output, &size);

	cr_assert(file);
	cr_assert(table_print(table, form, file) == 0);
	(void)fclose(file);
	cr_assert_str_eq(output, expected, "%s", output);
}

static void check_output(const struct table *table, enum form form, const char *expected)
{
	_cleanup_free_ char *output = NULL;
	size_t size;
	FILE *file = open_memstream(&output, &size);

	cr_assert(file);
	if (form == FORM_JSON)
		table_print_json(table, file);
	else
		cr_assert(table_print(table, &(struct table_form){0}, file) == 0);
	(void)fclose(file);
	cr_assert_str_eq(output, expected);
}

Test(print, nothing_at_all)
{
	_cleanup_(table_freep) struct table *table = new_table();

	check_output(table, FORM_TEXT, "");
	check_output(table, FORM_JSON, "[]\n");
}

Test(print, no_legend)
{
	_cleanup_(table_freep) struct table *table = new_table();
	const struct table_form form = {.no_legend = true};

	check_form(table, &form, "");
	add_row(table, "a:b", "7", "/events /other", NULL);
	check_form(table, &form, "a:b   7    /events,/other  -\n");
}

/* The longest line has 42 columns: it fits, or each item gets a line. */
Test(print, a_narrow_terminal)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "sensor:events", "7", "/events /other", "manual");
	add_row(table, "a:b", "12", NULL, NULL);
	check_form(table, &(const struct table_form){.width = 42},
		"Slot           PID  Queues          Notes\n"
		"sensor:events  7    /events,/other  manual\n"
		"a:b            12   -               -\n");
	check_form(table, &(const struct table_form){.width = 41},
		"Slot           PID  Queues   Notes\n"
		"sensor:events  7    /events  manual\n"
		"                    /other\n"
		"a:b            12   -        -\n");
}

Test(print, columns_are_aligned_and_lines_end_without_space)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "sensor:events", "7", "/events /other", "manual");
	add_row(table, "a:b", "4294967295", NULL, NULL);
	check_output(table, FORM_TEXT,
		"Slot           PID         Queues          Notes\n"
		"sensor:events  7           /events,/other  manual\n"
		"a:b            4294967295  -               -\n");
}

Test(print, alignment_is_by_display_width)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "\xc3\xa9t\xc3\xa9", "1", NULL, NULL);
	add_row(table, "\xe6\xb8\xac\xe5\xae\x9a", "2", NULL, NULL);
	add_row(table, "abcde", "3", NULL, NULL);
	check_output(table, FORM_TEXT,
		"Slot   PID  Queues  Notes\n"
		"\xc3\xa9t\xc3\xa9    1    -       -\n"
		"\xe6\xb8\xac\xe5\xae\x9a   2    -       -\n"
		"abcde  3    -       -\n");
}

Test(print, display_width)
{
	cr_assert_eq(display_width(""), 0);
	cr_assert_eq(display_width("abc"), 3);
	cr_assert_eq(display_width("\xe6\xb8\xac"), 2);
	cr_assert_eq(display_width("e\xcc\x81"), 1);
	cr_assert_eq(display_width("\xff"), 1);
}

Test(print, controls_cannot_reach_the_terminal)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "a\x1b[2J\n", "1", "/x\ty /\xc2\x9b", "\xff\\");
	check_output(table, FORM_TEXT,
		"Slot          PID  Queues             Notes\n"
		"a\\x1b[2J\\x0a  1    /x\\x09y,/\\xc2\\x9b  \\xff\\\n");
	check_output(table, FORM_JSON,
		"[\n  {\"slot\": \"a\\u001b[2J\\u000a\", \"pid\": 1, "
		"\"queues\": [\"/x\\u0009y\", \"/\\u009b\"], \"notes\": \"\xef\xbf\xbd\\\\\"}\n]\n");
}

Test(print, json_has_arrays_numbers_and_absent_values)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "s \"q\"", "12", "/a /b", "manual");
	add_row(table, NULL, NULL, NULL, NULL);
	check_output(table, FORM_JSON,
		"[\n"
		"  {\"slot\": \"s \\\"q\\\"\", \"pid\": 12, \"queues\": [\"/a\", \"/b\"], "
		"\"notes\": \"manual\"},\n"
		"  {\"slot\": \"\", \"pid\": null, \"queues\": [], \"notes\": \"\"}\n"
		"]\n");
}

static void check_json_string(const char *text, const char *expected)
{
	_cleanup_free_ char *output = NULL;
	size_t size;
	FILE *file = open_memstream(&output, &size);

	cr_assert(file);
	json_print_string(text, file);
	(void)fclose(file);
	cr_assert_str_eq(output, expected);
}

#define REPLACED "\xef\xbf\xbd"

Test(print, json_replaces_what_is_not_utf8)
{
	check_json_string("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
		"\"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80\"");
	check_json_string("\x80", "\"" REPLACED "\"");
	check_json_string("\xc0\xaf", "\"" REPLACED REPLACED "\"");
	check_json_string("\xe0\x80\xaf", "\"" REPLACED REPLACED REPLACED "\"");
	check_json_string("\xed\xa0\x80", "\"" REPLACED REPLACED REPLACED "\"");
	check_json_string("\xf4\x90\x80\x80", "\"" REPLACED REPLACED REPLACED REPLACED "\"");
	check_json_string("\xf5z", "\"" REPLACED "z\"");
	check_json_string("cut \xe2\x82", "\"cut " REPLACED REPLACED "\"");
	check_json_string("\x7f\x01", "\"\\u007f\\u0001\"");
}

Test(print, rows_are_sorted_by_column)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "b:x", "10", NULL, NULL);
	add_row(table, "b:x", "9", NULL, NULL);
	add_row(table, "a:x", "11", NULL, NULL);
	add_row(table, NULL, "12", NULL, NULL);
	table_sort(table);
	check_output(table, FORM_TEXT,
		"Slot  PID  Queues  Notes\n"
		"-     12   -       -\n"
		"a:x   11   -       -\n"
		"b:x   9    -       -\n"
		"b:x   10   -       -\n");
}

/* Only for people, and only at the end. */
Test(print, optional_columns_are_shown_with_values)
{
	static const struct column optional[] = {
		{"Slot"}, {"Mode", .optional = true}, {"Path", COLUMN_LIST, .optional = true}};
	_cleanup_(table_freep) struct table *table = NULL;
	struct cell *cells;

	cr_assert(table_new(optional, ELEMENTSOF(optional), &table) == 0);
	cr_assert(table_add_row(table, &cells) == 0);
	cr_assert(cell_set(&cells[0], "a:x") == 0);
	cr_assert(cell_set(&cells[1], "") == 0);
	check_output(table, FORM_TEXT, "Slot\na:x\n");
	check_output(
		table, FORM_JSON, "[\n  {\"slot\": \"a:x\", \"mode\": \"\", \"path\": []}\n]\n");
	cr_assert(cell_set(&cells[1], "0660") == 0);
	check_output(table, FORM_TEXT, "Slot  Mode\na:x   0660\n");
	cr_assert(cell_set(&cells[1], "") == 0);
	cr_assert(cell_set(&cells[2], "/q") == 0);
	check_output(table, FORM_TEXT, "Slot  Mode  Path\na:x   -     /q\n");
}

static bool has_slot(const struct cell *cells, const void *slot)
{
	return streq(cell_text(&cells[0]), slot);
}

Test(print, only_wanted_rows_are_kept)
{
	_cleanup_(table_freep) struct table *table = new_table();

	add_row(table, "a:x", "1", "/q", NULL);
	add_row(table, "b:x", "2", NULL, NULL);
	add_row(table, "a:x", "3", NULL, NULL);
	table_keep(table, has_slot, "a:x");
	check_output(table, FORM_TEXT,
		"Slot  PID  Queues  Notes\n"
		"a:x   1    /q      -\n"
		"a:x   3    -       -\n");
	table_keep(table, has_slot, "none");
	check_output(table, FORM_TEXT, "");
}

static void check_lines(const char *text, const char *expected)
{
	_cleanup_free_ char *output = NULL;
	size_t size;
	FILE *file = open_memstream(&output, &size);

	cr_assert(file);
	print_lines("error: ", text, file);
	(void)fclose(file);
	cr_assert_str_eq(output, expected);
}

Test(print, messages_keep_their_lines_and_lose_their_controls)
{
	check_lines("one", "error: one\n");
	check_lines("one\ntwo\n", "error: one\ntwo\n");
	check_lines("a\x1b[31m\nb\r", "error: a\\x1b[31m\nb\\x0d\n");
	check_lines("", "error: \n");
	check_lines("\\x1b \\x5c \\\\", "error: \\x1b \\x5c \\\\\n");
}
