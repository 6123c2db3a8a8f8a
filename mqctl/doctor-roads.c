/* SPDX-License-Identifier: MIT */
/* mqctl doctor: each road to a queue, bare and confined.
 *
 * The roads are tried by a program of their own (mqctl/roads/), as the caller, on queues made for
 * that; confined by mq-run --policy, so that nothing of the system is touched. A road that leads
 * nowhere even bare proves nothing. */
#include "doctor.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <mqueue.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "config.h"
#include "include/array.h"
#include "include/program.h"
#include "include/write.h"

#define ROAD_USEC          (10 * 1000000ULL) /* for one, bare or confined */
#define ABI_WITH_TRUNCATE  3
#define LINE_SIZE          4096
#define ROADS_MAX          128
#define ROAD_NAME_MAX      47
#define QUEUE_MESSAGE_SIZE 64
#define QUEUE_SIZE         40
#define CREATED            "-created" /* after the name, as the roads have it */

/* Descriptors that the roads expect, opened out here; see mqctl/roads/road.h. */
enum {
	OUTSIDE_FIRST = 5,
	OUTSIDE_BOUND_NAMESPACE = 5,
	OUTSIDE_USER_NAMESPACE = 6,
	OUTSIDE_NAMESPACE = 7,
	OUTSIDE_ROOT = 8,
	OUTSIDE_DEV = 9,
	OUTSIDE_LAST = 9,
};

struct trial {
	struct doctor *doctor;
	char *mq_run, *roads;
	char directory[64], policy[80];
	char queue[QUEUE_SIZE];   /* with slash */
	char granted[QUEUE_SIZE]; /* one that may be read */
	char fresh[QUEUE_SIZE];   /* one that a road takes away, or makes another one beside it */
	int outside[OUTSIDE_LAST - OUTSIDE_FIRST + 1];
	pid_t neighbours[3]; /* who lives outside: with the queue open, and in namespaces */
	size_t closed, nowhere, stated;
};

static int path_in(const struct trial *trial, const char *name, char *buffer, size_t size)
{
	return snprintf(buffer, size, "%s/%s", trial->directory, name) < (int)size ? 0
										   : -ENAMETOOLONG;
}

/* --- running programs ------------------------------------------------------------------------ */

/* A child that ends with us; its output is at *ret_output, with errors what it says of these, too.
 */
static pid_t start(
	const struct trial *trial, char *const *words, bool errors, int *ret_output, int *ret_input)
{
	int output[2], input[2] = {-EBADF, -EBADF};
	pid_t pid;

	if (pipe2(output, O_CLOEXEC) < 0)
		return -errno;
	if (ret_input && pipe2(input, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* What is mounted on the way goes away with it. */
		if (unshare(CLONE_NEWNS) == 0)
			(void)mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
		(void)dup2(output[1], STDOUT_FILENO);
		(void)dup2(errors ? output[1] : open("/dev/null", O_WRONLY), STDERR_FILENO);
		(void)dup2(ret_input ? input[0] : open("/dev/null", O_RDONLY), STDIN_FILENO);
		for (int i = OUTSIDE_FIRST; i <= OUTSIDE_LAST; i++)
			(void)dup2(trial->outside[i - OUTSIDE_FIRST], i);
		(void)execv(words[0], words);
		_exit(127);
	}
	(void)safe_close(output[1]);
	(void)safe_close(input[0]);
	*ret_output = output[0];
	if (ret_input)
		*ret_input = input[1];
	return pid;
}

/* The first line that a program prints, within the time; "" if none. */
static void read_line(int fd, char line[static LINE_SIZE])
{
	const uint64_t deadline = now_usec() + ROAD_USEC;
	struct pollfd p = {.fd = fd, .events = POLLIN};
	size_t length = 0;

	while (length < LINE_SIZE - 1 && !memchr(line, '\n', length) && now_usec() < deadline) {
		ssize_t n = poll(&p, 1, (int)((deadline - now_usec()) / 1000) + 1) > 0
				    ? read(fd, line + length, LINE_SIZE - 1 - length)
				    : 0;

		if (n <= 0)
			break;
		length += (size_t)n;
	}
	line[length] = '\0';
	line[strcspn(line, "\n")] = '\0';
}

static void run(
	const struct trial *trial, char *const *words, bool errors, char line[static LINE_SIZE])
{
	int output = -EBADF;
	pid_t pid = start(trial, words, errors, &output, NULL);

	*line = '\0';
	if (pid < 0)
		return;
	read_line(output, line);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	(void)safe_close(output);
}

/* --- what is outside ------------------------------------------------------------------------- */

/* As a unit with BindPaths= has it: the queues lie elsewhere in its mount namespace. */
static int live_in_bound_namespace(const struct trial *trial)
{
	char path[PATH_MAX];

	return unshare(CLONE_NEWNS) < 0 ||
			       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			       path_in(trial, "bound", path, sizeof(path)) < 0 ||
			       mount("/dev/mqueue", path, NULL, MS_BIND, NULL) < 0
		       ? -1
		       : 0;
}

static int live_in_user_namespace(const struct trial *trial)
{
	(void)trial;
	return unshare(CLONE_NEWUSER | CLONE_NEWNS);
}

/* Where it is not overwritten before a child has it under the number that the roads know. */
static int open_outside(struct trial *trial, int number, const char *path, int flags)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
	int *outside = &trial->outside[number - OUTSIDE_FIRST];

	*outside = fd < 0 ? -errno : fcntl(fd, F_DUPFD_CLOEXEC, OUTSIDE_LAST + 1);
	return MIN(*outside, 0);
}

/* Its mount namespace, or that of nobody: then the roads that lead there lead nowhere. */
static int begin_neighbour(
	struct trial *trial, size_t i, int (*live)(const struct trial *trial), int number)
{
	char path[64], ready = 0;
	int pair[2];
	pid_t pid;

	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (live(trial) == 0 && write(pair[1], "", 1) == 1)
			(void)pause();
		_exit(EXIT_FAILURE);
	}
	(void)safe_close(pair[1]);
	trial->neighbours[i] = pid;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	if (pid < 0 || read(pair[0], &ready, 1) != 1)
		(void)strcpy(path, "/dev/null");
	(void)safe_close(pair[0]);
	return open_outside(trial, number, path, 0);
}

static int write_pid(const struct trial *trial, const char *name, pid_t pid)
{
	_cleanup_close_ int fd = -EBADF;
	char path[PATH_MAX], text[16];
	int length = snprintf(text, sizeof(text), "%d\n", (int)pid);

	if (path_in(trial, name, path, sizeof(path)) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	return fd < 0 ? -errno : write_all(fd, text, (size_t)length);
}

/* An unconfined process of the same user that has the queue open. */
static int begin_victim(struct trial *trial)
{
	char *const words[] = {
		trial->roads, (char *)"victim", trial->queue, trial->directory, NULL};
	char line[LINE_SIZE] = "";
	int output = -EBADF, input = -EBADF;

	trial->neighbours[2] = start(trial, words, false, &output, &input);
	if (trial->neighbours[2] < 0)
		return trial->neighbours[2];
	read_line(output, line);
	return strstr(line, "ready") ? 0 : -EIO;
}

static int begin_outside(struct trial *trial)
{
	int r = begin_neighbour(trial, 0, live_in_bound_namespace, OUTSIDE_BOUND_NAMESPACE);

	r = r < 0 ? r : write_pid(trial, "bound-pid", trial->neighbours[0]);
	if (r == 0)
		r = begin_neighbour(trial, 1, live_in_user_namespace, OUTSIDE_USER_NAMESPACE);
	r = r < 0 ? r : open_outside(trial, OUTSIDE_NAMESPACE, "/proc/self/ns/mnt", 0);
	r = r < 0 ? r : open_outside(trial, OUTSIDE_ROOT, "/", O_DIRECTORY);
	r = r < 0 ? r : open_outside(trial, OUTSIDE_DEV, "/dev", O_DIRECTORY);
	return r < 0 ? r : begin_victim(trial);
}

/* --- queues and files ------------------------------------------------------------------------ */

/* A name that nobody can have taken beforehand. */
static int name_queue(char ret[static QUEUE_SIZE])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -EIO;
	(void)snprintf(ret, QUEUE_SIZE, "/mqgate-doctor-%016" PRIx64, number);
	return 0;
}

/* There, ours, and empty: the same one at each road, for the neighbour has it open. */
static int make_queue(const char *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = QUEUE_MESSAGE_SIZE};
	char message[QUEUE_MESSAGE_SIZE];
	mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_NONBLOCK, 0600, &attributes);
	struct stat st;
	bool ours;

	if (queue < 0)
		return -errno;
	while (mq_receive(queue, message, sizeof(message), NULL) >= 0)
		;
	ours = fstat(queue, &st) == 0 && st.st_uid == geteuid();
	(void)mq_close(queue);
	return ours ? 0 : -EEXIST;
}

static void forget_fresh(struct trial *trial)
{
	char created[QUEUE_SIZE + sizeof(CREATED)];

	if (!*trial->fresh)
		return;
	(void)snprintf(created, sizeof(created), "%s" CREATED, trial->fresh);
	(void)mq_unlink(trial->fresh);
	(void)mq_unlink(created);
}

static int write_policy(const struct trial *trial)
{
	_cleanup_fclose_ FILE *f = fopen(trial->policy, "we");

	if (!f)
		return -errno;
	(void)fprintf(f,
		"name: doctor\nplugs:\n  doctor: posix-mq\nslots:\n  granted:\n"
		"    interface: posix-mq\n    posix-mq: doctor\n    path: %s\n"
		"    permissions: [read]\n",
		trial->granted);
	return fflush(f) == 0 ? 0 : -errno;
}

static int make_files(struct trial *trial)
{
	static const char *const directories[] = {"mount", "bound"};
	const char *tmp = getenv("TMPDIR");
	char path[PATH_MAX];

	if (snprintf(trial->directory, sizeof(trial->directory), "%s/mqgate-doctor-XXXXXX",
		    isempty(tmp) ? "/tmp" : tmp) >= (int)sizeof(trial->directory))
		return -ENAMETOOLONG;
	if (!mkdtemp(trial->directory)) {
		*trial->directory = '\0';
		return -errno;
	}
	for (size_t i = 0; i < ELEMENTSOF(directories); i++)
		if (path_in(trial, directories[i], path, sizeof(path)) < 0 || mkdir(path, 0700) < 0)
			return -errno;
	(void)snprintf(trial->policy, sizeof(trial->policy), "%s/doctor.yaml", trial->directory);
	return write_policy(trial);
}

static int find_programs(struct trial *trial)
{
	int r = program_beside(
		INSTALLED_MQCTL, "mqgate-roads", "mqctl/roads/mqgate-roads", &trial->roads);

	if (r == 0)
		trial->roads = strdup(ROADS_PROGRAM);
	if (r >= 0)
		r = program_beside(INSTALLED_MQCTL, "mq-run", "launcher/mq-run", &trial->mq_run);
	if (r == 0)
		trial->mq_run = strdup(INSTALLED_LAUNCHER);
	if (r < 0)
		return r;
	if (!trial->roads || !trial->mq_run)
		return -ENOMEM;
	return access(trial->roads, X_OK) < 0 || access(trial->mq_run, X_OK) < 0 ? -errno : 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *place)
{
	return remove(path);
}

static void trial_end(struct trial *trial)
{
	for (size_t i = 0; i < ELEMENTSOF(trial->neighbours); i++)
		if (trial->neighbours[i] > 0) {
			(void)kill(trial->neighbours[i], SIGKILL);
			(void)waitpid(trial->neighbours[i], NULL, 0);
		}
	for (size_t i = 0; i < ELEMENTSOF(trial->outside); i++)
		(void)safe_close(trial->outside[i]);
	(void)mq_unlink(trial->queue);
	(void)mq_unlink(trial->granted);
	forget_fresh(trial);
	if (*trial->directory)
		(void)nftw(trial->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	free(trial->mq_run);
	free(trial->roads);
}

/* --- the roads ------------------------------------------------------------------------------- */

/* What SECURITY.md says stays open behind rules: nothing can be read, sent or deleted by it. */
static bool is_stated_open(const struct trial *trial, const char *road)
{
	static const char *const stated[] = {"chmod", "inherited-chmod", "utimes", "chown"};

	for (size_t i = 0; i < ELEMENTSOF(stated); i++)
		if (streq(road, stated[i]))
			return true;
	return trial->doctor->landlock_abi < ABI_WITH_TRUNCATE && strstr(road, "truncate");
}

/* Ways from a descriptor that the program was given to more than that. */
static bool begins_granted(const char *road)
{
	return streq(road, "reopen") || streq(road, "thread-reopen") || streq(road, "dev-fd");
}

/* Names that have been seen are not made anew: in between another user could take them, and the
 * road would lead nowhere. */
static int prepare_road(struct trial *trial, const char *road, char **ret)
{
	const bool creates = strstr(road, "create") != NULL;
	int r = 0;

	*ret = begins_granted(road) ? trial->granted : trial->queue;
	if (creates || strstr(road, "unlink")) {
		forget_fresh(trial);
		r = name_queue(trial->fresh);
		*ret = trial->fresh;
	}
	return r < 0 || creates ? r : make_queue(*ret);
}

/* Its answer, bare or confined. False: it could not be tried, which is said. */
static bool go(struct trial *trial, const char *road, const char *subject, bool confined,
	char line[static LINE_SIZE])
{
	char *queue;
	int r = prepare_road(trial, road, &queue);
	char *const words[] = {trial->mq_run, (char *)"--policy", trial->policy, (char *)"--plug",
		(char *)"doctor", (char *)"--", trial->roads, (char *)road, queue, trial->directory,
		NULL};

	if (r < 0) {
		found(trial->doctor, GRADE_WARNING, subject,
			r == -EEXIST || r == -EACCES
				? "find out who takes the names of others' queues, and try again"
				: "delete some queues, and try again",
			"not tried: cannot create a queue: %s", strerror(-r));
		return false;
	}
	run(trial, confined ? words : words + 6, false, line);
	return true;
}

static void try_road(struct trial *trial, const char *road)
{
	char line[LINE_SIZE], subject[sizeof("road ") + ROAD_NAME_MAX];

	(void)snprintf(subject, sizeof(subject), "road %.*s", ROAD_NAME_MAX, road);
	if (!go(trial, road, subject, false, line))
		return;
	if (!streq(line, "open")) {
		trial->nowhere++;
		return;
	}
	if (!go(trial, road, subject, true, line))
		return;
	if (streq(line, "open") && is_stated_open(trial, road)) {
		trial->stated++;
	} else if (streq(line, "open")) {
		trial->doctor->road_open = true;
		found(trial->doctor, GRADE_FAILED, subject,
			"do not trust mqgate on this machine, and report it with the output of "
			"mqctl doctor",
			"a confined program gets to a queue by it");
	} else if (startswith(line, "closed") || startswith(line, "untried")) {
		trial->closed++;
	} else {
		found(trial->doctor, GRADE_WARNING, subject, "run mqctl doctor again",
			"could not be tried: %s", *line ? line : "no answer in time");
	}
}

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

/* What was made is removed before we end by it. */
static void catch_signals(void)
{
	const struct sigaction action = {.sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};

	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
	(void)sigaction(SIGHUP, &action, NULL);
}

static int try_all(struct trial *trial)
{
	char *const words[] = {trial->roads, (char *)"--list", NULL};
	int output = -EBADF;
	pid_t pid = start(trial, words, false, &output, NULL);
	_cleanup_fclose_ FILE *f = pid < 0 ? NULL : fdopen(output, "r");
	char roads[ROADS_MAX][ROAD_NAME_MAX + 1];
	size_t count = 0;

	while (f && count < ELEMENTSOF(roads) && fgets(roads[count], sizeof(roads[0]), f)) {
		roads[count][strcspn(roads[count], "\n")] = '\0';
		count++;
	}
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	for (size_t i = 0; i < count && !interrupted; i++)
		try_road(trial, roads[i]);
	return count > 0 ? 0 : -EIO;
}

/* Whether mq-run can confine anything here. */
static bool can_confine(struct trial *trial)
{
	char *const words[] = {trial->mq_run, (char *)"--policy", trial->policy, (char *)"--plug",
		(char *)"doctor", (char *)"--", trial->roads, (char *)"--list", NULL};
	char line[LINE_SIZE];

	run(trial, words, true, line);
	if (*line && !startswith(line, "mq-run: "))
		return true;
	found(trial->doctor, GRADE_FAILED, "mq-run", NULL, "%s",
		*line ? line + strlen("mq-run: ") : "does not start a command");
	return false;
}

static int begin(struct trial *trial)
{
	int r = find_programs(trial);

	r = r < 0 ? r : name_queue(trial->queue);
	r = r < 0 ? r : name_queue(trial->granted);
	r = r < 0 ? r : make_files(trial);
	r = r < 0 ? r : make_queue(trial->queue);
	return r < 0 ? r : begin_outside(trial);
}

void examine_roads(struct doctor *doctor)
{
	struct trial trial = {
		.doctor = doctor, .outside = {-EBADF, -EBADF, -EBADF, -EBADF, -EBADF}};
	int r;

	catch_signals();
	r = begin(&trial);
	if (r < 0 && !interrupted)
		found(doctor, GRADE_WARNING, "roads",
			"install all of mqgate, and see that this user can create queues and files "
			"in /tmp",
			"they cannot be tried: %s", strerror(-r));
	else if (r == 0 && can_confine(&trial) && try_all(&trial) == 0 && !doctor->road_open &&
		 !interrupted)
		found(doctor, GRADE_OK, "roads", NULL,
			"%zu ways to reach a queue past mqgate are closed to a confined program (%zu "
			"more lead nowhere for this user even without it; %zu stay open and give no "
			"message, as SECURITY.md says)",
			trial.closed, trial.nowhere, trial.stated);
	trial_end(&trial);
	if (interrupted)
		(void)raise(interrupted);
}
