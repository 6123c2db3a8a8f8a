/* SPDX-License-Identifier: MIT */
/* Identity taken on and given back. Each test is a process of its own, so it may play with its ids.
 */
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/session/call/on-behalf.h"
#include "daemon/session/target/host-queues.h"
#include "door.h"
#include "include/capabilities.h"

#define USER      12345
#define GROUP     12346
#define FILE_USER 12347

static struct own_identity own;
static struct request request;

static struct credentials identity_of_user(void)
{
	struct credentials identity = CREDENTIALS_NONE;

	identity.real_uid = identity.effective_uid = identity.fs_uid = USER;
	identity.real_gid = identity.effective_gid = identity.fs_gid = GROUP;
	identity.umask = 022;
	identity.queue_bytes = 819200;
	return identity;
}

static char *name_of_test(void)
{
	static char name[64];

	(void)snprintf(name, sizeof(name), "mqgate-act-%d", getpid());
	return name;
}

static void setup(void)
{
	need_root();
	cr_assert_eq(own_identity_get(&own), 0);
	request = (struct request){.call = MQ_CALL_OPEN,
		.oflag = O_RDWR | O_CREAT,
		.mode = 0666,
		.has_attributes = true,
		.attributes = {.mq_maxmsg = 2, .mq_msgsize = 16}};
	(void)strcpy(request.name, name_of_test());
}

static void teardown(void)
{
	struct credentials root = CREDENTIALS_NONE;

	root.capabilities = own.permitted;
	(void)act_unlink(&own, &root, name_of_test());
}

TestSuite(on_behalf, .init = setup, .fini = teardown);

/* All that the kernel says of this process, but for what counts its doings. */
static char *status_of_self(void)
{
	static const char *const keys[] = {"Umask:", "Uid:", "Gid:", "Groups:", "Cap"};
	FILE *f = fopen("/proc/self/status", "re");
	char line[1024], *text = calloc(1, 16384);

	cr_assert(f && text);
	while (fgets(line, sizeof(line), f))
		for (size_t i = 0; i < ELEMENTSOF(keys); i++)
			if (startswith(line, keys[i]))
				(void)strncat(text, line, 1024);
	(void)fclose(f);
	return text;
}

static void check_unchanged(const char *before)
{
	char ipc[NAMESPACE_NAME_SIZE] = "", *after = status_of_self();
	struct rlimit limit;

	cr_expect_str_eq(after, before);
	cr_expect_eq(getrlimit(RLIMIT_MSGQUEUE, &limit), 0);
	cr_expect_eq(limit.rlim_cur, own.queue_bytes.rlim_cur);
	cr_expect(readlink("/proc/self/ns/ipc", ipc, sizeof(ipc) - 1) > 0);
	cr_expect_str_eq(ipc, own.namespaces.ipc);
	free(after);
}

Test(on_behalf, creating_takes_everything_on_and_gives_it_back)
{
	struct credentials identity = identity_of_user();
	char *before = status_of_self();
	struct stat st;
	bool created;
	int fd;

	identity.fs_uid = FILE_USER;
	identity.umask = 027;
	identity.queue_bytes = 409600;
	fd = act_open(&own, &identity, request.name, &request, &created);
	cr_assert(fd >= 0, "%s", strerror(-fd));
	cr_expect(created);
	check_unchanged(before);
	cr_assert_eq(fstat(fd, &st), 0);
	cr_expect_eq(st.st_uid, FILE_USER, "owned by the file-system id");
	cr_expect_eq(st.st_gid, GROUP);
	cr_expect_eq(st.st_mode & 07777, 0640);
	free(before);
}

Test(on_behalf, opening_what_exists_creates_nothing)
{
	struct credentials identity = identity_of_user();
	bool created;

	cr_assert(act_open(&own, &identity, request.name, &request, &created) >= 0);
	cr_assert(created);
	cr_expect(act_open(&own, &identity, request.name, &request, &created) >= 0);
	cr_expect_not(created);
	request.oflag |= O_EXCL;
	cr_expect_eq(act_open(&own, &identity, request.name, &request, &created), -EEXIST);
	cr_expect_not(created);
	request.oflag = O_RDONLY;
	cr_expect(act_open(&own, &identity, request.name, &request, &created) >= 0);
	cr_expect_not(created);
}

static int next_descriptor(void)
{
	int fd = dup(STDIN_FILENO);

	(void)close(fd);
	return fd;
}

Test(on_behalf, what_exists_is_opened_once_and_as_asked)
{
	struct credentials identity = identity_of_user();
	bool created = false;
	int fd;

	cr_assert(act_open(&own, &identity, request.name, &request, &created) >= 0);
	cr_expect(created);
	fd = next_descriptor();
	cr_expect_eq(act_open(&own, &identity, request.name, &request, &created), fd);
	cr_expect_not(created);
	cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	request.oflag = O_WRONLY;
	created = true;
	fd = next_descriptor();
	cr_expect_eq(act_open(&own, &identity, request.name, &request, &created), fd);
	cr_expect_not(created);
	cr_expect_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
}

static struct credentials identity_of_ours(void)
{
	struct credentials identity = CREDENTIALS_NONE;

	identity.real_uid = own.uids[0];
	identity.effective_uid = identity.fs_uid = own.uids[1];
	identity.real_gid = own.gids[0];
	identity.effective_gid = identity.fs_gid = own.gids[1];
	identity.capabilities = own.permitted;
	identity.queue_bytes = 400;
	return identity;
}

/* The owner and group of a queue that it creates, which is gone then. */
static struct stat created_by(const struct credentials *identity)
{
	struct stat st = {0};
	bool created;
	int fd = act_open(&own, identity, request.name, &request, &created);

	cr_assert(fd >= 0, "%s", strerror(-fd));
	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(act_unlink(&own, identity, request.name), 0);
	(void)close(fd);
	return st;
}

Test(on_behalf, who_differs_from_us_in_one_id_is_not_us)
{
	struct credentials user = identity_of_ours(), group = identity_of_ours();
	struct credentials payer = identity_of_ours();
	char *before = status_of_self(), name[sizeof(request.name)];
	bool created;

	user.queue_bytes = group.queue_bytes = 819200;
	user.fs_uid = FILE_USER;
	group.fs_gid = GROUP;
	cr_expect_eq(created_by(&user).st_uid, FILE_USER);
	cr_expect_eq(created_by(&user).st_gid, own.gids[1]);
	cr_expect_eq(created_by(&group).st_uid, own.uids[1]);
	cr_expect_eq(created_by(&group).st_gid, GROUP);
	/* Room for one queue of each. */
	payer.real_uid = USER + 101;
	cr_expect(act_open(&own, &payer, request.name, &request, &created) >= 0);
	(void)strcpy(name, request.name);
	(void)strcat(request.name, "-2");
	payer.real_uid = USER + 102;
	cr_expect(act_open(&own, &payer, request.name, &request, &created) >= 0);
	cr_expect_eq(act_unlink(&own, &payer, request.name), 0);
	(void)strcpy(request.name, name);
	check_unchanged(before);
	free(before);
}

Test(on_behalf, it_still_ends_with_its_parent)
{
	struct credentials identity = identity_of_user();
	int signal = 0;

	(void)created_by(&identity);
	cr_expect_eq(prctl(PR_GET_PDEATHSIG, &signal), 0);
	cr_expect_eq(signal, SIGKILL);
	own.outlives_parent = true;
	(void)created_by(&identity);
	cr_expect_eq(prctl(PR_GET_PDEATHSIG, &signal), 0);
	cr_expect_eq(signal, 0, "a change of ids makes the kernel forget it");
}

Test(on_behalf, file_permissions_stay_in_force)
{
	struct credentials owner = identity_of_user(), other = identity_of_user();
	char *before;
	bool created;

	request.mode = 0600;
	cr_assert(act_open(&own, &owner, request.name, &request, &created) >= 0);
	request.oflag = O_RDONLY;
	other.fs_uid = FILE_USER;
	before = status_of_self();
	cr_expect_eq(act_open(&own, &other, request.name, &request, &created), -EACCES);
	cr_expect_eq(act_unlink(&own, &other, request.name), -EPERM);
	check_unchanged(before);
	cr_expect(act_open(&own, &owner, request.name, &request, &created) >= 0);
	cr_expect_eq(act_unlink(&own, &owner, request.name), 0);
	check_unchanged(before);
	free(before);
}

/* Another user gets a queue of GROUP's with the second groups, not with the first. */
static void expect_groups_to_matter(gid_t *first, size_t first_count, gid_t *second, size_t count)
{
	struct credentials owner = identity_of_user(), member = identity_of_user();
	bool created;
	char *before;

	request.mode = 0660;
	owner.umask = 0;
	cr_assert(act_open(&own, &owner, request.name, &request, &created) >= 0);
	request.oflag = O_RDWR;
	member.real_uid = member.effective_uid = member.fs_uid = FILE_USER;
	member.real_gid = member.effective_gid = member.fs_gid = FILE_USER;
	before = status_of_self();
	member.groups = first;
	member.group_count = first_count;
	cr_expect_eq(act_open(&own, &member, request.name, &request, &created), -EACCES);
	member.groups = second;
	member.group_count = count;
	cr_expect(act_open(&own, &member, request.name, &request, &created) >= 0);
	check_unchanged(before);
	free(before);
}

Test(on_behalf, groups_count)
{
	gid_t groups[] = {1, GROUP};

	expect_groups_to_matter(
		identity_of_user().groups, identity_of_user().group_count, groups, 2);
}

Test(on_behalf, as_many_groups_are_not_the_same_groups)
{
	gid_t ours[] = {GROUP + 1, GROUP + 2}, theirs[] = {GROUP + 1, GROUP};

	cr_assert_eq(setgroups(2, ours), 0);
	cr_assert_eq(own_identity_get(&own), 0);
	expect_groups_to_matter(ours, 2, theirs, 2);
}

Test(on_behalf, capabilities_are_lent_one_by_one)
{
	struct credentials owner = identity_of_user(), other = identity_of_user();
	bool created;

	request.mode = 0;
	cr_assert(act_open(&own, &owner, request.name, &request, &created) >= 0);
	request.oflag = O_RDWR;
	other.fs_uid = FILE_USER;
	cr_expect_eq(act_open(&own, &other, request.name, &request, &created), -EACCES);
	other.capabilities = UINT64_C(1) << CAP_DAC_OVERRIDE;
	cr_expect(act_open(&own, &other, request.name, &request, &created) >= 0);
	cr_expect_eq(act_unlink(&own, &other, request.name), -EPERM, "sticky directory");
	other.capabilities = UINT64_C(1) << CAP_FOWNER;
	cr_expect_eq(act_unlink(&own, &other, request.name), 0);
}

Test(on_behalf, root_without_capabilities_is_nobody_special)
{
	struct credentials owner = identity_of_user(), root = CREDENTIALS_NONE;
	bool created;

	request.mode = 0600;
	cr_assert(act_open(&own, &owner, request.name, &request, &created) >= 0);
	request.oflag = O_RDWR;
	cr_expect_eq(act_open(&own, &root, request.name, &request, &created), -EACCES);
}

/* 0 if neither could be done, and nothing was. */
static int try_without_privileges(void)
{
	struct credentials other = identity_of_user();
	struct own_identity ours;
	bool created;

	if (setresgid(GROUP + 1, GROUP + 1, GROUP + 1) < 0 || setgroups(0, NULL) < 0 ||
		setresuid(USER + 1, USER + 1, USER + 1) < 0 || capabilities_set(0, 0) < 0 ||
		own_identity_get(&ours) < 0)
		return 1;
	if (act_open(&ours, &other, request.name, &request, &created) != -ACT_IMPOSSIBLE || created)
		return 2;
	return act_unlink(&ours, &other, request.name) == -ACT_IMPOSSIBLE ? 0 : 3;
}

/* 0 if groups and group ids, which could be taken on, were given back. */
static int try_with_half_of_the_privileges(void)
{
	const uint64_t half = CAPABILITY(SETGID);
	struct credentials other = identity_of_user();
	struct own_identity ours;
	char *before;
	bool created;

	if (capabilities_set(half, half) < 0 || own_identity_get(&ours) < 0)
		return 1;
	other.umask = 0777;
	before = status_of_self();
	if (act_open(&ours, &other, request.name, &request, &created) != -ACT_IMPOSSIBLE || created)
		return 2;
	return strcmp(before, status_of_self()) == 0 ? 0 : 3;
}

Test(on_behalf, what_was_taken_on_in_vain_is_given_back)
{
	pid_t child = fork();
	int status;

	if (child == 0)
		_exit(try_with_half_of_the_privileges());
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "%#x", (unsigned)status);
}

Test(on_behalf, what_cannot_be_done_as_the_app_is_not_done)
{
	pid_t child = fork();
	bool created;
	int status;

	if (child == 0)
		_exit(try_without_privileges());
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_expect_eq(status, 0, "%#x", (unsigned)status);
	request.oflag = O_RDWR;
	cr_expect_eq(act_open(&own, &(struct credentials){.ipc_namespace = -EBADF}, request.name,
			     &request, &created),
		-ENOENT);
}

Test(on_behalf, the_callers_limit_and_not_ours)
{
	struct credentials identity = identity_of_user();
	bool created;

	identity.queue_bytes = 10;
	cr_expect_eq(act_open(&own, &identity, request.name, &request, &created), -EMFILE);
	cr_expect_not(created);
	identity.queue_bytes = 819200;
	cr_expect(act_open(&own, &identity, request.name, &request, &created) >= 0);
}

Test(on_behalf, bytes_are_charged_to_the_real_user)
{
	struct credentials first = identity_of_user(), second = identity_of_user();
	char name[sizeof(request.name)];
	bool created;

	/* No other test's user, for tests run side by side. Room for one queue: the second of the
	 * same real user does not fit, whatever its other ids. */
	first.real_uid = second.real_uid = USER + 100;
	first.queue_bytes = second.queue_bytes = 400;
	cr_assert(act_open(&own, &first, request.name, &request, &created) >= 0);
	(void)strcpy(name, request.name);
	(void)strcat(request.name, "-2");
	second.effective_uid = second.fs_uid = FILE_USER;
	cr_expect_eq(act_open(&own, &second, request.name, &request, &created), -EMFILE);
	second.real_uid = FILE_USER;
	cr_expect(act_open(&own, &second, request.name, &request, &created) >= 0);
	cr_expect_eq(act_unlink(&own, &second, request.name), 0);
	(void)strcpy(request.name, name);
}

Test(on_behalf, another_ipc_namespace)
{
	struct credentials identity = identity_of_user();
	char *before = status_of_self(), path[64];
	bool created;
	pid_t child = fork();

	cr_assert(child >= 0);
	if (child == 0) {
		if (unshare(CLONE_NEWIPC) < 0)
			_exit(1);
		(void)raise(SIGSTOP);
		_exit(0);
	}
	cr_assert_eq(waitpid(child, NULL, WUNTRACED), child);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/ipc", child);
	identity.ipc_namespace = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert(identity.ipc_namespace >= 0);
	cr_expect_eq(own_sees(&own, identity.ipc_namespace, request.name), 0);
	cr_expect(act_open(&own, &identity, request.name, &request, &created) >= 0);
	check_unchanged(before);
	cr_expect_eq(own_sees(&own, identity.ipc_namespace, request.name), 1);
	cr_expect(own_look_up(&own, identity.ipc_namespace, request.name) >= 0);
	check_unchanged(before);
	(void)safe_close(identity.ipc_namespace);
	identity.ipc_namespace = -EBADF;
	cr_expect_eq(own_sees(&own, identity.ipc_namespace, request.name), 0, "not in ours");
	cr_expect_eq(act_unlink(&own, &identity, request.name), -ENOENT);
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	free(before);
}

/* --- queues in our namespace, of callers in others ------------------------------------------- */

static struct host_queues host_queues;
static struct host_files host_files;

/* Or what comes of having no descriptor left for it. */
static void watch(int queue, bool works)
{
	struct rlimit limit, none;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){works ? limit.rlim_cur : 0, limit.rlim_max};
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	host_queues_opened(&host_queues, &host_files, queue);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* Creates, deletes and closes one. 0, or -ENOSPC. */
static int come_and_go(bool watched)
{
	const struct credentials root = {
		.ipc_namespace = -EBADF, .capabilities = own.permitted, .queue_bytes = 819200};
	int place = host_queues_begin(&host_queues, &host_files, &own, request.name), queue;
	bool created;

	if (place < 0)
		return place;
	queue = act_open(&own, &root, request.name, &request, &created);
	cr_assert(queue >= 0 && created);
	host_queues_end(&host_queues, place, queue);
	watch(queue, watched);
	cr_assert_eq(act_unlink(&own, &root, request.name), 0);
	return close(queue);
}

Test(on_behalf, a_host_queue_that_is_deleted_and_closed_does_not_count)
{
	for (int i = 0; i <= HOST_QUEUES_MAX; i++)
		cr_expect_eq(come_and_go(true), 0, "%d", i);
}

Test(on_behalf, a_host_queue_that_could_not_be_watched_counts)
{
	for (int i = 0; i < HOST_QUEUES_MAX; i++)
		cr_expect_eq(come_and_go(false), 0, "%d", i);
	cr_expect_eq(come_and_go(true), -ENOSPC);
}
