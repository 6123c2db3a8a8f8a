/* SPDX-License-Identifier: MIT */
/* The door's filter. */
#include "filter.h"

#include <assert.h>
#include <linux/audit.h>
#include <sys/syscall.h>

#include "filter-program.h"
#include "include/compat.h"
#include "include/filter-id.h"
#include "include/util.h"
#include "refuse.h"

/* Made, and proved, when mqgate was built (filter/). */
#define MADE(filter)                       \
	{                                  \
		filter, ELEMENTSOF(filter) \
	}

unsigned short filter_write(struct sock_filter program[static FILTER_LENGTH_MAX],
	uint64_t filter_id, enum mediation mediation)
{
	static const struct {
		const struct sock_filter *program;
		size_t length;
	} made[][MEDIATION_COUNT] = {
		{MADE(x86_64_call), MADE(x86_64_open)},
		{MADE(aarch64_call), MADE(aarch64_open)},
	};
	const bool is_x86_64 = native_arch == AUDIT_ARCH_X86_64;
	const size_t length = made[!is_x86_64][mediation].length;

	assert(is_x86_64 || native_arch == AUDIT_ARCH_AARCH64);
	assert(length <= FILTER_LENGTH_MAX);
	memcpy(program, made[!is_x86_64][mediation].program, length * sizeof(*program));
	filter_id_write(program, filter_id);
	return (unsigned short)length;
}

/* Without WAIT_KILLABLE_RECV, which libseccomp 2.5 does not know, a signal that comes after a queue
 * was created and before its descriptor arrived would make the restarted O_CREAT|O_EXCL fail. */
int filter_load(uint64_t filter_id, enum mediation mediation, int *ret_listener, char **ret_message)
{
	struct sock_filter program[FILTER_LENGTH_MAX];
	struct sock_fprog fprog = {
		.len = filter_write(program, filter_id, mediation), .filter = program};
	long r;

	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
		SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &fprog);
	if (r >= 0) {
		*ret_listener = (int)r;
		return 0;
	}
	if (errno == EBUSY)
		return refuse(ret_message, -EBUSY,
			"cannot install the filter: this process already runs under another "
			"seccomp supervisor, and the kernel allows only one; start mq-run "
			"outside of that sandbox (another mq-run, a container runtime)");
	if (errno == EINVAL)
		return refuse(ret_message, -EINVAL,
			"cannot install the filter: this kernel's seccomp lacks "
			"WAIT_KILLABLE_RECV; Linux 5.19 or newer has it");
	return refuse(ret_message, -errno, "cannot install the filter: seccomp: %s%s",
		strerror(errno), remedy_of(-errno));
}
