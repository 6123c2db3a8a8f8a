/* SPDX-License-Identifier: MIT */
#include "include/features.h"

#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "include/compat.h"
#include "include/util.h"

static int landlock_abi(void)
{
	long version = syscall(
		SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

/* With flags that it knows the kernel goes on to look at the missing program. */
static bool filter_flags_known(unsigned long flags)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL) < 0 && errno == EFAULT;
}

/* By our own filter (launcher/filter.c); another supervisor's is met only by loading a program. */
static bool listener_is_refused(void)
{
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
		       NULL) < 0 &&
	       errno == EBUSY;
}

/* Runs in a child of our own: a filter stays for ever. */
static bool child_wakes_up_synchronously(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return false;
	listener = (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);
	return listener >= 0 && ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS,
					SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP) == 0;
}

static bool wakes_up_synchronously(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(child_wakes_up_synchronously() ? EXIT_SUCCESS : EXIT_FAILURE);
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
	       WEXITSTATUS(status) == EXIT_SUCCESS;
}

static bool names_peers_by_pidfd(void)
{
	int sockets[2], fd;
	socklen_t size = sizeof(fd);
	bool works;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return false;
	works = getsockopt(sockets[0], SOL_SOCKET, SO_PEERPIDFD, &fd, &size) == 0;
	if (works)
		(void)safe_close(fd);
	(void)safe_close(sockets[0]);
	(void)safe_close(sockets[1]);
	return works;
}

void kernel_features_probe(struct kernel_features *ret)
{
	*ret = (struct kernel_features){.landlock_abi = landlock_abi(),
		.confined = listener_is_refused(),
		.listener = filter_flags_known(SECCOMP_FILTER_FLAG_NEW_LISTENER),
		.wait_killable = filter_flags_known(
			SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV),
		.sync_wake_up = wakes_up_synchronously(),
		.peer_pidfd = names_peers_by_pidfd()};
}
