/* SPDX-License-Identifier: MIT */
/* A stopped thread's registers, and what else about them is another matter on each architecture.
 * machine-x86-64.c, machine-aarch64.c. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "disturb.h"

#if defined(__x86_64__)

#define MACHINE_INSTRUCTION_SIZE  2 /* of those that enter the kernel */
#define MACHINE_INSTRUCTION_ALIGN 1
/* The kernel restarts a call only after the stop, by the registers that it then finds. */
#define MACHINE_RESTARTS_EARLY false

struct machine {
	struct user_regs_struct registers;
};

#elif defined(__aarch64__)

#define MACHINE_INSTRUCTION_SIZE  4
#define MACHINE_INSTRUCTION_ALIGN 4
/* The kernel has put the registers back to before the call when it stops, and keeps to itself what
 * the call returned. */
#define MACHINE_RESTARTS_EARLY    true

struct machine {
	struct user_regs_struct registers;
	bool known;      /* not of a 32-bit program */
	uint64_t sleeps; /* how often it has slept, if the result is EINTR */
};

#endif

/* A call that a thread was seen in. */
struct machine_call {
	struct blocked call;
	uint64_t
		sleeps; /* how often it had slept, the stop included that comes next; 0: whatever */
};

/* Of a thread that is stopped. Negative errno: it is gone. */
int machine_read(pid_t tid, struct machine *ret);
int machine_write(pid_t tid, const struct machine *machine);

/* False: nothing else of this may be asked but machine_was_broken_off(). */
bool machine_is_known(const struct machine *machine);

/* True: of a 32-bit program. */
bool machine_is_compat(const struct machine *machine);

/* Where it goes on. */
uint64_t machine_place(const struct machine *machine);
void machine_go_to(struct machine *machine, uint64_t place);

/* True if this code enters the kernel when the thread executes it. *ret_compat: as a 32-bit program
 * does. */
bool machine_enters(const struct machine *machine,
	const uint8_t code[static MACHINE_INSTRUCTION_SIZE], bool *ret_compat);

/* Where the instruction would be of the call that it was stopped in; 0: it was in none. If there is
 * none, it was in no call. */
uint64_t machine_call_place(const struct machine *machine);

/* A call that begins at its place. */
void machine_set_call(
	struct machine *machine, int nr, const uint64_t arguments[static 6], bool compat);

/* What a call returned, or a negative errno; at its exit also those that ask for a restart. */
int64_t machine_result(const struct machine *machine);
void machine_set_result(struct machine *machine, int64_t result);

/* If it is blocked in a call: which. After PTRACE_SEIZE, just before PTRACE_INTERRUPT. */
void machine_note_call(pid_t tid, struct machine_call *ret);

/* At the entry of a call: which. */
void machine_note_entry(const struct machine *machine, struct machine_call *ret);

/* True if it was stopped in a call which therefore, or because of a signal, failed with EINTR, and
 * can be made again; close() cannot. Its instruction has to be before machine_place(). */
bool machine_was_broken_off(const struct machine *machine, const struct machine_call *noted);

/* To before that call. */
void machine_rewind(struct machine *machine, const struct machine_call *noted);

/* Vector registers that a call does not preserve. To be freed. */
struct machine_vectors {
	void *data; /* NULL: there are none */
	size_t size;
};

/* -EAGAIN: it computes in a mode that a call would end. */
int machine_save_vectors(pid_t tid, struct machine_vectors *ret);
int machine_restore_vectors(pid_t tid, const struct machine_vectors *vectors);
