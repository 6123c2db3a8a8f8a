/* SPDX-License-Identifier: MIT */
/* mqgated.yaml. */
#include "fixture.h"

#include "include/limits.h"

static char *directory, *file;

static void setup(void)
{
	directory = fixture_directory();
	file = fixture_format("%s/mqgated.yaml", directory);
}

static void teardown(void)
{
	fixture_remove(directory);
	free(file);
}

TestSuite(config, .init = setup, .fini = teardown, .timeout = 20);

static void load(const char *text, struct config *ret)
{
	struct diagnostics diagnostics = {0};
	char *complaints;
	int r;

	if (text)
		fixture_write(directory, "mqgated.yaml", text);
	r = config_load(file, &diagnostics, ret);
	complaints = fixture_diagnostics(&diagnostics);
	cr_assert(r == 0 && diagnostics.count == 0, "%d %s", r, complaints);
	free(complaints);
}

static void expect_defaults(const char *text)
{
	struct config config = {.audit_allowed = true};

	load(text, &config);
	cr_expect(config.admin_group == NULL && config.launch_group == NULL);
	cr_expect(!config.audit_allowed && config.audit_rate == RECORD_RATE_DEFAULT);
	config_clear(&config);
}

Test(config, defaults)
{
	expect_defaults(NULL);
	expect_defaults("");
	expect_defaults("# nothing but comments\n");
	expect_defaults("{}\n");
}

/* Takes the "#" from every setting ("#key: value"), leaves the prose ("# Text"). */
static void uncomment(char *text)
{
	char *to = text;

	for (char *from = text; *from; from++)
		if (!(*from == '#' && (from == text || from[-1] == '\n') &&
			    (from[1] != ' ' || startswith(from + 1, "  "))))
			*to++ = *from;
	*to = '\0';
}

Test(config, the_file_that_is_installed)
{
	char *path = fixture_format("%s/../../conf/mqgated.yaml", getenv("DATA"));
	char *text = fixture_read(path);
	struct config config = {0};

	expect_defaults(text);
	uncomment(text);
	load(text, &config);
	cr_expect_str_eq(config.admin_group, "mqgate");
	cr_expect_str_eq(config.launch_group, "mqgate");
	cr_expect(!config.audit_allowed && config.audit_rate == RECORD_RATE_DEFAULT);
	config_clear(&config);
	free(text);
	free(path);
}

Test(config, everything)
{
	struct config config = {0};

	load("admin-group: mqgate\nlaunch-group: users\naudit: {allowed: true, rate: 10000}\n",
		&config);
	cr_expect_str_eq(config.admin_group, "mqgate");
	cr_expect_str_eq(config.launch_group, "users");
	cr_expect(config.audit_allowed && config.audit_rate == RECORD_RATE_MAX);
	config_clear(&config);
	cr_expect(config.admin_group == NULL && config.launch_group == NULL);
	load("audit: {rate: 1, allowed: off}\n", &config);
	cr_expect(!config.audit_allowed && config.audit_rate == 1);
	config_clear(&config);
}

Test(config, refused)
{
	static const struct {
		const char *text, *expected;
	} cases[] = {
		{"- a", "1:1: error: the document is a list; write a map of settings\n"},
		{"admin-grup: x", "1:1: error: unknown key \"admin-grup\"; did you mean "
				  "admin-group?\n"},
		{"a: 1\nnonsense: 1", "1:1: error: unknown key \"a\"; remove it (see "
				      "mqgated.yaml(5))\n"
				      "2:1: error: unknown key \"nonsense\"; remove it (see "
				      "mqgated.yaml(5))\n"},
		{"admin-group: 5", "1:14: error: admin-group must be the name of a group; write "
				   "\"admin-group: NAME\"\n"},
		{"launch-group:", "1:14: error: launch-group must be the name of a group; write "
				  "\"launch-group: NAME\"\n"},
		{"admin-group: \"\"", "1:14: error: admin-group must be the name of a group; write "
				      "\"admin-group: NAME\"\n"},
		{"audit: yes",
			"1:8: error: audit must be a map, not a boolean; write \"audit: {rate: "
			"10}\"\n"},
		{"audit: {rat: 1}",
			"1:9: error: unknown key \"rat\" in audit; did you mean rate?\n"},
		{"audit: {allowed: 1}", "1:18: error: audit: allowed must be true or false, not a "
					"number; write one of them\n"},
		{"audit: {rate: 0}", "1:15: error: audit: rate must be a number of records a "
				     "second; write one from 1 to 10000\n"},
		{"audit: {rate: 10001}", "1:15: error: audit: rate must be a number of records a "
					 "second; write one from 1 to 10000\n"},
		{"audit: {rate: -1}", "1:15: error: audit: rate must be a number of records a "
				      "second; write one from 1 to 10000\n"},
		{"audit: {rate: 99999999999999999999}",
			"1:15: error: audit: rate must be a number of records a "
			"second; write one from 1 to 10000\n"},
		{"audit: {rate: \"5\"}", "1:15: error: audit: rate must be a number of records a "
					 "second; write one from 1 to 10000\n"},
		{"launch-group: a\nlaunch-group: b",
			"2:1: error: key \"launch-group\" is already on line 1; keep one of the "
			"two\n"},
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		struct diagnostics diagnostics = {0};
		struct config config = {0};
		char *text = strdup(""), *line, *longer;

		fixture_write(directory, "mqgated.yaml", cases[i].text);
		cr_expect(config_load(file, &diagnostics, &config) == -EBADMSG);
		for (size_t j = 0; j < diagnostics.count; j++) {
			line = diagnostic_format(&diagnostics.items[j]);
			cr_assert(startswith(line, file), "%s", line);
			longer = fixture_format("%s%s\n", text, line + strlen(file) + 1);
			free(text);
			free(line);
			text = longer;
		}
		cr_expect_str_eq(text, cases[i].expected, "%s", text);
		cr_expect(config.admin_group == NULL && config.launch_group == NULL);
		free(text);
		diagnostics_clear(&diagnostics);
	}
}

Test(config, file_size_bound)
{
	struct diagnostics diagnostics = {0};
	struct config config = {0};

	fixture_write(directory, "mqgated.yaml", "#");
	cr_assert(truncate(file, CONFIG_FILE_MAX + 1) == 0);
	cr_expect(config_load(file, &diagnostics, &config) == -EBADMSG);
	cr_expect_str_eq(diagnostics.items[0].text, "larger than 65536 bytes; remove comments");
	diagnostics_clear(&diagnostics);
}
