/* SPDX-License-Identifier: MIT */
/* Runs commands in turn and times each from its start to its end.
 *
 * usage: bench-spawn COUNT PAUSE COMMAND [ARGUMENT]… [--- COMMAND [ARGUMENT]…]…
 *
 * COUNT times: each command, after PAUSE microseconds. Prints for each command one line of COUNT
 * times in nanoseconds. A command that fails ends it. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define COMMANDS_MAX 16

extern char **environ;

static uint64_t now(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static uint64_t time_of(char **command)
{
	uint64_t begin = now();
	int status = -1, r;
	pid_t pid;

	r = posix_spawnp(&pid, command[0], NULL, NULL, command, environ);
	if (r != 0 || waitpid(pid, &status, 0) != pid || status != 0) {
		(void)fprintf(stderr, "bench-spawn: %s: %s, wait status %#x\n", command[0],
			strerror(r), (unsigned)status);
		exit(1);
	}
	return now() - begin;
}

/* Splits the arguments at "---". */
static size_t find_commands(char **arguments, char **commands[static COMMANDS_MAX])
{
	size_t count = 0;

	commands[count++] = arguments;
	for (; *arguments; arguments++)
		if (strcmp(*arguments, "---") == 0 && count < COMMANDS_MAX) {
			*arguments = NULL;
			commands[count++] = arguments + 1;
		}
	return count;
}

int main(int argc, char **argv)
{
	char **commands[COMMANDS_MAX];
	size_t command_count, count;
	useconds_t pause;
	uint64_t *times;

	if (argc < 4) {
		(void)fprintf(stderr, "usage: bench-spawn COUNT PAUSE COMMAND… [--- COMMAND…]…\n");
		return 2;
	}
	count = strtoul(argv[1], NULL, 10);
	pause = (useconds_t)strtoul(argv[2], NULL, 10);
	command_count = find_commands(argv + 3, commands);
	times = calloc(count * command_count + 1, sizeof(*times));
	if (!times)
		return 1;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < command_count; j++) {
			if (pause > 0)
				(void)usleep(pause);
			times[j * count + i] = time_of(commands[j]);
		}
	for (size_t j = 0; j < command_count; j++) {
		for (size_t i = 0; i < count; i++)
			(void)printf("%llu ", (unsigned long long)times[j * count + i]);
		(void)printf("\n");
	}
	free(times);
	return 0;
}
