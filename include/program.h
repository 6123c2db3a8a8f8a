/* SPDX-License-Identifier: MIT */
/* Where a program is that another one of ours executes. */
#pragma once

/* Of a program that is installed as self and runs from elsewhere: the path, malloc'd, of the other
 * one that lies with it. name: the other in the same directory; below: the same in a build
 * directory, seen from above that one. 1 and its path; 0: there is none, and the installed one is
 * to be used; -EPERM and its path: it is there, but somebody could have put it there who could not
 * have replaced this program; or another negative errno. */
int program_beside(const char *self, const char *name, const char *below, char **ret);
