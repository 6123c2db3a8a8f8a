/* SPDX-License-Identifier: MIT */
/* What is learned, into whatever document: it is given, what was there stays, and a second time
 * nothing is added. First line: names, with a space between them; the rest: the document. */
#include "fuzz.h"
#include "include/learn.h"

static void take_needs(struct input *input, struct needs *needs)
{
	_cleanup_free_ char *line = take_line(input);
	char *save = NULL;

	for (char *name = strtok_r(line, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
		const struct subject subject = {.pid = 12, .uid = 1000};

		if (strlen(name) > 1 && strlen(name) <= QUEUE_NAME_MAX)
			REQUIRE(needs_add(needs, name + 1,
					((uint32_t)*name & PERMISSIONS_ALL) | PERMISSION_OPEN,
					&subject, name) >= 0);
	}
}

/* Whether all lines of a are in b, in this order. */
static bool is_within(const char *a, const char *b)
{
	while (*a) {
		size_t length = strcspn(a, "\n");

		while (strcspn(b, "\n") != length || memcmp(a, b, length) != 0) {
			b = strchr(b, '\n');
			if (!b++)
				return false;
		}
		a += length + (a[length] == '\n');
		b += length + (b[length] == '\n');
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_free_ char *text = NULL, *plug = NULL, *again = NULL, *same = NULL, *before = NULL;
	struct input input = {data, size};
	struct needs needs = {0};
	int r;

	take_needs(&input, &needs);
	before = take_text(&input);
	r = learn_document("input.yaml", *before ? before : NULL, NULL, &needs, "x", &diagnostics,
		&text, &plug);
	REQUIRE((r == 0) == (text && plug));
	REQUIRE(r == 0 || r == -EBADMSG);
	REQUIRE(r == 0 || diagnostics.errors > 0);
	if (r == 0) {
		REQUIRE(!*before || is_within(before, text));
		REQUIRE(learn_document("input.yaml", text, NULL, &needs, "x", &diagnostics, &again,
				&same) == 0);
		REQUIRE(streq(again, text) && streq(same, plug));
	}
	needs_clear(&needs);
	return 0;
}
