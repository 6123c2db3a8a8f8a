/* SPDX-License-Identifier: MIT */
/* mqgated: the supervisor daemon. */
#include <getopt.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include "config.h"
#include "include/capabilities.h"
#include "include/log.h"
#include "include/program.h"
#include "daemon/manager/sessions/spawner.h"
#include "start.h"

enum {
	USAGE = 2,
};

static const char help[] =
	"Usage: mqgated [OPTION]…\n"
	"Supervises which POSIX message queues confined programs may use.\n"
	"\n"
	"  --config FILE           configuration (" DEFAULT_CONFIG ")\n"
	"  --packages DIR          packages; repeat as needed, later directories win\n"
	"                          (" DEFAULT_PACKAGES_VENDOR ",\n"
	"                          " DEFAULT_PACKAGES_ADMIN ")\n"
	"  --state-dir DIR         where connections are stored (" DEFAULT_STATE_DIR ")\n"
	"  --runtime-dir DIR       the directory of the sockets, or $MQGATE_RUNTIME_DIR\n"
	"                          (" DEFAULT_RUNTIME_DIR ")\n"
	"  --session-program FILE  the program that serves a session\n"
	"                          (beside mqgated, or " SESSION_PROGRAM ")\n"
	"  --spawner-socket FILE   the socket of a spawner (default: start one)\n"
	"  --containers            serve containers, whose runtime hands over the listener\n"
	"  --spawner               be a spawner, for a service manager\n"
	"  --help                  show this help\n"
	"  --version               show the version\n"
	"\n"
	"SIGHUP: read configuration and packages again. SIGTERM: end, with all session processes.\n";

enum option_key {
	OPTION_CONFIG = 256,
	OPTION_PACKAGES,
	OPTION_STATE_DIR,
	OPTION_RUNTIME_DIR,
	OPTION_SESSION_PROGRAM,
	OPTION_SPAWNER_SOCKET,
	OPTION_SPAWNER,
	OPTION_CONTAINERS,
	OPTION_HELP,
	OPTION_VERSION,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, OPTION_CONFIG},
	{"packages", required_argument, NULL, OPTION_PACKAGES},
	{"state-dir", required_argument, NULL, OPTION_STATE_DIR},
	{"runtime-dir", required_argument, NULL, OPTION_RUNTIME_DIR},
	{"session-program", required_argument, NULL, OPTION_SESSION_PROGRAM},
	{"spawner-socket", required_argument, NULL, OPTION_SPAWNER_SOCKET},
	{"spawner", no_argument, NULL, OPTION_SPAWNER},
	{"containers", no_argument, NULL, OPTION_CONTAINERS},
	{"help", no_argument, NULL, OPTION_HELP},
	{"version", no_argument, NULL, OPTION_VERSION},
	{0},
};

static const char *default_runtime_dir(void)
{
	const char *directory = getenv("MQGATE_RUNTIME_DIR");

	return isempty(directory) ? DEFAULT_RUNTIME_DIR : directory;
}

static int usage_error(const char *text, const char *word)
{
	log_error("%s%s; try \"mqgated --help\"", text, word);
	return USAGE;
}

/* Returns -1 to go on, or an exit code. package_dirs has room for every argument. */
static int parse(int argc, char **argv, struct manager_options *options, const char **package_dirs,
	bool *ret_spawner)
{
	int key;

	while ((key = getopt_long(argc, argv, ":", long_options, NULL)) >= 0)
		switch (key) {
		case OPTION_CONFIG:
			options->config_file = optarg;
			break;
		case OPTION_PACKAGES:
			package_dirs[options->package_dir_count++] = optarg;
			options->package_dirs = package_dirs;
			break;
		case OPTION_STATE_DIR:
			options->state_dir = optarg;
			break;
		case OPTION_RUNTIME_DIR:
			options->runtime_dir = optarg;
			break;
		case OPTION_SESSION_PROGRAM:
			options->session_program = optarg;
			break;
		case OPTION_SPAWNER_SOCKET:
			options->spawner_socket = optarg;
			break;
		case OPTION_SPAWNER:
			*ret_spawner = true;
			break;
		case OPTION_CONTAINERS:
			options->containers = true;
			break;
		case OPTION_HELP:
			(void)fputs(help, stdout);
			return EXIT_SUCCESS;
		case OPTION_VERSION:
			(void)puts("mqgated " MQGATE_VERSION);
			return EXIT_SUCCESS;
		case ':':
			return usage_error("a value is missing for ", argv[optind - 1]);
		default:
			return usage_error("unknown option ", argv[optind - 1]);
		}
	return optind < argc ? usage_error("unexpected argument ", argv[optind]) : -1;
}

/* Where nobody says it. *ret_beside holds it, if it is not a constant. */
static const char *session_program(char **ret_beside)
{
	int r = program_beside(
		INSTALLED_PROGRAM, "mqgate-session", "session/mqgate-session", ret_beside);

	if (r > 0)
		return *ret_beside;
	if (r == -EPERM)
		log_warning("%s is not used, since others than the owner of mqgated could have put "
			    "it there; if it is the right one, name it with --session-program",
			*ret_beside);
	return SESSION_PROGRAM;
}

/* A session process makes a queue under the limit of the program that asks for it, but no higher
 * than its own, which it inherits. */
static void say_queue_bytes(rlim_t queue_bytes)
{
	if (queue_bytes != RLIM_INFINITY)
		log_warning("all queues of one user's confined programs together get at most %llu "
			    "bytes: mqgated may not raise its RLIMIT_MSGQUEUE; give it "
			    "CAP_SYS_RESOURCE, or start it where \"ulimit -Hq\" says unlimited",
			(unsigned long long)queue_bytes);
}

static int run_spawner(const struct manager_options *options)
{
	int r, n = sd_listen_fds(true);

	if (n != 1 || sd_is_socket(SD_LISTEN_FDS_START, AF_UNIX, SOCK_SEQPACKET, false) <= 0) {
		log_error("--spawner is for a service manager, which passes it one connection; see "
			  "mqgate-sessions@.service");
		return USAGE;
	}
	r = spawner_check_peer(SD_LISTEN_FDS_START);
	if (r < 0) {
		(void)log_errno(r, "session processes are started for the socket's owner alone");
		return EXIT_FAILURE;
	}
	say_queue_bytes(process_raise_queue_bytes());
	return spawner_serve(SD_LISTEN_FDS_START, options->session_program) < 0 ? EXIT_FAILURE
										: EXIT_SUCCESS;
}

static int run(const struct manager_options *options)
{
	_cleanup_(manager_freep) struct manager *manager = NULL;
	/* Before the spawner inherits it; where that is not our child, it does it itself. */
	rlim_t queue_bytes = options->spawner_socket ? RLIM_INFINITY : process_raise_queue_bytes();
	int r;

	if (manager_new(options, &manager) < 0)
		return EXIT_FAILURE;
	say_queue_bytes(queue_bytes);
	r = manager_run(manager);
	if (r < 0)
		(void)log_errno(r, "the event loop failed");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	static const char *const default_package_dirs[] = {
		DEFAULT_PACKAGES_VENDOR, DEFAULT_PACKAGES_ADMIN};
	_cleanup_free_ const char **package_dirs = calloc((size_t)argc, sizeof(char *));
	struct manager_options options = {.config_file = DEFAULT_CONFIG,
		.state_dir = DEFAULT_STATE_DIR,
		.runtime_dir = default_runtime_dir()};
	_cleanup_free_ char *beside = NULL;
	bool spawner = false;
	int r;

	log_open("mqgated");
	if (!package_dirs)
		return log_errno(-ENOMEM, "cannot start") < 0;
	r = parse(argc, argv, &options, package_dirs, &spawner);
	if (r >= 0)
		return r;
	if (!options.session_program)
		options.session_program = session_program(&beside);
	if (spawner)
		return run_spawner(&options);
	if (!options.package_dirs) {
		options.package_dirs = default_package_dirs;
		options.package_dir_count = ELEMENTSOF(default_package_dirs);
	}
	return run(&options);
}
