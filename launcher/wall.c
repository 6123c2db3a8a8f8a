/* SPDX-License-Identifier: MIT */
/* The wall, in two forms. First what both rest on, and the form "rules".
 *
 * The contract with the kernel. A Landlock domain refuses the handled rights on every file, unless
 * a rule stands on the file itself or on a directory that the kernel meets on its way up from the
 * file to the root of the mount namespace. On that way it crosses from the root of a mounted file
 * system to the directory that holds the mount point; the covered mount point itself it does not
 * look at. Rules stand on inodes, not on names: they hold for that inode wherever else it is
 * mounted, and nothing can take them back. What has no path (pipes, sockets, memfd) is not asked
 * about; mqueue's internal mount, where mq_open's descriptors live, is, and no rule can be there.
 *
 * The argument. Call "hidden" the mount point of every mqueue mount, a single queue bound to some
 * file included, and always /dev/mqueue, since that is where one would be mounted next. Call "on
 * the way" every directory above a hidden place. The way up from any queue leads only over
 * directories of mqueue itself and over directories on the way. So if no rule stands on any of
 * these inodes, no queue is in reach. Rules are therefore made for the children of the directories
 * on the way, leaving out what is hidden, what is on the way itself, and what is on the device of
 * an mqueue file system. A child that is a directory on the way under another name (a bind mount of
 * / or /dev or of what holds a mount point) is known by device and inode number and taken apart in
 * the same manner; two different directories that share their numbers are only taken apart
 * needlessly. What is listed as no directory, and is no mount point, is neither on the way nor of
 * an mqueue file system; it is not looked at where only root could have replaced it since (plan.c).
 * Symbolic links are not followed: what they point to has a rule of its own, or none.
 *
 * The way up does not end at this process' root but at that of the mount namespace. What lies above
 * a changed root cannot be looked at, and may be bound inside it (a chroot below /home that has
 * /home in it). So the kernel itself is asked: a child puts itself behind rules on the same
 * directories that handle listing, and must then be unable to list any directory on the way, or any
 * hidden place. If it can, a rule stands somewhere above, and the launch is refused.
 *
 * Everything that goes wrong on the way leaves out a rule, and what has no rule is closed. The only
 * failures that end the launch are those that would leave out rules at random: no memory, no
 * descriptors.
 *
 * Handled are only the rights that mqueue has: opening for reading and writing, creating a regular
 * file, removing a file, moving and linking, and truncating where the kernel has a right for it.
 * All rules give all of them, so moving between two places in reach works as before. There is no
 * right for chmod, chown and utimes by path: those stay open (SECURITY.md). With a domain also
 * come, unasked: no mounting, and no tracing of processes outside it, which closes /proc/PID/fd,
 * /proc/PID/root, /proc/PID/mem, pidfd_getfd.
 *
 * What this cannot cover: file systems mounted later somewhere beneath a rule (mqgated warns of
 * mqueue there); and an mqueue mount whose directory has been covered by another mount, if that
 * directory has also been bound directly below a directory on the way, and the command inherits a
 * working directory beneath the cover. Where an mqueue mount itself is covered, its mount point
 * stays hidden, whatever is now seen there.
 *
 * The form "mount". The launcher moves into a mount namespace of its own: a slave of the one
 * outside, so that file systems mounted there later arrive, and nothing goes out. Every mqueue
 * mount in it is detached; one that cannot be reached, because something else covers it, could be
 * reached from a working directory beneath the cover, and so the launch is refused. What has been
 * detached while it was somebody's working directory has no way up, and so no rule. /dev is made
 * private: a later mount on /dev/mqueue does not arrive, and the unmounting of today's, which would
 * take along whatever is mounted here at the same place, does not either. /dev/mqueue gets an empty
 * cover.
 *
 * Then one rule for all. It must not stand on the root directory: rules stand on inodes, the root
 * directory outside is the same inode, and there are roads outside that no capability guards: a
 * directory inherited or received from another process, a user namespace that belongs to this user
 * and the mount namespaces in it. On each of them the way up from a queue leads over that inode
 * (tried: all of them open). So the tree is hung below a directory that no other namespace has, the
 * anchor: the root of an empty tmpfs that is mounted nowhere else and cannot be written to. Only
 * what is in our tree has it on its way up. The command's root directory is the tree's, as before;
 * the kernel takes that for a changed root and lets nobody make user namespaces in it. Whoever
 * climbs out by CAP_SYS_CHROOT finds the empty anchor, and what may lie around it has no rule.
 * Inherited files get a rule each, since programs re-open them by /proc/self/fd (/dev/stdout);
 * queues, which mq-run may let through (descriptors.c), and directories get none.
 *
 * With CAP_SYS_ADMIN setns leads back to the mounts outside, or the propagation of mounts can be
 * changed. The anchor closes the first as it is, and mounting is closed by the domain; it is taken
 * away all the same, for good, so that no queue depends on one of the two alone. It leaves the
 * bounding set too: an exec as uid 0 takes its capabilities from there. What is mounted outside
 * later than the launch arrives, an mqueue in another place than /dev/mqueue too: mqgated warns.
 */
#include "wall.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "capability.h"
#include "descriptors.h"
#include "include/compat.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/mountinfo.h"
#include "include/util.h"
#include "plan.h"
#include "refuse.h"
#include "view.h"

#define RIGHTS_OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)
#define RIGHTS_OF_DIRECTORIES \
	(LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REFER)

#define ABI_WITH_REFER    2
#define ABI_WITH_TRUNCATE 3
#define ABI_WITH_SCOPES   6
#define PROOF_STACK       (64 * 1024)

/* --- Landlock ------------------------------------------------------------------------------ */

static int landlock_create_ruleset(const struct ruleset_attr *attr, size_t size, uint32_t flags)
{
	return (int)syscall(SYS_landlock_create_ruleset, attr, size, flags);
}

static int landlock_add_path_rule(int ruleset_fd, const struct landlock_path_beneath_attr *attr)
{
	return (int)syscall(SYS_landlock_add_rule, ruleset_fd, LANDLOCK_RULE_PATH_BENEATH, attr, 0);
}

/* flags say what the kernel's audit hears of. Before Linux 6.15 there are none, and nothing has
 * happened. */
static int landlock_restrict_self(int ruleset_fd, uint32_t flags)
{
	int r = (int)syscall(SYS_landlock_restrict_self, ruleset_fd, flags);

	return r < 0 && errno == EINVAL ? (int)syscall(SYS_landlock_restrict_self, ruleset_fd, 0)
					: r;
}

/* What this kernel handles of the rights of files. */
static uint64_t rights_of_files(int abi)
{
	return RIGHTS_OF_FILES | (abi >= ABI_WITH_TRUNCATE ? LANDLOCK_ACCESS_FS_TRUNCATE : 0);
}

/* The wall, and what it takes to prove it: rules on the same directories, for listing them. */
struct rulesets {
	int wall_fd, proof_fd;
	uint64_t files;
};

static void rulesets_close(struct rulesets *rulesets)
{
	closep(&rulesets->wall_fd);
	closep(&rulesets->proof_fd);
}

static int add_landlock_rule(int fd, const char *path, bool is_directory, void *userdata)
{
	const struct rulesets *rulesets = userdata;
	struct landlock_path_beneath_attr attr = {
		.allowed_access = rulesets->files | (is_directory ? RIGHTS_OF_DIRECTORIES : 0),
		.parent_fd = fd};

	if (landlock_add_path_rule(rulesets->wall_fd, &attr) == 0) {
		attr.allowed_access = LANDLOCK_ACCESS_FS_READ_DIR;
		if (!is_directory || landlock_add_path_rule(rulesets->proof_fd, &attr) == 0)
			return 0;
	}
	/* A bound namespace file and the like: Landlock neither takes rules for it nor closes it.
	 */
	return errno == EBADFD ? 0 : -errno;
}

/* Returns its ABI. */
static int check_landlock(char **ret_message)
{
	int abi = landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi >= ABI_WITH_REFER)
		return abi;
	if (abi >= 0)
		return refuse(ret_message, -EOPNOTSUPP,
			"cannot build the wall: the Landlock of this kernel is too old (ABI %d, "
			"needed: %d); use Linux 5.19 or newer",
			abi, ABI_WITH_REFER);
	if (errno == ENOSYS)
		return refuse(ret_message, -ENOSYS,
			"cannot build the wall: landlock_create_ruleset: this kernel has no "
			"Landlock; use Linux 5.19 or newer with CONFIG_SECURITY_LANDLOCK%s",
			remedy_of(-ENOSYS));
	if (errno == EOPNOTSUPP)
		return refuse(ret_message, -EOPNOTSUPP,
			"cannot build the wall: Landlock is disabled; add \"landlock\" to the lsm= "
			"boot parameter and restart the machine");
	return refuse(ret_message, -errno, "cannot build the wall: landlock_create_ruleset: %s%s",
		strerror(errno), remedy_of(-errno));
}

static int refuse_plan(int error, char **ret_message)
{
	if (error == -EBUSY)
		return refuse(ret_message, error,
			"cannot build the wall: a message queue file system is mounted on /; mount "
			"it on /dev/mqueue");
	if (error == -EBADMSG)
		return refuse(ret_message, error,
			"cannot build the wall: cannot parse a line of /proc/self/mountinfo; is "
			"the proc file system mounted on /proc?");
	return refuse(ret_message, error, "cannot build the wall: landlock_add_rule: %s%s",
		strerror(-error), remedy_of(error));
}

static int refuse_mountinfo(int error, char **ret_message)
{
	return refuse(ret_message, error,
		"cannot build the wall: /proc/self/mountinfo: %s; is /proc mounted?",
		strerror(-error));
}

static int add_rules(struct plan *plan, int mountinfo_fd, char **ret_message)
{
	_cleanup_close_ int root_fd = -EBADF;
	_cleanup_free_ char *mountinfo = NULL;
	int r;

	r = mountinfo_read_from(mountinfo_fd, SIZE_MAX - 1, &mountinfo);
	if (r < 0)
		return refuse_mountinfo(r, ret_message);
	root_fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = root_fd < 0 ? -errno : plan_tree(plan, root_fd, mountinfo);
	return r < 0 ? refuse_plan(r, ret_message) : 0;
}

/* Older kernels know the first field only. */
static int make_ruleset(uint64_t rights, uint64_t scoped, int *ret_fd, char **ret_message)
{
	const struct ruleset_attr attr = {.handled_access_fs = rights, .scoped = scoped};

	*ret_fd = landlock_create_ruleset(
		&attr, scoped ? sizeof(attr) : sizeof(attr.handled_access_fs), 0);
	if (*ret_fd >= 0)
		return 0;
	return refuse(ret_message, -errno, "cannot build the wall: landlock_create_ruleset: %s",
		strerror(errno));
}

static int make_rulesets(struct rulesets *ret, bool keeps_signals, char **ret_message)
{
	int r;

	r = make_ruleset(ret->files | RIGHTS_OF_DIRECTORIES,
		keeps_signals ? LANDLOCK_SCOPE_SIGNAL : 0, &ret->wall_fd, ret_message);
	if (r < 0)
		return r;
	return make_ruleset(LANDLOCK_ACCESS_FS_READ_DIR, 0, &ret->proof_fd, ret_message);
}

static int refuse_domain(int error, char **ret_message)
{
	if (error == -E2BIG)
		return refuse(ret_message, error,
			"cannot build the wall: this process already has as many Landlock domains "
			"as the kernel allows; start it outside of one of them");
	return refuse(ret_message, error, "cannot build the wall: landlock_restrict_self: %s%s",
		strerror(-error), remedy_of(error));
}

static int refuse_privileges(int error, char **ret_message)
{
	return refuse(ret_message, error, "cannot set no_new_privs: prctl: %s%s", strerror(-error),
		remedy_of(error));
}

static int stand_behind(int ruleset_fd, char **ret_message)
{
	return landlock_restrict_self(ruleset_fd, LANDLOCK_RESTRICT_SELF_LOG_NEW_EXEC_ON) == 0
		       ? 0
		       : refuse_domain(-errno, ret_message);
}

/* --- what it costs ------------------------------------------------------------------------- */

/* It costs this everywhere, and mq-run(1) says so. */
static bool is_common(const struct on_the_way *directory)
{
	return directory->length == 0 ||
	       (directory->length == strlen("/dev") && startswith(directory->hidden, "/dev"));
}

static void print_cost(FILE *out, const struct on_the_way *directory, bool first)
{
	_cleanup_free_ char *path = strndup(directory->hidden, directory->length);
	char name[PATH_MAX], mount[PATH_MAX];

	if (path)
		(void)fprintf(out, "%s%s (mqueue on %s)", first ? "" : ", ",
			escape(path, name, sizeof(name)),
			escape(directory->hidden, mount, sizeof(mount)));
}

static void print_costs(FILE *out, const struct plan *plan)
{
	size_t count = 0;

	for (size_t i = 0; i < plan->on_the_way_count; i++)
		if (!is_common(&plan->on_the_way[i]) && count++ < WALL_COSTS_MAX)
			print_cost(out, &plan->on_the_way[i], count == 1);
	if (count > WALL_COSTS_MAX)
		(void)fprintf(out, " and %zu more", count - WALL_COSTS_MAX);
}

/* NULL if there are none. */
static char *costs(const struct plan *plan)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	print_costs(out, plan);
	return fclose(out) == 0 && size > 0 ? take_pointer(text) : NULL;
}

/* --- proof --------------------------------------------------------------------------------- */

static bool can_list(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0;
}

/* Whether a hidden place, or any directory above it, can be listed. Cuts the path up: afterwards
 * the plan is of no use. */
static bool way_is_open(char *path)
{
	if (can_list("/"))
		return true;
	for (;;) {
		char *slash = strrchr(path, '/');

		if (slash == path)
			return can_list(path);
		if (can_list(path))
			return true;
		*slash = '\0';
	}
}

enum {
	PROOF_HOLDS,
	PROOF_OPEN,
	PROOF_FAILED,
	PROOF_HAS_PRIVILEGES,
};

struct wall_proof {
	const struct plan *plan;
	int ruleset_fd, error;
};

static int prove_as_child(void *userdata)
{
	struct wall_proof *proof = userdata;

	/* Its own, which the parent does not have yet. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
		proof->error = -errno;
		return PROOF_HAS_PRIVILEGES;
	}
	if (landlock_restrict_self(proof->ruleset_fd, LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF) <
		0) {
		proof->error = -errno;
		return PROOF_FAILED;
	}
	for (size_t i = 0; i < proof->plan->hidden_count; i++)
		if (way_is_open(proof->plan->hidden[i]))
			return PROOF_OPEN;
	return PROOF_HOLDS;
}

/* A child without exit signal: an inherited SIGCHLD setting neither hides the status nor does the
 * command find a signal of ours pending. It borrows our memory while we wait; a domain is a
 * thread's own. */
static int prove(const struct plan *plan, int proof_fd, char **ret_message)
{
	static char stack[PROOF_STACK] __attribute__((aligned(16)));
	/* A filter that kills leaves the error at that. */
	struct wall_proof proof = {plan, proof_fd, -EPERM};
	pid_t pid = clone(prove_as_child, stack + sizeof(stack), CLONE_VM | CLONE_VFORK, &proof);
	int status;

	if (pid < 0)
		return refuse(ret_message, -errno, "cannot prove the wall: clone: %s%s",
			strerror(errno), remedy_of(-errno));
	while (waitpid(pid, &status, __WALL) < 0)
		if (errno != EINTR)
			return refuse(ret_message, -errno, "cannot prove the wall: waitpid: %s",
				strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == PROOF_HOLDS)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == PROOF_OPEN)
		return refuse(ret_message, -EXDEV,
			"cannot build the wall: a directory above this root directory, or above a "
			"message queue file system, can also be reached under another name; "
			"unmount it there, or start mq-run outside of the changed root");
	if (WIFEXITED(status) && WEXITSTATUS(status) == PROOF_HAS_PRIVILEGES)
		return refuse_privileges(proof.error, ret_message);
	return refuse_domain(proof.error, ret_message);
}

/* What the kernel says on a descriptor of mountinfo: since it was opened, or asked last. */
static bool mounts_have_changed(int mountinfo_fd)
{
	struct pollfd pollfd = {.fd = mountinfo_fd, .events = POLLPRI};

	return poll(&pollfd, 1, 0) != 0;
}

static int prepare_rules(
	struct wall *wall, uint64_t files, int mountinfo_fd, bool looks_closely, char **ret_message)
{
	_cleanup_(rulesets_close) struct rulesets rulesets = {-EBADF, -EBADF, files};
	_cleanup_(plan_clear) struct plan plan = {
		.add = add_landlock_rule, .userdata = &rulesets, .looks_closely = looks_closely};
	int r;

	r = make_rulesets(&rulesets, wall->keeps_signals, ret_message);
	r = r < 0 ? r : add_rules(&plan, mountinfo_fd, ret_message);
	/* What was mounted meanwhile may be the queues, by another name. */
	if (r == 0 && !looks_closely && mounts_have_changed(mountinfo_fd))
		return prepare_rules(wall, files, mountinfo_fd, true, ret_message);
	if (r < 0)
		return r;
	wall->costs = costs(&plan);
	r = prove(&plan, rulesets.proof_fd, ret_message);
	if (r == 0)
		wall->ruleset_fd = take_fd(&rulesets.wall_fd);
	return r;
}

/* --- the form "mount" ---------------------------------------------------------------------- */

static int check_capabilities(char **ret_message)
{
	static const struct {
		int capability;
		const char *name;
	} needed[] = {
		{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
		{CAP_SYS_CHROOT, "CAP_SYS_CHROOT"},
		{CAP_SETPCAP, "CAP_SETPCAP"},
	};

	for (size_t i = 0; i < ELEMENTSOF(needed); i++)
		if (!capability_has(needed[i].capability))
			return refuse(ret_message, -EPERM,
				"--wall=mount needs %s; start mq-run as root, or use --wall=rules",
				needed[i].name);
	return 0;
}

struct allowing {
	int ruleset_fd;
	uint64_t files;
	char **ret_message;
};

/* A rule on that one file, so that it can be re-opened by /proc/self/fd (as /dev/stdout is). */
static int allow_file(int fd, void *userdata)
{
	const struct allowing *allowing = userdata;
	struct landlock_path_beneath_attr attr = {
		.allowed_access = allowing->files, .parent_fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) || descriptor_is_of_queues(fd))
		return 0;
	if (landlock_add_path_rule(allowing->ruleset_fd, &attr) == 0 || errno == EBADFD)
		return 0;
	return refuse(allowing->ret_message, -errno,
		"cannot build the wall: adding a rule for descriptor %d: %s", fd, strerror(errno));
}

static int allow_view(int ruleset_fd, uint64_t files, int anchor_fd, char **ret_message)
{
	struct landlock_path_beneath_attr attr = {
		.allowed_access = files | RIGHTS_OF_DIRECTORIES, .parent_fd = anchor_fd};
	struct allowing allowing = {ruleset_fd, files, ret_message};

	if (landlock_add_path_rule(ruleset_fd, &attr) < 0)
		return refuse(ret_message, -errno, "cannot build the wall: adding its rule: %s",
			strerror(errno));
	return descriptors_visit(allow_file, &allowing, ret_message);
}

static int prepare_mount(struct wall *wall, uint64_t files, char **ret_message)
{
	_cleanup_close_ int anchor_fd = -EBADF;
	int r = check_capabilities(ret_message);

	r = r < 0 ? r
		  : make_ruleset(files | RIGHTS_OF_DIRECTORIES, 0, &wall->ruleset_fd, ret_message);
	r = r < 0 ? r : view_enter(&anchor_fd, ret_message);
	return r < 0 ? r : allow_view(wall->ruleset_fd, files, anchor_fd, ret_message);
}

static int give_up_mounting(char **ret_message)
{
	int r = capability_give_up(CAP_SYS_ADMIN);

	return r == 0 ? 0
		      : refuse(ret_message, r, "cannot build the wall: giving up CAP_SYS_ADMIN: %s",
				strerror(-r));
}

int wall_prepare(struct wall *wall, char **ret_message)
{
	_cleanup_close_ int mountinfo_fd = -EBADF;
	int abi = check_landlock(ret_message);

	if (abi < 0)
		return abi;
	if (abi < ABI_WITH_SCOPES)
		wall->keeps_signals = false;
	if (wall->form == WALL_MOUNT)
		return prepare_mount(wall, rights_of_files(abi), ret_message);
	mountinfo_fd = open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (mountinfo_fd < 0)
		return refuse_mountinfo(-errno, ret_message);
	return prepare_rules(wall, rights_of_files(abi), mountinfo_fd, false, ret_message);
}

int wall_raise(struct wall *wall, char **ret_message)
{
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return refuse_privileges(-errno, ret_message);
	r = stand_behind(wall->ruleset_fd, ret_message);
	if (r == 0 && wall->form == WALL_MOUNT)
		r = give_up_mounting(ret_message);
	return r;
}

void wall_clear(struct wall *wall)
{
	closep(&wall->ruleset_fd);
	free(take_pointer(wall->costs));
}
