/* SPDX-License-Identifier: MIT */
/* What the names that were learned have in common, pointed out in comments: digits in which they
 * differ, and numbers of processes. Nothing is given by it. */
#include "lesson.h"

#define DIGITS "0123456789"

/* 0: they are the same but for the digits in them. */
static int compare_but_digits(const char *a, const char *b)
{
	while (*a && *b) {
		size_t x = strspn(a, DIGITS), y = strspn(b, DIGITS);

		if ((x == 0 || y == 0) && *a != *b)
			return *a < *b ? -1 : 1;
		a += x && y ? x : 1;
		b += x && y ? y : 1;
	}
	return (*a != '\0') - (*b != '\0');
}

static int compare_likes(const void *a, const void *b, void *context)
{
	const size_t i = *(const size_t *)a, j = *(const size_t *)b;
	const struct lesson *lesson = context;
	int c = compare_but_digits(lesson->needs->items[i].name, lesson->needs->items[j].name);

	if (c == 0 && lesson->left[i] != lesson->left[j])
		c = lesson->left[i] < lesson->left[j] ? -1 : 1;
	return c ?: (i > j) - (i < j);
}

int find_likes(struct lesson *lesson)
{
	const struct need *items = lesson->needs->items;
	const size_t count = lesson->needs->count;
	_cleanup_free_ size_t *order = calloc(MAX(count, 1U), sizeof(*order));

	lesson->likes = calloc(MAX(count, 1U), sizeof(*lesson->likes));
	if (!order || !lesson->likes)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		order[i] = i;
	qsort_r(order, count, sizeof(*order), compare_likes, lesson);
	for (size_t i = 1; i < count; i++) {
		const size_t one = order[i - 1], other = order[i];

		if (lesson->left[one] != lesson->left[other] ||
			compare_but_digits(items[one].name, items[other].name) != 0)
			continue;
		lesson->likes[one].next = other;
		lesson->likes[other].comes_later = true;
	}
	return 0;
}

/* The number'th run of digits in a name; its length is not 0. */
static const char *digits_at(const char *name, size_t number, size_t *ret_length)
{
	name += strcspn(name, DIGITS);
	for (; number > 0; number--) {
		name += strspn(name, DIGITS);
		name += strcspn(name, DIGITS);
	}
	*ret_length = strspn(name, DIGITS);
	return name;
}

/* Whether these digits are the number of the process in all of them; or the same in all. */
static bool are_numbers(const struct lesson *lesson, size_t i, size_t number)
{
	for (;; i = lesson->likes[i].next) {
		const struct need *need = &lesson->needs->items[i];
		size_t length;

		if (!need->by_pid ||
			strtoull(digits_at(need->name, number, &length), NULL, 10) != need->pid)
			return false;
		if (lesson->likes[i].next == 0)
			return true;
	}
}

static bool are_same(const struct lesson *lesson, size_t i, size_t number)
{
	const struct need *items = lesson->needs->items;
	size_t length, next_length;
	const char *digits = digits_at(items[i].name, number, &length);

	while ((i = lesson->likes[i].next) != 0) {
		const char *next = digits_at(items[i].name, number, &next_length);

		if (length != next_length || memcmp(digits, next, length) != 0)
			return false;
	}
	return true;
}

/* A number of more than one digit, of which there was a process in this run; in the next one it is
 * another's. */
static bool is_pid(const struct lesson *lesson, const char *digits, size_t length)
{
	return length > 1 && length < 11 && *digits != '0' &&
	       needs_know_pid(lesson->needs, strtoull(digits, NULL, 10));
}

static bool has_pid(const struct lesson *lesson, const char *name)
{
	while (*(name += strcspn(name, DIGITS))) {
		if (is_pid(lesson, name, strspn(name, DIGITS)))
			return true;
		name += strspn(name, DIGITS);
	}
	return false;
}

static void print_pattern(FILE *f, const struct lesson *lesson, size_t i)
{
	size_t number = 0, length;

	for (const char *a = lesson->needs->items[i].name; *a; a += length ?: 1) {
		length = strspn(a, DIGITS);
		if (length == 0)
			(void)fputc(*a, f);
		else if (are_numbers(lesson, i, number))
			(void)fputs("{pid}", f);
		else if (are_same(lesson, i, number) && !is_pid(lesson, a, length))
			(void)fprintf(f, "%.*s", (int)length, a);
		else
			(void)fputc('*', f);
		number += length > 0;
	}
}

/* What to say of the digits in a name and in those like it; NULL: nothing. */
static const char *what_of_digits(const struct lesson *lesson, size_t i)
{
	const struct need *need = &lesson->needs->items[i];

	if (need->by_pid && lesson->likes[i].next == 0)
		return "the digits are the number of the process; to give each process its own";
	if (has_pid(lesson, need->name))
		return "the digits are the number of a process, and the next time another one; to "
		       "give all";
	return lesson->likes[i].next == 0
		       ? NULL
		       : "more names differ only in their digits; to give all of them";
}

void print_hint(FILE *f, int indent, const struct lesson *lesson, size_t i)
{
	const char *what = lesson->likes[i].comes_later ? NULL : what_of_digits(lesson, i);

	if (!what)
		return;
	(void)fprintf(f,
		"%*s# /%s: %s, write instead of \"path:\" and its names:\n%*s#     path-pattern: \"/",
		indent, "", lesson->needs->items[i].name, what, indent, "");
	print_pattern(f, lesson, i);
	(void)fputs("\"\n", f);
}
