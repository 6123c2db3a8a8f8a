/* SPDX-License-Identifier: MIT */
/* no-landlock COMMAND…: runs it as if on a kernel without Landlock. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sched.h>
#include <sys/syscall.h>

#include "app.h"

/* Installing a filter needs no_new_privs, which would look like a session, or CAP_SYS_ADMIN, which
 * everybody has in a user namespace of his own. */
int main(int argc, char *argv[])
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog fprog = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

	if (argc < 2) {
		fprintf(stderr, "usage: no-landlock COMMAND [ARGUMENT]…\n");
		return 2;
	}
	if ((geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		return failed("seccomp", "");
	(void)execvp(argv[1], argv + 1);
	return failed("exec", argv[1]);
}
