/* SPDX-License-Identifier: MIT */
/* Descriptors that a command would inherit through the launcher. */
#include "descriptors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "connections.h"
#include "include/compat.h"
#include "include/task.h"
#include "include/text.h"
#include "include/util.h"
#include "refuse.h"

#define LISTEN_FDS_START 3

struct check {
	bool all_queues;
	int listen_end; /* what lies from LISTEN_FDS_START to here is named by LISTEN_FDS */
	int queue;
	struct stat runtime_dir;
	char **ret_message;
};

bool descriptor_is_of_queues(int fd)
{
	struct statfs statfs;

	return fstatfs(fd, &statfs) == 0 && statfs.f_type == MQUEUE_MAGIC;
}

static bool is_queue(int fd)
{
	int flags = fcntl(fd, F_GETFL);
	struct stat st;

	return flags >= 0 && !(flags & O_PATH) && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_io_uring(int fd)
{
	return text_link_is(fd, "anon_inode:[io_uring]");
}

/* Negative if there is none. */
static int number_in(const char *variable)
{
	const char *text = getenv(variable);
	size_t digits = text ? strspn(text, "0123456789") : 0;

	return digits > 0 && digits < 10 && text[digits] == '\0' ? atoi(text) : -1;
}

/* All that is named must be open, or nothing is named. */
static int find_listen_end(void)
{
	int count = number_in("LISTEN_PID") == getpid() ? number_in("LISTEN_FDS") : 0;
	int found = 0;

	while (found < count && fcntl(LISTEN_FDS_START + found, F_GETFD) >= 0)
		found++;
	return LISTEN_FDS_START + (found == count ? found : 0);
}

static const char *named_for_another(void)
{
	int pid = number_in("LISTEN_PID");

	return pid > 0 && pid != getpid()
		       ? "; LISTEN_FDS is for process LISTEN_PID: in a shell use exec mq-run"
		       : "";
}

static int check_queue(struct check *check, int fd)
{
	if (!is_queue(fd))
		return refuse(check->ret_message, -EBUSY,
			"descriptor %d is open on a message queue file system, and with it the "
			"command could bypass mqgate; close it first (%d<&- in a shell)",
			fd, fd);
	if (!check->all_queues && (fd < LISTEN_FDS_START || fd >= check->listen_end))
		return refuse(check->ret_message, -EBUSY,
			"descriptor %d is a message queue; close it first (%d<&- in a shell), or "
			"let the command inherit it with --inherit-queues%s",
			fd, fd, named_for_another());
	if (check->queue < 0)
		check->queue = fd;
	return 0;
}

static int check_one(int fd, void *userdata)
{
	struct check *check = userdata;

	if (is_io_uring(fd))
		return refuse(check->ret_message, -EBUSY,
			"descriptor %d is an io_uring, and with it the command could bypass "
			"mqgate; close it first (%d<&- in a shell)",
			fd, fd);
	if (descriptor_is_of_queues(fd))
		return check_queue(check, fd);
	connection_close_if_of(fd, &check->runtime_dir);
	return 0;
}

int descriptors_visit(descriptor_visit_t visit, void *userdata, char **ret_message)
{
	_cleanup_free_ int *fds = NULL;
	size_t count = 0;
	int r = task_list(AT_FDCWD, "/proc/self/fd", &fds, &count);

	if (r < 0)
		return refuse(ret_message, r,
			"/proc/self/fd: %s; cannot check inherited descriptors; is /proc mounted?%s",
			strerror(-r),
			in_unit(" (MountAPIVFS=yes in the unit; no InaccessiblePaths=/proc)"));
	/* The directory's own is among them, and closed by now. */
	for (size_t i = 0; r == 0 && i < count; i++)
		r = visit(fds[i], userdata);
	return r;
}

int descriptors_check(bool all_queues, const char *runtime_dir, int *ret_queue, char **ret_message)
{
	struct check check = {.all_queues = all_queues,
		.listen_end = find_listen_end(),
		.queue = -1,
		.ret_message = ret_message};
	int r;

	/* Connecting will say what is wrong with it. */
	(void)stat(runtime_dir, &check.runtime_dir);
	r = descriptors_visit(check_one, &check, ret_message);
	*ret_queue = check.queue;
	return r;
}

/* Removing a registration for notification needs no permission and leaves no record. It is our own,
 * if there is any. */
static int show_one(int fd, void *userdata)
{
	char **ret_message = userdata;

	if (!descriptor_is_of_queues(fd) || syscall(SYS_mq_notify, fd, NULL) == 0)
		return 0;
	return refuse(ret_message, -errno,
		"mqgated cannot look at the message queue that is descriptor %d: %s; look at its "
		"log (journalctl -u mqgated)",
		fd, strerror(errno));
}

int descriptors_show_queues(char **ret_message)
{
	return descriptors_visit(show_one, ret_message, ret_message);
}

int descriptors_fill_standard(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	} while (fd <= STDERR_FILENO);
	(void)safe_close(fd);
	return 0;
}
