/* SPDX-License-Identifier: MIT */
/* What a container runtime says. What was made is read as it was made, and seen to end where it
 * ends; or what is wrong in it is said. */
#include "structure-container.h"

static int check_message(
	const char *text, size_t size, struct container_message *ret, const char **ret_fault)
{
	int r = container_message_parse(text, size, ret, ret_fault);

	if (r < 0) {
		REQUIRE(r == -ENOMEM || (r == -EBADMSG && *ret_fault));
		return r;
	}
	REQUIRE(launch_hello_check(&ret->hello, sizeof(ret->hello)) == 0);
	REQUIRE(container_message_is_valid(ret) && *ret->id);
	REQUIRE(ret->listener < ret->descriptor_count &&
		ret->descriptor_count <= CONTAINER_DESCRIPTORS_MAX);
	return 0;
}

/* It comes in two pieces, and ends with its last byte. */
static void check_end(const struct text *text, size_t first)
{
	struct container_scan scan = {0};

	REQUIRE(!container_scan_ends(&scan, text->data, first));
	REQUIRE(container_scan_ends(&scan, text->data, text->size) && scan.at == text->size);
}

static void check_read(const struct made_container *made, const struct container_message *message)
{
	REQUIRE(message->pid == (pid_t)made->pid && message->filter_id != 0);
	REQUIRE(message->hello.ref_count == made->plugs);
	REQUIRE(message->descriptor_count == made->descriptors);
	REQUIRE(message->listener == made->listener);
	REQUIRE(strlen(message->id) == made->id_length);
	REQUIRE(strlen(message->name) == made->name_length);
	REQUIRE(strlen(message->bundle) == made->bundle_length);
}

static void check_made(struct input *choices)
{
	struct made_container made = {0};
	struct container_message message;
	const char *fault = NULL;
	int r;

	make_container(choices, &made);
	r = check_message(made.text.data, made.text.size, &message, &fault);
	REQUIRE((r < 0) == (made.wrong != NULL));
	if (r < 0) {
		REQUIRE(strstr(fault, made.wrong));
	} else {
		check_read(&made, &message);
		check_end(&made.text, choose(choices, made.text.size));
	}
	text_clear(&made.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct container_scan scan = {0};
	struct container_message message;
	struct input choices = {data, size};
	const char *fault = NULL;

	if (size > CONTAINER_MESSAGE_MAX)
		return 0;
	if (size > 0 && take_byte(&choices) == STRUCTURED) {
		check_made(&choices);
		return 0;
	}
	(void)container_scan_ends(&scan, (const char *)data, size);
	(void)check_message((const char *)data, size, &message, &fault);
	return 0;
}
