/* SPDX-License-Identifier: MIT */
/* Feeds a fuzz target the files of directories, and lists of choices (structure.h) that are the
 * same each time, without any fuzzer. */
#include <dirent.h>

#include "include/file.h"
#include "structure.h"

#define INPUT_MAX (64 * 1024 * 1024)

static void replay(const char *directory, const char *name)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	_cleanup_free_ uint8_t *exact = NULL;
	size_t size;

	REQUIRE(asprintf(&path, "%s/%s", directory, name) > 0);
	/* Whoever finds the program dead finds out of what. */
	(void)printf("# %s\n", path);
	(void)fflush(stdout);
	REQUIRE(file_read(path, INPUT_MAX, &text, &size) == 0);
	/* Without the NUL behind: a look past the end is to be seen. */
	exact = malloc(size + !size);
	REQUIRE(exact);
	memcpy(exact, text, size);
	REQUIRE(LLVMFuzzerTestOneInput(exact, size) == 0);
}

static size_t replay_all(const char *directory)
{
	DIR *dir = opendir(directory);
	struct dirent *entry;
	size_t count = 0;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			replay(directory, entry->d_name);
			count++;
		}
	if (dir)
		(void)closedir(dir);
	return count;
}

#define LISTS       400
#define CHOICES_MAX 200

/* So that each bound of a grammar is come to, whatever is left of the corpus. */
static void replay_choices(void)
{
	unsigned seed = 1;

	for (size_t i = 0; i < LISTS; i++) {
		uint8_t choices[1 + CHOICES_MAX] = {STRUCTURED};

		for (size_t j = 1; j < sizeof(choices); j++)
			choices[j] = (uint8_t)(rand_r(&seed) >> 8);
		REQUIRE(LLVMFuzzerTestOneInput(choices, sizeof(choices)) == 0);
	}
}

/* NAME CORPUS [REGRESSIONS] */
int main(int argc, char *argv[])
{
	size_t count = 0;

	REQUIRE(argc >= 3);
	(void)printf("1..1\n");
	for (int i = 2; i < argc; i++)
		count += replay_all(argv[i]);
	replay_choices();
	(void)printf("%sok 1 - %s: %zu inputs\n", count > 0 ? "" : "not ", argv[1], count);
	return count > 0 ? 0 : 1;
}
