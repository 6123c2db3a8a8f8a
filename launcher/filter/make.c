/* SPDX-License-Identifier: MIT */
/* The door's filter, by libseccomp. */
#include "make.h"

#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "include/filter-id.h"
#include "include/util.h"

#define API_WITH_NOTIFY 5

static void seccomp_releasep(scmp_filter_ctx *context)
{
	if (*context)
		seccomp_release(*context);
}

/* A row's number as libseccomp wants it, which finds the numbers of the other architecture itself;
 * the calls that only that one has get a number of libseccomp's own. */
static int add_call(scmp_filter_ctx context, const struct intercepted_call *call)
{
	_cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(call->arch, call->nr);
	int r;

	if (!name)
		return -ENOSYS;
	r = seccomp_rule_add_array(
		context, SCMP_ACT_NOTIFY, seccomp_syscall_resolve_name(name), 0, NULL);
	return r == -EEXIST ? 0 : r;
}

/* A register that the kernel takes for an int: it does not look at the upper half, so nor do we,
 * else whoever sets a bit there would get past. */
#define LOW_BITS(number, mask, value)                                                            \
	{                                                                                        \
		.arg = (number), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value) \
	}
#define IS(number, value)   LOW_BITS(number, UINT32_MAX, value)
#define HAS(number, flag)   LOW_BITS(number, flag, flag)
#define ARGUMENTS_LOOKED_AT 2
#define TOLD                0 /* instead of an error */

/* What is refused, or told, by its arguments, whether the door lives or is dead.
 *
 * A dead door stays shut: no listener is ever put above ours. As long as ours is open the kernel
 * refuses a second one by itself, with EBUSY. When it is closed (mqgated is gone, and no service
 * manager keeps it) the kernel forgets it: it answers our calls with ENOSYS, and takes another
 * listener. That one would be asked instead of ours, since of several filters that say USER_NOTIF
 * the newest counts; a child of the app's would answer CONTINUE, and mq_open() creates and
 * mq_unlink() deletes before the wall is asked, while what is held just works. So this filter goes
 * on refusing it. No filter above can turn that into something else: ERRNO comes before USER_NOTIF,
 * TRACE and ALLOW, and KILL and TRAP make no call. A tracer changes registers before the filter
 * looks. A listener comes only by seccomp(2): prctl(2) knows no flags, and x32 has no calls.
 * All else that seccomp(2) does it goes on doing.
 *
 * Nobody enters another mount namespace. The wall allows directories, as they are mounted here;
 * elsewhere the queues may lie below one of them (a service with BindPaths=), and root finds such a
 * namespace without anybody's help (NS_MNT_GET_PREV, /proc/PID/ns, a pidfd, a file handle of
 * nsfs). The only way in is setns(2): with CLONE_NEWNS, alone or, of a process, among others, and
 * with type 0, whatever the descriptor is of; which one it is cannot be seen in a register. A
 * namespace of one's own (unshare(2)) is a copy of this one, in which the wall lets nothing be
 * mounted.
 *
 * No process shares its descriptor table with another one, as threads do, without the listener's
 * knowing of it. So until then a process with one thread cannot have a descriptor exchanged between
 * our look at it and the kernel's (serve.c). clone3(2) keeps its flags in memory, where no filter
 * sees them: there is no such call, as in most containers, and libraries then use clone(2). */
static const struct refusal {
	int call, error;
	unsigned count;
	struct scmp_arg_cmp arguments[ARGUMENTS_LOOKED_AT];
} refusals[] = {
	{SCMP_SYS(seccomp), EBUSY, 2,
		{IS(0, SECCOMP_SET_MODE_FILTER), HAS(1, SECCOMP_FILTER_FLAG_NEW_LISTENER)}},
	{SCMP_SYS(setns), EPERM, 1, {IS(1, 0)}},
	{SCMP_SYS(setns), EPERM, 1, {HAS(1, CLONE_NEWNS)}},
	{SCMP_SYS(clone), TOLD, 1, {LOW_BITS(0, CLONE_FILES | CLONE_THREAD, CLONE_FILES)}},
	{SCMP_SYS(clone3), ENOSYS, 0, {{0}}},
};

static int add_refusals(scmp_filter_ctx context)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(refusals); i++) {
		const struct refusal *refusal = &refusals[i];

		r = seccomp_rule_add_array(context,
			refusal->error == TOLD ? SCMP_ACT_NOTIFY
					       : SCMP_ACT_ERRNO((uint16_t)refusal->error),
			refusal->call, refusal->count, refusal->arguments);
	}
	return r;
}

static int set_architectures(scmp_filter_ctx context, const struct architectures *architectures)
{
	const uint32_t builders = seccomp_arch_native();
	int r = 0;

	if (architectures->native != builders)
		r = seccomp_arch_add(context, architectures->native);
	if (r == 0 && architectures->compat != builders)
		r = seccomp_arch_add(context, architectures->compat);
	if (r == 0 && architectures->native != builders && architectures->compat != builders)
		r = seccomp_arch_remove(context, builders);
	return r;
}

/* What is neither the native architecture nor its 32-bit one (x32 too, which shares the native
 * one's number) gets ENOSYS: the session knows no calls of it. */
static int add_calls(scmp_filter_ctx context, const struct architectures *architectures,
	enum mediation mediation)
{
	const struct intercepted_call *call;
	int r;

	r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(ENOSYS));
	r = r < 0 ? r : seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	r = r < 0 ? r : set_architectures(context, architectures);
	r = r < 0 ? r : add_refusals(context);
	for (size_t i = 0; r == 0 && (call = intercepted_call_at(i)); i++)
		if ((call->arch == architectures->native || call->arch == architectures->compat) &&
			mediation_intercepts(mediation, call->call))
			r = add_call(context, call);
	return r;
}

/* Whatever filter id will be in front: it changes no answer. */
static int read_program(int fd, struct sock_filter **ret_program, unsigned short *ret_length)
{
	_cleanup_free_ struct sock_filter *program = NULL;
	struct stat st;
	size_t length;

	if (fstat(fd, &st) < 0)
		return -errno;
	length = FILTER_ID_LENGTH + (size_t)st.st_size / sizeof(*program);
	if (length > BPF_MAXINSNS)
		return -E2BIG;
	program = calloc(length, sizeof(*program));
	if (!program)
		return -ENOMEM;
	filter_id_write(program, 0);
	if (pread(fd, program + FILTER_ID_LENGTH, (size_t)st.st_size, 0) != st.st_size)
		return -EIO;
	*ret_program = take_pointer(program);
	*ret_length = (unsigned short)length;
	return 0;
}

static int export_program(
	scmp_filter_ctx context, struct sock_filter **ret_program, unsigned short *ret_length)
{
	_cleanup_close_ int fd = memfd_create("filter", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(context, fd);
	return r < 0 ? r : read_program(fd, ret_program, ret_length);
}

int filter_make(const struct architectures *architectures, enum mediation mediation,
	struct sock_filter **ret_program, unsigned short *ret_length)
{
	_cleanup_(seccomp_releasep) scmp_filter_ctx context = NULL;
	_cleanup_free_ struct sock_filter *program = NULL;
	int r;

	/* Else it asks the kernel of the machine that builds. */
	(void)seccomp_api_set(API_WITH_NOTIFY);
	context = seccomp_init(SCMP_ACT_ALLOW);
	if (!context)
		return -ENOMEM;
	r = add_calls(context, architectures, mediation);
	r = r < 0 ? r : export_program(context, &program, ret_length);
	if (r < 0)
		return r;
	if (!filter_is_whole(program, *ret_length, architectures, mediation))
		return -ENOMEM;
	*ret_program = take_pointer(program);
	return 0;
}
