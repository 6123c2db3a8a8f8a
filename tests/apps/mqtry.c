/* SPDX-License-Identifier: MIT */
/* mqtry [COMMAND…]: makes mq calls and prints of each what came of it, on one line.
 *
 * Each argument is one command; without arguments, each line of stdin is. Open queues are kept in a
 * table, and what needs a queue takes the one last opened, or last chosen with "use".
 *
 *   open NAME FLAGS [MODE [MESSAGES SIZE]]   FLAGS of r w c(reate) x(excl) n(onblock)  → place
 *   take NUMBER                              an inherited descriptor  → place
 *   look NAME FLAGS [MODE [MESSAGES SIZE]]   the same, and closes it
 *   unlink NAME                              use PLACE              close
 *   send TEXT [PRIORITY]                     receive [SECONDS]      → TEXT PRIORITY
 *   notify                                   unnotify               forget: closes all
 *   getattr  → messages size current         setattr n|-            stat  → uid gid mode
 *   umask MODE                               pid
 *   churn NAME COUNT                         creates and unlinks so many queues, one by one
 *   poll [SECONDS]                           epoll [SECONDS]        → 1 if there is a message
 *   fork, thread, exec                       the rest is done by a child, a thread, the same anew
 *   unshare LETTERS                          of u(ser) p(id, of the next fork) i(pc)
 *   setuid NUMBER
 *
 * %p in a name is getpid().
 *
 * "open /events r -> 0", "send hello -> -1 EACCES". The exit status is 1 if anything failed. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "app.h"

#define QUEUES_MAX 64
#define WORDS_MAX  6

static mqd_t queues[QUEUES_MAX];
static int queue_count, chosen;

static mqd_t queue(void)
{
	return queue_count > 0 ? queues[chosen] : -1;
}

static int flags(const char *letters)
{
	int oflag = 0;

	if (strchr(letters, 'w'))
		oflag = strchr(letters, 'r') ? O_RDWR : O_WRONLY;
	if (strchr(letters, 'c'))
		oflag |= O_CREAT;
	if (strchr(letters, 'x'))
		oflag |= O_EXCL;
	if (strchr(letters, 'n'))
		oflag |= O_NONBLOCK;
	return oflag;
}

static int keep(mqd_t opened, char *text, size_t size)
{
	if (queue_count == QUEUES_MAX) {
		errno = ENOBUFS;
		return mq_close(opened), -1;
	}
	chosen = queue_count++;
	queues[chosen] = opened;
	snprintf(text, size, "%d", chosen);
	return 0;
}

static mqd_t open_by(char **words)
{
	struct mq_attr attributes = {0};
	mode_t mode = words[3] ? (mode_t)strtoul(words[3], NULL, 8) : 0600;

	if (words[3] && words[4] && words[5]) {
		attributes.mq_maxmsg = strtol(words[4], NULL, 10);
		attributes.mq_msgsize = strtol(words[5], NULL, 10);
	}
	return mq_open(words[1], flags(words[2] ? words[2] : "r"), mode,
		attributes.mq_maxmsg ? &attributes : NULL);
}

static int do_open(char **words, char *text, size_t size)
{
	mqd_t opened = open_by(words);

	return opened < 0 ? -1 : keep(opened, text, size);
}

static int do_look(char **words, char *text, size_t size)
{
	mqd_t opened = open_by(words);

	return opened < 0 ? -1 : mq_close(opened);
}

static int do_take(char **words, char *text, size_t size)
{
	return keep((mqd_t)strtol(words[1], NULL, 10), text, size);
}

static int do_use(char **words, char *text, size_t size)
{
	int place = atoi(words[1]);

	if (place < 0 || place >= queue_count) {
		errno = EINVAL;
		return -1;
	}
	chosen = place;
	return 0;
}

static int do_send(char **words, char *text, size_t size)
{
	struct timespec deadline = from_now(5000);

	return mq_timedsend(queue(), words[1], strlen(words[1]),
		words[2] ? (unsigned)atoi(words[2]) : 0, &deadline);
}

static int do_receive(char **words, char *text, size_t size)
{
	struct timespec deadline = from_now(words[1] ? atol(words[1]) * 1000 : 2000);
	char message[65536];
	unsigned priority;
	ssize_t n = mq_timedreceive(queue(), message, sizeof(message), &priority, &deadline);

	if (n < 0)
		return -1;
	snprintf(text, size, "%.*s %u", (int)n, message, priority);
	return 0;
}

static int do_unlink(char **words, char *text, size_t size)
{
	return mq_unlink(words[1]);
}

static int do_close(char **words, char *text, size_t size)
{
	return mq_close(queue());
}

/* Closes all that are open, whoever has taken their descriptors away. */
static int do_forget(char **words, char *text, size_t size)
{
	while (queue_count > 0)
		(void)mq_close(queues[--queue_count]);
	return 0;
}

static int do_notify(char **words, char *text, size_t size)
{
	struct sigevent event = {.sigev_notify = SIGEV_NONE};

	return mq_notify(queue(), &event);
}

static int do_unnotify(char **words, char *text, size_t size)
{
	return mq_notify(queue(), NULL);
}

static int do_getattr(char **words, char *text, size_t size)
{
	struct mq_attr attributes;

	if (mq_getattr(queue(), &attributes) < 0)
		return -1;
	snprintf(text, size, "%ld %ld %ld", attributes.mq_maxmsg, attributes.mq_msgsize,
		attributes.mq_curmsgs);
	return 0;
}

static int do_setattr(char **words, char *text, size_t size)
{
	struct mq_attr attributes = {.mq_flags = words[1][0] == 'n' ? O_NONBLOCK : 0};

	return mq_setattr(queue(), &attributes, NULL);
}

static int do_stat(char **words, char *text, size_t size)
{
	struct stat st;

	if (fstat(queue(), &st) < 0)
		return -1;
	snprintf(text, size, "%u %u %04o", st.st_uid, st.st_gid, st.st_mode & 07777);
	return 0;
}

static int do_umask(char **words, char *text, size_t size)
{
	umask((mode_t)strtoul(words[1], NULL, 8));
	return 0;
}

static int do_churn(char **words, char *text, size_t size)
{
	for (long i = atol(words[2]); i > 0; i--) {
		mqd_t created = create_queue(words[1], O_RDWR | O_EXCL, 1);

		if (created < 0 || mq_close(created) < 0 || mq_unlink(words[1]) < 0)
			return -1;
	}
	return 0;
}

static int do_poll(char **words, char *text, size_t size)
{
	struct pollfd p = {.fd = queue(), .events = POLLIN};
	int n = poll(&p, 1, words[1] ? atoi(words[1]) * 1000 : 2000);

	snprintf(text, size, "%d", n);
	return n < 0 ? -1 : 0;
}

static int do_epoll(char **words, char *text, size_t size)
{
	struct epoll_event event = {.events = EPOLLIN};
	int epoll = epoll_create1(EPOLL_CLOEXEC), n;

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, queue(), &event) < 0)
		return -1;
	n = epoll_wait(epoll, &event, 1, words[1] ? atoi(words[1]) * 1000 : 2000);
	snprintf(text, size, "%d", n);
	(void)close(epoll);
	return n < 0 ? -1 : 0;
}

/* The parent ends as its child does. */
static int do_fork(char **words, char *text, size_t size)
{
	pid_t pid = fork();
	int status;

	if (pid <= 0)
		return pid;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static char **commands; /* that are left */

static int try_all(void);

static void *in_thread(void *unused)
{
	exit(try_all());
}

static int do_thread(char **words, char *text, size_t size)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, in_thread, NULL) != 0)
		return -1;
	for (;;)
		(void)pause();
}

static int do_exec(char **words, char *text, size_t size)
{
	*--commands = (char *)"mqtry";
	return execv("/proc/self/exe", commands);
}

static int write_file(const char *file, const char *text)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	(void)close(fd);
	return n < 0 ? -1 : 0;
}

/* To 0. */
static int map_id(const char *file, unsigned id)
{
	char text[32];

	snprintf(text, sizeof(text), "0 %u 1", id);
	return write_file(file, text);
}

static int do_unshare(char **words, char *text, size_t size)
{
	int user = strchr(words[1], 'u') ? CLONE_NEWUSER : 0;
	unsigned uid = getuid(), gid = getgid();

	if (unshare(user | (strchr(words[1], 'p') ? CLONE_NEWPID : 0) |
		    (strchr(words[1], 'i') ? CLONE_NEWIPC : 0)) < 0)
		return -1;
	if (!user)
		return 0;
	if (write_file("/proc/self/setgroups", "deny") < 0 || map_id("/proc/self/uid_map", uid) < 0)
		return -1;
	return map_id("/proc/self/gid_map", gid);
}

static int do_setuid(char **words, char *text, size_t size)
{
	return setuid((uid_t)atol(words[1]));
}

static int do_pid(char **words, char *text, size_t size)
{
	snprintf(text, size, "%d", getpid());
	return 0;
}

static const struct {
	const char *name;
	int arguments; /* at least */
	int (*make)(char **words, char *text, size_t size);
} calls[] = {
	{"open", 1, do_open},
	{"look", 1, do_look},
	{"unlink", 1, do_unlink},
	{"take", 1, do_take},
	{"use", 1, do_use},
	{"close", 0, do_close},
	{"forget", 0, do_forget},
	{"send", 1, do_send},
	{"receive", 0, do_receive},
	{"notify", 0, do_notify},
	{"unnotify", 0, do_unnotify},
	{"getattr", 0, do_getattr},
	{"setattr", 1, do_setattr},
	{"stat", 0, do_stat},
	{"umask", 1, do_umask},
	{"churn", 2, do_churn},
	{"pid", 0, do_pid},
	{"poll", 0, do_poll},
	{"epoll", 0, do_epoll},
	{"fork", 0, do_fork},
	{"thread", 0, do_thread},
	{"exec", 0, do_exec},
	{"unshare", 1, do_unshare},
	{"setuid", 1, do_setuid},
};

static int try(const char *line)
{
	char copy[4096], text[66000] = "0", *words[WORDS_MAX + 1] = {0}, *rest = copy;
	const char *pid = strstr(line, "%p");
	int count = 0;

	if (pid)
		snprintf(
			copy, sizeof(copy), "%.*s%d%s", (int)(pid - line), line, getpid(), pid + 2);
	else
		snprintf(copy, sizeof(copy), "%s", line);
	for (char *word; count < WORDS_MAX && (word = strtok_r(rest, " \n", &rest));)
		words[count++] = word;
	for (size_t i = 0; count > 0 && i < sizeof(calls) / sizeof(calls[0]); i++) {
		if (strcmp(words[0], calls[i].name) != 0 || count <= calls[i].arguments)
			continue;
		errno = 0;
		if (calls[i].make(words, text, sizeof(text)) == 0) {
			printf("%s -> %s\n", line, text);
			return 0;
		}
		printf("%s -> -1 %s\n", line, strerrorname_np(errno));
		return 1;
	}
	printf("%s -> no such command\n", line);
	return 1;
}

static int status;

static int try_all(void)
{
	while (*commands)
		status |= try(*commands++);
	return status;
}

int main(int argc, char **argv)
{
	char line[4096];

	setvbuf(stdout, NULL, _IOLBF, 0);
	commands = argv + 1;
	(void)try_all();
	while (argc < 2 && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		status |= try(line);
	}
	return status;
}
