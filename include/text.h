/* SPDX-License-Identifier: MIT */
/* Texts of /proc that the kernel prints in one piece: a read that leaves room has read all. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

/* The whole of an open file, from its beginning, with a NUL at its end; to be freed. 0; -E2BIG if
 * it is larger than max; another negative errno. */
int text_read(int fd, size_t max, char **ret);
int text_read_at(int directory, const char *name, size_t max, char **ret);

/* What follows "KEY:" at the beginning of a line; NULL if there is none. */
const char *text_field(const char *text, const char *key);

/* Takes one number off a line. 1; 0: the line ends; -EBADMSG. */
int text_next_number(const char **at, int base, uint64_t *ret);

/* The numbers at the beginning of a field. 0 or -EBADMSG. */
int text_numbers(const char *text, const char *key, int base, uint64_t *ret, size_t count);

/* The number there in "status" of /proc/TID, held open; or of whoever has the number now. */
int text_status_at(int proc, const char *key, uint64_t *ret);
int text_status(pid_t tid, const char *key, uint64_t *ret);

/* Where a link leads, with a NUL at its end. 0; -ENAMETOOLONG if that needs more than size; another
 * negative errno. */
int text_link_at(int directory, const char *name, char *buffer, size_t size);

/* True if that is what the kernel says of a descriptor of ours. Everything else about it a file of
 * a user's own file system could forge. */
bool text_link_is(int fd, const char *expected);

/* The limit of that name, of the text of /proc/TID/limits. 0 or -EBADMSG. */
int text_limit(const char *text, const char *name, struct rlimit *ret);
