/* SPDX-License-Identifier: MIT */
/* Which mounts are detached, on texts of mountinfo; and what stays of capabilities. */
#include <criterion/criterion.h>
#include <linux/capability.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "include/mountinfo.h"
#include "include/util.h"
#include "launcher/capability.h"
#include "launcher/view.h"

#define ROOT_LINE      "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard\n"
#define MQUEUE(id, at) id " 24 0:20 / " at " rw,relatime shared:7 master:1 - mqueue mqueue rw\n"

/* --- mountinfo ----------------------------------------------------------------------------- */

Test(mountinfo, reads_line_by_line)
{
	char text[] = ROOT_LINE MQUEUE("4294967338", "/a\\040b\\134c");
	struct mount_entry mount;
	char *rest = text;

	cr_assert_eq(mountinfo_next(&rest, &mount), 1);
	cr_assert_eq(mount.id, 27);
	cr_assert_eq(mount.device, makedev(254, 0));
	cr_assert_str_eq(mount.mount_point, "/");
	cr_assert_str_eq(mount.type, "ext4");
	cr_assert_eq(mountinfo_next(&rest, &mount), 1);
	cr_assert_eq(mount.id, 4294967338);
	cr_assert_str_eq(mount.mount_point, "/a b\\c");
	cr_assert_str_eq(mount.type, "mqueue");
	cr_assert_eq(mountinfo_next(&rest, &mount), 0);
}

Test(mountinfo, refuses_what_is_no_line)
{
	static const char *const lines[] = {"mqueue", "41 24 0:9 / /x rw", "41 24 0:9 / /x rw -",
		"41 24 0:9 / x rw - mqueue m rw", "41 24 nine / /x rw - mqueue m rw",
		"id 24 0:9 / /x rw - mqueue m rw", "41 24 0:9 / /x rw shared:1"};

	for (size_t i = 0; i < ELEMENTSOF(lines); i++) {
		_cleanup_free_ char *text = strdup(lines[i]);
		struct mount_entry mount;
		char *rest = text;

		cr_assert_eq(mountinfo_next(&rest, &mount), -EBADMSG, "%s", lines[i]);
	}
}

Test(mountinfo, is_that_of_this_process)
{
	_cleanup_free_ char *text = NULL;

	cr_assert_eq(mountinfo_read(&text), 0);
	cr_assert_not_null(strstr(text, " / "));
}

/* --- passes -------------------------------------------------------------------------------- */

struct detaching {
	char seen[256]; /* " MOUNTPOINT"… */
	const char *unreachable;
	int error;
};

static int detach(const struct mount_entry *mount, void *userdata)
{
	struct detaching *detaching = userdata;

	cr_assert_lt(
		strlen(detaching->seen) + strlen(mount->mount_point) + 2, sizeof(detaching->seen));
	strcat(strcat(detaching->seen, " "), mount->mount_point);
	if (detaching->error < 0)
		return detaching->error;
	return detaching->unreachable && streq(mount->mount_point, detaching->unreachable) ? 0 : 1;
}

static int pass(const char *mountinfo, struct detaching *detaching, size_t *ret_count, char **ret)
{
	_cleanup_free_ char *text = strdup(mountinfo);
	const char *left = NULL;
	int r = view_detach_pass(text, detach, detaching, ret_count, &left);

	*ret = left ? strdup(left) : NULL;
	return r;
}

Test(view, detaches_every_mqueue_and_nothing_else)
{
	_cleanup_free_ char *left = NULL;
	struct detaching detaching = {0};
	size_t count;

	cr_assert_eq(
		pass(ROOT_LINE MQUEUE("41",
			     "/dev/mqueue") "43 27 0:50 / /mqueue rw - fuse.mqueue mqueue rw\n" MQUEUE("44",
			     "/dev/mqueue") MQUEUE("45",
			     "/a\\040b") "46 27 0:20 /queue /file rw - mqueue mqueue rw\n",
			&detaching, &count, &left),
		0);
	cr_assert_str_eq(detaching.seen, " /dev/mqueue /dev/mqueue /a b /file");
	cr_assert_eq(count, 4);
	cr_assert_null(left);
}

Test(view, says_what_it_could_not_reach)
{
	_cleanup_free_ char *left = NULL;
	struct detaching detaching = {.unreachable = "/covered"};
	size_t count;

	cr_assert_eq(pass(ROOT_LINE MQUEUE("41", "/covered") MQUEUE("42", "/seen"), &detaching,
			     &count, &left),
		0);
	cr_assert_str_eq(detaching.seen, " /covered /seen");
	cr_assert_eq(count, 1);
	cr_assert_str_eq(left, "/covered");
}

Test(view, has_nothing_to_do_without_queues)
{
	_cleanup_free_ char *left = NULL;
	struct detaching detaching = {0};
	size_t count = 1;

	cr_assert_eq(pass(ROOT_LINE, &detaching, &count, &left), 0);
	cr_assert_eq(count, 0);
	cr_assert_null(left);
}

Test(view, gives_up_at_an_error)
{
	_cleanup_free_ char *left = NULL;
	struct detaching detaching = {.error = -EXFULL};
	size_t count;

	cr_assert_eq(
		pass(MQUEUE("41", "/a") MQUEUE("42", "/b"), &detaching, &count, &left), -EXFULL);
	cr_assert_str_eq(detaching.seen, " /a");
}

Test(view, refuses_what_is_no_mountinfo)
{
	static const char *const texts[] = {"", "mqueue\n", ROOT_LINE "41 24\n"};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		_cleanup_free_ char *left = NULL;
		struct detaching detaching = {0};
		size_t count;

		cr_assert_eq(pass(texts[i], &detaching, &count, &left), -EBADMSG, "%s", texts[i]);
	}
}

/* --- capabilities -------------------------------------------------------------------------- */

/* In a child: what is given up is gone. Without CAP_SETPCAP it cannot be, and nothing changes. */
Test(capability, is_given_up_or_refused)
{
	pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		bool had = capability_has(CAP_SYS_CHROOT), can = capability_has(CAP_SETPCAP);
		int r = capability_give_up(CAP_SYS_CHROOT);

		if (can)
			_exit(r == 0 && !capability_has(CAP_SYS_CHROOT) ? 0 : 1);
		_exit(r == -EPERM && capability_has(CAP_SYS_CHROOT) == had ? 0 : 2);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%x", status);
}

Test(capability, others_stay)
{
	pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (pid == 0) {
		bool had = capability_has(CAP_SYS_NICE);

		(void)capability_give_up(CAP_SYS_CHROOT);
		_exit(capability_has(CAP_SYS_NICE) == had ? 0 : 1);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert_eq(status, 0, "%x", status);
}
