/* SPDX-License-Identifier: MIT */
/* What a package consists of: freeing it. */
#include "package-parts.h"

static void free_names(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

void plug_clear(struct plug *plug)
{
	free(plug->name);
	free(plug->id);
	free_names(plug->paths, plug->path_count);
	*plug = (struct plug){0};
}

void slot_clear(struct slot *slot)
{
	free(slot->name);
	free(slot->id);
	free_names(slot->paths, slot->path_count);
	free_names(slot->patterns, slot->pattern_count);
	*slot = (struct slot){0};
}

void app_clear(struct app *app)
{
	free(app->name);
	free_names(app->plugs, app->plug_count);
	free_names(app->slots, app->slot_count);
	*app = (struct app){0};
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void sort_by_name(void *items, size_t count, size_t size)
{
	if (count > 1)
		qsort(items, count, size, compare_names);
}
