/* SPDX-License-Identifier: MIT */
/* Log lines on stderr. */
#include "include/log.h"

#include <sys/stat.h>

static const char *log_name = "mqgate";
static bool log_with_level;

/* systemd sets JOURNAL_STREAM to "device:inode" of the stream that it connected to stderr. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *name)
{
	log_name = name;
	log_with_level = stderr_is_journal();
}

bool log_to_journal(void)
{
	return log_with_level;
}

static _printf_(2, 0) void log_line(
	int level, const char *format, va_list arguments, const char *suffix)
{
	char line[4096];
	int n;

	n = vsnprintf(line, sizeof(line), format, arguments);
	if (n < 0)
		return;
	if (log_with_level)
		(void)fprintf(stderr, "<%d>%s%s\n", level, line, suffix);
	else
		(void)fprintf(stderr, "%s: %s%s\n", log_name, line, suffix);
}

void log_message(int level, const char *format, ...)
{
	int saved = errno;
	va_list arguments;

	va_start(arguments, format);
	log_line(level, format, arguments, "");
	va_end(arguments);
	errno = saved;
}

int log_errno(int error, const char *format, ...)
{
	char suffix[128];
	va_list arguments;

	(void)snprintf(suffix, sizeof(suffix), ": %s", strerror(-error));
	va_start(arguments, format);
	log_line(LOG_ERR, format, arguments, suffix);
	va_end(arguments);
	return error;
}

size_t utf8_length(const unsigned char *s)
{
	static const unsigned char first_minimum[][3] = {
		/* first byte, lowest and highest second byte */
		{0xe0, 0xa0, 0xbf}, {0xed, 0x80, 0x9f}, {0xf0, 0x90, 0xbf}, {0xf4, 0x80, 0x8f}};
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;

	if (length == 1)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	for (size_t i = 0; i < ELEMENTSOF(first_minimum); i++)
		if (s[0] == first_minimum[i][0] &&
			(s[1] < first_minimum[i][1] || s[1] > first_minimum[i][2]))
			return 0;
	return length;
}

/* What changes the order in which a terminal shows what follows, or begins a line. */
static bool directs(const unsigned char *s)
{
	return (s[0] == 0xd8 && s[1] == 0x9c) ||
	       (s[0] == 0xe2 && s[1] == 0x80 &&
		       ((s[2] >= 0x8e && s[2] <= 0x8f) || (s[2] >= 0xa8 && s[2] <= 0xae))) ||
	       (s[0] == 0xe2 && s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9);
}

/* U+FFFE and U+FFFF, which are no characters: no YAML document may have them. */
static bool is_none(const unsigned char *s)
{
	return s[0] == 0xef && s[1] == 0xbf && s[2] >= 0xbe;
}

/* Bytes of the sequence at s that is fit to print, 0 if there is none. C1 controls are not. */
static size_t printable(const unsigned char *s)
{
	bool control = s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);

	return control || directs(s) || is_none(s) || s[0] == '\\' ? 0 : utf8_length(s);
}

char *escape(const char *text, char *buffer, size_t size)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t at = 0;

	while (*s) {
		size_t length = printable(s);

		if (at + (length ? length : 4) >= size)
			break;
		if (length) {
			memcpy(buffer + at, s, length);
			at += length;
			s += length;
		} else {
			at += (size_t)snprintf(buffer + at, size - at, "\\x%02x", *s++);
		}
	}
	buffer[at] = '\0';
	return buffer;
}

void print_word(FILE *f, const char *escaped)
{
	for (const unsigned char *s = (const unsigned char *)escaped; *s; s++)
		if (*s == ' ' || *s >= 0x80)
			(void)fprintf(f, "\\x%02x", *s);
		else
			(void)fputc(*s, f);
}
