/* SPDX-License-Identifier: MIT */
/* mqctl doctor: is this machine fit, and does the promise hold here? */
#include "doctor.h"

#include <stdarg.h>

enum {
	ROAD_OPEN = 3, /* 2 is wrong usage, as ever */
};

enum { FOUND_RESULT, FOUND_SUBJECT, FOUND_TEXT, FOUND_REMEDY, FOUND_COLUMNS };

static const char *const grade_names[] = {
	[GRADE_OK] = "ok", [GRADE_WARNING] = "warning", [GRADE_FAILED] = "FAILED"};

static void print_found(enum grade grade, const char *subject, const char *text, const char *remedy)
{
	_cleanup_free_ char *head = NULL, *line = NULL;

	if (asprintf(&head, "%-8s ", grade_names[grade]) < 0 ||
		asprintf(&line, "%s: %s%s%s", subject, text, remedy ? "; " : "", remedy ?: "") < 0)
		return;
	print_lines(head, line, stdout);
	(void)fflush(stdout);
}

static int keep_found(struct doctor *doctor, enum grade grade, const char *subject,
	const char *text, const char *remedy)
{
	struct cell *cells;
	int r = table_add_row(doctor->table, &cells);

	r = r < 0 ? r : cell_set(&cells[FOUND_RESULT], grade_names[grade]);
	r = r < 0 ? r : cell_set(&cells[FOUND_SUBJECT], subject);
	r = r < 0 ? r : cell_set(&cells[FOUND_TEXT], text);
	return r < 0 || !remedy ? r : cell_set(&cells[FOUND_REMEDY], remedy);
}

void found(struct doctor *doctor, enum grade grade, const char *subject, const char *remedy,
	const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list values;
	int r;

	va_start(values, format);
	r = vasprintf(&text, format, values);
	va_end(values);
	if (r < 0)
		text = NULL;
	doctor->worst = MAX(doctor->worst, grade);
	if (!doctor->arguments->json)
		print_found(grade, subject, text ?: "", remedy);
	else if (!text || keep_found(doctor, grade, subject, text, remedy) < 0)
		doctor->error = -ENOMEM;
}

int verb_doctor(const struct arguments *arguments)
{
	static const struct column columns[FOUND_COLUMNS] = {[FOUND_RESULT] = {"Result"},
		[FOUND_SUBJECT] = {"Subject"},
		[FOUND_TEXT] = {"Text"},
		[FOUND_REMEDY] = {"Remedy"}};
	_cleanup_(table_freep) struct table *table = NULL;
	struct doctor doctor = {.arguments = arguments};

	if (table_new(columns, FOUND_COLUMNS, &table) < 0)
		return print_no_memory();
	doctor.table = table;
	examine_machine(&doctor);
	examine_daemon(&doctor);
	examine_roads(&doctor);
	free(doctor.state_file);
	for (size_t i = 0; doctor.directories && doctor.directories[i]; i++)
		free(doctor.directories[i]);
	free(doctor.directories);
	if (doctor.error < 0)
		return print_no_memory();
	if (arguments->json)
		table_print_json(table, stdout);
	return doctor.road_open ? ROAD_OPEN : doctor.worst > GRADE_OK ? REFUSED : DONE;
}
