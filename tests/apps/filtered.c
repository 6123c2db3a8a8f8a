/* SPDX-License-Identifier: MIT */
/* filtered KIND… -- COMMAND…: runs it under no_new_privs and system call filters, one for each
 * KIND:
 *
 *   allow     allows everything
 *   N         so many of these
 *   denying   refuses what container runtimes do, allows the rest
 *   listing   allows what programs commonly need, and what mq-run does; refuses the rest
 *   hiding    as those of containers that do not know Landlock
 *   notify    hands mq_open to a listener, which nobody serves
 *   session   begins as that of a session does */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "app.h"
#include "include/filter-id.h"
#include "include/util.h"

static const char *const denied[] = {"acct", "add_key", "bpf", "create_module", "delete_module",
	"finit_module", "init_module", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie",
	"mount", "move_mount", "nfsservctl", "open_by_handle_at", "perf_event_open", "pivot_root",
	"process_vm_readv", "process_vm_writev", "ptrace", "quotactl", "reboot", "request_key",
	"setns", "settimeofday", "swapoff", "swapon", "umount2", "unshare", "userfaultfd"};

static const char *const listed[] = {"access", "arch_prctl", "brk", "clock_gettime",
	"clock_nanosleep", "clone", "clone3", "close", "close_range", "connect", "dup", "dup2",
	"dup3", "epoll_create1", "epoll_ctl", "epoll_wait", "eventfd2", "execve", "exit",
	"exit_group", "faccessat", "faccessat2", "fcntl", "fstat", "fstatfs", "futex", "getcwd",
	"getdents64", "getegid", "geteuid", "getgid", "getpgrp", "getpid", "getppid", "getrandom",
	"getsockname", "getsockopt", "getpeername", "gettid", "getuid", "ioctl", "kill",
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self", "lseek", "lstat",
	"madvise", "memfd_create", "mmap", "mprotect", "mq_getsetattr", "mq_notify", "mq_open",
	"mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "munmap", "name_to_handle_at",
	"nanosleep", "newfstatat", "open", "openat", "pidfd_open", "pipe", "pipe2", "poll", "ppoll",
	"prctl", "pread64", "prlimit64", "pwrite64", "read", "readlink", "readlinkat", "recvfrom",
	"recvmsg", "restart_syscall", "rseq", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
	"rt_sigsuspend", "sched_getaffinity", "sched_yield", "seccomp", "sendmsg", "sendto",
	"set_robust_list", "set_tid_address", "setsockopt", "shutdown", "sigaltstack", "socket",
	"socketpair", "stat", "statfs", "statx", "sysinfo", "tgkill", "timerfd_create",
	"timerfd_settime", "umask", "uname", "unlink", "vfork", "wait4", "write", "writev"};

static const char *const hidden[] = {
	"landlock_add_rule", "landlock_create_ruleset", "landlock_restrict_self"};

static int load(struct sock_filter *program, size_t length, unsigned flags)
{
	struct sock_fprog fprog = {.len = (unsigned short)length, .filter = program};
	int r = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &fprog);

	/* The kernel forgets a listener that nobody holds. */
	return r < 0 || (r > 0 && fcntl(r, F_SETFD, 0) < 0) ? failed("seccomp", "") : 0;
}

static int load_allowing(long count)
{
	struct sock_filter program[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	int r = 0;

	while (r == 0 && count-- > 0)
		r = load(program, ELEMENTSOF(program), 0);
	return r;
}

static int load_session(void)
{
	struct sock_filter program[FILTER_ID_LENGTH + 1];

	filter_id_write(program, UINT64_C(0x123456789abcdef));
	program[FILTER_ID_LENGTH] =
		(struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return load(program, ELEMENTSOF(program), 0);
}

static int load_built(uint32_t default_action, uint32_t action, const char *const *calls,
	size_t count, uint32_t architecture, unsigned flags)
{
	struct sock_filter program[4096];
	scmp_filter_ctx context = seccomp_init(default_action);
	int fd = memfd_create("filter", MFD_CLOEXEC);
	ssize_t size;

	if (!context || fd < 0)
		return failed("seccomp_init", "");
	(void)seccomp_arch_add(context, architecture);
	for (size_t i = 0; i < count; i++)
		(void)seccomp_rule_add_array(
			context, action, seccomp_syscall_resolve_name(calls[i]), 0, NULL);
	if (seccomp_export_bpf(context, fd) < 0)
		return failed("seccomp_export_bpf", "");
	size = pread(fd, program, sizeof(program), 0);
	return load(program, (size_t)size / sizeof(*program), flags);
}

#if defined(__x86_64__)
#define COMPAT SCMP_ARCH_X86
#else
#define COMPAT SCMP_ARCH_ARM
#endif

static int load_kind(const char *kind)
{
	static const char *const open[] = {"mq_open"};

	if (strcmp(kind, "allow") == 0)
		return load_allowing(1);
	if (strcmp(kind, "denying") == 0)
		return load_built(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM), denied, ELEMENTSOF(denied),
			COMPAT, 0);
	if (strcmp(kind, "listing") == 0)
		return load_built(SCMP_ACT_ERRNO(EPERM), SCMP_ACT_ALLOW, listed, ELEMENTSOF(listed),
			COMPAT, 0);
	if (strcmp(kind, "hiding") == 0)
		return load_built(SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(ENOSYS), hidden,
			ELEMENTSOF(hidden), COMPAT, 0);
	if (strcmp(kind, "notify") == 0)
		return load_built(SCMP_ACT_ALLOW, SCMP_ACT_NOTIFY, open, 1, COMPAT,
			SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (strcmp(kind, "session") == 0)
		return load_session();
	return load_allowing(atol(kind));
}

int main(int argc, char *argv[])
{
	int i;

	/* A leak sanitizer would trace. */
	if (setenv("ASAN_OPTIONS", "detect_leaks=0", 1) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("prctl", "");
	for (i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (load_kind(argv[i]) != 0)
			return 1;
	if (i + 1 >= argc) {
		fprintf(stderr, "usage: filtered KIND… -- COMMAND [ARGUMENT]…\n");
		return 2;
	}
	(void)execvp(argv[i + 1], argv + i + 1);
	return failed("exec", argv[i + 1]);
}
