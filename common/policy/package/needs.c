/* SPDX-License-Identifier: MIT */
/* What programs were seen to need. */
#include "include/array.h"
#include "include/learn.h"

#define LINE_BYTES 160 /* of a name's line besides the name */

void needs_clear(struct needs *needs)
{
	free(needs->items);
	free(needs->pids);
	*needs = (struct needs){0};
}

static int compare_name(const void *name, const void *need)
{
	return strcmp(name, ((const struct need *)need)->name);
}

static void add_command(struct need *need, const char *command)
{
	for (size_t i = 0; i < need->command_count; i++)
		if (streq(need->commands[i], command))
			return;
	if (*command && need->command_count < NEED_COMMANDS_MAX)
		(void)snprintf(
			need->commands[need->command_count++], NEED_COMMAND_SIZE, "%s", command);
}

/* As a number of its own among the digits of the name. */
static bool has_number(const char *name, uint32_t number)
{
	while (*(name += strcspn(name, "0123456789"))) {
		size_t digits = strspn(name, "0123456789");

		if (digits < 11 && *name != '0' && strtoull(name, NULL, 10) == number)
			return true;
		name += digits;
	}
	return false;
}

static int insert(struct needs *needs, size_t at, const char *name, const struct subject *subject)
{
	struct need need = {.first = (uint64_t)time(NULL),
		.pid = subject->pid,
		.uid = subject->uid,
		.by_pid = true};
	int r;

	const size_t bytes = 2 * strlen(name) + LINE_BYTES;

	if (needs->count == LEARNED_MAX || needs->bytes + bytes > LEARNED_BYTES_MAX)
		return -E2BIG;
	(void)snprintf(need.name, sizeof(need.name), "%s", name);
	r = array_append(&needs->items, &needs->count, &need, sizeof(need));
	if (r < 0)
		return r;
	memmove(needs->items + at + 1, needs->items + at,
		(needs->count - 1 - at) * sizeof(*needs->items));
	needs->items[at] = need;
	needs->bytes += bytes;
	return 0;
}

bool needs_know_pid(const struct needs *needs, uint64_t pid)
{
	for (size_t i = 0; i < needs->pid_count; i++)
		if (needs->pids[i] == pid)
			return true;
	return false;
}

static int note_pid(struct needs *needs, uint32_t pid)
{
	const size_t count = needs->pid_count;

	if (pid == 0 || (count > 0 && needs->pids[count - 1] == pid) || count == LEARNED_MAX ||
		needs_know_pid(needs, pid))
		return 0;
	return array_append(&needs->pids, &needs->pid_count, &pid, sizeof(pid));
}

int needs_add(struct needs *needs, const char *name, uint32_t permissions,
	const struct subject *subject, const char *command)
{
	size_t at =
		array_first(needs->items, needs->count, sizeof(*needs->items), name, compare_name);
	struct need *need;
	int r = 0;

	if (note_pid(needs, subject->pid) < 0)
		return -ENOMEM;
	if (at == needs->count || !streq(needs->items[at].name, name))
		r = insert(needs, at, name, subject);
	if (r == -E2BIG)
		needs->left_out++;
	if (r < 0)
		return r;
	need = &needs->items[at];
	r = (permissions & ~need->permissions) != 0;
	need->permissions |= permissions;
	need->calls++;
	need->by_pid = need->by_pid && subject->pid != 0 && has_number(name, subject->pid);
	add_command(need, command);
	return r;
}

int needs_count(struct needs *needs, const char *name, uint64_t calls, uint64_t first)
{
	const size_t at =
		array_first(needs->items, needs->count, sizeof(*needs->items), name, compare_name);

	needs->items[at].calls += calls;
	needs->items[at].first = MIN(needs->items[at].first, first);
	return 0;
}
