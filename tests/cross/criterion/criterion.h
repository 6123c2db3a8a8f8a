/* SPDX-License-Identifier: MIT */
/* As much of criterion as the unit tests use that need libc only, for architectures that criterion
 * is not to be had for: each test in a child, its outcome in TAP. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cross_test {
	struct cross_test *next;
	const char *suite, *name;
	void (*run)(void);
	void (*init)(void);
	void (*fini)(void);
	double timeout;
};

extern struct cross_test *cross_tests, *cross_suites;
extern int cross_failures;

#define Test(suite_, name_, ...)                                                    \
	static void cross_##suite_##_##name_(void);                                 \
	__attribute__((constructor)) static void cross_add_##suite_##_##name_(void) \
	{                                                                           \
		static struct cross_test test = {__VA_ARGS__};                      \
                                                                                    \
		test.suite = #suite_;                                               \
		test.name = #name_;                                                 \
		test.run = cross_##suite_##_##name_;                                \
		test.next = cross_tests;                                            \
		cross_tests = &test;                                                \
	}                                                                           \
	static void cross_##suite_##_##name_(void)

#define TestSuite(suite_, ...)                                              \
	__attribute__((constructor)) static void cross_suite_##suite_(void) \
	{                                                                   \
		static struct cross_test suite = {__VA_ARGS__};             \
                                                                            \
		suite.suite = #suite_;                                      \
		suite.next = cross_suites;                                  \
		cross_suites = &suite;                                      \
	}                                                                   \
	struct cross_semicolon

#define cross_check(fatal, truth, text)                                    \
	do {                                                               \
		if (!(truth)) {                                            \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, text); \
			cross_failures++;                                  \
			if (fatal)                                         \
				exit(1);                                   \
		}                                                          \
	} while (0)

#define cr_assert(truth, ...)           cross_check(true, truth, #truth)
#define cr_assert_not(truth, ...)       cross_check(true, !(truth), "not " #truth)
#define cr_assert_eq(a, b, ...)         cross_check(true, (a) == (b), #a " == " #b)
#define cr_assert_neq(a, b, ...)        cross_check(true, (a) != (b), #a " != " #b)
#define cr_assert_geq(a, b, ...)        cross_check(true, (a) >= (b), #a " >= " #b)
#define cr_assert_gt(a, b, ...)         cross_check(true, (a) > (b), #a " > " #b)
#define cr_assert_lt(a, b, ...)         cross_check(true, (a) < (b), #a " < " #b)
#define cr_assert_null(a, ...)          cross_check(true, !(a), #a " is NULL")
#define cr_assert_not_null(a, ...)      cross_check(true, (a) != NULL, #a " is not NULL")
#define cr_assert_str_eq(a, b, ...)     cross_check(true, strcmp(a, b) == 0, #a " is " #b)
#define cr_assert_fail(...)             cross_check(true, false, "failed")
#define cr_expect(truth, ...)           cross_check(false, truth, #truth)
#define cr_log_info(...)                ((void)(printf("# " __VA_ARGS__), puts("")))
#define cr_expect_fail(...)             cross_check(false, false, "failed")
#define cr_expect_not(truth, ...)       cross_check(false, !(truth), "not " #truth)
#define cr_expect_eq(a, b, ...)         cross_check(false, (a) == (b), #a " == " #b)
#define cr_expect_neq(a, b, ...)        cross_check(false, (a) != (b), #a " != " #b)
#define cr_expect_geq(a, b, ...)        cross_check(false, (a) >= (b), #a " >= " #b)
#define cr_expect_leq(a, b, ...)        cross_check(false, (a) <= (b), #a " <= " #b)
#define cr_expect_gt(a, b, ...)         cross_check(false, (a) > (b), #a " > " #b)
#define cr_expect_lt(a, b, ...)         cross_check(false, (a) < (b), #a " < " #b)
#define cr_skip_test(...)               cross_check(true, false, "cannot run here")
#define cr_expect_str_not_empty(a, ...) cross_check(false, (a)[0], #a " is empty")
#define cr_expect_str_neq(a, b, ...)    cross_check(false, strcmp(a, b) != 0, #a " is not " #b)
#define cr_expect_str_eq(a, b, ...)     cross_check(false, strcmp(a, b) == 0, #a " is " #b)
