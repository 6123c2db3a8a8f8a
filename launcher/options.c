/* SPDX-License-Identifier: MIT */
/* The command line of mq-run. */
#include "options.h"

#include <getopt.h>

#include "config.h"
#include "include/util.h"
#include "refuse.h"

static int add_ref(struct options *options, const char *option, uint32_t kind, const char *text,
	char **ret_message)
{
	struct launch_ref *ref = &options->refs[options->ref_count];

	if (options->ref_count == LAUNCH_REFS_MAX)
		return refuse(ret_message, -E2BIG,
			"%s %s: more than %d plugs, slots and apps; use fewer for one command",
			option, text, LAUNCH_REFS_MAX);
	if (isempty(text))
		return refuse(ret_message, -EINVAL, "%s: the name is empty; write %s %s", option,
			option, kind == LAUNCH_REF_APP ? "PACKAGE.APP" : "[PACKAGE:]NAME");
	if (kind == LAUNCH_REF_APP && !strchr(text, '.'))
		return refuse(ret_message, -EINVAL, "%s %s: not an app; write %s PACKAGE.APP",
			option, text, option);
	if (strlen(text) > REF_MAX)
		return refuse(ret_message, -EINVAL,
			"%s %s: the name is too long; a package and a name have at most %d bytes",
			option, text, REF_MAX);
	ref->kind = kind;
	strcpy(ref->text, text);
	options->ref_count++;
	return 0;
}

static int add_instance(struct options *options, const char *text, char **ret_message)
{
	if (options->instances > 0)
		return refuse(ret_message, -EINVAL,
			"--instance %s: it is given twice; one command has one instance", text);
	if (!instance_is_valid(text))
		return refuse(ret_message, -EINVAL,
			"--instance '%s': write 1 to %d of A-Z, a-z, 0-9 and . _ : -", text,
			INSTANCE_MAX);
	options->instances++;
	return add_ref(options, "--instance", LAUNCH_REF_INSTANCE, text, ret_message);
}

static int add_policy(struct options *options, char *file, char **ret_message)
{
	if (options->policy_count == POLICY_FILES_MAX)
		return refuse(ret_message, -E2BIG,
			"--policy %s: more than %d files; use fewer for one command", file,
			POLICY_FILES_MAX);
	options->policies[options->policy_count++] = file;
	return 0;
}

static int add_learn(struct options *options, const char *file, char **ret_message)
{
	if (options->learn)
		return refuse(ret_message, -EINVAL,
			"--learn %s: it is given twice; one run writes one file", file);
	options->learn = file;
	return 0;
}

/* What is learned is for one plug, of whatever name; the hello has to name something. */
static int check_learn(struct options *options, char **ret_message)
{
	const struct launch_ref *ref = &options->refs[0];

	if (options->policy_count > 0)
		return refuse(ret_message, -EINVAL,
			"--learn and --policy: use one of the two; --learn adds to its file what is "
			"missing");
	if (options->ref_count > 1 || (options->ref_count == 1 && ref->kind != LAUNCH_REF_PLUG) ||
		(options->ref_count == 1 && strchr(ref->text, ':')))
		return refuse(ret_message, -EINVAL,
			"--learn: name at most one plug, without its package, and nothing else");
	if (options->ref_count == 1)
		options->learn_plug = ref->text;
	return options->ref_count == 1
		       ? 0
		       : add_ref(options, "--learn", LAUNCH_REF_PLUG, "learned", ret_message);
}

static int choose_wall(struct options *options, const char *form, char **ret_message)
{
	if (streq(form, "rules"))
		options->wall = WALL_RULES;
	else if (streq(form, "mount"))
		options->wall = WALL_MOUNT;
	else
		return refuse(ret_message, -EINVAL,
			"--wall=%s: unknown wall; use --wall=rules or --wall=mount", form);
	return 0;
}

enum {
	OPTION_PLUG = 256,
	OPTION_SLOT,
	OPTION_APP,
	OPTION_INSTANCE,
	OPTION_POLICY,
	OPTION_LEARN,
	OPTION_WALL,
	OPTION_INHERIT_QUEUES,
	OPTION_RUNTIME_DIR,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"plug", required_argument, NULL, OPTION_PLUG},
	{"slot", required_argument, NULL, OPTION_SLOT},
	{"app", required_argument, NULL, OPTION_APP},
	{"instance", required_argument, NULL, OPTION_INSTANCE},
	{"policy", required_argument, NULL, OPTION_POLICY},
	{"learn", required_argument, NULL, OPTION_LEARN},
	{"wall", required_argument, NULL, OPTION_WALL},
	{"inherit-queues", no_argument, NULL, OPTION_INHERIT_QUEUES},
	{"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

static int take_option(struct options *options, int option, char *argv[], char **ret_message)
{
	switch (option) {
	case OPTION_PLUG:
		return add_ref(options, "--plug", LAUNCH_REF_PLUG, optarg, ret_message);
	case OPTION_SLOT:
		return add_ref(options, "--slot", LAUNCH_REF_SLOT, optarg, ret_message);
	case OPTION_APP:
		return add_ref(options, "--app", LAUNCH_REF_APP, optarg, ret_message);
	case OPTION_INSTANCE:
		return add_instance(options, optarg, ret_message);
	case OPTION_POLICY:
		return add_policy(options, optarg, ret_message);
	case OPTION_LEARN:
		return add_learn(options, optarg, ret_message);
	case OPTION_WALL:
		return choose_wall(options, optarg, ret_message);
	case OPTION_INHERIT_QUEUES:
		options->inherit_queues = true;
		return 0;
	case OPTION_RUNTIME_DIR:
		options->runtime_dir = optarg;
		return 0;
	case OPTION_HELP:
		options->help = true;
		return 0;
	case OPTION_VERSION:
		options->version = true;
		return 0;
	case ':':
		return refuse(ret_message, -EINVAL, "%s: the value is missing; see mq-run --help",
			argv[optind - 1]);
	default:
		if (optopt > 0 && optopt <= UCHAR_MAX)
			return refuse(ret_message, -EINVAL,
				"-%c: unknown option; see mq-run --help", optopt);
		return refuse(ret_message, -EINVAL, "%s: unknown option; see mq-run --help",
			argv[optind - 1]);
	}
}

int options_parse(int argc, char *argv[], struct options *ret, char **ret_message)
{
	struct options options = {.runtime_dir = getenv("MQGATE_RUNTIME_DIR")};
	int option, r;

	while (!options.help && !options.version &&
		(option = getopt_long(argc, argv, "+:", long_options, NULL)) >= 0) {
		r = take_option(&options, option, argv, ret_message);
		if (r < 0)
			return r;
	}
	options.command = argv + optind;
	if (isempty(options.runtime_dir))
		options.runtime_dir = DEFAULT_RUNTIME_DIR;
	*ret = options;
	if (options.help || options.version)
		return 0;
	if (!*options.command)
		return refuse(ret_message, -EINVAL, "the command is missing; see mq-run --help");
	if (options.learn) {
		r = check_learn(ret, ret_message);
		if (r < 0)
			return r;
	}
	if (ret->ref_count == options.instances)
		return refuse(ret_message, -EINVAL,
			"--plug, --slot and --app are all missing; give at least one, see mq-run "
			"--help");
	if (options_alone(&options) && options.wall == WALL_MOUNT)
		return refuse(ret_message, -EINVAL,
			"--wall=mount is not to be had with --policy or --learn; use --wall=rules, or "
			"mqgated");
	return 0;
}
