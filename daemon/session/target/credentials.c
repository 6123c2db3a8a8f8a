/* SPDX-License-Identifier: MIT */
/* Who the calling thread is. */
#include "credentials.h"

#include <fcntl.h>

#include "include/array.h"
#include "include/limits.h"
#include "include/text.h"

static int parse_groups(const char *text, struct credentials *identity)
{
	const char *at = text_field(text, "Groups");
	uint64_t group;
	gid_t id;
	int r = -EBADMSG;

	while (at && (r = text_next_number(&at, 10, &group)) > 0) {
		if (group > UINT32_MAX || identity->group_count >= TARGET_GROUPS_MAX)
			return -EBADMSG;
		id = (gid_t)group;
		r = array_append(&identity->groups, &identity->group_count, &id, sizeof(id));
		if (r < 0)
			break;
	}
	return r;
}

static void parse_command(const char *text, struct credentials *identity)
{
	const char *at = text_field(text, "Name");
	size_t length;

	if (!at)
		return;
	at += strspn(at, "\t ");
	length = MIN(strcspn(at, "\n"), sizeof(identity->command) - 1);
	memcpy(identity->command, at, length);
}

int credentials_parse_nested(const char *text, uint32_t *ret_tgid, uint32_t *ret_depth)
{
	const char *at = text_field(text, "NStgid");
	uint64_t number = 0;
	int r = -EBADMSG;

	*ret_depth = 0;
	while (at && (r = text_next_number(&at, 10, &number)) > 0)
		(*ret_depth)++;
	*ret_tgid = (uint32_t)number;
	return r == 0 && (*ret_depth == 0 || number == 0 || number > INT32_MAX) ? -EBADMSG : r;
}

int credentials_parse(const char *text, struct credentials *identity)
{
	uint64_t uids[4], gids[4], capabilities, mask, tgid;
	int r;

	if ((r = text_numbers(text, "Uid", 10, uids, 4)) < 0 ||
		(r = text_numbers(text, "Gid", 10, gids, 4)) < 0 ||
		(r = text_numbers(text, "CapEff", 16, &capabilities, 1)) < 0 ||
		(r = text_numbers(text, "Umask", 8, &mask, 1)) < 0 ||
		(r = text_numbers(text, "Tgid", 10, &tgid, 1)) < 0)
		return r;
	identity->real_uid = (uid_t)uids[0];
	identity->effective_uid = (uid_t)uids[1];
	identity->fs_uid = (uid_t)uids[3];
	identity->real_gid = (gid_t)gids[0];
	identity->effective_gid = (gid_t)gids[1];
	identity->fs_gid = (gid_t)gids[3];
	identity->capabilities = capabilities;
	identity->umask = (mode_t)mask;
	identity->tgid = (pid_t)tgid;
	parse_command(text, identity);
	/* A kernel without PID namespaces does not tell. */
	if (credentials_parse_nested(text, &identity->nested_tgid, &identity->pid_depth) < 0)
		identity->pid_depth = 0;
	return parse_groups(text, identity);
}

static int read_name(int proc, const char *link, char ret[static NAMESPACE_NAME_SIZE])
{
	return text_link_at(proc, link, ret, NAMESPACE_NAME_SIZE);
}

int namespaces_get(int proc, struct namespaces *ret)
{
	int r = read_name(proc, "ns/user", ret->user);

	return r < 0 ? r : read_name(proc, "ns/ipc", ret->ipc);
}

/* A set of capabilities counts in the user namespace of the thread that has it, and /proc shows it
 * without saying so: any user has a full one in a namespace of their own. Lent to us it would be
 * root's. */
static int cut_capabilities(
	const struct target *target, const struct namespaces *own, struct credentials *identity)
{
	char name[NAMESPACE_NAME_SIZE];
	int r;

	if (identity->capabilities == 0)
		return 0;
	r = read_name(target->proc, "ns/user", name);
	if (r < 0)
		return r;
	if (!streq(name, own->user))
		identity->capabilities = 0;
	return 0;
}

static int find_ipc_namespace(
	const struct target *target, const struct namespaces *own, struct credentials *identity)
{
	char name[NAMESPACE_NAME_SIZE];
	int r = read_name(target->proc, "ns/ipc", name);

	if (r < 0 || streq(name, own->ipc))
		return r;
	identity->ipc_namespace = openat(target->proc, "ns/ipc", O_RDONLY | O_CLOEXEC);
	return identity->ipc_namespace < 0 ? -errno : 0;
}

void credentials_clear(struct credentials *identity)
{
	free(identity->groups);
	(void)safe_close(identity->ipc_namespace);
	*identity = CREDENTIALS_NONE;
}

int target_credentials(struct target *target, const struct namespaces *own, struct credentials *ret)
{
	_cleanup_(credentials_clear) struct credentials identity = CREDENTIALS_NONE;
	_cleanup_free_ char *status = NULL;
	int r;

	if ((r = target_status(target, &status)) < 0 ||
		(r = credentials_parse(status, &identity)) < 0 ||
		(r = cut_capabilities(target, own, &identity)) < 0 ||
		(r = find_ipc_namespace(target, own, &identity)) < 0)
		return r;
	*ret = identity;
	identity = CREDENTIALS_NONE;
	return 0;
}
