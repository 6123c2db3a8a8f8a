/* SPDX-License-Identifier: MIT */
/* Run from a build directory, or as a copy, a program takes the other one that was built or copied
 * with it: the installed one, if there is one, may be of another version.
 *
 * It will run with the same privileges, and is found by its path whenever it is needed. So the
 * other program and every directory on the way to it, from the root on, must belong to root or to
 * the owner of this program, be no symbolic link, and be writable for nobody else for whom this
 * program is not: then nobody else can put one there, now or later. A copy in /tmp/bin does not run
 * what somebody else has put into /tmp/session; that /tmp itself is writable does not matter above
 * this program's own directory, for it is sticky. */
#include "include/program.h"

#include <limits.h>
#include <sys/stat.h>

#include "include/util.h"

/* above: a directory above that of this program. */
static bool is_as_guarded(const char *path, bool above, const struct stat *own)
{
	struct stat st;

	if (lstat(*path ? path : "/", &st) < 0 || S_ISLNK(st.st_mode) ||
		(st.st_uid != 0 && st.st_uid != own->st_uid))
		return false;
	if (above && st.st_mode & S_ISVTX)
		return true;
	return !(st.st_mode & ~own->st_mode & (S_IWGRP | S_IWOTH)) &&
	       (!(st.st_mode & S_IWGRP) || st.st_gid == own->st_gid);
}

/* This program's directory is the first length bytes of the path. */
static bool way_is_as_guarded(char *path, size_t length, const struct stat *own)
{
	for (char *end = path;; end = strchrnul(end + 1, '/')) {
		const char cut = *end;
		bool guarded;

		*end = '\0';
		guarded = is_as_guarded(path, end < path + length, own);
		*end = cut;
		if (!guarded || !cut)
			return guarded;
	}
}

/* As program_beside(); in one place. */
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

int program_beside(const char *self, const char *name, const char *below, char **ret)
{
	char directory[PATH_MAX];
	struct stat own;
	ssize_t n;
	int r;

	n = readlink("/proc/self/exe", directory, sizeof(directory));
	if (n < 0 || n == sizeof(directory) || stat("/proc/self/exe", &own) < 0)
		return 0;
	directory[n] = '\0';
	if (streq(directory, self))
		return 0;
	*strrchr(directory, '/') = '\0';
	r = look(directory, name, &own, ret);
	if (r != 0 || !*directory)
		return r;
	*strrchr(directory, '/') = '\0';
	return look(directory, below, &own, ret);
}
