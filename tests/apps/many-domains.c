/* SPDX-License-Identifier: MIT */
/* many-domains COMMAND…: runs it under as many Landlock domains as the kernel allows. */
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "app.h"

int main(int argc, char *argv[])
{
	const struct landlock_ruleset_attr attr = {.handled_access_fs = LANDLOCK_ACCESS_FS_EXECUTE};
	const struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_EXECUTE, .parent_fd = open("/", O_PATH)};
	int fd = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	if (argc < 2 || fd < 0 ||
		syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ||
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed("landlock_create_ruleset", "");
	while (syscall(SYS_landlock_restrict_self, fd, 0) == 0)
		;
	if (errno != E2BIG)
		return failed("landlock_restrict_self", "");
	(void)close(fd);
	(void)close(rule.parent_fd);
	(void)execvp(argv[1], argv + 1);
	return failed(argv[1], "");
}
