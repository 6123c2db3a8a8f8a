/* SPDX-License-Identifier: MIT */
/* old-kernel landlock|wait-killable|passrights|notify COMMAND…: runs it as if Landlock had been
 * left out at boot, as if the kernel's seccomp did not know WAIT_KILLABLE_RECV, as if no socket
 * could refuse descriptors, or as if mq_notify() were refused. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/socket.h>
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

static struct sock_filter without_passrights[] = {
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_setsockopt, 0, 3),
	LOAD(args[2]),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SO_PASSRIGHTS, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOPROTOOPT),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

static struct sock_filter without_notify[] = {
	LOAD(nr),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mq_notify, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

#define PROGRAM(filter)                                      \
	{                                                    \
		sizeof(filter) / sizeof((filter)[0]), filter \
	}

static const struct {
	const char *what;
	struct sock_fprog program;
} kernels[] = {
	{"landlock", PROGRAM(without_landlock)},
	{"wait-killable", PROGRAM(without_wait_killable)},
	{"passrights", PROGRAM(without_passrights)},
	{"notify", PROGRAM(without_notify)},
};

static const struct sock_fprog *program_of(const char *what)
{
	for (size_t i = 0; i < sizeof(kernels) / sizeof(kernels[0]); i++)
		if (strcmp(kernels[i].what, what) == 0)
			return &kernels[i].program;
	return NULL;
}

int main(int argc, char *argv[])
{
	const struct sock_fprog *program = argc < 3 ? NULL : program_of(argv[1]);

	if (!program) {
		fprintf(stderr,
			"usage: old-kernel landlock|wait-killable|passrights|notify COMMAND "
			"[ARGUMENT]…\n");
		return 2;
	}
	/* No no_new_privs, which would look like a session: see no-landlock. */
	if ((geteuid() != 0 && unshare(CLONE_NEWUSER) < 0) ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, program) < 0)
		return failed("seccomp", "");
	(void)execvp(argv[2], argv + 2);
	return failed("exec", argv[2]);
}
