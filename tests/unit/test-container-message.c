/* SPDX-License-Identifier: MIT */
/* What a container runtime says. */
#include "fixture.h"
#include "include/container.h"

/* As crun 1.8.1 says it under Podman 4.3.1, shortened. */
#define CRUN(fds, pid, metadata, state)                                                      \
	"{\n    \"ociVersion\": \"0.2.0\",\n    \"fds\": [\n        " fds "\n    ],\n"       \
	"    \"pid\": " pid ",\n    \"metadata\": \"" metadata "\",\n    \"state\": {" state \
	"}\n}\n"
#define METADATA "mqgate:1 id=001611165398959c plug=worker:jobs plug=worker:bus"
#define STATE                                                                                    \
	"\"ociVersion\": \"0.2.0\", \"id\": \"4a0a7d5f\", \"status\": \"creating\", \"pid\": 1," \
	"\"bundle\": \"/run/b\", \"annotations\": {\"a\": \"}]\", \"io.container.manager\": \"x\"}"

static struct container_message message;
static const char *fault;

static int parse(const char *text)
{
	return container_message_parse(text, strlen(text), &message, &fault);
}

Test(container_message, as_crun_says_it)
{
	cr_assert_eq(parse(CRUN("\"seccompFd\"", "18181", METADATA, STATE)), 0);
	cr_expect_str_eq(message.id, "4a0a7d5f");
	cr_expect_str_eq(message.name, "");
	cr_expect_null(fault);
	cr_expect_str_eq(message.bundle, "/run/b");
	cr_expect_eq(message.pid, 18181);
	cr_expect_eq(message.filter_id, 0x001611165398959cULL);
	cr_expect_eq(message.descriptor_count, 1U);
	cr_expect_eq(message.listener, 0U);
	cr_expect_eq(message.hello.ref_count, 2U);
	cr_expect_str_eq(message.hello.refs[1].text, "worker:bus");
	cr_expect_eq(launch_hello_check(&message.hello, sizeof(message.hello)), 0);
}

Test(container_message, a_name_and_more_descriptors)
{
	cr_assert_eq(parse(CRUN("\"pidFd\", \"seccompFd\"", "1", METADATA,
			     "\"id\": \"a\", \"bundle\": \"/b\", \"annotations\": "
			     "{\"io.kubernetes.cri.container-name\": \"web\"}")),
		0);
	cr_expect_str_eq(message.name, "web");
	cr_expect_eq(message.descriptor_count, 2U);
	cr_expect_eq(message.listener, 1U);
}

Test(container_message, what_is_put_into_a_container)
{
	cr_assert_eq(parse(CRUN("\"seccompFd\"", "0", METADATA,
			     "\"id\": \"a\", \"status\": \"running\", \"bundle\": \".\"")),
		0);
	cr_expect_eq(message.pid, 0);
	cr_expect_str_eq(message.bundle, "");
	cr_assert_eq(
		parse(CRUN("\"seccompFd\"", "7", METADATA, "\"id\": \"a\", \"bundle\": \".\"")), 0);
	cr_expect_eq(message.pid, 7);
	cr_expect_str_eq(message.bundle, "");
	cr_assert_eq(parse(CRUN("\"seccompFd\"", "0", METADATA, STATE)), 0);
	cr_expect_str_eq(message.bundle, "");
}

Test(container_message, what_cannot_be_one)
{
	cr_assert_eq(parse(CRUN("\"seccompFd\"", "1", METADATA, STATE)), 0);
	cr_expect(container_message_is_valid(&message));
	(void)strcpy(message.bundle, "b");
	cr_expect_not(container_message_is_valid(&message));
	memset(message.bundle, '/', sizeof(message.bundle));
	cr_expect_not(container_message_is_valid(&message));
	message = (struct container_message){.id = "a\nb"};
	cr_expect_not(container_message_is_valid(&message));
	message = (struct container_message){.pid = -1};
	cr_expect_not(container_message_is_valid(&message));
	message = (struct container_message){.pid = 0};
	cr_expect(container_message_is_valid(&message), "nothing of it was taken");
	memset(message.name, 'a', sizeof(message.name));
	cr_expect_not(container_message_is_valid(&message));
}

Test(container_message, labels)
{
	char label[CONTAINER_LABEL_MAX + 2];

	(void)strcpy(message.id, "4a0a7d5f");
	*message.name = '\0';
	container_label(&message, label);
	cr_expect_str_eq(label, "4a0a7d5f");
	cr_expect(container_label_is_valid(label));
	(void)strcpy(message.name, "web");
	container_label(&message, label);
	cr_expect_str_eq(label, "4a0a7d5f web");
	cr_expect(container_label_is_valid(label));
	cr_expect_not(container_label_is_valid(""));
	cr_expect_not(container_label_is_valid(" web"));
	cr_expect_not(container_label_is_valid("a "));
	cr_expect_not(container_label_is_valid("a b c"));
	cr_expect_not(container_label_is_valid("a/b"));
	cr_expect_not(container_label_is_valid("a\nb"));
	(void)memset(label, 'a', CONTAINER_LABEL_MAX);
	label[CONTAINER_ID_MAX] = ' ';
	label[CONTAINER_LABEL_MAX] = '\0';
	cr_expect(container_label_is_valid(label));
	label[CONTAINER_ID_MAX] = 'a';
	cr_expect_not(container_label_is_valid(label));
}

Test(container_message, whole_or_not)
{
	static const char text[] = CRUN("\"seccompFd\"", "1", METADATA, STATE);

	static const char escaped[] = "{\"a\\\"}\": \"\\\\\"}";
	struct container_scan scan = {0};

	for (size_t i = 0; i < sizeof(text) - 2; i++)
		cr_expect_not(container_scan_ends(&scan, text, i), "%zu", i);
	cr_expect(container_scan_ends(&scan, text, sizeof(text) - 2));
	scan = (struct container_scan){0};
	cr_expect(container_scan_ends(&scan, text, sizeof(text) - 1));
	scan = (struct container_scan){0};
	cr_expect_not(container_scan_ends(&scan, escaped, sizeof(escaped) - 2));
	cr_expect(container_scan_ends(&scan, escaped, sizeof(escaped) - 1));
	scan = (struct container_scan){0};
	cr_expect(container_scan_ends(&scan, "]", 1));
}

static void refuses(const char *text, const char *expected)
{
	cr_expect_eq(parse(text), -EBADMSG, "%s", text);
	cr_expect(strstr(fault, expected), "%s: %s", text, fault);
}

Test(container_message, what_is_none)
{
	char plugs[2048] = "mqgate:1 id=1", text[4096], id[CONTAINER_ID_MAX + 2];

	refuses("", "containerProcessState");
	refuses("{", "no JSON");
	refuses("{\"a\": \"\x7f\"}", "a control character");
	refuses("{\"a\": \"\xc2\x80\"}", "a control character");
	refuses("{\"a\": \"\\ud83d\\ude00\"}", "surrogate");
	refuses("[]", "containerProcessState");
	refuses(CRUN("\"pidFd\"", "1", METADATA, STATE), "containerProcessState");
	refuses(CRUN("", "1", METADATA, STATE), "containerProcessState");
	refuses(CRUN("\"seccompFd\"", "-1", METADATA, STATE), "containerProcessState");
	refuses(CRUN("\"seccompFd\"", "4294967297", METADATA, STATE), "containerProcessState");
	refuses(CRUN("\"seccompFd\"", "1", METADATA, "\"id\": \"a/b\", \"bundle\": \"/b\""),
		"containerProcessState");
	refuses(CRUN("\"seccompFd\"", "1", METADATA, "\"id\": \"a\""), "containerProcessState");
	refuses(CRUN("\"seccompFd\"", "1", "", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:1 id=1", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:1 plug=a:b", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:1 id=1 plug=", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:1 id=0 plug=a:b", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:1 id=-1 plug=a:b", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:2 id=1 plug=a:b", STATE), "mqctl oci-profile");
	refuses(CRUN("\"seccompFd\"", "1", "mqgate:1 id=1 plug=a:b x=y", STATE),
		"mqctl oci-profile");
	for (size_t i = 0; i <= LAUNCH_REFS_MAX; i++) {
		(void)strcat(plugs, " plug=ab:c");
		(void)snprintf(text, sizeof(text), CRUN("\"seccompFd\"", "1", "%s", STATE), plugs);
		cr_expect_eq(parse(text), i < LAUNCH_REFS_MAX ? 0 : -EBADMSG, "%zu", i);
	}
	for (size_t length = CONTAINER_ID_MAX; length <= CONTAINER_ID_MAX + 1; length++) {
		(void)memset(id, 'a', length);
		id[length] = '\0';
		(void)snprintf(text, sizeof(text),
			CRUN("\"seccompFd\"", "1", METADATA, "\"id\": \"%s\", \"bundle\": \"/b\""),
			id);
		cr_expect_eq(parse(text), length == CONTAINER_ID_MAX ? 0 : -EBADMSG);
	}
	cr_expect_eq(parse(CRUN("\"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"seccompFd\"",
			     "1", METADATA, STATE)),
		0);
	cr_expect_eq(message.listener, (size_t)CONTAINER_DESCRIPTORS_MAX - 1);
	refuses(CRUN("\"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"a\", \"seccompFd\"", "1",
			METADATA, STATE),
		"containerProcessState");
}
