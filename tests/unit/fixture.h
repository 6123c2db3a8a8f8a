/* SPDX-License-Identifier: MIT */
/* For the tests of policy: documents, directories, and what came out, as text. */
#pragma once

#include <criterion/criterion.h>
#include <ftw.h>
#include <sys/stat.h>

#include "include/policy.h"

static inline char *fixture_format(const char *format, ...) _printf_(1, 2);
static inline char *fixture_format(const char *format, ...)
{
	char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	cr_assert(vasprintf(&text, format, arguments) >= 0);
	va_end(arguments);
	return text;
}

/* Every diagnostic on a line of its own. */
static inline char *fixture_diagnostics(const struct diagnostics *diagnostics)
{
	char *all = strdup("");

	for (size_t i = 0; i < diagnostics->count; i++) {
		char *line = diagnostic_format(&diagnostics->items[i]);
		char *longer = fixture_format("%s%s\n", all, line);

		free(line);
		free(all);
		all = longer;
	}
	return all;
}

static inline char *fixture_directory(void)
{
	char template[] = "/tmp/mqgate-test-XXXXXX";

	cr_assert(mkdtemp(template) != NULL);
	return strdup(template);
}

static inline int fixture_remove_one(
	const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void fixture_remove(char *directory)
{
	cr_expect(nftw(directory, fixture_remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0);
	free(directory);
}

static inline void fixture_write(const char *directory, const char *name, const char *text)
{
	char *path = fixture_format("%s/%s", directory, name);
	FILE *f = fopen(path, "we");

	cr_assert(f != NULL, "%s", path);
	cr_assert(fputs(text, f) >= 0);
	cr_assert(fclose(f) == 0);
	free(path);
}

static inline char *fixture_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char *text = NULL;
	size_t size = 0;

	cr_assert(f != NULL, "%s", path);
	if (getdelim(&text, &size, '\0', f) < 0)
		text[0] = '\0';
	cr_assert(fclose(f) == 0);
	return text;
}

static inline struct package *fixture_package(const char *text)
{
	struct diagnostics diagnostics = {0};
	struct package *package = NULL;
	int r = package_parse("test.yaml", text, strlen(text), &diagnostics, &package);
	char *all = fixture_diagnostics(&diagnostics);

	cr_assert(r == 0 && diagnostics.count == 0, "%s", all);
	free(all);
	diagnostics_clear(&diagnostics);
	return package;
}

/* A policy of the documents, separated by lines "---", and no connections. */
static inline void fixture_policy(struct policy *policy, const char *documents)
{
	struct diagnostics diagnostics = {0};
	char *directory = fixture_directory(), *copy = strdup(documents), *at = copy, *all;
	const char *directories[] = {directory};
	unsigned number = 0;

	for (char *next = at; next; at = next) {
		char *name = fixture_format("%03u.yaml", number++);

		next = strstr(at, "---\n");
		if (next) {
			*next = '\0';
			next += 4;
		}
		fixture_write(directory, name, at);
		free(name);
	}
	cr_assert(packages_load(directories, 1, &diagnostics, &policy->packages) == 0);
	all = fixture_diagnostics(&diagnostics);
	cr_assert(diagnostics.count == 0, "%s", all);
	free(all);
	cr_assert(connections_new(&policy->connections) == 0);
	diagnostics_clear(&diagnostics);
	fixture_remove(directory);
	free(copy);
}

static inline void fixture_policy_clear(struct policy *policy)
{
	packages_unref(policy->packages);
	connections_unref(policy->connections);
}

/* Puts a connection into the policy. */
static inline void fixture_connect(
	struct policy *policy, const char *plug, const char *slot, enum connection_state state)
{
	struct connections *changed = NULL;

	cr_assert(connections_with(policy->connections, plug, slot, state, &changed) == 0);
	connections_unref(policy->connections);
	policy->connections = changed;
}

/* "plug slot state" on a line for each. */
static inline char *fixture_connections(const struct connections *connections)
{
	char *all = strdup("");

	for (size_t i = 0; i < connections->count; i++) {
		const struct connection *item = &connections->items[i];
		char *longer = fixture_format("%s%s %s %s\n", all, item->plug, item->slot,
			connection_state_to_string(item->state));

		free(all);
		all = longer;
	}
	return all;
}
