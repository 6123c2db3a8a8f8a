/* SPDX-License-Identifier: MIT */
/* The plan of the wall, on small file trees. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "include/util.h"
#include "launcher/plan.h"

/* A device number that no file of the tree has. */
#define MQUEUE_LINE(mount_point) \
	"41 24 0:4095 / " mount_point " rw,relatime shared:7 master:1 - mqueue mqueue rw\n"
#define ROOT_LINE "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"

static char tree[] = "/tmp/test-wall-XXXXXX";
static int root_fd = -EBADF;

/* The rules of a plan: " PATH" for a file, " PATH/" for a directory. */
static char rules[256 * 1024];
static size_t rule_count;

static void make_tree(void)
{
	static const char *const directories[] = {
		"dev", "dev/mqueue", "dev/pts", "etc", "home", "home/mq", "home/user"};

	strcpy(tree, "/tmp/test-wall-XXXXXX");
	cr_assert_not_null(mkdtemp(tree));
	root_fd = open(tree, O_PATH | O_DIRECTORY | O_CLOEXEC);
	cr_assert_geq(root_fd, 0);
	for (size_t i = 0; i < ELEMENTSOF(directories); i++)
		cr_assert_eq(mkdirat(root_fd, directories[i], 0755), 0);
	cr_assert_eq(mknodat(root_fd, "dev/null", S_IFREG | 0644, 0), 0);
	cr_assert_eq(symlinkat("pts/ptmx", root_fd, "dev/ptmx"), 0);
	rules[0] = '\0';
	rule_count = 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void remove_tree(void)
{
	closep(&root_fd);
	(void)nftw(tree, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

TestSuite(plan, .init = make_tree, .fini = remove_tree);

static int collect(int fd, const char *path, bool is_directory, void *userdata)
{
	struct stat st;

	cr_assert_eq(fstat(fd, &st), 0);
	cr_assert_eq(is_directory, S_ISDIR(st.st_mode));
	cr_assert_eq(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	if (strlen(rules) + strlen(path) + 3 < sizeof(rules)) {
		strcat(rules, " ");
		strcat(rules, path);
		strcat(rules, is_directory ? "/" : "");
	}
	rule_count++;
	return 0;
}

static bool looks_closely;

static int work_out(const char *mountinfo, plan_rule_t add)
{
	_cleanup_(plan_clear) struct plan made = {.add = add, .looks_closely = looks_closely};

	return plan_tree(&made, root_fd, mountinfo);
}

static void plan(const char *mountinfo)
{
	cr_assert_eq(work_out(mountinfo, collect), 0);
}

static void plan_again(const char *mountinfo)
{
	rules[0] = '\0';
	rule_count = 0;
	plan(mountinfo);
}

static bool has_rule(const char *rule)
{
	size_t length = strlen(rule);

	for (const char *at = rules; (at = strstr(at, rule)); at++)
		if (at[-1] == ' ' && (at[length] == ' ' || at[length] == '\0'))
			return true;
	return false;
}

#define assert_rules(...) assert_rules_(ELEMENTSOF(((const char *[]){__VA_ARGS__})), __VA_ARGS__)

static void assert_rules_(size_t count, ...)
{
	va_list list;

	va_start(list, count);
	for (size_t i = 0; i < count; i++) {
		const char *rule = va_arg(list, const char *);

		cr_assert(has_rule(rule), "%s is missing in%s", rule, rules);
	}
	va_end(list);
	cr_assert_eq(rule_count, count, "too many rules:%s", rules);
}

Test(plan, leaves_out_the_mount_and_the_way_to_it)
{
	plan(ROOT_LINE MQUEUE_LINE("/dev/mqueue"));
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/");
}

Test(plan, leaves_out_dev_mqueue_if_nothing_is_mounted)
{
	plan(ROOT_LINE);
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/");
}

Test(plan, leaves_out_every_mount)
{
	plan(ROOT_LINE MQUEUE_LINE("/home/mq") MQUEUE_LINE("/dev/mqueue"));
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/user/");
}

Test(plan, leaves_out_a_mount_at_the_top)
{
	plan(ROOT_LINE MQUEUE_LINE("/etc"));
	assert_rules("/dev/null", "/dev/pts/", "/home/");
}

Test(plan, leaves_out_a_single_bound_queue)
{
	cr_assert_eq(mknodat(root_fd, "home/queue", S_IFREG | 0644, 0), 0);
	cr_assert_eq(mknodat(root_fd, "home/other", S_IFREG | 0644, 0), 0);
	plan(ROOT_LINE "42 27 0:4095 /queue /home/queue rw - mqueue mqueue rw\n");
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/user/", "/home/mq/", "/home/other");
}

Test(plan, does_not_take_part_of_a_name_for_the_name)
{
	cr_assert_eq(mkdirat(root_fd, "de", 0755), 0);
	cr_assert_eq(mkdirat(root_fd, "dev/mqueue2", 0755), 0);
	cr_assert_eq(mkdirat(root_fd, "mqueue", 0755), 0);
	plan(ROOT_LINE MQUEUE_LINE("/dev/mqueue"));
	assert_rules(
		"/dev/null", "/dev/pts/", "/dev/mqueue2/", "/etc/", "/home/", "/de/", "/mqueue/");
}

Test(plan, understands_odd_names_of_mount_points)
{
	cr_assert_eq(mkdirat(root_fd, "home/a b\t\n\\c", 0755), 0);
	cr_assert_eq(mkdirat(root_fd, "home/-", 0755), 0);
	cr_assert_eq(mkdirat(root_fd, "home/-/mqueue", 0755), 0);
	cr_assert_eq(mkdirat(root_fd, "home/-/x", 0755), 0);
	plan(ROOT_LINE MQUEUE_LINE("/home/a\\040b\\011\\012\\134c") MQUEUE_LINE("/home/-/mqueue"));
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/user/", "/home/mq/", "/home/-/x/");
}

Test(plan, another_type_of_that_name_is_no_mqueue)
{
	plan(ROOT_LINE "43 27 0:50 / /home rw - fuse.mqueue mqueue rw\n"
		       "44 27 0:51 / /etc rw - tmpfs mqueue rw\n");
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/");
}

/* Whatever covers an mqueue mount, its mount point stays hidden. */
Test(plan, leaves_out_a_covered_mount)
{
	plan(ROOT_LINE MQUEUE_LINE("/home/mq") "45 41 0:50 / /home/mq rw - tmpfs none rw\n");
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/user/");
}

Test(plan, gives_no_rule_on_a_device_of_an_mqueue)
{
	char line[256];
	struct stat st;

	cr_assert_eq(mknodat(root_fd, "file", S_IFREG | 0644, 0), 0);
	cr_assert_eq(fstatat(root_fd, "etc", &st, 0), 0);
	(void)snprintf(line, sizeof(line),
		ROOT_LINE "41 24 %u:%u / /elsewhere rw - mqueue mqueue rw\n"
			  "46 27 0:52 / /home rw - tmpfs none rw\n",
		major(st.st_dev), minor(st.st_dev));
	plan(line);
	/* What nobody but root could have replaced is no queue, since it is no mount point. */
	cr_assert_eq(rule_count, getuid() == 0, "%s", rules);
	cr_assert_eq(has_rule("/file"), getuid() == 0, "%s", rules);
	cr_assert_eq(chmod(tree, 0770), 0);
	plan_again(line);
	cr_assert_eq(rule_count, 0, "%s", rules);
	cr_assert_eq(chmod(tree, 0700), 0);
	looks_closely = true;
	plan_again(line);
	cr_assert_eq(rule_count, 0, "%s", rules);
}

Test(plan, a_way_that_does_not_exist_costs_nothing)
{
	plan(ROOT_LINE MQUEUE_LINE("/gone/for/good"));
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/");
}

Test(plan, does_not_follow_links_on_the_way)
{
	cr_assert_eq(symlinkat("home", root_fd, "link"), 0);
	plan(ROOT_LINE MQUEUE_LINE("/link/mq"));
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/");
}

Test(plan, what_cannot_be_listed_is_closed)
{
	/* Root lists everything: a file in the place of a directory cannot be listed by anybody. */
	cr_assert_eq(mknodat(root_fd, "file", S_IFREG | 0644, 0), 0);
	plan(ROOT_LINE MQUEUE_LINE("/file/mq"));
	assert_rules("/dev/null", "/dev/pts/", "/etc/", "/home/");
}

Test(plan, takes_many_children_and_few_descriptors)
{
	char name[32];

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &(struct rlimit){.rlim_cur = 64, .rlim_max = 64}), 0);
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "dev/node-%d", i);
		cr_assert_eq(mknodat(root_fd, name, S_IFREG | 0644, 0), 0);
	}
	plan(ROOT_LINE MQUEUE_LINE("/dev/mqueue"));
	cr_assert_eq(rule_count, 4 + 3000);
	cr_assert(has_rule("/dev/node-2999"));
}

static int give_up(int fd, const char *path, bool is_directory, void *userdata)
{
	return -EXFULL;
}

Test(plan, a_rule_that_fails_ends_the_plan)
{
	cr_assert_eq(work_out(ROOT_LINE, give_up), -EXFULL);
}

Test(plan, refuses_mqueue_on_the_root)
{
	cr_assert_eq(work_out(MQUEUE_LINE("/"), collect), -EBUSY);
	cr_assert_eq(rule_count, 0);
}

Test(plan, refuses_what_is_no_mountinfo)
{
	static const char *const texts[] = {"", "mqueue\n", "41 24 0:9 / /x rw\n",
		"41 24 0:9 / /x rw -\n", "41 24 0:9 / x rw - mqueue m rw\n",
		"41 24 nine / /x rw - mqueue m rw\n", ROOT_LINE "41 24\n"};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		cr_assert_eq(work_out(texts[i], collect), -EBADMSG, "%s", texts[i]);
	cr_assert_eq(rule_count, 0);
}
