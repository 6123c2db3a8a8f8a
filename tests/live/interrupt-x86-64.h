/* SPDX-License-Identifier: MIT */
/* For test-interrupt.c: what a program sees of its registers, and a restartable sequence. */
#pragma once

/* --- registers ----------------------------------------------------------------------------------
 */

struct registers {
	uint64_t general[15]; /* all but rsp; rcx counts */
	uint64_t red_zone[16];
	uint8_t flags[2]; /* overflow; sign, zero, adjust, parity, carry */
};

struct registers loaded_registers, found_registers;
uint8_t loaded_vectors[16][32], found_vectors[16][32];

/* Loads all, idles, and stores all; what idles writes to rcx only. */
__attribute__((naked, noinline)) static void idle_in_registers(void)
{
	__asm__("push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
		"lea loaded_registers(%rip), %rax\n"
		".set i, 0\n"
		".rept 16\n"
		"mov 120+8*i(%rax), %rcx; mov %rcx, -8-8*i(%rsp)\n"
		".set i, i+1\n"
		".endr\n"
		"mov $0x7f, %cl; add $1, %cl\n" /* overflow, which sahf leaves alone */
		"mov 249(%rax), %cl\n"
		"mov %rax, %rdx; mov %cl, %ah; sahf; mov %rdx, %rax\n"
		"mov 8(%rax), %rbx; mov 24(%rax), %rdx; mov 32(%rax), %rsi\n"
		"mov 40(%rax), %rdi; mov 48(%rax), %rbp; mov 56(%rax), %r8\n"
		"mov 64(%rax), %r9; mov 72(%rax), %r10; mov 80(%rax), %r11\n"
		"mov 88(%rax), %r12; mov 96(%rax), %r13; mov 104(%rax), %r14\n"
		"mov 112(%rax), %r15\n"
		"mov 0(%rax), %rax\n"
		"mov $40000, %ecx\n"
		"1: lea -1(%rcx), %rcx; jrcxz 2f; jmp 1b\n"
		"2: mov %rax, found_registers(%rip)\n"
		"lahf; seto %al; mov %al, found_registers+248(%rip)\n"
		"mov %ah, %al; mov %al, found_registers+249(%rip)\n"
		"lea found_registers(%rip), %rax\n"
		"mov %rbx, 8(%rax); mov %rdx, 24(%rax); mov %rsi, 32(%rax)\n"
		"mov %rdi, 40(%rax); mov %rbp, 48(%rax); mov %r8, 56(%rax)\n"
		"mov %r9, 64(%rax); mov %r10, 72(%rax); mov %r11, 80(%rax)\n"
		"mov %r12, 88(%rax); mov %r13, 96(%rax); mov %r14, 104(%rax)\n"
		"mov %r15, 112(%rax)\n"
		".set i, 0\n"
		".rept 16\n"
		"mov -8-8*i(%rsp), %rcx; mov %rcx, 120+8*i(%rax)\n"
		".set i, i+1\n"
		".endr\n"
		"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
		"ret\n");
}

#define ALL_VECTORS "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15"

__attribute__((naked, noinline)) static void idle_in_ymm(void)
{
	__asm__(".irp n," ALL_VECTORS "\n vmovdqu loaded_vectors+32*\\n(%rip), %ymm\\n\n .endr\n"
		"mov $40000, %ecx\n"
		"1: dec %ecx; jnz 1b\n"
		".irp n," ALL_VECTORS "\n vmovdqu %ymm\\n, found_vectors+32*\\n(%rip)\n .endr\n"
		"vzeroupper\n"
		"ret\n");
}

__attribute__((naked, noinline)) static void idle_in_xmm(void)
{
	__asm__(".irp n," ALL_VECTORS "\n movdqu loaded_vectors+32*\\n(%rip), %xmm\\n\n .endr\n"
		"mov $40000, %ecx\n"
		"1: dec %ecx; jnz 1b\n"
		".irp n," ALL_VECTORS "\n movdqu %xmm\\n, found_vectors+32*\\n(%rip)\n .endr\n"
		"ret\n");
}

static void watch_registers(uint64_t seed)
{
	uint64_t *words = (uint64_t *)&loaded_registers;

	for (size_t i = 0; i < offsetof(struct registers, flags) / sizeof(*words); i++)
		words[i] = seed = seed * 6364136223846793005U + 1442695040888963407U;
	loaded_registers.general[2] = found_registers.general[2] = 0;
	loaded_registers.flags[0] = 1;
	loaded_registers.flags[1] = (seed & 0xd5) | 2; /* as sahf loads them */
	idle_in_registers();
	seen[WRONG_REGISTERS] +=
		memcmp(&loaded_registers, &found_registers, sizeof(found_registers)) != 0;
}

static void watch_vectors(uint8_t seed)
{
	memset(found_vectors, 0, sizeof(found_vectors));
	for (size_t i = 0; i < 16; i++)
		for (size_t j = 0; j < 32; j++)
			loaded_vectors[i][j] = seed++;
	if (__builtin_cpu_supports("avx")) {
		idle_in_ymm();
		seen[WRONG_VECTORS] +=
			memcmp(loaded_vectors, found_vectors, sizeof(found_vectors)) != 0;
		return;
	}
	idle_in_xmm();
	for (size_t i = 0; i < 16; i++)
		seen[WRONG_VECTORS] += memcmp(loaded_vectors[i], found_vectors[i], 16) != 0;
}

/* --- a restartable sequence
 * ------------------------------------------------------------------------ */

static void make_sequence(void)
{
	char *area = (char *)__builtin_thread_pointer() + __rseq_offset;

	__asm__ volatile goto(".pushsection .data.sequences, \"aw\"\n"
			      ".balign 32\n"
			      "3: .long 0, 0\n"
			      ".quad 1f, 2f-1f, 4f\n"
			      ".popsection\n"
			      "lea 3b(%%rip), %%rax\n"
			      "mov %%rax, 8(%0)\n"
			      "1: mov (%1), %%rcx\n"
			      "mov $20000, %%edx\n"
			      "5: dec %%edx; jnz 5b\n"
			      "cmp (%1), %%rcx\n"
			      "jne %l[resumed]\n"
			      "incq (%2)\n"
			      "2: jmp %l[completed]\n"
			      ".byte 0x0f, 0xb9, 0x3d\n"
			      ".long 0x53053053\n"
			      "4: jmp %l[aborted]\n"
			      :
			      : "r"(area), "r"(&seen[EPOCH]), "r"(&seen[SEQUENCES])
			      : "rax", "rcx", "rdx", "memory", "cc"
			      : completed, aborted, resumed);
completed:
	return;
aborted:
	seen[ABORTED]++;
	return;
resumed:
	seen[RESUMED]++;
}
