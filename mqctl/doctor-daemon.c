/* SPDX-License-Identifier: MIT */
/* mqctl doctor: sockets, units, documents, connections, state. */
#include "doctor.h"

#include <limits.h>
#include <pwd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "client.h"
#include "config.h"
#include "include/bus.h"
#include "include/limits.h"
#include "include/policy.h"
#include "include/socket.h"

#define SPACE_LEAST ((uint64_t)1024 * 1024) /* bytes that a list of connections may need */

/* --- the daemon ------------------------------------------------------------------------------ */

/* Who may be mqgated: root, its own user, or whoever asks. */
static bool is_trusted(uid_t uid)
{
	const struct passwd *user = getpwnam("mqgated");

	return uid == 0 || uid == geteuid() || (user && uid == user->pw_uid);
}

/* False: there is something else, or it is somebody else's. */
static bool socket_is_sound(struct doctor *doctor, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0) {
		found(doctor, GRADE_WARNING, "daemon", "start it: systemctl start mqgated",
			"it is not running: %s: %s", path, strerror(errno));
	} else if (!S_ISSOCK(st.st_mode)) {
		found(doctor, GRADE_WARNING, "daemon", "remove it, and start mqgated anew",
			"%s is no socket", path);
	} else if (!is_trusted(st.st_uid)) {
		found(doctor, GRADE_WARNING, "daemon",
			"find out who made it, remove it, and start mqgated anew",
			"%s belongs to user %u, who can answer in place of mqgated", path,
			st.st_uid);
	} else {
		return true;
	}
	return false;
}

static bool directory_is_sound(struct doctor *doctor, const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		found(doctor, GRADE_WARNING, "daemon",
			"start it: systemctl start mqgated (programs run without it by mq-run "
			"--policy)",
			"it is not running: %s: %s", path, strerror(errno));
	else if (!is_trusted(st.st_uid))
		found(doctor, GRADE_WARNING, "daemon", "make it root's or mqgated's (chown)",
			"%s belongs to user %u, who can put sockets there", path, st.st_uid);
	else if (st.st_mode & S_IWOTH)
		found(doctor, GRADE_WARNING, "daemon", "chmod o-w it",
			"everybody can put sockets into %s", path);
	else
		return true;
	return false;
}

struct facts {
	char version[64], state[PATH_MAX], packages[PATH_MAX];
};

static int read_fact(sd_bus_message *reply, const char *key, void *context)
{
	struct facts *facts = context;
	const char *value;
	int r = sd_bus_message_read(reply, "v", "s", &value);

	if (r >= 0 && streq(key, "version"))
		(void)snprintf(facts->version, sizeof(facts->version), "%s", value);
	if (r >= 0 && streq(key, "state"))
		(void)snprintf(facts->state, sizeof(facts->state), "%s", value);
	if (r >= 0 && streq(key, "packages-from"))
		(void)snprintf(facts->packages, sizeof(facts->packages), "%s", value);
	return r;
}

static bool listens(struct doctor *doctor, const char *path)
{
	int fd = socket_connect(path, SOCK_STREAM, STATUS_DEADLINE_USEC);

	if (fd >= 0) {
		(void)safe_close(fd);
		return true;
	}
	found(doctor, GRADE_WARNING, "daemon",
		fd == -ECONNREFUSED ? "start it: systemctl start mqgated"
				    : "look at its log: journalctl -u mqgated",
		"it does not answer at %s: %s", path, strerror(-fd));
	return false;
}

/* Where the daemon has them; NULL on lack of memory. */
static char **split_directories(char *text)
{
	char **directories = calloc(strlen(text) + 2, sizeof(*directories)), *save = NULL;
	size_t count = 0;

	for (char *one = strtok_r(text, ":", &save); directories && one;
		one = strtok_r(NULL, ":", &save))
		directories[count++] = strdup(one);
	return directories;
}

static void look_where_it_looks(struct doctor *doctor, struct facts *facts)
{
	if (*facts->packages)
		doctor->directories = split_directories(facts->packages);
	if (*facts->state && asprintf(&doctor->state_file, "%s/connections.yaml", facts->state) < 0)
		doctor->state_file = NULL;
}

static void ask_daemon(struct doctor *doctor, const char *path)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	struct facts facts = {{0}, {0}, {0}};
	struct arguments quietly = *doctor->arguments;

	quietly.quiet = true;
	if (!listens(doctor, path))
		return;
	if (manager_call(&quietly, STATUS_DEADLINE_USEC, &reply, "Status", "") < 0 ||
		reply_read(reply, read_fact, &facts) < 0)
		found(doctor, GRADE_WARNING, "daemon", "look at its log: journalctl -u mqgated",
			"it does not tell its state");
	else if (!streq(facts.version, MQGATE_VERSION))
		found(doctor, GRADE_WARNING, "daemon", "restart it: systemctl restart mqgated",
			"it is version %s, and this mqctl %s", facts.version, MQGATE_VERSION);
	else
		found(doctor, GRADE_OK, "daemon", NULL, "version %s", facts.version);
	look_where_it_looks(doctor, &facts);
}

static void examine_sockets(struct doctor *doctor)
{
	const char *directory = doctor->arguments->runtime_dir;
	_cleanup_free_ char *control = NULL, *launch = NULL;

	if (asprintf(&control, "%s/%s", directory, BUS_SOCKET) < 0 ||
		asprintf(&launch, "%s/%s", directory, LAUNCH_SOCKET) < 0) {
		doctor->error = -ENOMEM;
		return;
	}
	if (directory_is_sound(doctor, directory) && socket_is_sound(doctor, launch) &&
		socket_is_sound(doctor, control))
		ask_daemon(doctor, control);
}

static void examine_units(struct doctor *doctor)
{
	static const char service[] = "/etc/systemd/system/multi-user.target.wants/mqgated.service";
	static const char socket[] = "/etc/systemd/system/sockets.target.wants/mqgated.socket";

	if (access("/run/systemd/system", F_OK) < 0 || access(SERVICE_UNIT, F_OK) < 0)
		return;
	if (access(service, F_OK) == 0)
		found(doctor, GRADE_OK, "unit", NULL, "mqgated.service is enabled");
	else if (access(socket, F_OK) == 0)
		found(doctor, GRADE_OK, "unit", NULL,
			"mqgated.socket is enabled: it starts mqgated when that is asked for");
	else
		found(doctor, GRADE_WARNING, "unit", "systemctl enable --now mqgated",
			"mqgated.service is not enabled: it does not run after the next start of "
			"the machine");
}

/* --- documents and connections --------------------------------------------------------------- */

/* The first that matters. */
static char *first_of(const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		if (diagnostics->items[i].severity != SEVERITY_NOTE)
			return diagnostic_format(&diagnostics->items[i]);
	return NULL;
}

/* Those that were named, or that the daemon has, or the usual ones. */
static const char *const *directories_of(const struct doctor *doctor, size_t *ret_count)
{
	static const char *const usual[] = {DEFAULT_PACKAGES_VENDOR, DEFAULT_PACKAGES_ADMIN, NULL};
	const struct arguments *arguments = doctor->arguments;
	const char *const *directories = usual;

	if (arguments->package_count > 0)
		directories = (const char *const *)arguments->packages;
	else if (doctor->directories)
		directories = (const char *const *)doctor->directories;
	for (*ret_count = 0; directories[*ret_count]; (*ret_count)++)
		;
	return directories;
}

static const char *missing_directory(const struct doctor *doctor)
{
	char **packages = doctor->arguments->packages;

	for (size_t i = 0; i < doctor->arguments->package_count; i++)
		if (access(packages[i], F_OK) < 0)
			return packages[i];
	return NULL;
}

static void examine_packages(struct doctor *doctor, struct packages **ret)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_free_ char *first = NULL, *remedy = NULL;
	size_t count;
	const char *const *directories = directories_of(doctor, &count);
	int r = packages_load(directories, count, &diagnostics, ret);

	first = first_of(&diagnostics);
	if (asprintf(&remedy, "mqctl check %s shows all", directories[count - 1]) < 0)
		remedy = NULL;
	if (r == -ENOMEM)
		doctor->error = r;
	else if (missing_directory(doctor))
		found(doctor, GRADE_WARNING, "packages", "name another one", "%s: %s",
			missing_directory(doctor), strerror(ENOENT));
	else if (first)
		found(doctor, GRADE_WARNING, "packages", remedy, "%s", first);
	else if (r < 0)
		found(doctor, GRADE_WARNING, "packages", "make the directories readable",
			"they cannot be read");
	else
		found(doctor, GRADE_OK, "packages", NULL, "%zu in %s, without a fault",
			(*ret)->count, directories[count - 1]);
}

static bool exists(const struct policy *policy, const struct connection *connection)
{
	struct fault fault = {0};
	const struct plug *plug;
	const struct slot *slot;
	bool both = policy_find_plug(policy, connection->plug, &plug, &fault) == 0;

	fault_clear(&fault);
	both = both && policy_find_slot(policy, connection->slot, &slot, &fault) == 0;
	fault_clear(&fault);
	return both;
}

static void examine_connections(struct doctor *doctor, const struct policy *policy)
{
	const struct connection *stale = NULL;
	_cleanup_free_ char *remedy = NULL;
	size_t count = 0, connected = 0;

	for (size_t i = 0; i < policy->connections->count; i++) {
		const struct connection *connection = &policy->connections->items[i];

		if (connection->state == CONNECTION_UNDESIRED)
			continue;
		connected++;
		if (exists(policy, connection))
			continue;
		stale = stale ?: connection;
		count++;
	}
	if (!stale) {
		found(doctor, GRADE_OK, "connections", NULL, "%zu", connected);
		return;
	}
	if (asprintf(&remedy, "mqctl disconnect --forget %s %s", stale->plug, stale->slot) < 0)
		remedy = NULL;
	found(doctor, GRADE_WARNING, "connections", remedy,
		"%zu of %zu name a plug or slot that is in no package, the first %s %s", count,
		connected, stale->plug, stale->slot);
}

static const char *state_file(const struct doctor *doctor)
{
	return doctor->arguments->state ?: doctor->state_file
		       ?: DEFAULT_STATE_DIR "/connections.yaml";
}

static void examine_list(struct doctor *doctor, struct packages *packages)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(connections_unrefp) struct connections *connections = NULL;
	_cleanup_free_ char *first = NULL;
	struct policy policy = {.packages = packages};
	int r;

	if (access(state_file(doctor), R_OK) < 0 && errno == EACCES) {
		found(doctor, GRADE_OK, "connections", NULL, "root can look at them");
		return;
	}
	r = connections_load_file(state_file(doctor), &diagnostics, &connections);
	first = first_of(&diagnostics);
	if (r == -ENOENT)
		found(doctor, GRADE_OK, "connections", NULL, "none were ever made");
	else if (r < 0)
		found(doctor, GRADE_WARNING, "connections",
			"mqgated does not start with it; repair it, or move it away", "%s",
			first ?: strerror(-r));
	if (r < 0 || !packages)
		return;
	policy.connections = connections;
	examine_connections(doctor, &policy);
}

/* --- state ----------------------------------------------------------------------------------- */

static void examine_state(struct doctor *doctor)
{
	_cleanup_free_ char *path = strdup(state_file(doctor));
	struct statvfs space;
	struct stat st;

	if (!path) {
		doctor->error = -ENOMEM;
		return;
	}
	*(strrchr(path, '/') ?: path) = '\0';
	if (stat(*path ? path : "/", &st) < 0)
		found(doctor, GRADE_OK, "state", NULL, "%s is made when mqgated starts", path);
	else if (!is_trusted(st.st_uid))
		found(doctor, GRADE_WARNING, "state", "make it mqgated's (chown)",
			"%s belongs to user %u, who decides what is connected", path, st.st_uid);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		found(doctor, GRADE_WARNING, "state", "chmod go-w it",
			"others can write into %s, and so decide what is connected", path);
	else if (statvfs(path, &space) == 0 &&
		 ((uint64_t)space.f_bavail * space.f_frsize < SPACE_LEAST ||
			 (space.f_files > 0 && space.f_favail == 0)))
		found(doctor, GRADE_WARNING, "state", "free some space there",
			"%s is full: nothing can be connected or disconnected", path);
	else
		found(doctor, GRADE_OK, "state", NULL, "%s", path);
}

void examine_daemon(struct doctor *doctor)
{
	_cleanup_(packages_unrefp) struct packages *packages = NULL;

	examine_sockets(doctor);
	examine_units(doctor);
	examine_packages(doctor, &packages);
	examine_list(doctor, packages);
	examine_state(doctor);
}
