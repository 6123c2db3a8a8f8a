/* SPDX-License-Identifier: MIT */
/* mqctl doctor: the kernel, its limits, where queues are mounted, who else guards. */
#include "doctor.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/utsname.h>

#include "include/features.h"
#include "include/mountinfo.h"
#include "include/task.h"
#include "include/text.h"

#define NEAR_PERCENT 90
#define TEXT_SIZE    4096

#define ABI_NEEDED        2
#define ABI_WITH_TRUNCATE 3
#define ABI_WITH_SCOPES   6

/* --- the kernel ------------------------------------------------------------------------------ */

static void examine_landlock(struct doctor *doctor, const struct kernel_features *features)
{
	const int abi = features->landlock_abi;

	if (abi == 0)
		found(doctor, GRADE_FAILED, "Landlock",
			"use Linux 5.19 or newer with CONFIG_SECURITY_LANDLOCK, and \"landlock\" in "
			"the lsm= boot parameter; in a container or unit, allow its system calls",
			"this kernel has none, so mq-run starts nothing");
	else if (abi < ABI_NEEDED)
		found(doctor, GRADE_FAILED, "Landlock", "use Linux 5.19 or newer",
			"too old (ABI %d, needed: %d), so mq-run starts nothing", abi, ABI_NEEDED);
	else if (abi < ABI_WITH_TRUNCATE)
		found(doctor, GRADE_WARNING, "Landlock", "Linux 6.2 or newer closes that",
			"ABI %d: a program can truncate(2) the files of queues of its user, which "
			"takes nothing from them",
			abi);
	else
		found(doctor, GRADE_OK, "Landlock", NULL, "ABI %d%s", abi,
			abi < ABI_WITH_SCOPES
				? "; a program of mq-run --policy could end its supervisor, and then "
				  "has no queues (6.12 keeps its signals in)"
				: "");
}

static void examine_seccomp(struct doctor *doctor, const struct kernel_features *features)
{
	if (features->confined)
		found(doctor, GRADE_FAILED, "seccomp", "run mqctl doctor outside of it",
			"this is a sandbox with a seccomp supervisor (mq-run, or a container's): "
			"inside, mq-run starts nothing");
	else if (!features->listener)
		found(doctor, GRADE_FAILED, "seccomp",
			"use a kernel with CONFIG_SECCOMP_FILTER; in a container or unit, allow "
			"seccomp(2)",
			"no user notification, so mq-run starts nothing");
	else if (!features->wait_killable)
		found(doctor, GRADE_FAILED, "seccomp", "use Linux 5.19 or newer",
			"no WAIT_KILLABLE_RECV, so mq-run starts nothing");
	else if (!features->sync_wake_up)
		found(doctor, GRADE_WARNING, "seccomp",
			"Linux 6.6 or newer has it; if this is a sandbox with a seccomp supervisor "
			"of its own, mq-run cannot start in it",
			"no synchronous wake-up: each call takes several times as long");
	else
		found(doctor, GRADE_OK, "seccomp", NULL, "user notification, synchronous wake-up");
}

/* --- queues ---------------------------------------------------------------------------------- */

static size_t count_entries(const char *path)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	size_t count = 0;

	while (directory && (entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	if (directory)
		(void)closedir(directory);
	return count;
}

static uint64_t read_number(const char *path)
{
	_cleanup_free_ char *text = NULL;

	return text_read_at(AT_FDCWD, path, TEXT_SIZE, &text) < 0 ? 0 : strtoull(text, NULL, 10);
}

static void examine_limits(struct doctor *doctor)
{
	const uint64_t most = read_number("/proc/sys/fs/mqueue/queues_max");
	const size_t count = count_entries("/dev/mqueue");
	char remedy[96];

	(void)snprintf(remedy, sizeof(remedy), "sysctl -w fs.mqueue.queues_max=%llu",
		(unsigned long long)(2 * MAX(most, (uint64_t)count)));
	if (most > 0 && count >= most)
		found(doctor, GRADE_WARNING, "queues", remedy,
			"%zu of %llu (fs.mqueue.queues_max): nobody but root can create another",
			count, (unsigned long long)most);
	else if (most > 0 && count * 100 >= most * NEAR_PERCENT)
		found(doctor, GRADE_WARNING, "queues", remedy, "%zu of %llu (fs.mqueue.queues_max)",
			count, (unsigned long long)most);
	else
		found(doctor, GRADE_OK, "queues", NULL, "%zu of %llu (fs.mqueue.queues_max)", count,
			(unsigned long long)most);
}

static void examine_mounts(struct doctor *doctor)
{
	_cleanup_free_ char *text = NULL;
	struct mount_entry mount;
	bool usual = false;
	char *rest;

	if (mountinfo_read(&text) < 0) {
		found(doctor, GRADE_WARNING, "mounts", "mount proc on /proc",
			"/proc/self/mountinfo cannot be read");
		return;
	}
	rest = text;
	while (mountinfo_next(&rest, &mount) > 0) {
		if (!streq(mount.type, "mqueue"))
			continue;
		if (streq(mount.mount_point, "/dev/mqueue"))
			usual = true;
		else
			found(doctor, GRADE_WARNING, "mounts",
				"unmount it: programs that mq-run has started before it was mounted "
				"may reach queues by it",
				"a second message queue file system is mounted on %s",
				mount.mount_point);
	}
	if (usual)
		found(doctor, GRADE_OK, "mounts", NULL, "message queues are on /dev/mqueue");
	else
		found(doctor, GRADE_WARNING, "mounts",
			"to see queues: mkdir -p /dev/mqueue && mount -t mqueue none /dev/mqueue",
			"no message queue file system on /dev/mqueue; programs need none");
}

/* --- who else guards ------------------------------------------------------------------------- */

static const char *label_of(char *text)
{
	text[strcspn(text, "\n")] = '\0';
	return text;
}

/* What a label takes away, the door gives back: the session process has none. */
static void examine_labels(struct doctor *doctor)
{
	_cleanup_free_ char *modules = NULL, *label = NULL;
	bool labels;

	if (text_read_at(AT_FDCWD, "/sys/kernel/security/lsm", TEXT_SIZE, &modules) < 0)
		modules = NULL;
	labels = modules && (strstr(modules, "apparmor") || strstr(modules, "selinux") ||
				    strstr(modules, "smack"));
	if (text_read_at(AT_FDCWD, "/proc/self/attr/current", TEXT_SIZE, &label) < 0)
		label = NULL;
	if (label && *label_of(label) && !startswith(label, "unconfined") &&
		!streq(label, "kernel"))
		found(doctor, GRADE_WARNING, "labels",
			"let launch-group in mqgated.yaml name those who may start programs; see "
			"SECURITY.md, \"The boundary\"",
			"this process has the label %s; what it keeps from message queues, a "
			"connection gives back",
			label);
	else
		found(doctor, GRADE_OK, "labels", NULL, "%s",
			labels ? "this process has none (other programs may)"
			       : "no security module that labels programs");
}

/* The first one of a machine has this number, which a user can see, too. */
static bool is_first_ipc(void)
{
	char name[32];

	return text_link_at(AT_FDCWD, "/proc/self/ns/ipc", name, sizeof(name)) == 0 &&
	       streq(name, "ipc:[4026531839]");
}

static void examine_container(struct doctor *doctor)
{
	if (is_first_ipc() || task_has_host_ipc())
		found(doctor, GRADE_OK, "namespaces", NULL, "queues are the machine's");
	else
		found(doctor, GRADE_WARNING, "namespaces",
			"to share queues with the machine, run mqgated there and start the container "
			"with its IPC namespace",
			"this is a container, or a unit with PrivateIPC=: its queues are its own");
}

void examine_machine(struct doctor *doctor)
{
	struct kernel_features features;
	struct utsname name = {.release = "?"};

	kernel_features_probe(&features);
	doctor->landlock_abi = features.landlock_abi;
	(void)uname(&name);
	found(doctor, GRADE_OK, "kernel", NULL, "%s %s, %s", name.sysname, name.release,
		name.machine);
	examine_landlock(doctor, &features);
	examine_seccomp(doctor, &features);
	examine_mounts(doctor);
	examine_limits(doctor);
	examine_labels(doctor);
	examine_container(doctor);
}
