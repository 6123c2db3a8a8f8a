/* SPDX-License-Identifier: MIT */
/* busy-listener COMMAND…: runs it below a seccomp listener that is already in place. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "app.h"

/* One that is asked nothing: whoever is under it is not confined. */
int main(int argc, char *argv[])
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	struct sock_fprog fprog = {.len = 1, .filter = program};
	int listener;

	if (argc < 2) {
		fprintf(stderr, "usage: busy-listener COMMAND [ARGUMENT]…\n");
		return 2;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("prctl", "");
	listener = (int)syscall(
		SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &fprog);
	/* The kernel forgets a listener that nobody holds. */
	if (listener < 0 || fcntl(listener, F_SETFD, 0) < 0)
		return failed("seccomp", "");
	(void)execvp(argv[1], argv + 1);
	return failed("exec", argv[1]);
}
