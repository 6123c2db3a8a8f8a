/* SPDX-License-Identifier: MIT */
/* mq-run: becomes a command, confined to what its plugs and slots give it. */
#include <sys/prctl.h>

#include "alone.h"
#include "client.h"
#include "config.h"
#include "descriptors.h"
#include "exit-status.h"
#include "filter.h"
#include "include/log.h"
#include "include/util.h"
#include "options.h"
#include "refuse.h"
#include "wall.h"

static const char usage[] =
	"Usage: mq-run [OPTION]… [--] COMMAND [ARGUMENT]…\n"
	"Run a command confined to the message queues that its plugs and slots give it.\n"
	"\n"
	"      --plug [PACKAGE:]NAME  the queues that this plug is connected to\n"
	"      --slot [PACKAGE:]NAME  the queues that this slot offers, with every permission\n"
	"      --app PACKAGE.APP      the plugs and slots of this app\n"
	"                             (give at least one of the three; repeat as needed)\n"
	"      --policy FILE          without mqgated: by the packages in these files (repeat as\n"
	"                             needed), as any user, and with nothing left behind\n"
	"      --learn FILE           without mqgated: allow everything, and write into this file\n"
	"                             what the command needs, as a package\n"
	"      --instance NAME        what {instance} means in the names of queues\n"
	"      --wall=rules|mount     how to block every other way to a queue: with rules for the\n"
	"                             file tree (default), or with private mounts (needs root;\n"
	"                             the command loses CAP_SYS_ADMIN); see mq-run(1)\n"
	"      --inherit-queues       let the command inherit open message queues, to use as far as\n"
	"                             they are granted; what systemd hands over (LISTEN_FDS) it\n"
	"                             inherits without this option\n"
	"      --runtime-dir DIR      the directory of mqgated's sockets (default:\n"
	"                             $MQGATE_RUNTIME_DIR or " DEFAULT_RUNTIME_DIR ")\n"
	"      --help                 show this help and exit\n"
	"      --version              show the version and exit\n"
	"\n"
	"Exit status: that of the command; 125 if mq-run fails, 126 if the command cannot be\n"
	"executed, 127 if it is not found.\n";

static int hand_over(struct client *client, int listener, const char *costs, char **ret_message)
{
	_cleanup_free_ char *notice = NULL;
	int r = client_handover(client, listener, &notice, ret_message);

	if (r == 0 && notice)
		log_warning("%s", notice);
	if (r == 0 && costs)
		log_warning(
			"the command cannot create files directly in %s; unmount that mqueue, or "
			"as root use --wall=mount, which has no such limit",
			costs);
	return r;
}

/* Nothing has been given up for good yet. queue: one that the command would inherit, or negative.
 */
static int check_mediation(enum mediation mediation, int queue, char **ret_message)
{
	if (mediation != MEDIATION_OPEN || queue < 0)
		return 0;
	return refuse(ret_message, -EBUSY,
		"descriptor %d is a message queue, and under mediation: open, which all its plugs "
		"ask for, the command could use it unchecked; take mediation: open out of the "
		"package, or do not hand it over (%d<&- in a shell)",
		queue, queue);
}

/* From here on everything that fails ends the process: half a confinement is none. */
static int confine(const struct options *options, int socket, int queue, char **ret_message)
{
	_cleanup_(client_close) struct client client = {.socket = -EBADF};
	_cleanup_(wall_clear) struct wall wall = {
		.form = options->wall, .keeps_signals = socket >= 0, .ruleset_fd = -EBADF};
	_cleanup_free_ char *wall_message = NULL;
	_cleanup_close_ int listener = -EBADF;
	enum mediation mediation;
	uint64_t filter_id;
	/* Who is under a filter may be stopped and looked at, and stands still until it has its
	 * answer. */
	const bool is_examined = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != 0;
	int r = 0, wall_r = 0;

	if (socket >= 0)
		client_take(socket, &client);
	else
		r = client_connect(options->runtime_dir, &client, ret_message);
	if (r < 0)
		return r;
	r = client_hello(&client, options->refs, options->ref_count, ret_message);
	if (r < 0)
		return r;
	/* While mqgated thinks. What it says is told first. */
	if (!is_examined)
		wall_r = wall_prepare(&wall, &wall_message);
	r = client_answer(&client, &filter_id, &mediation, ret_message);
	if (is_examined && r == 0)
		wall_r = wall_prepare(&wall, &wall_message);
	r = r < 0 ? r : check_mediation(mediation, queue, ret_message);
	if (r == 0 && wall_r < 0)
		*ret_message = take_pointer(wall_message);
	r = r < 0 ? r : wall_r;
	r = r < 0 ? r : wall_raise(&wall, ret_message);
	r = r < 0 ? r : filter_load(filter_id, mediation, &listener, ret_message);
	return r < 0 ? r : hand_over(&client, listener, wall.costs, ret_message);
}

static int launch(int argc, char *argv[], struct options *ret_options, char **ret_message)
{
	int socket = -EBADF, queue, r;

	r = options_parse(argc, argv, ret_options, ret_message);
	if (r < 0 || ret_options->help || ret_options->version)
		return r;
	if (options_alone(ret_options))
		r = alone_begin(ret_options, &socket, ret_message);
	if (r < 0)
		return r;
	r = descriptors_check(
		ret_options->inherit_queues, ret_options->runtime_dir, &queue, ret_message);
	if (r < 0)
		return r;
	r = descriptors_fill_standard();
	if (r < 0)
		return refuse(ret_message, r, "/dev/null: %s", strerror(-r));
	r = confine(ret_options, socket, queue, ret_message);
	return r == 0 && queue >= 0 ? descriptors_show_queues(ret_message) : r;
}

static int show(const char *text)
{
	if (fputs(text, stdout) >= 0 && fflush(stdout) == 0)
		return EXIT_SUCCESS;
	log_error("standard output: %s", strerror(errno));
	return EXIT_OWN_FAILURE;
}

int main(int argc, char *argv[])
{
	_cleanup_free_ char *message = NULL;
	struct options options;
	int r;

	log_open("mq-run");
	r = launch(argc, argv, &options, &message);
	if (r < 0) {
		log_error("%s", message ?: strerror(-r));
		return EXIT_OWN_FAILURE;
	}
	if (options.help)
		return show(usage);
	if (options.version)
		return show("mq-run " MQGATE_VERSION "\n");

	(void)execvp(options.command[0], options.command);
	r = errno;
	log_error("cannot run '%s': %s", options.command[0], strerror(r));
	return r == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
