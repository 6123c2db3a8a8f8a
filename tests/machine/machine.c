/* SPDX-License-Identifier: MIT */
/* machine: asks this machine what not every machine can do, by doing it.
 *
 *	machine 32-bit-programs  executes one
 *	machine int-0x80         makes a 32-bit program's call in this program
 *	machine ring-install     asks io_uring for its request that installs a descriptor
 *	machine userfaultfd      asks to be told of the kernel's own faults
 *	machine real-time        becomes a real-time program
 *	machine yama             opens Yama's setting (kernel.yama.ptrace_scope)
 *	machine audit            asks whether the kernel's audit is on, and Landlock knows of it
 *
 * Exit status 0: it can, or this processor has nothing of the kind. 1: it cannot, and standard
 * output says how that was found. 2: it could not be asked. */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/compat.h"
#include "int-0x80.h"

#if defined(__x86_64__)
#define ADDRESS 0x08048000

/* Of our own making, so that the answer does not depend on a compiler for such programs. */
static const struct program {
	Elf32_Ehdr header;
	Elf32_Phdr segment;
	uint8_t code[8];
} program = {
	.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS32, ELFDATA2LSB,
			   EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = ADDRESS + sizeof(Elf32_Ehdr) + sizeof(Elf32_Phdr),
		.e_phoff = sizeof(Elf32_Ehdr),
		.e_ehsize = sizeof(Elf32_Ehdr),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1},
	.segment = {.p_type = PT_LOAD,
		.p_vaddr = ADDRESS,
		.p_filesz = sizeof(struct program),
		.p_memsz = sizeof(struct program),
		.p_flags = PF_R | PF_X,
		.p_align = 4096},
	/* xor %ebx,%ebx; xor %eax,%eax; inc %eax; int $0x80: _exit(0) */
	.code = {0x31, 0xdb, 0x31, 0xc0, 0x40, 0xcd, 0x80},
};

static int execute(void)
{
	char name[] = "32-bit", *const arguments[] = {name, NULL};
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0 || write(fd, &program, sizeof(program)) != sizeof(program))
		return errno;
	(void)fexecve(fd, arguments, arguments + 1);
	return errno;
}

/* getpid() */
static int call(void)
{
	return int_0x80(20, NULL, 0) == getpid() ? 0 : ENOSYS;
}
#else
static int nothing(void)
{
	return 0;
}
#endif

#define INSTALL   54 /* IORING_OP_FIXED_FD_INSTALL, of Linux 6.8 */
#define ALL_KINDS 256

static int install(void)
{
	struct io_uring_probe *asked =
		calloc(1, sizeof(*asked) + ALL_KINDS * sizeof(asked->ops[0]));
	struct io_uring_params params = {0};
	int ring = (int)syscall(SYS_io_uring_setup, 1, &params);

	if (!asked || ring < 0 ||
		syscall(SYS_io_uring_register, ring, IORING_REGISTER_PROBE, asked, ALL_KINDS) < 0)
		return errno;
	return asked->ops[INSTALL].flags & IO_URING_OP_SUPPORTED ? 0 : EOPNOTSUPP;
}

static int see_faults(void)
{
	return syscall(SYS_userfaultfd, 0) < 0 ? errno : 0;
}

/* What a deed that the machine is not capable of has failed with. */
static bool is_lack(int error)
{
	return error == ENOEXEC || error == ENOSYS || error == EOPNOTSUPP || error == EPERM;
}

/* Some control groups have no time for them. */
static int become_real_time(void)
{
	const struct sched_param parameters = {.sched_priority = 1};

	return sched_setscheduler(0, SCHED_FIFO, &parameters) < 0 ? errno : 0;
}

static int open_yama(void)
{
	if (open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC) >= 0)
		return 0;
	return errno == ENOENT ? EOPNOTSUPP : errno;
}

/* Others than the first PID namespace, and who has no right to know, get no answer. */
/* The flag is looked at before the ruleset, which is none. */
static bool landlock_audits(void)
{
	const unsigned flags = LANDLOCK_RESTRICT_SELF_LOG_SAME_EXEC_OFF;

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       syscall(SYS_landlock_restrict_self, -1, flags) < 0 && errno == EBADF;
}

static int ask_audit(void)
{
	struct {
		struct nlmsghdr header;
		struct audit_status status;
	} message = {.header = {.nlmsg_len = NLMSG_HDRLEN,
			     .nlmsg_type = AUDIT_GET,
			     .nlmsg_flags = NLM_F_REQUEST}};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);

	if (!landlock_audits())
		return EOPNOTSUPP;
	if (fd < 0 || send(fd, &message, NLMSG_HDRLEN, 0) < 0)
		return errno == ECONNREFUSED || errno == EPROTONOSUPPORT ? EOPNOTSUPP : errno;
	if (recv(fd, &message, sizeof(message), 0) < (ssize_t)sizeof(message.header))
		return EIO;
	return message.header.nlmsg_type == AUDIT_GET && message.status.enabled ? 0 : EOPNOTSUPP;
}

static const struct deed {
	const char *name;
	int (*deed)(void); /* 0 or errno */
	const char *lack;
} deeds[] = {
#if defined(__x86_64__)
	{"32-bit-programs", execute, "runs no 32-bit programs"},
	{"int-0x80", call, "has no 32-bit calls"},
#else
	{"32-bit-programs", nothing, ""},
	{"int-0x80", nothing, ""},
#endif
	{"ring-install", install, "has no io_uring that installs descriptors"},
	{"userfaultfd", see_faults, "tells nobody of the kernel's faults"},
	{"real-time", become_real_time, "has no time for real-time programs"},
	{"yama", open_yama, "has no Yama"},
	{"audit", ask_audit, "audits nothing that could be seen here"},
};

static int ask(const struct deed *deed)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(deed->deed());
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return 2;
	if (status == 0)
		return 0;
	if (WIFEXITED(status) && is_lack(WEXITSTATUS(status)))
		printf("%s: %s\n", deed->lack, strerror(WEXITSTATUS(status)));
	else if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGSYS))
		printf("%s: %s\n", deed->lack, strsignal(WTERMSIG(status)));
	else
		return 2;
	return 1;
}

int main(int argc, char *argv[])
{
	const char *what = argc == 2 ? argv[1] : "";

	for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
		if (strcmp(deeds[i].name, what) == 0)
			return ask(&deeds[i]);
	fprintf(stderr, "usage: machine 32-bit-programs | int-0x80 | ring-install | userfaultfd | "
			"real-time | yama | audit\n");
	return 2;
}
