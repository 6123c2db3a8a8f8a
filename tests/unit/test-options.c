/* SPDX-License-Identifier: MIT */
/* The command line of mq-run. */
#include <criterion/criterion.h>
#include <getopt.h>

#include "config.h"
#include "include/util.h"
#include "launcher/options.h"

static struct options options;
static char *message;

static void clear(void)
{
	free(take_pointer(message));
}

static void reset(void)
{
	cr_assert_eq(unsetenv("MQGATE_RUNTIME_DIR"), 0);
}

TestSuite(options, .init = reset, .fini = clear);

#define parse(...) parse_((const char *[]){"mq-run", __VA_ARGS__, NULL})

static int parse_(const char *arguments[])
{
	static const char *kept[2 * LAUNCH_REFS_MAX + 8]; /* options point into it */
	int count = 0;

	do
		kept[count] = arguments[count];
	while (arguments[count++]);
	optind = 0;
	clear();
	return options_parse(count - 1, (char **)kept, &options, &message);
}

static void assert_message(const char *part)
{
	cr_assert_not_null(message);
	cr_assert_not_null(strstr(message, part), "'%s' is not in: %s", part, message);
}

Test(options, plugs_and_slots_in_order)
{
	cr_assert_eq(parse("--plug", "logger:events", "--slot=own", "true"), 0, "%s", message);
	cr_assert_eq(options.ref_count, 2);
	cr_assert_eq(options.refs[0].kind, LAUNCH_REF_PLUG);
	cr_assert_str_eq(options.refs[0].text, "logger:events");
	cr_assert_eq(options.refs[1].kind, LAUNCH_REF_SLOT);
	cr_assert_str_eq(options.refs[1].text, "own");
	cr_assert_str_eq(options.command[0], "true");
	cr_assert_null(options.command[1]);
}

Test(options, an_app_is_a_ref_too)
{
	cr_assert_eq(parse("--app", "station.tool", "--plug", "a", "true"), 0, "%s", message);
	cr_assert_eq(options.ref_count, 2);
	cr_assert_eq(options.refs[0].kind, LAUNCH_REF_APP);
	cr_assert_str_eq(options.refs[0].text, "station.tool");
	cr_assert_eq(options.refs[1].kind, LAUNCH_REF_PLUG);
}

Test(options, an_instance_is_a_ref_but_not_enough)
{
	char longest[INSTANCE_MAX + 2];

	cr_assert_eq(parse("--instance", "East.9_x:-", "--plug", "a", "true"), 0, "%s", message);
	cr_assert_eq(options.refs[0].kind, LAUNCH_REF_INSTANCE);
	cr_assert_str_eq(options.refs[0].text, "East.9_x:-");
	cr_assert_eq(parse("--instance", "a", "true"), -EINVAL);
	assert_message("--plug, --slot and --app are all missing");
	cr_assert_eq(parse("--instance", "a", "--instance", "a", "--plug", "a", "true"), -EINVAL);
	assert_message("--instance a: it is given twice");
	cr_assert_eq(parse("--instance", "", "--plug", "a", "true"), -EINVAL);
	assert_message("--instance '': write 1 to 64 of");
	memset(longest, 'a', sizeof(longest));
	longest[INSTANCE_MAX + 1] = '\0';
	cr_assert_eq(parse("--instance", longest, "--plug", "a", "true"), -EINVAL);
	longest[INSTANCE_MAX] = '\0';
	cr_assert_eq(parse("--instance", longest, "--plug", "a", "true"), 0, "%s", message);
}

Test(options, end_at_the_command)
{
	cr_assert_eq(parse("--plug", "a", "ls", "--plug", "b", "--nonsense"), 0, "%s", message);
	cr_assert_eq(options.ref_count, 1);
	cr_assert_str_eq(options.command[0], "ls");
	cr_assert_str_eq(options.command[3], "--nonsense");
	cr_assert_eq(parse("--plug", "a", "--", "--odd"), 0, "%s", message);
	cr_assert_str_eq(options.command[0], "--odd");
}

Test(options, runtime_dir_is_default_or_environment_or_option)
{
	cr_assert_eq(parse("--plug", "a", "true"), 0);
	cr_assert_str_eq(options.runtime_dir, DEFAULT_RUNTIME_DIR);
	cr_assert_eq(setenv("MQGATE_RUNTIME_DIR", "/from/environment", 1), 0);
	cr_assert_eq(parse("--plug", "a", "true"), 0);
	cr_assert_str_eq(options.runtime_dir, "/from/environment");
	cr_assert_eq(parse("--plug", "a", "--runtime-dir", "/from/option", "true"), 0);
	cr_assert_str_eq(options.runtime_dir, "/from/option");
}

Test(options, help_and_version_need_nothing_else)
{
	cr_assert_eq(parse("--help"), 0);
	cr_assert(options.help);
	cr_assert_eq(parse("--plug", "a", "--version"), 0);
	cr_assert(options.version);
	cr_assert_not(options.help);
}

Test(options, refused)
{
	cr_assert_eq(parse("--plug", "a"), -EINVAL);
	assert_message("command is missing");
	cr_assert_eq(parse("true"), -EINVAL);
	assert_message("--plug, --slot and --app are all missing");
	cr_assert_eq(parse("--plug"), -EINVAL);
	assert_message("--plug: the value is missing");
	cr_assert_eq(parse("--plug", "", "true"), -EINVAL);
	assert_message("--plug: the name is empty");
	cr_assert_eq(parse("--app", "", "true"), -EINVAL);
	assert_message("write --app PACKAGE.APP");
	cr_assert_eq(parse("--app", "logger", "true"), -EINVAL);
	assert_message("--app logger: not an app; write --app PACKAGE.APP");
	cr_assert_eq(parse("--application", "a.b", "true"), -EINVAL);
	assert_message("--application: unknown option");
	cr_assert_eq(parse("-xy", "true"), -EINVAL);
	assert_message("-x: unknown option");
}

Test(options, there_are_two_walls)
{
	cr_assert_eq(parse("--plug", "a", "true"), 0, "%s", message);
	cr_assert_eq(options.wall, WALL_RULES);
	cr_assert_eq(parse("--wall=mount", "--plug", "a", "true"), 0, "%s", message);
	cr_assert_eq(options.wall, WALL_MOUNT);
	cr_assert_eq(parse("--wall=rules", "--plug", "a", "true"), 0, "%s", message);
	cr_assert_eq(options.wall, WALL_RULES);
	cr_assert_eq(parse("--wall", "paper", "--plug", "a", "true"), -EINVAL);
	assert_message("--wall=paper");
}

Test(options, queues_are_inherited_on_request)
{
	cr_assert_eq(parse("--plug", "a", "true", "--inherit-queues"), 0, "%s", message);
	cr_assert_not(options.inherit_queues);
	cr_assert_eq(parse("--inherit-queues", "--plug", "a", "true"), 0, "%s", message);
	cr_assert(options.inherit_queues);
	cr_assert_eq(parse("--inherit-queues=yes", "--plug", "a", "true"), -EINVAL);
}

Test(options, as_many_refs_as_a_hello_holds)
{
	const char *arguments[2 * (LAUNCH_REFS_MAX + 1) + 3] = {"mq-run"};
	size_t count = 1;

	for (size_t i = 0; i < LAUNCH_REFS_MAX; i++) {
		arguments[count++] = "--plug";
		arguments[count++] = "a";
	}
	arguments[count] = "true";
	cr_assert_eq(parse_(arguments), 0, "%s", message);
	cr_assert_eq(options.ref_count, LAUNCH_REFS_MAX);
	arguments[count++] = "--slot";
	arguments[count++] = "one-more";
	arguments[count] = "true";
	cr_assert_eq(parse_(arguments), -E2BIG);
	assert_message("--slot one-more");
}

Test(options, a_name_as_long_as_a_reference)
{
	char name[REF_MAX + 2] = {0};

	memset(name, 'n', REF_MAX);
	cr_assert_eq(parse("--plug", name, "true"), 0, "%s", message);
	cr_assert_str_eq(options.refs[0].text, name);
	name[REF_MAX] = 'n';
	cr_assert_eq(parse("--plug", name, "true"), -EINVAL);
	assert_message("too long");
}
