/* SPDX-License-Identifier: MIT */
/* What comes over the launcher socket, and what a hello is bound to. One that was made is taken,
 * and bound if what it names is there; or what is wrong in it is refused. */
#include "include/names.h"
#include "include/bindings.h"
#include "structure-hello.h"

static void check_bound(const struct bindings *bindings)
{
	struct ref ref;

	REQUIRE(bindings->own_plug_count <= bindings->plug_count &&
		bindings->plug_count <= SESSION_PLUGS_MAX);
	REQUIRE(bindings->own_slot_count <= bindings->slot_count &&
		bindings->slot_count <= SESSION_PLUGS_MAX);
	REQUIRE(bindings->app_count <= LAUNCH_REFS_MAX);
	for (size_t i = 0; i < bindings->plug_count; i++)
		REQUIRE(ref_parse(bindings->plugs[i], &ref) == 0);
	for (size_t i = 0; i < bindings->slot_count; i++)
		REQUIRE(ref_parse(bindings->slots[i], &ref) == 0);
	REQUIRE(bindings->plug_count > 0 ||
		bindings_mediation(bindings, fuzz_policy()) == MEDIATION_CALL);
}

static void check_hello(const struct launch_hello *hello)
{
	REQUIRE(hello->ref_count >= 1 && hello->ref_count <= LAUNCH_REFS_MAX);
	for (uint32_t i = 0; i < hello->ref_count; i++)
		REQUIRE(memchr(hello->refs[i].text, '\0', sizeof(hello->refs[i].text)));
}

/* What a session gets of them goes over the wire as it is; if no two names clash, all of it is
 * given. */
static void check_granted(const struct bindings *bindings)
{
	_cleanup_(grants_freep) struct grants *grants = NULL, *again = NULL;
	_cleanup_(fault_clear) struct fault fault = {0};
	_cleanup_free_ void *data = NULL;
	const struct bound bound = bindings_bound(bindings);
	size_t size = 0;
	int r = policy_check_names(fuzz_policy(), &bound, true, &fault);

	check_fault(r, &fault);
	REQUIRE(bindings_grants(bindings, fuzz_policy(), 1, &grants) == 0);
	REQUIRE(grants_serialise(grants, &data, &size) == 0);
	REQUIRE(grants_deserialise(data, size, &again) == 0);
	REQUIRE(grants_fingerprint(again) == grants_fingerprint(grants));
	REQUIRE(r < 0 || (grants_give(grants, again) && grants_give(again, grants)));
	REQUIRE(bindings_mediation(bindings, fuzz_policy()) < MEDIATION_COUNT);
	REQUIRE(!bindings->instance || !bindings_lack(bindings, fuzz_policy()));
}

static int bind(const struct launch_hello *hello)
{
	_cleanup_(bindings_clear) struct bindings bindings = {0}, again = {0};
	_cleanup_(fault_clear) struct fault fault = {0};
	int r;

	check_hello(hello);
	r = bindings_from_hello(fuzz_policy(), hello, &bindings, &fault);

	check_fault(r, &fault);
	if (r < 0)
		return r;
	check_bound(&bindings);
	check_granted(&bindings);
	REQUIRE(bindings_again(&bindings, fuzz_policy(), &again) == 0);
	REQUIRE(again.plug_count == bindings.plug_count && again.slot_count == bindings.slot_count);
	REQUIRE(!bindings.instance == !again.instance);
	REQUIRE(!again.instance ||
		(instance_is_valid(again.instance) && streq(again.instance, bindings.instance)));
	return 0;
}

/* References as lines: what is not there is zero, as it must be. */
static void fill_hello(struct input *input, struct launch_hello *hello)
{
	*hello = (struct launch_hello){.magic = LAUNCH_MAGIC, .version = LAUNCH_VERSION};
	while (input->size > 0 && hello->ref_count < LAUNCH_REFS_MAX) {
		struct launch_ref *ref = &hello->refs[hello->ref_count++];
		uint8_t kind = take_byte(input);
		_cleanup_free_ char *text = take_line(input);

		ref->kind = kind == 'p'   ? LAUNCH_REF_PLUG
			    : kind == 's' ? LAUNCH_REF_SLOT
			    : kind == 'a' ? LAUNCH_REF_APP
			    : kind == 'i' ? LAUNCH_REF_INSTANCE
					  : kind;
		(void)strncpy(ref->text, text, sizeof(ref->text));
	}
}

static void check_made(struct input *choices)
{
	struct made_hello made = {0};
	int r;

	make_hello(choices, &made);
	r = launch_hello_check(&made.hello, made.size);
	REQUIRE((r < 0) == made.wrong);
	if (r == 0)
		REQUIRE((bind(&made.hello) == 0) == made.bound);
	make_answer(choices, &made);
	REQUIRE((launch_answer_check(&made.answer, made.size) < 0) == made.wrong);
	make_handover(choices, &made);
	REQUIRE((launch_handover_check(&made.handover, made.size) < 0) == made.wrong);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct launch_hello hello;
	struct launch_answer answer;
	struct launch_handover handover;

	if (size > 0 && take_byte(&input) == STRUCTURED) {
		check_made(&input);
		return 0;
	}
	input = (struct input){data, size};
	fill_hello(&input, &hello);
	if (launch_hello_check(&hello, sizeof(hello)) == 0)
		(void)bind(&hello);
	(void)launch_hello_check(data, size);
	input = (struct input){data, size};
	take(&input, &hello, sizeof(hello));
	if (launch_hello_check(&hello, sizeof(hello)) == 0)
		(void)bind(&hello);
	input = (struct input){data, size};
	take(&input, &answer, sizeof(answer));
	if (launch_answer_check(&answer, sizeof(answer)) == 0)
		REQUIRE(strlen(answer.text) < sizeof(answer.text) && answer.error <= 0);
	input = (struct input){data, size};
	take(&input, &handover, sizeof(handover));
	if (launch_handover_check(&handover, sizeof(handover)) == 0)
		REQUIRE(handover.magic == LAUNCH_MAGIC && handover.version <= LAUNCH_VERSION);
	return 0;
}
