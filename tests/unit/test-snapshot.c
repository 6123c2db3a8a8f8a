/* SPDX-License-Identifier: MIT */
/* The snapshot of a session: written and read back, and everything else is refused. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/manager/sessions/fdstore.h"
#include "daemon/manager/sessions/snapshot.h"
#include "daemon/manager/core/manager.h"
#include "include/container.h"

static char *some_plugs[] = {(char *)"logger:events", (char *)"logger:by-app"};
static char *some_slots[] = {(char *)"sensor:events"};
static char *some_apps[] = {(char *)"logger.main"};

/* The second plug came by the app. */
static struct snapshot some_snapshot(void)
{
	return (struct snapshot){.number = 0x17,
		.mediation = MEDIATION_CALL,
		.launch_version = LAUNCH_VERSION,
		.filter_id = 0x123456789abcdef0,
		.capabilities = 0x1000004,
		.container = (char *)"4a0a7d5f web",
		.refused = true,
		.launcher = {.pid = getpid(),
			.uid = 65534,
			.gid = 65533,
			.pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0)},
		.bindings = {.plugs = some_plugs,
			.plug_count = 2,
			.own_plug_count = 1,
			.slots = some_slots,
			.slot_count = 1,
			.own_slot_count = 1,
			.apps = some_apps,
			.app_count = 1,
			.instance = (char *)"east:1"}};
}

static int written(const struct snapshot *snapshot)
{
	int fd = -EBADF;

	cr_assert_eq(snapshot_write(snapshot, &fd), 0);
	return fd;
}

Test(snapshot, come_back)
{
	struct snapshot snapshot = some_snapshot(), read;
	int fd = written(&snapshot);

	cr_expect(is_memfd(fd, SNAPSHOT_MEMFD));
	cr_assert_eq(snapshot_read(fd, &read), 0);
	cr_expect_eq(read.number, 0x17);
	cr_expect_eq(read.mediation, MEDIATION_CALL);
	cr_expect_eq(read.launch_version, LAUNCH_VERSION);
	cr_expect_eq(read.filter_id, snapshot.filter_id);
	cr_expect_eq(read.capabilities, snapshot.capabilities);
	cr_expect_eq(read.launcher.pid, getpid());
	cr_expect_eq(read.launcher.uid, 65534);
	cr_expect_eq(read.launcher.gid, 65533);
	cr_expect(pidfd_is_alive(read.launcher.pidfd));
	cr_expect_eq(read.bindings.plug_count, 1, "what came by an app is looked up again");
	cr_expect_str_eq(read.bindings.plugs[0], "logger:events");
	cr_expect_eq(read.bindings.slot_count, 1);
	cr_expect_str_eq(read.bindings.slots[0], "sensor:events");
	cr_expect_eq(read.bindings.app_count, 1);
	cr_expect_str_eq(read.bindings.apps[0], "logger.main");
	cr_expect_str_eq(read.bindings.instance, "east:1");
	cr_expect_str_eq(read.container, "4a0a7d5f web");
	cr_expect(read.refused);
	snapshot_clear(&read);
	(void)close(fd);
	snapshot.bindings.instance = NULL;
	snapshot.container = NULL;
	snapshot.refused = false;
	snapshot.mediation = MEDIATION_OPEN;
	fd = written(&snapshot);
	cr_assert_eq(snapshot_read(fd, &read), 0);
	cr_expect_null(read.bindings.instance);
	cr_expect_null(read.container);
	cr_expect_eq(read.mediation, MEDIATION_OPEN);
	snapshot_clear(&read);
	(void)close(fd);
}

/* A memfd like this one, but for some bytes and its length, sealed like it if sealed. */
static int changed(int fd, off_t at, const void *bytes, size_t count, off_t size, bool sealed)
{
	int copy = memfd_create(SNAPSHOT_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char data[4096];
	ssize_t n = pread(fd, data, sizeof(data), 0);

	cr_assert(n > 0 && (size_t)n < sizeof(data));
	memcpy(data + at, bytes, count);
	cr_assert_eq(write(copy, data, (size_t)n), n);
	cr_assert_eq(ftruncate(copy, n + size), 0);
	if (sealed)
		cr_assert_eq(fcntl(copy, F_ADD_SEALS, fcntl(fd, F_GET_SEALS)), 0);
	return copy;
}

static void expect_refused(
	int fd, off_t at, const void *bytes, size_t count, off_t size, bool sealed, int error)
{
	int copy = changed(fd, at, bytes, count, size, sealed);
	struct snapshot read;

	cr_expect_eq(snapshot_read(copy, &read), error, "at %ld", (long)at);
	(void)close(copy);
}

/* As 0.1.0 writes them: shorter by what has come since. */
#define HEADER_SIZE_2 64
#define HEADER_SIZE   80

static int of_version_2(int fd)
{
	int copy = memfd_create(SNAPSHOT_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	uint32_t version = 2;
	char data[4096];
	ssize_t n = pread(fd, data, sizeof(data), 0);

	memcpy(data + 4, &version, sizeof(version));
	cr_assert_eq(write(copy, data, HEADER_SIZE_2), HEADER_SIZE_2);
	cr_assert_eq(write(copy, data + HEADER_SIZE, (size_t)n - HEADER_SIZE), n - HEADER_SIZE);
	cr_assert_eq(fcntl(copy, F_ADD_SEALS, fcntl(fd, F_GET_SEALS)), 0);
	return copy;
}

Test(snapshot, of_the_version_before_come_back)
{
	struct snapshot snapshot = some_snapshot(), read;
	int fd, copy;

	snapshot.bindings.instance = NULL;
	snapshot.container = NULL;
	snapshot.refused = false;
	fd = written(&snapshot);
	copy = of_version_2(fd);
	cr_assert_eq(snapshot_read(copy, &read), 0);
	cr_expect_eq(read.launch_version, LAUNCH_VERSION_OLDEST);
	cr_expect_eq(read.capabilities, snapshot.capabilities);
	cr_expect_str_eq(read.bindings.plugs[0], "logger:events");
	cr_expect_str_eq(read.bindings.apps[0], "logger.main");
	snapshot_clear(&read);
	(void)close(copy);
	(void)close(fd);
}

Test(snapshot, instances_that_no_launcher_has_are_refused)
{
	static const char *const wrong[] = {"", "a b", "a/b", "*"};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct snapshot snapshot = some_snapshot(), read;
		int fd;

		snapshot.bindings.instance = (char *)wrong[i];
		fd = written(&snapshot);
		cr_expect_eq(snapshot_read(fd, &read), -EBADMSG, "'%s'", wrong[i]);
		(void)close(fd);
	}
}

Test(snapshot, containers_that_no_runtime_names_are_refused)
{
	struct snapshot snapshot = some_snapshot(), read;
	int fd;

	snapshot.container = (char *)"a/b";
	fd = written(&snapshot);
	cr_expect_eq(snapshot_read(fd, &read), -EBADMSG);
	(void)close(fd);
	snapshot.container = (char *)"ab";
	snapshot.mediation = MEDIATION_OPEN;
	fd = written(&snapshot);
	cr_expect_eq(snapshot_read(fd, &read), -EBADMSG, "each of its calls is decided");
	(void)close(fd);
}

Test(snapshot, that_were_not_written_by_us_are_refused)
{
	struct snapshot snapshot = some_snapshot();
	int fd = written(&snapshot);
	struct stat st;
	uint32_t number;

	(void)fstat(fd, &st);
	expect_refused(fd, 0, "x", 1, 0, true, -EBADMSG);
	number = SNAPSHOT_VERSION + 1;
	expect_refused(fd, 4, &number, 4, 0, true, -EPROTONOSUPPORT);
	number = SNAPSHOT_VERSION_OLDEST - 1;
	expect_refused(fd, 4, &number, 4, 0, true, -EPROTONOSUPPORT);
	number = LAUNCH_VERSION + 1;
	expect_refused(fd, HEADER_SIZE_2, &number, 4, 0, true, -EBADMSG);
	number = 0;
	expect_refused(fd, HEADER_SIZE_2, &number, 4, 0, true, -EBADMSG);
	for (off_t at = HEADER_SIZE_2 + 4; at < HEADER_SIZE; at += 4)
		expect_refused(fd, at, "x", 1, 0, true, -EBADMSG);
	number = MEDIATION_OPEN + 1;
	expect_refused(fd, 12, &number, 4, 0, true, -EBADMSG);
	number = 0;
	expect_refused(fd, 32, &number, 4, 0, true, -EBADMSG);
	for (off_t at = 44; at <= 52; at += 4) {
		number = SESSION_PLUGS_MAX + 1;
		expect_refused(fd, at, &number, 4, 0, true, -EBADMSG);
		number = 2;
		expect_refused(fd, at, &number, 4, 0, true, -EBADMSG);
		number = 0;
		expect_refused(fd, at, &number, 4, 0, true, -EBADMSG);
	}
	expect_refused(fd, HEADER_SIZE, "L", 1, 0, true, -EBADMSG);
	expect_refused(fd, HEADER_SIZE + 6, "x", 1, 0, true, -EBADMSG);
	expect_refused(fd, st.st_size - 1, "x", 1, 0, true, -EBADMSG);
	expect_refused(fd, 0, "", 0, 1, true, -EBADMSG);
	expect_refused(fd, 0, "", 0, -1, true, -EBADMSG);
	expect_refused(fd, 0, "", 0, -(st.st_size - 3), true, -EBADMSG);
	expect_refused(fd, 0, "", 0, -(st.st_size - HEADER_SIZE_2), true, -EBADMSG);
	expect_refused(fd, 0, "", 0, 0, false, -EBADMSG);
	(void)close(fd);
}

/* As many, and as long, as a session can have; one more is too large. */
Test(snapshot, fit_at_the_bound)
{
	static char text[REF_MAX + 1], app[REF_MAX + 1], instance[INSTANCE_MAX + 1],
		label[CONTAINER_LABEL_MAX + 1], *refs[SESSION_PLUGS_MAX], *apps[LAUNCH_REFS_MAX];
	struct snapshot snapshot = some_snapshot(), read;
	int fd, copy;

	memset(text, 'a', REF_MAX);
	text[10] = ':';
	memset(app, 'a', REF_MAX);
	app[10] = '.';
	for (size_t i = 0; i < SESSION_PLUGS_MAX; i++)
		refs[i] = text;
	for (size_t i = 0; i < LAUNCH_REFS_MAX; i++)
		apps[i] = app;
	/* The longest package name and the longest plug name. */
	memset(text, 'a', PACKAGE_NAME_MAX);
	text[10] = 'a';
	text[40] = '_';
	text[PACKAGE_NAME_MAX] = ':';
	snapshot.bindings = (struct bindings){.plugs = refs,
		.slots = refs,
		.apps = apps,
		.own_plug_count = SESSION_PLUGS_MAX,
		.own_slot_count = SESSION_PLUGS_MAX,
		.app_count = LAUNCH_REFS_MAX,
		.instance = instance};
	memset(instance, 'a', INSTANCE_MAX);
	memset(label, 'a', CONTAINER_LABEL_MAX);
	label[CONTAINER_ID_MAX] = ' ';
	snapshot.container = label;
	fd = written(&snapshot);
	cr_assert_eq(snapshot_read(fd, &read), 0);
	cr_expect_eq(read.bindings.slot_count, SESSION_PLUGS_MAX);
	cr_expect_eq(read.bindings.app_count, LAUNCH_REFS_MAX);
	snapshot_clear(&read);
	copy = memfd_create(SNAPSHOT_MEMFD, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	cr_assert_eq(ftruncate(copy, lseek(fd, 0, SEEK_END) + 1), 0);
	cr_assert_eq(fcntl(copy, F_ADD_SEALS, fcntl(fd, F_GET_SEALS)), 0);
	cr_expect_eq(snapshot_read(copy, &read), -EBADMSG);
	(void)close(copy);
	(void)close(fd);
}

Test(snapshot, another_process_of_that_number_is_not_the_launcher)
{
	struct snapshot snapshot = some_snapshot(), read;
	int fd = written(&snapshot), copy;
	uint64_t start = 1;

	copy = changed(fd, 24, &start, sizeof(start), 0, true);
	cr_assert_eq(snapshot_read(copy, &read), 0);
	cr_expect_lt(read.launcher.pidfd, 0);
	snapshot_clear(&read);
	(void)close(copy);
	(void)close(fd);
}

Test(store, names_of_all_sessions_fit_into_an_environment)
{
	size_t size = SESSIONS_MAX * 3 * sizeof("ffff");
	char *names = malloc(size + 1);
	char *const arguments[] = {(char *)"true", NULL}, *const environment[] = {names, NULL};

	pid_t pid;
	int status = 0;

	memset(names, 'f', size);
	names[size] = '\0';
	pid = fork();
	if (pid == 0) {
		(void)execve("/bin/true", arguments, environment);
		_exit(1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	free(names);
}
