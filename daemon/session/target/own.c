/* SPDX-License-Identifier: MIT */
/* Who we are, and looking up names as ourselves. */
#include "own.h"

#include <fcntl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "include/capabilities.h"
#include "include/task.h"
#include "include/util.h"

static int get_groups(struct own_identity *own)
{
	int count = getgroups(0, NULL);

	if (count < 0)
		return -errno;
	own->groups = calloc((size_t)count + 1, sizeof(gid_t));
	if (!own->groups)
		return -ENOMEM;
	count = getgroups(count, own->groups);
	if (count < 0)
		return -errno;
	own->group_count = (size_t)count;
	return 0;
}

int own_end_with_parent(void)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
}

int own_identity_get(struct own_identity *ret)
{
	_cleanup_close_ int proc = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct own_identity own = {.ipc_namespace = -EBADF, .has_host = task_has_host_ipc()};
	int r;

	if (proc < 0)
		return -errno;
	if (getresuid(&own.uids[0], &own.uids[1], &own.uids[2]) < 0 ||
		getresgid(&own.gids[0], &own.gids[1], &own.gids[2]) < 0 ||
		getrlimit(RLIMIT_MSGQUEUE, &own.queue_bytes) < 0)
		return -errno;
	own.umask = umask(077);
	(void)umask(own.umask);
	if ((r = capabilities_get(&own.permitted)) < 0 || (r = get_groups(&own)) < 0 ||
		(r = namespaces_get(proc, &own.namespaces)) < 0)
		return r;
	own.ipc_namespace = openat(proc, "ns/ipc", O_RDONLY | O_CLOEXEC);
	if (own.ipc_namespace < 0)
		return -errno;
	/* Without CAP_SETPCAP there is no other identity that could be taken on anyhow. */
	if (own.permitted & CAPABILITY(SETPCAP) &&
		prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP) < 0)
		return -errno;
	*ret = own;
	return 0;
}

int own_identity_limit(struct own_identity *own, uint64_t capabilities)
{
	int r = capabilities_keep(CAPABILITIES_OF_SESSIONS | (CAPABILITIES_LENT & capabilities));

	return r < 0 ? r : capabilities_get(&own->permitted);
}

int own_enter_ipc_namespace(int fd)
{
	return setns(fd, CLONE_NEWIPC) < 0 ? -errno : 0;
}

/* Which namespace's it is the kernel decides when it is opened. */
static int open_limit(const struct own_identity *own, int ipc_namespace, const char *path)
{
	int r = ipc_namespace >= 0 ? own_enter_ipc_namespace(ipc_namespace) : 0;

	if (r < 0)
		return r;
	r = open(path, O_RDONLY | O_CLOEXEC);
	if (r < 0)
		r = -errno;
	if (ipc_namespace >= 0 && own_enter_ipc_namespace(own->ipc_namespace) < 0)
		abort();
	return r;
}

int own_read_limit(
	const struct own_identity *own, int ipc_namespace, const char *name, uint64_t *ret)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64], text[32], *end;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/sys/fs/mqueue/%s", name);
	fd = open_limit(own, ipc_namespace, path);
	if (fd < 0)
		return fd;
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	*ret = strtoull(text, &end, 10);
	return end == text ? -EBADMSG : 0;
}

static int open_as_ourselves(
	const struct own_identity *own, int ipc_namespace, const char *name, int oflag)
{
	int r = ipc_namespace >= 0 ? own_enter_ipc_namespace(ipc_namespace) : 0;

	if (r < 0)
		return r;
	r = (int)syscall(SYS_mq_open, name, oflag | O_NONBLOCK, 0, NULL);
	if (r < 0)
		r = -errno;
	if (ipc_namespace >= 0 && own_enter_ipc_namespace(own->ipc_namespace) < 0)
		abort();
	return r;
}

int own_sees(const struct own_identity *own, int ipc_namespace, const char *name)
{
	/* An access mode that the kernel refuses with EINVAL, but only after it has found the
	 * queue. */
	int r = open_as_ourselves(own, ipc_namespace, name, O_ACCMODE);

	if (r >= 0)
		(void)safe_close(r);
	return r != -ENOENT;
}

int own_look_up(const struct own_identity *own, int ipc_namespace, const char *name)
{
	return open_as_ourselves(own, ipc_namespace, name, O_RDONLY);
}
