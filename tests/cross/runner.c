/* SPDX-License-Identifier: MIT */
/* Runs the tests of a program, each in a child. */
#include <criterion/criterion.h>
#include <sys/wait.h>

#include "tests/patience.h"

struct cross_test *cross_tests, *cross_suites;
int cross_failures;

static const struct cross_test *suite_of(const struct cross_test *test)
{
	static const struct cross_test none;

	for (const struct cross_test *suite = cross_suites; suite; suite = suite->next)
		if (strcmp(suite->suite, test->suite) == 0)
			return suite;
	return &none;
}

/* At least 60, times patience(). */
static unsigned seconds(const struct cross_test *test)
{
	return (test->timeout > 60 ? (unsigned)test->timeout : 60) * (unsigned)patience();
}

static void run(const struct cross_test *test)
{
	const struct cross_test *suite = suite_of(test);
	void (*init)(void) = test->init ? test->init : suite->init;
	void (*fini)(void) = test->fini ? test->fini : suite->fini;

	(void)alarm(seconds(test));
	if (init)
		init();
	test->run();
	if (fini)
		fini();
	exit(cross_failures ? 1 : 0);
}

static bool passes(const struct cross_test *test)
{
	int status = -1;
	pid_t pid;

	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		run(test);
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
	int count = 0, failed = 0;

	for (const struct cross_test *test = cross_tests; test; test = test->next) {
		bool good = passes(test);

		failed += !good;
		printf("%sok %d - %s::%s\n", good ? "" : "not ", ++count, test->suite, test->name);
	}
	printf("1..%d\n", count);
	return failed > 0 || count == 0;
}
