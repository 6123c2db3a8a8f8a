/* SPDX-License-Identifier: MIT */
/* A call as 32-bit programs make it, in a 64-bit one. Where the kernel has no such calls it is a
 * fault (SIGSEGV). */
#pragma once

/* The system call's result: negative errno. Pointers must be in the lower half of the memory. The
 * instruction is marked by the one behind it, which does nothing: tests/without-32-bit looks for
 * it. */
static inline int int_0x80_all(long nr, const long arguments[static 5])
{
	long r;

	__asm__ volatile("int $0x80; nopl 0x32(%%rax)"
			 : "=a"(r)
			 : "a"(nr), "b"(arguments[0]), "c"(arguments[1]), "d"(arguments[2]),
			 "S"(arguments[3]), "D"(arguments[4])
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

static inline int int_0x80(long nr, const void *first, long second)
{
	return int_0x80_all(nr, (const long[5]){(long)first, second});
}
