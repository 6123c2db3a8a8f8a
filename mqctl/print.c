/* SPDX-License-Identifier: MIT */
/* Tables, for people and as JSON. */
#include "print.h"

#include <ctype.h>
#include <wchar.h>

#include "include/array.h"
#include "include/log.h"

int table_new(const struct column *columns, size_t column_count, struct table **ret)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return -ENOMEM;
	table->columns = columns;
	table->column_count = column_count;
	*ret = table;
	return 0;
}

static void free_items(char **items)
{
	for (char **item = items; item && *item; item++)
		free(*item);
	free(items);
}

static void free_row(struct cell *cells, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free_items(cells[i].items);
	free(cells);
}

struct table *table_free(struct table *table)
{
	if (table) {
		for (size_t i = 0; i < table->row_count; i++)
			free_row(table->rows[i], table->column_count);
		free(table->rows);
		free(table);
	}
	return NULL;
}

int table_add_row(struct table *table, struct cell **ret_cells)
{
	_cleanup_free_ struct cell *cells = calloc(table->column_count, sizeof(*cells));
	int r = cells ? array_append(&table->rows, &table->row_count, &cells, sizeof(cells))
		      : -ENOMEM;

	if (r == 0)
		*ret_cells = take_pointer(cells);
	return r;
}

void table_drop_last(struct table *table)
{
	free_row(table->rows[--table->row_count], table->column_count);
}

int cell_set(struct cell *cell, const char *text)
{
	char **items = calloc(2, sizeof(*items));

	if (!items)
		return -ENOMEM;
	items[0] = strdup(text);
	if (!items[0]) {
		free(items);
		return -ENOMEM;
	}
	free_items(cell->items);
	cell->items = items;
	return 0;
}

const char *cell_text(const struct cell *cell)
{
	return cell->items && cell->items[0] ? cell->items[0] : "";
}

static int compare_cells(const struct cell *a, const struct cell *b, enum column_kind kind)
{
	const char *left = cell_text(a), *right = cell_text(b);

	if (kind == COLUMN_NUMBER && strlen(left) != strlen(right))
		return strlen(left) < strlen(right) ? -1 : 1;
	return strcmp(left, right);
}

static int compare_rows(const void *a, const void *b, void *userdata)
{
	const struct cell *left = *(struct cell *const *)a, *right = *(struct cell *const *)b;
	const struct table *table = userdata;
	int r = 0;

	for (size_t i = 0; r == 0 && i < table->column_count; i++)
		r = compare_cells(&left[i], &right[i], table->columns[i].kind);
	return r;
}

void table_sort(struct table *table)
{
	if (table->row_count > 1)
		qsort_r(table->rows, table->row_count, sizeof(*table->rows), compare_rows, table);
}

void table_keep(struct table *table, bool (*wanted)(const struct cell *cells, const void *userdata),
	const void *userdata)
{
	size_t kept = 0;

	for (size_t i = 0; i < table->row_count; i++)
		if (wanted(table->rows[i], userdata))
			table->rows[kept++] = table->rows[i];
		else
			free_row(table->rows[i], table->column_count);
	table->row_count = kept;
}

#define ESCAPED_BACKSLASH "\\x5c"

/* What escape() made of text, with its backslashes as they were: the manager has escaped before. */
static void restore_backslashes(char *text)
{
	char *end = text;

	while (*text) {
		bool backslash = startswith(text, ESCAPED_BACKSLASH);

		*end++ = *text;
		text += backslash ? strlen(ESCAPED_BACKSLASH) : 1;
	}
	*end = '\0';
}

char *escape_all(const char *text)
{
	size_t size = 4 * strlen(text) + 1; /* each byte at most \xNN */
	char *buffer = malloc(size);

	if (buffer)
		restore_backslashes(escape(text, buffer, size));
	return buffer;
}

/* Bytes of the first character. */
static size_t next_character(const char *text, mbstate_t *state, size_t *ret_columns)
{
	wchar_t c;
	size_t length = mbrtowc(&c, text, MB_CUR_MAX, state);
	int columns;

	if (length == 0 || length > MB_CUR_MAX) {
		memset(state, 0, sizeof(*state));
		*ret_columns = (*text & 0xc0) != 0x80;
		return 1;
	}
	columns = wcwidth(c);
	*ret_columns = columns < 0 ? 1 : (size_t)columns;
	return length;
}

size_t display_width(const char *text)
{
	mbstate_t state = {0};
	size_t width = 0, columns;

	while (*text) {
		text += next_character(text, &state, &columns);
		width += columns;
	}
	return width;
}

size_t display_cut(const char *text, size_t length, size_t width)
{
	mbstate_t state = {0};
	size_t bytes = 0, columns;

	while (bytes < length) {
		size_t next = next_character(text + bytes, &state, &columns);

		if (columns > width)
			break;
		width -= columns;
		bytes += next;
	}
	return MIN(bytes, length);
}

/* The cell as shown to a person, malloc'd. Its items are separated by separator. */
static char *cell_render(const struct cell *cell, char separator)
{
	_cleanup_free_ char *joined = NULL;
	size_t size;
	FILE *file;

	if (!*cell_text(cell))
		return strdup("-");
	file = open_memstream(&joined, &size);
	if (!file)
		return NULL;
	for (char **item = cell->items; *item; item++) {
		_cleanup_free_ char *escaped = escape_all(*item);

		if (item != cell->items)
			(void)fputc(separator, file);
		(void)fputs(escaped ? escaped : "(not enough memory)", file);
	}
	return fclose(file) == 0 ? take_pointer(joined) : NULL;
}

/* Prints the first line of each text, and moves the texts behind it. */
static bool print_line(const char **texts, const size_t *widths, size_t count, FILE *file)
{
	size_t gap = 0;
	bool more = false;

	for (size_t i = 0; i < count; i++) {
		size_t length = strcspn(texts[i], "\n");
		_cleanup_free_ char *line = strndup(texts[i], length);
		size_t width = line ? display_width(line) : 0;

		if (width > 0)
			(void)fprintf(file, "%*s%s", (int)gap, "", line);
		gap = (width > 0 ? 0 : gap) + widths[i] - width + 2;
		texts[i] += length + (texts[i][length] == '\n');
		more = more || *texts[i];
	}
	(void)fputc('\n', file);
	return more;
}

static bool has_values(const struct table *table, size_t column)
{
	for (size_t row = 0; row < table->row_count; row++)
		if (*cell_text(&table->rows[row][column]))
			return true;
	return false;
}

static size_t shown_columns(const struct table *table)
{
	size_t count = table->column_count;

	while (table->columns[count - 1].optional && !has_values(table, count - 1))
		count--;
	return count;
}

/* All cells of the table's first columns, titles first, row by row. */
static int render(const struct table *table, size_t columns, char separator, char **texts)
{
	for (size_t row = 0; row <= table->row_count; row++)
		for (size_t i = 0; i < columns; i++) {
			char *text = row == 0 ? strdup(table->columns[i].title)
					      : cell_render(&table->rows[row - 1][i], separator);

			if (!text)
				return -ENOMEM;
			texts[row * columns + i] = text;
		}
	return 0;
}

static size_t widest_line(const char *text)
{
	size_t widest = 0;

	for (;;) {
		size_t length = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, length);

		widest = MAX(widest, line ? display_width(line) : length);
		if (text[length] == '\0')
			return widest;
		text += length + 1;
	}
}

/* Of each column; returns that of a whole line. */
static size_t measure(char **texts, size_t cells, size_t columns, size_t *widths)
{
	size_t sum = 0;

	memset(widths, 0, columns * sizeof(*widths));
	for (size_t i = 0; i < cells; i++)
		widths[i % columns] = MAX(widths[i % columns], widest_line(texts[i]));
	for (size_t i = 0; i < columns; i++)
		sum += widths[i] + (i > 0 ? 2 : 0);
	return sum;
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(texts[i]);
		texts[i] = NULL;
	}
}

static int print_texts(char **texts, size_t cells, size_t columns, const size_t *widths,
	bool no_legend, FILE *file)
{
	_cleanup_free_ const char **rest = calloc(columns, sizeof(*rest));

	if (!rest)
		return -ENOMEM;
	for (size_t i = no_legend ? columns : 0; i < cells; i += columns) {
		for (size_t j = 0; j < columns; j++)
			rest[j] = texts[i + j];
		while (print_line(rest, widths, columns, file))
			;
	}
	return 0;
}

int table_print(const struct table *table, const struct table_form *form, FILE *file)
{
	size_t columns = shown_columns(table), cells = (table->row_count + 1) * columns;
	_cleanup_free_ size_t *widths = calloc(columns, sizeof(*widths));
	_cleanup_free_ char **texts = calloc(cells, sizeof(*texts));
	int r;

	if (table->row_count == 0)
		return 0;
	if (!widths || !texts)
		return -ENOMEM;
	r = render(table, columns, ',', texts);
	if (r == 0 && measure(texts, cells, columns, widths) > form->width && form->width > 0) {
		free_texts(texts, cells);
		r = render(table, columns, '\n', texts);
		if (r == 0)
			(void)measure(texts, cells, columns, widths);
	}
	if (r == 0)
		r = print_texts(texts, cells, columns, widths, form->no_legend, file);
	free_texts(texts, cells);
	return r;
}

static void json_print_character(const unsigned char *s, size_t length, FILE *file)
{
	if (length == 0)
		(void)fputs("\xef\xbf\xbd", file);
	else if (s[0] < 0x20 || s[0] == 0x7f)
		(void)fprintf(file, "\\u%04x", s[0]);
	else if (s[0] == 0xc2 && s[1] < 0xa0)
		(void)fprintf(file, "\\u%04x", s[1]);
	else if (s[0] == '"' || s[0] == '\\')
		(void)fprintf(file, "\\%c", s[0]);
	else
		(void)fwrite(s, 1, length, file);
}

void json_print_string(const char *text, FILE *file)
{
	const unsigned char *s = (const unsigned char *)text;

	(void)fputc('"', file);
	while (*s) {
		size_t length = utf8_length(s);

		json_print_character(s, length, file);
		s += MAX(length, 1U);
	}
	(void)fputc('"', file);
}

static void json_print_key(const char *title, FILE *file)
{
	(void)fputc('"', file);
	for (const char *p = title; *p; p++)
		(void)fputc(tolower((unsigned char)*p), file);
	(void)fputs("\": ", file);
}

static void json_print_cell(const struct cell *cell, enum column_kind kind, FILE *file)
{
	switch (kind) {
	case COLUMN_TEXT:
		json_print_string(cell_text(cell), file);
		break;
	case COLUMN_NUMBER:
		(void)fputs(*cell_text(cell) ? cell_text(cell) : "null", file);
		break;
	case COLUMN_LIST:
		(void)fputc('[', file);
		for (char **item = cell->items; item && *item; item++) {
			if (item != cell->items)
				(void)fputs(", ", file);
			json_print_string(*item, file);
		}
		(void)fputc(']', file);
		break;
	}
}

void table_print_json(const struct table *table, FILE *file)
{
	(void)fputc('[', file);
	for (size_t row = 0; row < table->row_count; row++) {
		(void)fputs(row == 0 ? "\n  {" : ",\n  {", file);
		for (size_t i = 0; i < table->column_count; i++) {
			if (i > 0)
				(void)fputs(", ", file);
			json_print_key(table->columns[i].title, file);
			json_print_cell(&table->rows[row][i], table->columns[i].kind, file);
		}
		(void)fputc('}', file);
	}
	(void)fputs(table->row_count > 0 ? "\n]\n" : "]\n", file);
}

void print_lines(const char *prefix, const char *text, FILE *file)
{
	(void)fputs(prefix, file);
	for (;;) {
		size_t length = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, length);
		_cleanup_free_ char *escaped = line ? escape_all(line) : NULL;

		(void)fprintf(file, "%s\n", escaped ? escaped : "(not enough memory)");
		if (text[length] == '\0' || text[length + 1] == '\0')
			return;
		text += length + 1;
	}
}
