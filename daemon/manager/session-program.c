/* SPDX-License-Identifier: MIT */
/* Run from a build directory, or as a copy, mqgated takes the session program that was built or
 * copied with it: the installed one, if there is one, may be of another version.
 *
 * It will run with all privileges. Where this program lies is the kernel's word, and whoever may
 * write above that can replace this program itself. From there down, the session program and the
 * directories on the way to it must belong to root or to the owner of this program, be no symbolic
 * links, and be writable for nobody else for whom this program is not: so nobody gains anything by
 * putting one there. A copy in /tmp/bin does not run what somebody else has put into /tmp/session.
 */
#include "session-program.h"

#include <limits.h>
#include <sys/stat.h>

#include "config.h"
#include "include/util.h"

#define NAME "mqgate-session"

static bool is_as_guarded(const char *path, const struct stat *own)
{
	struct stat st;

	return lstat(*path ? path : "/", &st) == 0 && !S_ISLNK(st.st_mode) &&
	       (st.st_uid == 0 || st.st_uid == own->st_uid) &&
	       !(st.st_mode & ~own->st_mode & (S_IWGRP | S_IWOTH)) &&
	       (!(st.st_mode & S_IWGRP) || st.st_gid == own->st_gid);
}

/* The path as far as its first length bytes, and everything on it from there. */
static bool way_is_as_guarded(char *path, size_t length, const struct stat *own)
{
	for (char *end = path + length;; end = strchrnul(end + 1, '/')) {
		const char cut = *end;
		bool guarded;

		*end = '\0';
		guarded = is_as_guarded(path, own);
		*end = cut;
		if (!guarded || !cut)
			return guarded;
	}
}

/* As session_program_beside(); in one place. */
static int look(const char *directory, const char *below, const struct stat *own, char **ret)
{
	_cleanup_free_ char *path = NULL;
	int r = 1;

	if (asprintf(&path, "%s/%s", directory, below) < 0)
		return -ENOMEM;
	if (access(path, X_OK) < 0)
		return 0;
	if (!way_is_as_guarded(path, strlen(directory), own))
		r = -EPERM;
	*ret = take_pointer(path);
	return r;
}

int session_program_beside(char **ret)
{
	char directory[PATH_MAX];
	struct stat own;
	ssize_t n;
	int r;

	n = readlink("/proc/self/exe", directory, sizeof(directory));
	if (n < 0 || n == sizeof(directory) || stat("/proc/self/exe", &own) < 0)
		return 0;
	directory[n] = '\0';
	if (streq(directory, INSTALLED_PROGRAM))
		return 0;
	*strrchr(directory, '/') = '\0';
	r = look(directory, NAME, &own, ret);
	if (r != 0 || !*directory)
		return r;
	*strrchr(directory, '/') = '\0';
	return look(directory, "session/" NAME, &own, ret);
}
