/* SPDX-License-Identifier: MIT */
/* Lists of /proc that fail, or end early. */
#include "lists.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
	char ending[16];
	volatile enum list_fault fault;
} * shared;

struct dirent *__real_readdir64(DIR *directory);
struct dirent *__wrap_readdir64(DIR *directory);

void lists_prepare(void)
{
	void *memory = mmap(
		NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(memory, MAP_FAILED);
	shared = memory;
}

void lists_spoil(const char *ending, enum list_fault fault)
{
	(void)snprintf(shared->ending, sizeof(shared->ending), "%s", ending);
	shared->fault = fault;
}

static bool is_meant(DIR *directory)
{
	char link[64], path[256] = "";
	size_t length = strlen(shared->ending);
	ssize_t n;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd(directory));
	n = readlink(link, path, sizeof(path) - 1);
	return n >= (ssize_t)length && strncmp(path, "/proc", 5) == 0 &&
	       strcmp(path + n - length, shared->ending) == 0;
}

struct dirent *__wrap_readdir64(DIR *directory)
{
	if (!shared || shared->fault == LIST_WELL || !is_meant(directory))
		return __real_readdir64(directory);
	errno = shared->fault == LIST_FAILS ? EIO : 0;
	return NULL;
}
