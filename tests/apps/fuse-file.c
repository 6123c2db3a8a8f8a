/* SPDX-License-Identifier: MIT */
/* fuse-file DIRECTORY LOG [no-handles] [detached] [silent] -- COMMAND…: runs a command that has, as
 * descriptor 9, a file of a FUSE file system whose server does not answer.
 *
 * The file system is mounted on the directory, in a mount namespace of its own; "detached" unmounts
 * it again, "no-handles" has it say that its files have no handles. The server answers what
 * opening and looking need, and the rest with success; but once DIRECTORY.hold exists, it notes
 * what else it is asked ("silent": whatever it is asked) in LOG, as "OPCODE PID", and does not
 * answer before DIRECTORY.release exists: then with success, and with zeros. It ends, and lets
 * everybody go, when DIRECTORY.end exists, when the command ends, or 30 seconds after it had to
 * hold somebody. */
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILE_NODE     2
#define DESCRIPTOR    9
#define HOLD_SECONDS  30
#define POLL_MS       50
#define REQUEST_BYTES (64 * 1024 + 4096)
#define HELD_MAX      64

#ifndef FUSE_NO_EXPORT_SUPPORT
#define FUSE_NO_EXPORT_SUPPORT (1ULL << 38)
#endif
#ifndef FUSE_INIT_EXT
#define FUSE_INIT_EXT (1U << 30)
#endif

static char request[REQUEST_BYTES];
static int log_fd, fuse;
static int no_handles, silent;
static struct fuse_in_header held[HELD_MAX];
static size_t held_count;

static void fail(const char *what)
{
	perror(what);
	_exit(1);
}

static void answer(const struct fuse_in_header *to, int error, const void *data, size_t size)
{
	struct fuse_out_header header = {.len = (uint32_t)(sizeof(header) + (error ? 0 : size)),
		.error = -error,
		.unique = to->unique};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)data, size}};

	(void)!writev(fuse, parts, error ? 1 : 2);
}

static struct fuse_attr attributes(uint64_t node)
{
	return (struct fuse_attr){.ino = node,
		.mode = node == FILE_NODE ? S_IFREG | 0666 : S_IFDIR | 0755,
		.nlink = 1,
		.size = 16,
		.blksize = 4096};
}

static void initialize(const struct fuse_in_header *header)
{
	struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
		.minor = FUSE_KERNEL_MINOR_VERSION,
		.max_write = 4096};

	if (no_handles) {
		out.flags = FUSE_INIT_EXT;
		out.flags2 = (uint32_t)(FUSE_NO_EXPORT_SUPPORT >> 32);
	}
	answer(header, 0, &out, sizeof(out));
}

/* What is not asked for with more than its header, and what is read. */
static void answer_with_zeros(const struct fuse_in_header *header)
{
	static const char zeros[4096];

	answer(header, 0, zeros, header->opcode == FUSE_READ ? sizeof(zeros) : 0);
}

static void hold(const struct fuse_in_header *header)
{
	dprintf(log_fd, "%u %u\n", header->opcode, header->pid);
	if (held_count < HELD_MAX)
		held[held_count++] = *header;
}

static void release(void)
{
	while (held_count > 0)
		answer_with_zeros(&held[--held_count]);
}

static bool exists(const char *directory, const char *suffix)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s.%s", directory, suffix);
	return access(path, F_OK) == 0;
}

static void serve(const struct fuse_in_header *header, const char *directory)
{
	struct fuse_entry_out entry = {.nodeid = FILE_NODE,
		.attr_valid = 3600,
		.entry_valid = 3600,
		.attr = attributes(FILE_NODE)};
	struct fuse_attr_out attr = {.attr_valid = 3600, .attr = attributes(header->nodeid)};
	struct fuse_open_out opened = {.fh = 1};
	struct fuse_statfs_out facts = {.st = {.bsize = 4096, .namelen = 255}};
	bool holds = exists(directory, "hold") && !exists(directory, "release");

	switch (holds && silent ? 0 : header->opcode) {
	case FUSE_INIT:
		initialize(header);
		return;
	case FUSE_LOOKUP:
		answer(header, 0, &entry, sizeof(entry));
		return;
	case FUSE_GETATTR:
		answer(header, 0, &attr, sizeof(attr));
		return;
	case FUSE_OPEN:
		answer(header, 0, &opened, sizeof(opened));
		return;
	case FUSE_STATFS:
		answer(header, 0, &facts, sizeof(facts));
		return;
	case FUSE_ACCESS:
		answer(header, 0, NULL, 0);
		return;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return;
	default:
		if (holds)
			hold(header);
		else
			answer_with_zeros(header);
	}
}

/* When it ends, so does the connection, and everybody who waits goes on. */
static void be_server(const char *directory)
{
	time_t end = 0;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((end == 0 || time(NULL) < end) && !exists(directory, "end")) {
		struct pollfd p = {.fd = fuse, .events = POLLIN};

		if (held_count > 0 && end == 0)
			end = time(NULL) + HOLD_SECONDS;
		if (exists(directory, "release"))
			release();
		if (poll(&p, 1, POLL_MS) != 1)
			continue;
		if (read(fuse, request, sizeof(request)) <= 0)
			break;
		serve((struct fuse_in_header *)request, directory);
	}
	_exit(0);
}

static void mount_it(const char *directory)
{
	char options[128];

	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	if (fuse < 0)
		fail("/dev/fuse");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		fail("a mount namespace");
	(void)snprintf(options, sizeof(options),
		"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse);
	if (mount("fuse-file", directory, "fuse", MS_NOSUID | MS_NODEV, options) < 0)
		fail("mounting");
}

static void open_it(const char *directory)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/events", directory);
	fd = open(path, O_RDWR);
	if (fd < 0 || dup2(fd, DESCRIPTOR) < 0)
		fail(path);
	/* Closing it would wait already. */
	if (fd != DESCRIPTOR && fcntl(fd, F_SETFD, 0) < 0)
		fail(path);
}

int main(int argc, char **argv)
{
	int detached = 0, next = 3;

	if (argc < 5)
		return 2;
	for (; next < argc && strcmp(argv[next], "--") != 0; next++) {
		no_handles |= strcmp(argv[next], "no-handles") == 0;
		silent |= strcmp(argv[next], "silent") == 0;
		detached |= strcmp(argv[next], "detached") == 0;
	}
	if (next + 1 >= argc)
		return 2;
	log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (log_fd < 0)
		fail(argv[2]);
	mount_it(argv[1]);
	if (fork() == 0)
		be_server(argv[1]);
	(void)close(fuse);
	open_it(argv[1]);
	if (detached && umount2(argv[1], MNT_DETACH) < 0)
		fail("unmounting");
	(void)execvp(argv[next + 1], argv + next + 1);
	fail(argv[next + 1]);
}
