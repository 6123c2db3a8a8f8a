/* SPDX-License-Identifier: MIT */
/* For test-interrupt.c: what a program sees of its registers, and a restartable sequence. */
#pragma once

#include <sys/auxv.h>

/* --- registers -------------------------------------------------------------------------------- */

struct registers {
	uint64_t general[31]; /* x16 counts */
	uint64_t flags;
};

#define COUNTER 16

struct registers loaded_registers, found_registers;
uint8_t loaded_vectors[32][16], found_vectors[32][16];

/* Loads all, idles, and stores all; what idles writes to x16 only. The found ones go to the stack,
 * which needs no other register. */
void idle_in_registers(void);
__asm__(".pushsection .text\n"
	".type idle_in_registers, %function\n"
	"idle_in_registers:\n"
	"stp x29, x30, [sp, #-96]!\n"
	"stp x19, x20, [sp, #16]; stp x21, x22, [sp, #32]; stp x23, x24, [sp, #48]\n"
	"stp x25, x26, [sp, #64]; stp x27, x28, [sp, #80]\n"
	"sub sp, sp, #256\n"
	"adrp x17, loaded_registers; add x17, x17, :lo12:loaded_registers\n"
	"ldr x0, [x17, #248]; msr nzcv, x0\n"
	"ldp x0, x1, [x17]; ldp x2, x3, [x17, #16]; ldp x4, x5, [x17, #32]\n"
	"ldp x6, x7, [x17, #48]; ldp x8, x9, [x17, #64]; ldp x10, x11, [x17, #80]\n"
	"ldp x12, x13, [x17, #96]; ldp x14, x15, [x17, #112]; ldp x18, x19, [x17, #144]\n"
	"ldp x20, x21, [x17, #160]; ldp x22, x23, [x17, #176]; ldp x24, x25, [x17, #192]\n"
	"ldp x26, x27, [x17, #208]; ldp x28, x29, [x17, #224]; ldr x30, [x17, #240]\n"
	"ldr x17, [x17, #136]\n"
	"mov x16, #40000\n"
	"1: sub x16, x16, #1; cbnz x16, 1b\n"
	"stp x0, x1, [sp]; stp x2, x3, [sp, #16]; stp x4, x5, [sp, #32]\n"
	"stp x6, x7, [sp, #48]; stp x8, x9, [sp, #64]; stp x10, x11, [sp, #80]\n"
	"stp x12, x13, [sp, #96]; stp x14, x15, [sp, #112]; stp x16, x17, [sp, #128]\n"
	"stp x18, x19, [sp, #144]; stp x20, x21, [sp, #160]; stp x22, x23, [sp, #176]\n"
	"stp x24, x25, [sp, #192]; stp x26, x27, [sp, #208]; stp x28, x29, [sp, #224]\n"
	"mrs x0, nzcv; stp x30, x0, [sp, #240]\n"
	"adrp x17, found_registers; add x17, x17, :lo12:found_registers\n"
	"mov x0, #256\n"
	"2: sub x0, x0, #8; ldr x1, [sp, x0]; str x1, [x17, x0]; cbnz x0, 2b\n"
	"add sp, sp, #256\n"
	"ldp x19, x20, [sp, #16]; ldp x21, x22, [sp, #32]; ldp x23, x24, [sp, #48]\n"
	"ldp x25, x26, [sp, #64]; ldp x27, x28, [sp, #80]\n"
	"ldp x29, x30, [sp], #96\n"
	"ret\n"
	".size idle_in_registers, . - idle_in_registers\n"
	".popsection\n");

#define EVEN_VECTORS "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30"
#define ODD_VECTORS  "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31"
#define ALL_VECTORS  EVEN_VECTORS "," ODD_VECTORS

void idle_in_vectors(void);
__asm__(".pushsection .text\n"
	".type idle_in_vectors, %function\n"
	"idle_in_vectors:\n"
	"stp d8, d9, [sp, #-64]!\n"
	"stp d10, d11, [sp, #16]; stp d12, d13, [sp, #32]; stp d14, d15, [sp, #48]\n"
	"adrp x0, loaded_vectors; add x0, x0, :lo12:loaded_vectors\n"
	"adrp x1, found_vectors; add x1, x1, :lo12:found_vectors\n"
	".irp n," ALL_VECTORS "\n ldr q\\n, [x0, #16*\\n]\n .endr\n"
	"mov x2, #40000\n"
	"1: sub x2, x2, #1; cbnz x2, 1b\n"
	".irp n," ALL_VECTORS "\n str q\\n, [x1, #16*\\n]\n .endr\n"
	"ldp d10, d11, [sp, #16]; ldp d12, d13, [sp, #32]; ldp d14, d15, [sp, #48]\n"
	"ldp d8, d9, [sp], #64\n"
	"ret\n"
	".size idle_in_vectors, . - idle_in_vectors\n"
	".popsection\n");

/* The Scalable Vector Extension's, whose size only the processor knows. */
#define PREDICATES   "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"
#define SCALABLE_MAX 256

struct {
	uint8_t vectors[32 * SCALABLE_MAX], predicates[16 * SCALABLE_MAX / 8];
} loaded_scalable, found_scalable;

void idle_in_scalable(
	const void *vectors, const void *predicates, void *ret_vectors, void *ret_predicates);
__asm__(".pushsection .text\n"
	".arch armv8.2-a+sve\n"
	".type idle_in_scalable, %function\n"
	"idle_in_scalable:\n"
	"stp d8, d9, [sp, #-64]!\n"
	"stp d10, d11, [sp, #16]; stp d12, d13, [sp, #32]; stp d14, d15, [sp, #48]\n"
	".irp n," ALL_VECTORS "\n ldr z\\n, [x0, #\\n, mul vl]\n .endr\n"
	".irp n," PREDICATES "\n ldr p\\n, [x1, #\\n, mul vl]\n .endr\n"
	"mov x4, #40000\n"
	"1: sub x4, x4, #1; cbnz x4, 1b\n"
	".irp n," ALL_VECTORS "\n str z\\n, [x2, #\\n, mul vl]\n .endr\n"
	".irp n," PREDICATES "\n str p\\n, [x3, #\\n, mul vl]\n .endr\n"
	"ldp d10, d11, [sp, #16]; ldp d12, d13, [sp, #32]; ldp d14, d15, [sp, #48]\n"
	"ldp d8, d9, [sp], #64\n"
	"ret\n"
	".size idle_in_scalable, . - idle_in_scalable\n"
	".arch armv8-a\n"
	".popsection\n");

static void watch_scalable(uint8_t seed)
{
	uint8_t *bytes = (uint8_t *)&loaded_scalable;

	for (size_t i = 0; i < sizeof(loaded_scalable); i++)
		bytes[i] = seed = (uint8_t)(seed * 5 + 1);
	/* As much as there is of it is stored; the rest is left as it is. */
	memcpy(&found_scalable, &loaded_scalable, sizeof(found_scalable));
	for (size_t i = 0; i < 32 * 16; i++)
		found_scalable.vectors[i] = 0;
	idle_in_scalable(loaded_scalable.vectors, loaded_scalable.predicates,
		found_scalable.vectors, found_scalable.predicates);
	seen[WRONG_VECTORS] +=
		memcmp(&loaded_scalable, &found_scalable, sizeof(found_scalable)) != 0;
}

static void watch_registers(uint64_t seed)
{
	for (size_t i = 0; i < ELEMENTSOF(loaded_registers.general); i++)
		loaded_registers.general[i] = seed =
			seed * 6364136223846793005U + 1442695040888963407U;
	loaded_registers.general[COUNTER] = 0;
	loaded_registers.flags = seed & 0xf0000000;
	idle_in_registers();
	seen[WRONG_REGISTERS] +=
		memcmp(&loaded_registers, &found_registers, sizeof(found_registers)) != 0;
}

static void watch_vectors(uint8_t seed)
{
	memset(found_vectors, 0, sizeof(found_vectors));
	for (size_t i = 0; i < sizeof(loaded_vectors); i++)
		loaded_vectors[i / 16][i % 16] = seed++;
	idle_in_vectors();
	seen[WRONG_VECTORS] += memcmp(loaded_vectors, found_vectors, sizeof(found_vectors)) != 0;
	if (getauxval(AT_HWCAP) & HWCAP_SVE)
		watch_scalable(seed);
}

/* --- a restartable sequence ------------------------------------------------------------------- */

static void make_sequence(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	__asm__ volatile goto(".pushsection .data.sequences, \"aw\"\n"
			      ".balign 32\n"
			      "3: .long 0, 0\n"
			      ".quad 1f, 2f-1f, 4f\n"
			      ".popsection\n"
			      "adrp x9, 3b; add x9, x9, :lo12:3b\n"
			      "str x9, [%0, #8]\n"
			      "1: ldr x10, [%1]\n"
			      "mov x11, #20000\n"
			      "5: sub x11, x11, #1; cbnz x11, 5b\n"
			      "ldr x12, [%1]\n"
			      "cmp x12, x10\n"
			      "b.ne %l[resumed]\n"
			      "ldr x12, [%2]; add x12, x12, #1; str x12, [%2]\n"
			      "2: b %l[completed]\n"
			      ".inst 0xd428bc00\n"
			      "4: b %l[aborted]\n"
			      :
			      : "r"(area), "r"(&seen[EPOCH]), "r"(&seen[SEQUENCES])
			      : "x9", "x10", "x11", "x12", "memory", "cc"
			      : completed, aborted, resumed);
completed:
	return;
aborted:
	seen[ABORTED]++;
	return;
resumed:
	seen[RESUMED]++;
}
