/* SPDX-License-Identifier: MIT */
/* old-kernel landlock|wait-killable COMMAND…: runs it as if Landlock had been left out at boot, or
 * as if the kernel's seccomp did not know WAIT_KILLABLE_RECV. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "app.h"
#include "include/compat.h"

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))

static struct sock_filter without_landlock[] = {
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_landlock_create_ruleset, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EOPNOTSUPP),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

/* The flags are in the low half of the second argument. */
static struct sock_filter without_wait_killable[] = {
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 3),
	LOAD(args[1]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

int main(int argc, char *argv[])
{
	struct sock_fprog fprog = {.len = sizeof(without_landlock) / sizeof(without_landlock[0]),
		.filter = without_landlock};

	if (argc < 3 || (strcmp(argv[1], "landlock") && strcmp(argv[1], "wait-killable"))) {
		fprintf(stderr, "usage: old-kernel landlock|wait-killable COMMAND [ARGUMENT]…\n");
		return 2;
	}
	if (strcmp(argv[1], "wait-killable") == 0) {
		fprog.len = sizeof(without_wait_killable) / sizeof(without_wait_killable[0]);
		fprog.filter = without_wait_killable;
	}
	/* No no_new_privs, which would look like a session: see no-landlock. */
	if ((geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		return failed("seccomp", "");
	(void)execvp(argv[2], argv + 2);
	return failed("exec", argv[2]);
}
