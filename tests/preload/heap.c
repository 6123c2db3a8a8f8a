/* SPDX-License-Identifier: MIT */
/* Preloaded into a program: how many blocks of memory it has in use, and bytes, are in the file
 * $HEAP_DIR/PID, two numbers of 64 bits. What its children do is not counted. */
#include <fcntl.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PUBLIC __attribute__((visibility("default")))

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void __libc_free(void *block);

struct heap {
	int64_t blocks, bytes;
};

static struct heap before, *heap = &before; /* main() and what is preloaded have begun */
static pid_t owner;

__attribute__((constructor)) static void begin(void)
{
	char path[256];
	int fd;

	owner = getpid();
	(void)snprintf(path, sizeof(path), "%s/%d", getenv("HEAP_DIR"), (int)owner);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof(*heap)) < 0)
		abort();
	heap = mmap(NULL, sizeof(*heap), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (heap == MAP_FAILED)
		abort();
	(void)close(fd);
	*heap = before;
}

static void *count(void *block, int blocks)
{
	if (block && (heap == &before || getpid() == owner)) {
		heap->blocks += blocks;
		heap->bytes += blocks * (int64_t)malloc_usable_size(block);
	}
	return block;
}

PUBLIC void *malloc(size_t size)
{
	return count(__libc_malloc(size), 1);
}

PUBLIC void *calloc(size_t count_of, size_t size)
{
	return count(__libc_calloc(count_of, size), 1);
}

PUBLIC void *realloc(void *block, size_t size)
{
	void *moved;

	(void)count(block, -1);
	moved = __libc_realloc(block, size);
	(void)count(moved ? moved : size > 0 ? block : NULL, 1);
	return moved;
}

PUBLIC void free(void *block)
{
	__libc_free(count(block, -1));
}
