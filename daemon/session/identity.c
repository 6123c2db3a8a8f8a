/* SPDX-License-Identifier: MIT */
/* Who the calling thread is. */
#include "identity.h"

#include <fcntl.h>

#include "include/limits.h"
#include "include/text.h"

static int parse_groups(const char *text, struct identity *identity)
{
	const char *at = text_field(text, "Groups");
	size_t allocated = 0;

	if (!at)
		return -EBADMSG;
	for (;;) {
		unsigned long group;
		char *end;

		at += strspn(at, " \t");
		if (*at == '\n' || *at == '\0')
			return 0;
		group = strtoul(at, &end, 10);
		if (end == at || group > UINT32_MAX || identity->group_count >= TARGET_GROUPS_MAX)
			return -EBADMSG;
		at = end;
		if (identity->group_count == allocated) {
			gid_t *grown;

			allocated = allocated ? 2 * allocated : 32;
			grown = reallocarray(identity->groups, allocated, sizeof(gid_t));
			if (!grown)
				return -ENOMEM;
			identity->groups = grown;
		}
		identity->groups[identity->group_count++] = (gid_t)group;
	}
}

static void parse_command(const char *text, struct identity *identity)
{
	const char *at = text_field(text, "Name");
	size_t length;

	if (!at)
		return;
	at += strspn(at, "\t ");
	length = MIN(strcspn(at, "\n"), sizeof(identity->command) - 1);
	memcpy(identity->command, at, length);
}

int identity_parse(const char *text, struct identity *identity)
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
	return parse_groups(text, identity);
}

static int read_name(int proc, const char *link, char ret[static NAMESPACE_NAME_SIZE])
{
	ssize_t n = readlinkat(proc, link, ret, NAMESPACE_NAME_SIZE);

	if (n < 0)
		return -errno;
	if (n == NAMESPACE_NAME_SIZE)
		return -ENAMETOOLONG;
	ret[n] = '\0';
	return 0;
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
	const struct target *target, const struct namespaces *own, struct identity *identity)
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
	const struct target *target, const struct namespaces *own, struct identity *identity)
{
	char name[NAMESPACE_NAME_SIZE];
	int r = read_name(target->proc, "ns/ipc", name);

	if (r < 0 || streq(name, own->ipc))
		return r;
	identity->ipc_namespace = openat(target->proc, "ns/ipc", O_RDONLY | O_CLOEXEC);
	return identity->ipc_namespace < 0 ? -errno : 0;
}

void identity_clear(struct identity *identity)
{
	free(identity->groups);
	(void)safe_close(identity->ipc_namespace);
	*identity = IDENTITY_NONE;
}

int target_identity(struct target *target, const struct namespaces *own, struct identity *ret)
{
	_cleanup_(identity_clear) struct identity identity = IDENTITY_NONE;
	_cleanup_free_ char *status = NULL;
	int r;

	if ((r = target_status(target, &status)) < 0 ||
		(r = identity_parse(status, &identity)) < 0 ||
		(r = cut_capabilities(target, own, &identity)) < 0 ||
		(r = find_ipc_namespace(target, own, &identity)) < 0)
		return r;
	*ret = identity;
	identity = IDENTITY_NONE;
	return 0;
}
