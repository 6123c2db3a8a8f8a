/* SPDX-License-Identifier: MIT */
#include "sequence.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/ptrace.h>

/* Since 5.13. */
struct rseq_configuration {
	uint64_t address;
	uint32_t size, signature, flags, reserved;
};
#define GET_RSEQ_CONFIGURATION 0x420f
#define RSEQ_CS_OFFSET         8
struct sequence {
	uint32_t version, flags;
	uint64_t start, length, abort;
};

#define ABORT_SIGNATURE_SIZE 4

static int read_app(const struct app_memory *memory, uint64_t address, void *buffer, size_t size)
{
	return memory->read(memory->context, address, buffer, size) < 0 ? -EAGAIN : 0;
}

/* 1: it has announced one. 0: none. -EAGAIN. */
static int read_sequence(pid_t tid, const struct app_memory *memory,
	struct rseq_configuration *ret_configuration, struct sequence *ret)
{
	uint64_t address;

	if (ptrace(GET_RSEQ_CONFIGURATION, tid, (void *)sizeof(*ret_configuration),
		    ret_configuration) < 0)
		return errno == EIO || errno == EINVAL ? 0 : -EAGAIN;
	if (ret_configuration->address == 0)
		return 0;
	if (read_app(memory, ret_configuration->address + RSEQ_CS_OFFSET, &address,
		    sizeof(address)) < 0)
		return -EAGAIN;
	if (address == 0)
		return 0;
	return read_app(memory, address, ret, sizeof(*ret)) < 0 ? -EAGAIN : 1;
}

/* What the kernel demands before it goes to an abort handler. */
static bool is_plain(const struct app_memory *memory,
	const struct rseq_configuration *configuration, const struct sequence *sequence)
{
	uint32_t signature;

	return sequence->version == 0 && sequence->flags == 0 &&
	       sequence->abort - sequence->start >= sequence->length &&
	       read_app(memory, sequence->abort - ABORT_SIGNATURE_SIZE, &signature,
		       sizeof(signature)) == 0 &&
	       signature == configuration->signature;
}

int sequence_find(pid_t tid, struct app_memory memory, uint64_t place, uint64_t *ret_abort)
{
	struct rseq_configuration configuration = {0};
	struct sequence sequence;
	int r = read_sequence(tid, &memory, &configuration, &sequence);

	*ret_abort = 0;
	if (r <= 0 || place - sequence.start >= sequence.length)
		return r < 0 ? r : 0;
	if (!is_plain(&memory, &configuration, &sequence))
		return -EAGAIN;
	*ret_abort = sequence.abort;
	return 0;
}
