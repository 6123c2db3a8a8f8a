/* SPDX-License-Identifier: MIT */
/* Which change of a file is switched on, in memory that all processes of a test share: their
 * environments are not passed on everywhere. The file says where that is, and how many changes it
 * has. */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

struct mutants {
	uint32_t active;
	uint8_t reached[MUTANTS + 1];
};

static struct mutants no_mutants;
static volatile struct mutants *mutants = &no_mutants;

__attribute__((constructor)) static void map_mutants(void)
{
	int fd = open(MUTANTS_PATH, O_RDWR | O_CLOEXEC);
	void *map =
		fd < 0 ? MAP_FAILED
		       : mmap(NULL, sizeof(*mutants), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (fd >= 0)
		(void)close(fd);
	if (map != MAP_FAILED)
		mutants = map;
}

static inline bool mutant(uint32_t number)
{
	mutants->reached[number] = 1;
	return mutants->active == number;
}
