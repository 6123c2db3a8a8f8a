/* SPDX-License-Identifier: MIT */
/* The launcher's messages that are made: right, or one field is wrong. */
#include "structure-hello.h"

const enum pieces structure_pieces = PIECES_LINES;

static const struct reference {
	uint32_t kind;
	const char *text;
	bool is_there;
} references[] = {
	{LAUNCH_REF_PLUG, "logger:events", true},
	{LAUNCH_REF_PLUG, "logger:fast", true},
	{LAUNCH_REF_PLUG, "logger:lost", true},
	{LAUNCH_REF_PLUG, "logger:own", true},
	{LAUNCH_REF_PLUG, "own", true},
	{LAUNCH_REF_PLUG, "logger:none", false},
	{LAUNCH_REF_PLUG, "sensor:events", false},
	{LAUNCH_REF_PLUG, "none", false},
	{LAUNCH_REF_PLUG, ":", false},
	{LAUNCH_REF_PLUG, "<187>", false},
	{LAUNCH_REF_SLOT, "sensor:events", true},
	{LAUNCH_REF_SLOT, "sensor:many", true},
	{LAUNCH_REF_SLOT, "sensor:replies", true},
	{LAUNCH_REF_SLOT, "sensor:two", true},
	{LAUNCH_REF_SLOT, "two", true},
	{LAUNCH_REF_SLOT, "logger:events", false},
	{LAUNCH_REF_APP, "logger.app", true},
	{LAUNCH_REF_APP, "logger.other", true},
	{LAUNCH_REF_APP, "logger.hook.configure", true},
	{LAUNCH_REF_APP, "logger.none", false},
	{LAUNCH_REF_APP, "sensor", false},
	{LAUNCH_REF_APP, "app", false},
};

static const char *const instances[] = {"a", "B.9_x:y-", "<64>"};
static const char *const wrong_instances[] = {"", "a b", "<65>", "\xc3\xa4", "a/b"};

/* What is wrong in a hello, of which one reference is at hand. */
enum {
	HELLO_MAGIC,
	HELLO_VERSION_0,
	HELLO_VERSION_NEXT,
	HELLO_NO_REFS,
	HELLO_MORE_REFS,
	HELLO_LESS_REFS,
	HELLO_TOO_MANY_REFS,
	HELLO_RESERVED,
	HELLO_KIND_NONE,
	HELLO_KIND_NEXT,
	HELLO_UNTERMINATED,
	HELLO_EMPTY,
	HELLO_BEHIND,
	HELLO_SHORT,
	HELLO_LONG,
	HELLO_INSTANCE,
	HELLO_INSTANCE_TWICE,
	HELLO_INSTANCE_ALONE,
	HELLO_INSTANCE_EARLY,
	HELLO_WRONG_COUNT,
};

static void set_text(struct launch_ref *ref, uint32_t kind, const char *value)
{
	struct text text = {0};

	text_expand(&text, value);
	*ref = (struct launch_ref){.kind = kind};
	REQUIRE(text.size < sizeof(ref->text));
	if (text.size > 0)
		memcpy(ref->text, text.data, text.size);
	text_clear(&text);
}

static struct launch_ref *next_ref(struct launch_hello *hello)
{
	return &hello->refs[hello->ref_count++];
}

static void add_refs(struct input *choices, struct made_hello *ret)
{
	/* Room for two instances. */
	size_t count = 1 + choose(choices, maybe(choices) ? LAUNCH_REFS_MAX - 2 : 4);

	while (count-- > 0) {
		const struct reference *reference =
			&references[choose(choices, ELEMENTSOF(references))];

		if (!reference->is_there && !maybe(choices))
			reference = &references[0];
		set_text(next_ref(&ret->hello), reference->kind, reference->text);
		ret->bound &= reference->is_there;
	}
}

static void add_instance(struct input *choices, struct launch_hello *hello)
{
	size_t at = choose(choices, hello->ref_count + 1);

	memmove(&hello->refs[at + 1], &hello->refs[at],
		(hello->ref_count++ - at) * sizeof(hello->refs[0]));
	set_text(&hello->refs[at], LAUNCH_REF_INSTANCE,
		instances[choose(choices, ELEMENTSOF(instances))]);
}

static void break_ref(struct input *choices, struct launch_hello *hello, size_t deed)
{
	struct launch_ref *ref = &hello->refs[choose(choices, hello->ref_count)];

	if (deed == HELLO_KIND_NONE)
		ref->kind = LAUNCH_REF_NONE;
	else if (deed == HELLO_KIND_NEXT)
		ref->kind = LAUNCH_REF_INSTANCE + 1 + (uint32_t)choose(choices, 256);
	else if (deed == HELLO_UNTERMINATED)
		memset(ref->text, 'a', sizeof(ref->text));
	else
		*ref->text = '\0';
}

static void break_instance(struct input *choices, struct launch_hello *hello, size_t deed)
{
	const char *const *texts = deed == HELLO_INSTANCE ? wrong_instances : instances;
	size_t count = deed == HELLO_INSTANCE ? ELEMENTSOF(wrong_instances) : ELEMENTSOF(instances);

	if (deed == HELLO_INSTANCE_ALONE) {
		memset(hello->refs, 0, sizeof(hello->refs));
		hello->ref_count = 0;
	}
	set_text(next_ref(hello), LAUNCH_REF_INSTANCE, texts[choose(choices, count)]);
	if (deed == HELLO_INSTANCE_TWICE)
		set_text(next_ref(hello), LAUNCH_REF_INSTANCE, texts[choose(choices, count)]);
	if (deed == HELLO_INSTANCE_EARLY)
		hello->version = LAUNCH_VERSION_INSTANCES - 1;
}

static void break_hello(struct input *choices, struct made_hello *ret)
{
	struct launch_hello *hello = &ret->hello;
	size_t deed = choose(choices, HELLO_WRONG_COUNT);

	ret->wrong = true;
	switch (deed) {
	case HELLO_MAGIC:
		hello->magic ^= UINT32_C(1) << choose(choices, 32);
		break;
	case HELLO_VERSION_0:
	case HELLO_VERSION_NEXT:
		hello->version = deed == HELLO_VERSION_0 ? 0 : LAUNCH_VERSION + 1;
		break;
	case HELLO_NO_REFS:
	case HELLO_MORE_REFS:
	case HELLO_LESS_REFS:
		hello->ref_count =
			deed == HELLO_NO_REFS
				? 0
				: hello->ref_count + (deed == HELLO_MORE_REFS ? 1U : -1U);
		break;
	case HELLO_TOO_MANY_REFS:
		hello->ref_count = maybe(choices) ? UINT32_MAX : LAUNCH_REFS_MAX + 1;
		break;
	case HELLO_RESERVED:
		hello->reserved = UINT32_C(1) << choose(choices, 32);
		break;
	case HELLO_BEHIND:
		((uint8_t *)hello)[sizeof(*hello) - 1 - choose(choices, sizeof(hello->refs[0]))] =
			1;
		break;
	case HELLO_SHORT:
	case HELLO_LONG:
		ret->size += deed == HELLO_LONG ? 1U : -1UL;
		break;
	case HELLO_KIND_NONE:
	case HELLO_KIND_NEXT:
	case HELLO_UNTERMINATED:
	case HELLO_EMPTY:
		break_ref(choices, hello, deed);
		break;
	default:
		break_instance(choices, hello, deed);
		break;
	}
}

void make_hello(struct input *choices, struct made_hello *ret)
{
	bool breaks = choose(choices, 2);

	*ret = (struct made_hello){.size = sizeof(ret->hello), .bound = true};
	ret->hello.magic = LAUNCH_MAGIC;
	ret->hello.version = LAUNCH_VERSION;
	add_refs(choices, ret);
	if (breaks)
		break_hello(choices, ret);
	else if (maybe(choices))
		add_instance(choices, &ret->hello);
	else if (maybe(choices))
		ret->hello.version = LAUNCH_VERSION_OLDEST;
}

void make_answer(struct input *choices, struct made_hello *ret)
{
	struct launch_answer *answer = &ret->answer;
	size_t deed = choose(choices, 16);

	*ret = (struct made_hello){.size = sizeof(*answer), .wrong = deed < 7};
	*answer = (struct launch_answer){.magic = LAUNCH_MAGIC ^ (deed == 0),
		.version = deed == 1 ? LAUNCH_VERSION + 1 : 1 + (uint32_t)choose(choices, 2),
		.error = deed == 2 ? 1 : -(int32_t)choose(choices, 256),
		.mediation = deed == 3 ? 2 : (uint32_t)choose(choices, 2)};
	memset(answer->text, 'a', deed == 4 ? sizeof(answer->text) : sizeof(answer->text) - 1);
	ret->size += deed == 5 ? 1U : deed == 6 ? -1UL : 0;
}

void make_handover(struct input *choices, struct made_hello *ret)
{
	size_t deed = choose(choices, 8);

	*ret = (struct made_hello){.size = sizeof(ret->handover), .wrong = deed < 5};
	ret->handover = (struct launch_handover){.magic = LAUNCH_MAGIC ^ (deed == 0),
		.version = deed == 1   ? LAUNCH_VERSION + 1
			   : deed == 2 ? 0
				       : 1 + (uint32_t)choose(choices, 2)};
	ret->size += deed == 3 ? 1U : deed == 4 ? -1UL : 0;
}

/* References as lines. */
void structure_make(struct input *choices, struct text *ret)
{
	struct made_hello made;

	make_hello(choices, &made);
	for (size_t i = 0; i < MIN(made.hello.ref_count, (uint32_t)LAUNCH_REFS_MAX); i++) {
		const struct launch_ref *ref = &made.hello.refs[i];

		text_add(
			ret, "%c%.*s\n", "?psai"[ref->kind % 5], (int)sizeof(ref->text), ref->text);
	}
}
