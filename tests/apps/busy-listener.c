/* SPDX-License-Identifier: MIT */
/* busy-listener COMMAND…: runs it below a seccomp listener that is already in place. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>

#include "app.h"

/* Installing a filter needs no_new_privs, which would look like a session, or CAP_SYS_ADMIN, which
 * everybody has in a user namespace of his own. */
int main(int argc, char *argv[])
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = 1, .filter = program};
	int listener;

	if (argc < 2) {
		fprintf(stderr, "usage: busy-listener COMMAND [ARGUMENT]…\n");
		return 2;
	}
	if (geteuid() != 0 && unshare(CLONE_NEWUSER) < 0)
		return failed("unshare", "");
	listener = (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &fprog);
	/* The kernel forgets a listener that nobody holds. */
	if (listener < 0 || fcntl(listener, F_SETFD, 0) < 0)
		return failed("seccomp", "");
	(void)execvp(argv[1], argv + 1);
	return failed("exec", argv[1]);
}
