/* SPDX-License-Identifier: MIT */
/* mq_open and mq_unlink: names, flags, attributes, modes. */
#include "probe.h"

#include <limits.h>
#include <sys/mman.h>
#include <sys/stat.h>

static void close_if_open(long fd)
{
	if (fd >= 0)
		(void)close((int)fd);
}

static void try_name(const char *what, const void *name)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};

	errno = 0;
	close_if_open(report(raw_open(name, O_RDONLY, 0, NULL), "open %s", what));
	close_if_open(
		report(raw_open(name, O_RDWR | O_CREAT, 0600, &attributes), "create %s", what));
	close_if_open(report(raw_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes),
		"create new %s", what));
	close_if_open(report(raw_open(name, O_RDWR, 0, NULL), "open again %s", what));
	(void)report(raw_unlink(name), "unlink %s", what);
	(void)report(raw_unlink(name), "unlink again %s", what);
}

static void try_long_name(size_t length)
{
	char what[32], *name = malloc(length + 1);

	if (!name)
		exit(5);
	memset(name, 'n', length);
	name[length] = '\0';
	(void)snprintf(what, sizeof(what), "%zu bytes", length);
	try_name(what, name);
	free(name);
}

static void try_names_at_page_ends(void)
{
	static const bool mapped[] = {false, true};

	for (size_t i = 0; i < ELEMENTSOF(mapped); i++) {
		char *page = page_before_hole(mapped[i]), *hole = page + 4096;

		(void)strcpy(hole - 14, "mqgate-probe1");
		try_name("a name that ends with its page", hole - 14);
		memset(page, 'x', 4096);
		try_name("a name that runs into a hole", hole - 5);
		try_name("a long name that runs into a hole", hole - 300);
		try_name("a whole page without end", page);
		try_name("a hole", hole);
	}
}

static void try_names_across_pages(void)
{
	char *pages = mmap(NULL, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)strcpy(pages + 4096 - 6, "mqgate-probe2");
	try_name("a name across pages", pages + 4096 - 6);
	memset(pages, 'x', 16383);
	try_name("no end within 16 KiB", pages);
	try_name("no end, not aligned", pages + 100);
	(void)mprotect(pages, 4096, PROT_WRITE);
	(void)strcpy(pages + 8, "mqgate-probe3");
	try_name("a page that may only be written", pages + 8);
	(void)mprotect(pages, 4096, PROT_READ);
	try_name("a page that may only be read", pages + 8);
	(void)mprotect(pages, 4096, PROT_NONE);
	try_name("a page that may not be touched", pages + 8);
}

void probe_names(void)
{
	static const char *const names[] = {"mqgate-probe", "", ".", "..", "...", ".hidden", "/",
		"/mqgate-probe", "a/b", "a/", " ", "a b", "\n", "\x80\xff", "*", "?",
		"mqgate-probe (deleted)", "\\", "%s"};
	static const size_t lengths[] = {1, 254, 255, 256, 257, 1000, 4094, 4095, 4096, 5000};
	static const char *const library_names[] = {
		"mqgate-probe", "", "/", "//", "//mqgate-probe", "/a/b", "/.", "/mqgate-probe/"};

	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		char what[64];

		(void)snprintf(what, sizeof(what), "name %zu", i);
		try_name(what, names[i]);
	}
	for (size_t i = 0; i < ELEMENTSOF(lengths); i++)
		try_long_name(lengths[i]);
	try_name("NULL", NULL);
	try_name("address 1", (void *)1);
	try_name("address -1", (void *)-1);
	try_name("a kernel address", (void *)(uintptr_t)0xffffffff81000000);
	try_name("a non-canonical address", (void *)(uintptr_t)0x8000000000000000);
	try_names_at_page_ends();
	try_names_across_pages();
	for (size_t i = 0; i < ELEMENTSOF(library_names); i++) {
		errno = 0;
		close_if_open(report(mq_open(library_names[i], O_RDWR | O_CREAT, 0600, NULL),
			"mq_open %s", library_names[i]));
		(void)report(mq_unlink(library_names[i]), "mq_unlink %s", library_names[i]);
	}
}

static void try_flags(int oflag, bool there)
{
	struct mq_attr attributes = {.mq_maxmsg = 2, .mq_msgsize = 8};
	long fd;

	(void)mq_unlink(QUEUE);
	if (there)
		(void)close(fresh(QUEUE, O_RDWR));
	errno = 0;
	fd = report(raw_open(&QUEUE[1], oflag, 0666, &attributes), "flags %#o on %s",
		(unsigned)oflag, there ? "a queue" : "nothing");
	if (fd >= 0) {
		note("  F_GETFL %#o F_GETFD %d", (unsigned)fcntl((int)fd, F_GETFL),
			fcntl((int)fd, F_GETFD));
		(void)report(raw_send((int)fd, "a", 1, 0, &(struct timespec){0}), "  send");
		(void)report(raw_receive((int)fd, (char[64]){0}, 64, NULL, &(struct timespec){0}),
			"  receive");
		(void)close((int)fd);
	}
	(void)report(mq_unlink(QUEUE), "  unlink");
}

void probe_flags(void)
{
	static const int more[] = {0, O_CREAT, O_CREAT | O_EXCL, O_EXCL, O_NONBLOCK, O_CLOEXEC,
		O_TRUNC, O_APPEND, O_SYNC, O_DIRECTORY, O_NOFOLLOW, O_NOATIME, O_DIRECT, O_ASYNC,
		O_LARGEFILE, O_NOCTTY, O_CREAT | O_NONBLOCK | O_TRUNC, O_CREAT | O_DIRECTORY,
		1 << 26, 1 << 30, O_CREAT | O_EXCL | O_NONBLOCK | O_CLOEXEC | O_APPEND};

	for (int mode = 0; mode <= O_ACCMODE; mode++)
		for (size_t i = 0; i < ELEMENTSOF(more); i++) {
			try_flags(mode | more[i], true);
			try_flags(mode | more[i], false);
		}
}

static void try_attributes(const char *what, const void *attributes)
{
	struct mq_attr got;
	long fd;

	(void)mq_unlink(QUEUE);
	errno = 0;
	fd = report(
		raw_open(&QUEUE[1], O_RDWR | O_CREAT, 0600, attributes), "create with %s", what);
	if (fd >= 0) {
		(void)mq_getattr((mqd_t)fd, &got);
		note("  flags %ld maxmsg %ld msgsize %ld curmsgs %ld", got.mq_flags, got.mq_maxmsg,
			got.mq_msgsize, got.mq_curmsgs);
		(void)close((int)fd);
	}
	close_if_open(report(raw_open(&QUEUE[1], O_RDWR | O_CREAT, 0600, attributes),
		"create again with %s", what));
	close_if_open(report(raw_open(&QUEUE[1], O_RDWR, 0600, attributes), "open with %s", what));
	(void)mq_unlink(QUEUE);
	close_if_open(report(
		raw_open(&QUEUE[1], O_RDWR, 0600, attributes), "open nothing with %s", what));
	close_if_open(report(raw_open("", O_RDWR, 0600, attributes), "open no name with %s", what));
}

void probe_attributes(void)
{
	static const long values[] = {-1, 0, 1, 2, 10, 11, 100, 8192, 8193, 65536, 65537, 1 << 24,
		0x7fffffff, -0x80000000L, LONG_MAX, LONG_MIN};
	char what[64];

	for (size_t i = 0; i < ELEMENTSOF(values); i++) {
		struct mq_attr number = {.mq_maxmsg = values[i], .mq_msgsize = 8};
		struct mq_attr size = {.mq_maxmsg = 1, .mq_msgsize = values[i]};
		struct mq_attr both = {.mq_maxmsg = values[i], .mq_msgsize = values[i]};
		struct mq_attr rest = {.mq_maxmsg = 1,
			.mq_msgsize = 8,
			.mq_flags = values[i],
			.mq_curmsgs = values[i]};

		(void)snprintf(what, sizeof(what), "maxmsg %ld", values[i]);
		try_attributes(what, &number);
		(void)snprintf(what, sizeof(what), "msgsize %ld", values[i]);
		try_attributes(what, &size);
		(void)snprintf(what, sizeof(what), "both %ld", values[i]);
		try_attributes(what, &both);
		(void)snprintf(what, sizeof(what), "flags and curmsgs %ld", values[i]);
		try_attributes(what, &rest);
	}
	try_attributes("NULL", NULL);
	try_attributes("address 1", (void *)1);
	try_attributes("address -1", (void *)-1);
	for (int mapped = 0; mapped < 2; mapped++) {
		char *hole = page_before_hole(mapped) + 4096;
		struct mq_attr good = {.mq_maxmsg = 1, .mq_msgsize = 8};

		memcpy(hole - sizeof(good), &good, sizeof(good));
		try_attributes("attributes that end with their page", hole - sizeof(good));
		try_attributes("attributes that run into a hole", hole - 32);
		try_attributes("attributes one byte into a hole", hole - 63);
		try_attributes("a hole", hole);
	}
}

static void try_mode(unsigned mode, unsigned mask)
{
	static const char *const names[] = {"O_RDONLY", "O_WRONLY", "O_RDWR"};
	struct stat st;
	long fd;

	(void)mq_unlink(QUEUE);
	(void)umask(mask);
	errno = 0;
	fd = report(mq_open(QUEUE, O_RDWR | O_CREAT, mode, NULL), "create with mode %#o, umask %#o",
		mode, mask);
	(void)umask(0);
	if (fd < 0)
		return;
	(void)fstat((int)fd, &st);
	note("  mode %#o, uid %u, gid %u, links %u, size %ld", (unsigned)st.st_mode, st.st_uid,
		st.st_gid, (unsigned)st.st_nlink, (long)st.st_size);
	(void)close((int)fd);
	for (int access = 0; access < 3; access++) {
		errno = 0;
		close_if_open(report(mq_open(QUEUE, access), "  open %s", names[access]));
	}
}

void probe_modes(void)
{
	static const unsigned modes[] = {
		0, 0400, 0200, 0600, 0644, 0666, 0777, 07777, 0177777, 01000000};
	static const unsigned masks[] = {0, 022, 077, 0777};

	for (size_t m = 0; m < ELEMENTSOF(modes); m++)
		for (size_t u = 0; u < ELEMENTSOF(masks); u++)
			try_mode(modes[m], masks[u]);
}
