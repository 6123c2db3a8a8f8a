/* SPDX-License-Identifier: MIT */
/* What a container runtime says when it hands over a listener: the containerProcessState of the
 * OCI, in JSON, which is YAML but for what no_json says. */
#include "include/container.h"

#include <inttypes.h>

#include "include/diagnostics.h"
#include "include/tree.h"
#include "include/util.h"

#define DESCRIPTOR_NAME "seccompFd"
#define PLUG_WORD       "plug="
#define ID_WORD         "id="

static const char no_json[] =
	"it is no JSON, or has in it what is not read of JSON: a control character, half of a "
	"surrogate pair (\\ud83d), or a key of more than 1024 bytes";
static const char no_state[] = "it is no containerProcessState of the OCI";
static const char no_metadata[] =
	"the container's profile was not made by mqctl oci-profile of this release";

static void scan_byte(struct container_scan *scan, char byte)
{
	if (scan->escaped)
		scan->escaped = false;
	else if (scan->quoted && byte == '\\')
		scan->escaped = true;
	else if (byte == '"')
		scan->quoted = !scan->quoted;
	else if (!scan->quoted && (byte == '{' || byte == '['))
		scan->depth++;
	else if (!scan->quoted && (byte == '}' || byte == ']') && scan->depth > 0)
		scan->depth--;
}

bool container_scan_ends(struct container_scan *scan, const char *text, size_t size)
{
	while (scan->at < size) {
		const char byte = text[scan->at++];

		scan_byte(scan, byte);
		if (scan->depth == 0 && !scan->quoted && (byte == '}' || byte == ']'))
			return true;
	}
	return false;
}

static const char *text_of(const struct value *map, const char *key)
{
	const struct value *value = map && map->kind == VALUE_MAP ? value_get(map, key) : NULL;

	return value && value->kind == VALUE_STRING ? value->text : NULL;
}

/* The length of the id or name that begins here; 0: none, or too long. */
static size_t name_length(const char *text)
{
	static const char allowed[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.+-";
	const size_t length = strspn(text, allowed);

	return length <= CONTAINER_ID_MAX ? length : 0;
}

void container_label(
	const struct container_message *message, char ret[static CONTAINER_LABEL_MAX + 1])
{
	(void)snprintf(ret, CONTAINER_LABEL_MAX + 1, "%s%s%s", message->id,
		*message->name ? " " : "", message->name);
}

bool container_label_is_valid(const char *label)
{
	const size_t id = name_length(label);
	size_t name;

	if (id == 0 || label[id] == '\0')
		return id > 0;
	name = name_length(label + id + 1);
	return label[id] == ' ' && name > 0 && label[id + 1 + name] == '\0';
}

static bool take_name(const char *text, char ret[static CONTAINER_ID_MAX + 1])
{
	if (!text || name_length(text) == 0 || text[name_length(text)])
		return false;
	(void)strcpy(ret, text);
	return true;
}

static bool name_is_valid(const char text[static CONTAINER_ID_MAX + 1])
{
	return memchr(text, '\0', CONTAINER_ID_MAX + 1) && text[name_length(text)] == '\0';
}

bool container_message_is_valid(const struct container_message *message)
{
	return name_is_valid(message->id) && name_is_valid(message->name) && message->pid >= 0 &&
	       memchr(message->bundle, '\0', sizeof(message->bundle)) &&
	       (*message->bundle == '/' || *message->bundle == '\0');
}

static void find_name(const struct value *state, struct container_message *message)
{
	static const char *const keys[] = {"io.kubernetes.container.name",
		"io.kubernetes.cri.container-name", "io.kubernetes.cri-o.ContainerName"};
	const struct value *annotations = value_get(state, "annotations");

	for (size_t i = 0; i < ELEMENTSOF(keys); i++)
		if (take_name(text_of(annotations, keys[i]), message->name))
			return;
}

static bool take_pid(const struct value *root, pid_t *ret)
{
	const struct value *pid = value_get(root, "pid");

	if (!pid || pid->kind != VALUE_INTEGER || strlen(pid->text) > 9 ||
		pid->text[strspn(pid->text, "0123456789")])
		return false;
	*ret = atoi(pid->text);
	return true;
}

static bool find_listener(const struct value *root, struct container_message *message)
{
	const struct value *fds = value_get(root, "fds");
	bool found = false;

	if (!fds || fds->kind != VALUE_LIST || fds->count > CONTAINER_DESCRIPTORS_MAX)
		return false;
	message->descriptor_count = fds->count;
	for (size_t i = 0; i < fds->count && !found; i++) {
		found = fds->items[i]->kind == VALUE_STRING &&
			streq(fds->items[i]->text, DESCRIPTOR_NAME);
		message->listener = i;
	}
	return found;
}

static bool bundle_is_too_long(const struct value *root)
{
	const char *bundle = text_of(value_get(root, "state"), "bundle");

	return bundle && *bundle == '/' && strlen(bundle) > CONTAINER_BUNDLE_MAX;
}

static bool take_state(const struct value *root, struct container_message *message)
{
	const struct value *state =
		root && root->kind == VALUE_MAP ? value_get(root, "state") : NULL;
	const char *bundle;

	if (!state || state->kind != VALUE_MAP || !take_pid(root, &message->pid) ||
		!find_listener(root, message) || !take_name(text_of(state, "id"), message->id))
		return false;
	bundle = text_of(state, "bundle");
	if (!bundle)
		return false;
	/* What crun says of a process that it puts into a container: no pid, and ".". */
	if (message->pid > 0 && *bundle == '/')
		(void)snprintf(message->bundle, sizeof(message->bundle), "%s", bundle);
	find_name(state, message);
	return true;
}

static bool take_id(const char *text, uint64_t *ret)
{
	char *end;

	errno = 0;
	*ret = strtoull(text, &end, 16);
	return errno == 0 && *text && strspn(text, "0123456789abcdef") == strlen(text) &&
	       *end == '\0';
}

static bool add_plug(const char *text, struct launch_hello *hello)
{
	struct launch_ref *ref = &hello->refs[hello->ref_count];

	if (!*text || hello->ref_count == LAUNCH_REFS_MAX || strlen(text) >= sizeof(ref->text))
		return false;
	ref->kind = LAUNCH_REF_PLUG;
	(void)strcpy(ref->text, text);
	hello->ref_count++;
	return true;
}

static bool take_word(const char *word, struct container_message *message)
{
	if (startswith(word, ID_WORD))
		return take_id(word + strlen(ID_WORD), &message->filter_id);
	return startswith(word, PLUG_WORD) && add_plug(word + strlen(PLUG_WORD), &message->hello);
}

static int take_metadata(const char *metadata, struct container_message *message)
{
	_cleanup_free_ char *words = metadata ? strdup(metadata) : NULL;
	char *rest = words, *word;

	if (!metadata)
		return -EBADMSG;
	if (!words)
		return -ENOMEM;
	word = strsep(&rest, " ");
	if (!streq(word, CONTAINER_METADATA))
		return -EBADMSG;
	message->hello.magic = LAUNCH_MAGIC;
	message->hello.version = LAUNCH_VERSION;
	while ((word = strsep(&rest, " ")))
		if (!take_word(word, message))
			return -EBADMSG;
	return message->filter_id != 0 && message->hello.ref_count > 0 ? 0 : -EBADMSG;
}

int container_message_parse(
	const char *text, size_t size, struct container_message *ret, const char **ret_fault)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	_cleanup_(tree_freep) struct tree *tree = NULL;
	int r = tree_parse("", text, size, &diagnostics, &tree);

	*ret = (struct container_message){0};
	*ret_fault = no_json;
	if (r < 0)
		return r;
	*ret_fault = no_state;
	if (!take_state(tree->root, ret))
		return -EBADMSG;
	*ret_fault = "the path of its bundle is longer than CONTAINER_BUNDLE_MAX";
	if (bundle_is_too_long(tree->root))
		return -EBADMSG;
	r = take_metadata(text_of(tree->root, "metadata"), ret);
	*ret_fault = r < 0 ? no_metadata : NULL;
	return r;
}
