/* SPDX-License-Identifier: MIT */
/* mqctl: decides who may use which message queue. The verb table and the command line. */
#include <getopt.h>
#include <locale.h>

#include "config.h"
#include "mqctl.h"

#include "include/policy.h"

enum {
	TAKES_JSON = 1 << 0,
	TAKES_ALL = 1 << 1,
	TAKES_FOR = 1 << 2,
	TAKES_FORGET = 1 << 3,
	TAKES_DRY_RUN = 1 << 4,
	TAKES_NO_LEGEND = 1 << 5,
	TAKES_OFFLINE = 1 << 6,
	TAKES_KILL = 1 << 7,
	TAKES_ANY_ID = 1 << 8,
	TAKES_ONCE = 1 << 9,
	TAKES_INTERVAL = 1 << 10,
	TAKES_FORMAT = 1 << 11,
	TAKES_LIVE = 1 << 12,
	TAKES_LAST = 1 << 13,
	TAKES_PROFILE = 1 << 14,

	TAKES_TABLE = TAKES_JSON | TAKES_NO_LEGEND,
};

struct verb {
	const char *name;
	const char *words; /* for the usage line */
	const char *summary;
	const char *example;
	int words_min, words_max; /* -1: any number */
	unsigned takes;
	verb_function *run;
};

struct verb_group {
	const char *title;
	const struct verb *verbs;
	size_t count;
};

static const struct verb connection_verbs[] = {
	{"connect", "[--any-id] [--for SPAN] PKG:PLUG PKG[:SLOT]",
		"let a plug use the queues of a slot, at once",
		"mqctl connect logger:events sensor:events", 1, 2, TAKES_ANY_ID | TAKES_FOR,
		verb_connect},
	{"disconnect", "[--forget] [--kill] [--wait S] PKG:NAME [PKG:SLOT]",
		"take the queues back, at once", "mqctl disconnect logger:events sensor:events", 1,
		2, TAKES_FORGET | TAKES_KILL, verb_disconnect},
	{"apply", "[--dry-run] FILE", "connect what FILE lists; disconnect EVERYTHING else",
		"mqctl apply --dry-run connections.yaml", 1, 1, TAKES_DRY_RUN, verb_apply},
	{"connections", "[--json|--no-legend] [--all | PKG]", "list connections",
		"mqctl connections --all", 0, 1, TAKES_TABLE | TAKES_ALL, verb_connections},
};

static const struct verb look_verbs[] = {
	{"plugs", "[--json|--no-legend]", "list plugs and what they are connected to",
		"mqctl plugs", 0, 0, TAKES_TABLE, verb_plugs},
	{"slots", "[--json|--no-legend]", "list slots, their permissions and queues", "mqctl slots",
		0, 0, TAKES_TABLE, verb_slots},
	{"sessions", "[--json|--no-legend]", "list running confined programs",
		"mqctl sessions --json", 0, 0, TAKES_TABLE, verb_sessions},
	{"queues", "[--json|--no-legend]", "list the queues there are, and who uses them",
		"mqctl queues", 0, 0, TAKES_TABLE, verb_queues},
	{"graph", "[--format=text|dot|mermaid] [--live [--interval S]]",
		"draw which plug gets what from which slot",
		"mqctl graph --format=dot | dot -Tsvg >graph.svg", 0, 0,
		TAKES_FORMAT | TAKES_LIVE | TAKES_INTERVAL, verb_graph},
	{"learn", "PKG:PLUG", "print slots that would allow what a plug was denied",
		"mqctl learn logger:events", 1, 1, 0, verb_learn},
	{"explain", "PKG:PLUG PERMISSION /QUEUE | --last [PID] [--json]",
		"say whether a plug may use a queue, and why",
		"mqctl explain logger:events read /events", 3, 3,
		TAKES_OFFLINE | TAKES_LAST | TAKES_JSON, verb_explain},
};

static const struct verb watch_verbs[] = {
	{"top", "[--once] [--interval S] [--json|--no-legend]",
		"show what running programs do, the busiest first", "mqctl top", 0, 0,
		TAKES_ONCE | TAKES_INTERVAL | TAKES_TABLE, verb_top},
	{"monitor", "[--json] [PKG:PLUG...]", "show what is denied or refused, as it happens",
		"mqctl monitor logger:events", 0, -1, TAKES_JSON, verb_monitor},
	{"metrics", "[--format=prometheus|openmetrics]", "print all counters, for Prometheus",
		"mqctl metrics", 0, 0, TAKES_FORMAT, verb_metrics},
};

static const struct verb maintenance_verbs[] = {
	{"check", "FILE|DIR|-...", "check package files; works without the daemon",
		"mqctl check " DEFAULT_PACKAGES_ADMIN, 1, -1, 0, verb_check},
	{"reload", "", "read all packages again", "mqctl reload", 0, 0, 0, verb_reload},
	{"doctor", "[--json] [--packages DIR]... [--state FILE]",
		"find out whether mqgate keeps its promise on this machine", "mqctl doctor", 0, 0,
		TAKES_JSON | TAKES_OFFLINE, verb_doctor},
	{"oci-profile", "[--base FILE] --plug PKG:PLUG...",
		"print a seccomp profile for containers with these plugs",
		"mqctl oci-profile --plug worker:jobs >worker.json", 0, 0, TAKES_PROFILE,
		verb_oci_profile},
	{"status", "[--json]", "show the state of the daemon", "mqctl status", 0, 0, TAKES_JSON,
		verb_status},
};

static const struct verb_group groups[] = {
	{"Connections", connection_verbs, ELEMENTSOF(connection_verbs)},
	{"Show", look_verbs, ELEMENTSOF(look_verbs)},
	{"Watch", watch_verbs, ELEMENTSOF(watch_verbs)},
	{"Maintain", maintenance_verbs, ELEMENTSOF(maintenance_verbs)},
};

#define VERBS_COUNT                                                                        \
	(ELEMENTSOF(connection_verbs) + ELEMENTSOF(look_verbs) + ELEMENTSOF(watch_verbs) + \
		ELEMENTSOF(maintenance_verbs))

static void print_help(void)
{
	(void)puts("Usage: mqctl VERB [ARGUMENT...]\n"
		   "Decide which program may use which POSIX message queue.");
	for (size_t i = 0; i < ELEMENTSOF(groups); i++) {
		(void)printf("\n%s:\n", groups[i].title);
		for (size_t j = 0; j < groups[i].count; j++)
			(void)printf("  %-12s %s\n", groups[i].verbs[j].name,
				groups[i].verbs[j].summary);
	}
	(void)puts("\nOptions:\n"
		   "  --json             print as JSON: tables, status, records\n"
		   "  --no-legend        print tables without their header line\n"
		   "  --all              connections: also show what is not connected\n"
		   "  --any-id           connect: even if plug and slot have different ids\n"
		   "  --for SPAN         connect: end it after this time (90s, 10m, 2h, 1d)\n"
		   "  --forget           disconnect: let an automatic connection come back\n"
		   "  --kill             disconnect: kill the sessions that still use the queues\n"
		   "  --wait SECONDS     disconnect: wait at most this long for them to let go\n"
		   "  --dry-run          apply: only show what would change\n"
		   "  --last             explain: show the last denials and refusals\n"
		   "  --format=FORMAT    graph, metrics: in which form\n"
		   "  --live             graph: also draw who uses what, and how much\n"
		   "  --once             top: print one table and end\n"
		   "  --interval SECONDS top, graph --live: measure for so long\n"
		   "  --packages DIR     explain: read packages here instead of asking the daemon\n"
		   "  --state FILE       explain: with --packages, read connections here\n"
		   "  --runtime-dir DIR  the daemon's socket directory (or MQGATE_RUNTIME_DIR)\n"
		   "  --help             show this help; with VERB, help for that verb\n"
		   "  --version          show the version\n"
		   "\nExit code: 0 done, 1 refused or failed, 2 wrong usage. More: man mqctl");
}

static void print_usage(const struct verb *verb, FILE *file)
{
	(void)fprintf(
		file, "Usage: mqctl %s%s%s\n", verb->name, *verb->words ? " " : "", verb->words);
}

static void print_verb_help(const struct verb *verb)
{
	print_usage(verb, stdout);
	(void)printf("%s: %s\nExample: %s\n", verb->name, verb->summary, verb->example);
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(groups); i++)
		for (size_t j = 0; j < groups[i].count; j++)
			if (streq(groups[i].verbs[j].name, name))
				return &groups[i].verbs[j];
	return NULL;
}

static void print_unknown_verb(const char *name)
{
	const char *names[VERBS_COUNT];
	const char *nearest;
	size_t count = 0;

	for (size_t i = 0; i < ELEMENTSOF(groups); i++)
		for (size_t j = 0; j < groups[i].count; j++)
			names[count++] = groups[i].verbs[j].name;
	nearest = nearest_name(name, names, count);
	if (nearest)
		print_error("unknown verb \"%s\"; did you mean \"%s\"?", name, nearest);
	else
		print_error("unknown verb \"%s\"; \"mqctl --help\" lists them", name);
}

/* An option that was given and the verb does not take; NULL if there is none. */
static const char *foreign_option(const struct verb *verb, const struct arguments *arguments)
{
	const struct {
		const char *name;
		bool given;
		unsigned flag;
	} options[] = {
		{"--json", arguments->json, TAKES_JSON},
		{"--all", arguments->all, TAKES_ALL},
		{"--any-id", arguments->any_id, TAKES_ANY_ID},
		{"--for", arguments->span != NULL, TAKES_FOR},
		{"--forget", arguments->forget, TAKES_FORGET},
		{"--kill", arguments->kill, TAKES_KILL},
		{"--wait", arguments->wait != NULL, TAKES_KILL},
		{"--dry-run", arguments->dry_run, TAKES_DRY_RUN},
		{"--no-legend", arguments->no_legend, TAKES_NO_LEGEND},
		{"--once", arguments->once, TAKES_ONCE},
		{"--live", arguments->live, TAKES_LIVE},
		{"--last", arguments->last, TAKES_LAST},
		{"--interval", arguments->interval != NULL, TAKES_INTERVAL},
		{"--format", arguments->format != NULL, TAKES_FORMAT},
		{"--packages", *arguments->packages != NULL, TAKES_OFFLINE},
		{"--state", arguments->state != NULL, TAKES_OFFLINE},
		{"--base", arguments->base != NULL, TAKES_PROFILE},
		{"--plug", arguments->plug_count > 0, TAKES_PROFILE},
	};

	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if (options[i].given && !(verb->takes & options[i].flag))
			return options[i].name;
	return NULL;
}

/* "mqctl disconnect --wait PKG:PLUG": an option has taken the argument for its value. */
static bool print_swallowed(const struct arguments *arguments)
{
	const char *value = arguments->wait ? arguments->wait : arguments->span;

	if (!value || !strchr(value, ':'))
		return false;
	print_error("%s before \"%s\"",
		arguments->wait ? "--wait needs a number of seconds, such as 10,"
				: "--for needs a time span, such as 10m,",
		value);
	return true;
}

static void print_too_few(const struct verb *verb, const struct arguments *arguments)
{
	if (!print_swallowed(arguments))
		print_error("too few arguments for %s", verb->name);
}

/* Returns DONE, or USAGE after a message. */
static int check_usage(const struct verb *verb, const struct arguments *arguments)
{
	const char *foreign = foreign_option(verb, arguments);
	const int least = arguments->last ? 0 : verb->words_min;

	if (foreign)
		print_error("%s does not take %s", verb->name, foreign);
	else if (arguments->word_count < least)
		print_too_few(verb, arguments);
	else if (verb->words_max >= 0 && arguments->word_count > verb->words_max)
		print_error("too many arguments for %s: \"%s\"", verb->name,
			arguments->words[verb->words_max]);
	else
		return DONE;
	print_usage(verb, stderr);
	return USAGE;
}

/* Those with a value. */
enum {
	OPTION_RUNTIME_DIR = 256,
	OPTION_FOR,
	OPTION_WAIT,
	OPTION_PACKAGES,
	OPTION_STATE,
	OPTION_INTERVAL,
	OPTION_FORMAT,
	OPTION_BASE,
	OPTION_PLUG,
};

struct command {
	struct arguments arguments;
	int help, version;
};

static void print_unknown_option(const char *word)
{
	char letter[] = {'-', (char)optopt, '\0'};

	/* The library leaves a letter here for a short option only. */
	if (optopt > true && optopt < OPTION_RUNTIME_DIR)
		word = letter;
	print_error("unknown option %s; \"mqctl --help\" lists them", word);
}

static void take_value(struct arguments *arguments, int option, char *value)
{
	switch (option) {
	case OPTION_RUNTIME_DIR:
		arguments->runtime_dir = value;
		break;
	case OPTION_FOR:
		arguments->span = value;
		break;
	case OPTION_WAIT:
		arguments->wait = value;
		break;
	case OPTION_PACKAGES:
		arguments->packages[arguments->package_count++] = value;
		break;
	case OPTION_STATE:
		arguments->state = value;
		break;
	case OPTION_INTERVAL:
		arguments->interval = value;
		break;
	case OPTION_FORMAT:
		arguments->format = value;
		break;
	case OPTION_BASE:
		arguments->base = value;
		break;
	case OPTION_PLUG:
		arguments->plugs[arguments->plug_count++] = value;
		break;
	}
}

static int parse_options(int argc, char **argv, struct command *command)
{
	struct arguments *arguments = &command->arguments;
	const struct option options[] = {{"help", no_argument, &command->help, true},
		{"version", no_argument, &command->version, true},
		{"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
		{"json", no_argument, &arguments->json, true},
		{"all", no_argument, &arguments->all, true},
		{"any-id", no_argument, &arguments->any_id, true},
		{"for", required_argument, NULL, OPTION_FOR},
		{"forget", no_argument, &arguments->forget, true},
		{"kill", no_argument, &arguments->kill, true},
		{"wait", required_argument, NULL, OPTION_WAIT},
		{"dry-run", no_argument, &arguments->dry_run, true},
		{"no-legend", no_argument, &arguments->no_legend, true},
		{"packages", required_argument, NULL, OPTION_PACKAGES},
		{"state", required_argument, NULL, OPTION_STATE},
		{"once", no_argument, &arguments->once, true},
		{"live", no_argument, &arguments->live, true},
		{"last", no_argument, &arguments->last, true},
		{"interval", required_argument, NULL, OPTION_INTERVAL},
		{"format", required_argument, NULL, OPTION_FORMAT},
		{"base", required_argument, NULL, OPTION_BASE},
		{"plug", required_argument, NULL, OPTION_PLUG}, {0}};
	int option;

	while ((option = getopt_long(argc, argv, ":h", options, NULL)) >= 0)
		switch (option) {
		case 'h':
			command->help = true;
			break;
		case ':':
			print_error("%s needs a value", argv[optind - 1]);
			return USAGE;
		case '?':
			print_unknown_option(argv[optind - 1]);
			return USAGE;
		default:
			take_value(arguments, option, optarg);
		}
	return DONE;
}

static const char *default_runtime_dir(void)
{
	const char *directory = getenv("MQGATE_RUNTIME_DIR");

	return isempty(directory) ? DEFAULT_RUNTIME_DIR : directory;
}

/* A full disk must not look like an empty table. */
static int flush_output(int result)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return result;
	print_error("cannot write the output: %s", strerror(errno));
	return result == DONE ? REFUSED : result;
}

static int run_verb(struct command *command, int argc, char **argv)
{
	const struct verb *verb;
	int r;

	verb = find_verb(argv[optind]);
	if (!verb) {
		print_unknown_verb(argv[optind]);
		return USAGE;
	}
	if (command->help) {
		print_verb_help(verb);
		return DONE;
	}
	command->arguments.words = argv + optind + 1;
	command->arguments.word_count = argc - optind - 1;
	r = check_usage(verb, &command->arguments);
	if (r == DONE)
		r = verb->run(&command->arguments);
	return r < 0 ? REFUSED : r;
}

int main(int argc, char **argv)
{
	_cleanup_free_ char **packages = calloc((size_t)argc + 1, sizeof(*packages));
	_cleanup_free_ char **plugs = calloc((size_t)argc + 1, sizeof(*plugs));
	struct command command = {.arguments = {.runtime_dir = default_runtime_dir(),
					  .packages = packages,
					  .plugs = plugs}};
	int r;

	/* Only for the width of characters; messages are the same everywhere. */
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	if (!packages || !plugs)
		return print_no_memory() < 0 ? REFUSED : DONE;
	r = parse_options(argc, argv, &command);
	if (r != DONE)
		return r;
	if (command.version)
		(void)puts("mqctl " MQGATE_VERSION);
	else if (optind == argc)
		print_help();
	else
		r = run_verb(&command, argc, argv);
	return flush_output(r);
}
