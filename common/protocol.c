/* SPDX-License-Identifier: MIT */
/* Checks of the launcher's and the manager's messages: nothing in them is believed before it passed
 * here. */
#include "include/protocol.h"

#include "include/syscalls.h"

static bool terminated(const char *text, size_t size)
{
	return strnlen(text, size) < size;
}

static bool all_zero(const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

bool launch_version_is_known(uint32_t version)
{
	return version >= LAUNCH_VERSION_OLDEST && version <= LAUNCH_VERSION;
}

static int check_version(uint32_t magic, uint32_t version)
{
	if (magic != LAUNCH_MAGIC)
		return -EBADMSG;
	return launch_version_is_known(version) ? 0 : -EPROTONOSUPPORT;
}

bool instance_is_valid(const char *text)
{
	size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				     "0123456789._:-");

	return length > 0 && length <= INSTANCE_MAX && text[length] == '\0';
}

static bool ref_is_valid(const struct launch_ref *ref)
{
	if (!terminated(ref->text, sizeof(ref->text)))
		return false;
	if (ref->kind == LAUNCH_REF_INSTANCE)
		return instance_is_valid(ref->text);
	return ref->kind > LAUNCH_REF_NONE && ref->kind <= LAUNCH_REF_APP && ref->text[0] != '\0';
}

static bool refs_are_valid(const struct launch_hello *hello)
{
	uint32_t instances = 0;

	for (uint32_t i = 0; i < hello->ref_count; i++) {
		if (!ref_is_valid(&hello->refs[i]))
			return false;
		instances += hello->refs[i].kind == LAUNCH_REF_INSTANCE;
	}
	return instances == 0 || (instances == 1 && hello->ref_count > 1 &&
					 hello->version >= LAUNCH_VERSION_INSTANCES);
}

int launch_hello_check(const void *data, size_t size)
{
	const struct launch_hello *hello = data;
	int r;

	if (size != sizeof(*hello))
		return -EBADMSG;
	r = check_version(hello->magic, hello->version);
	if (r < 0)
		return r;
	if (hello->ref_count < 1 || hello->ref_count > LAUNCH_REFS_MAX || hello->reserved != 0)
		return -EBADMSG;
	if (!refs_are_valid(hello))
		return -EBADMSG;
	if (!all_zero(&hello->refs[hello->ref_count],
		    (LAUNCH_REFS_MAX - hello->ref_count) * sizeof(hello->refs[0])))
		return -EBADMSG;
	return 0;
}

int launch_answer_check(const void *data, size_t size)
{
	const struct launch_answer *answer = data;
	int r;

	if (size != sizeof(*answer))
		return -EBADMSG;
	r = check_version(answer->magic, answer->version);
	if (r < 0)
		return r;
	if (answer->error > 0 || answer->mediation >= MEDIATION_COUNT ||
		!terminated(answer->text, sizeof(answer->text)))
		return -EBADMSG;
	return 0;
}

int launch_handover_check(const void *data, size_t size)
{
	const struct launch_handover *handover = data;

	if (size != sizeof(*handover))
		return -EBADMSG;
	return check_version(handover->magic, handover->version);
}
