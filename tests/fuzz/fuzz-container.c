/* SPDX-License-Identifier: MIT */
/* What a container runtime says. */
#include "fuzz.h"
#include "include/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct container_scan scan = {0};
	struct container_message message;
	const char *fault = NULL;
	int r;

	if (size > CONTAINER_MESSAGE_MAX)
		return 0;
	(void)container_scan_ends(&scan, (const char *)data, size);
	r = container_message_parse((const char *)data, size, &message, &fault);
	if (r < 0) {
		REQUIRE(r == -ENOMEM || (r == -EBADMSG && fault));
		return 0;
	}
	REQUIRE(launch_hello_check(&message.hello, sizeof(message.hello)) == 0);
	REQUIRE(container_message_is_valid(&message) && *message.id);
	REQUIRE(message.listener < message.descriptor_count &&
		message.descriptor_count <= CONTAINER_DESCRIPTORS_MAX);
	return 0;
}
