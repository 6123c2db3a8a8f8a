/* SPDX-License-Identifier: MIT */
/* Log lines on stderr. Programs log; library code returns errors. */
#pragma once

#include <stdarg.h>
#include <syslog.h>

#include "include/util.h"

/* name is put before each line. With "<N>" level prefixes if the journal reads our stderr,
 * otherwise none. */
void log_open(const char *name);

/* Whether the journal reads our stderr. */
bool log_to_journal(void);

void log_message(int level, const char *format, ...) _printf_(2, 3);

#define log_error(...)   log_message(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_message(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_message(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_message(LOG_INFO, __VA_ARGS__)

/* Logs with ": strerror" and returns error (negative errno), for "return log_errno(r, …)". */
int log_errno(int error, const char *format, ...) _printf_(2, 3);

/* Bytes of the valid UTF-8 sequence at s, 0 if there is none. */
size_t utf8_length(const unsigned char *s);

/* The text with control characters, backslashes and bytes that are not UTF-8 as \xNN; for all that
 * came from an app. Returns buffer, cut to size. */
char *escape(const char *text, char *buffer, size_t size);

/* Escaped text as one word of ASCII: in a sentence it cannot be taken for what follows. */
void print_word(FILE *f, const char *escaped);
