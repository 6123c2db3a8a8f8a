/* SPDX-License-Identifier: MIT */
/* What mq-run is told. */
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "alone.h"
#include "daemon/session/call/call.h"
#include "include/alone.h"
#include "include/log.h"
#include "include/text.h"
#include "include/verdict.h"

#define COMMAND_SIZE 16 /* as the kernel has it */

static int send_front(struct alone *alone, const struct alone_message *message, int fd)
{
	if (alone->front < 0)
		return -EPIPE;
	return message_send(alone->front, message, sizeof(*message), &fd, fd >= 0 ? 1 : 0);
}

void tell_text(struct alone *alone, const char *format, ...)
{
	struct alone_message message = {.type = ALONE_TEXT};
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(message.text, sizeof(message.text), format, arguments);
	va_end(arguments);
	(void)send_front(alone, &message, -EBADF);
}

int tell_started(struct alone *alone)
{
	const struct alone_message message = {.type = ALONE_STARTED, .number = alone->command};
	_cleanup_close_ int pidfd = (int)syscall(SYS_pidfd_open, alone->command, 0);

	return pidfd < 0 ? -errno : send_front(alone, &message, pidfd);
}

void tell_stopped(struct alone *alone, int number)
{
	const struct alone_message message = {.type = ALONE_STOPPED, .number = number};

	(void)send_front(alone, &message, -EBADF);
}

void tell_ended(struct alone *alone)
{
	struct pollfd listener = {.fd = alone->session.listener};
	const struct alone_message message = {.type = ALONE_ENDED,
		.number = alone->status,
		.code = poll(&listener, 1, 0) != 0 ? ALONE_NOTHING_LEFT : 0};

	if (alone->was_told)
		return;
	alone->was_told = true;
	(void)send_front(alone, &message, -EBADF);
	alone->front = safe_close(alone->front);
}

void tell_diagnostics(struct alone *alone, const struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++) {
		_cleanup_free_ char *line = NULL;

		if (diagnostics->items[i].severity == SEVERITY_NOTE)
			continue;
		line = diagnostic_format(&diagnostics->items[i]);
		if (line)
			tell_text(alone, "%s", line);
	}
	if (diagnostics->suppressed > 0)
		tell_text(alone, "%zu more messages are not shown", diagnostics->suppressed);
}

/* --- denials ------------------------------------------------------------------------------- */

/* False: it was told already, or there were too many. */
static bool is_news(struct alone *alone, const struct call *call)
{
	struct told_denial *told;

	for (size_t i = 0; i < alone->told_count; i++) {
		told = &alone->told[i];
		if (told->reason == call->verdict.reason &&
			told->missing == call->verdict.missing &&
			strncmp(told->name, call->request.name, QUEUE_NAME_MAX) == 0)
			return false;
	}
	if (alone->told_count == DENIALS_TOLD_MAX)
		return false;
	told = &alone->told[alone->told_count++];
	told->reason = call->verdict.reason;
	told->missing = call->verdict.missing;
	(void)snprintf(told->name, sizeof(told->name), "%.*s", QUEUE_NAME_MAX, call->request.name);
	return true;
}

/* Why we could not look at a process, as far as it shows by now. */
static const char *why_not(pid_t pid)
{
	char path[32], name[NAMESPACE_NAME_SIZE], own[NAMESPACE_NAME_SIZE];
	_cleanup_close_ int proc = -EBADF;
	uint64_t uid = geteuid();
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (proc < 0)
		return errno == EMFILE ? "mqgate-alone may not open so many files; allow more "
					 "(ulimit -n, LimitNOFILE=)"
				       : "it has ended";
	(void)text_status_at(proc, "Uid", &uid);
	if (uid != geteuid() && geteuid() != 0)
		return "it is another user's, which --policy cannot serve; start it with mqgated";
	if (fstatat(proc, "status", &st, 0) == 0 && st.st_uid != geteuid() && geteuid() != 0)
		return "nobody may look into it (PR_SET_DUMPABLE, or a program file that cannot be "
		       "read), so --policy cannot serve it; start it with mqgated";
	if (text_link_at(AT_FDCWD, "/proc/self/ns/ipc", own, sizeof(own)) == 0 &&
		text_link_at(proc, "ns/ipc", name, sizeof(name)) == 0 && !streq(name, own))
		return "it is in an IPC namespace of its own, which --policy cannot serve; start it "
		       "with mqgated";
	return "it cannot be looked at; start it with mqgated, whose log says more";
}

static void print_denial(struct alone *alone, const struct call *call, pid_t pid,
	const char *command, const char *queue)
{
	char permissions[PERMISSIONS_STRING_MAX];
	char file[FILE_SHOWN_SIZE];
	const char *name = mq_call_to_string(call->request.call);
	/* Every slot gives "open". */
	const uint32_t missing = call->verdict.missing & ~PERMISSION_OPEN ?: call->verdict.missing;

	switch (call->verdict.reason) {
	case REASON_NOT_GRANTED:
		(void)permissions_format(missing, permissions);
		if (alone->file_count == 1)
			tell_text(alone,
				"mq-run: denied: %s of %s by %s (pid %d), which needs \"%s\"; no slot "
				"in %s gives that (mq-run --learn adds it)",
				name, queue, command, (int)pid, permissions,
				escape(alone->files[0], file, sizeof(file)));
		else
			tell_text(alone,
				"mq-run: denied: %s of %s by %s (pid %d), which needs \"%s\"; no slot "
				"in these files gives that",
				name, queue, command, (int)pid, permissions);
		break;
	case REASON_FAILED:
		tell_text(alone, "mq-run: denied: %s by %s (pid %d): %s", name, command, (int)pid,
			why_not(pid));
		break;
	default:
		tell_text(alone, "mq-run: denied: %s of %s by %s (pid %d): %s", name, queue,
			command, (int)pid, reason_to_string(call->verdict.reason));
	}
}

/* What a process calls itself now. */
static void read_command(pid_t pid, char ret[static COMMAND_SIZE])
{
	_cleanup_free_ char *comm = NULL;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (text_read_at(AT_FDCWD, path, COMMAND_SIZE, &comm) < 0)
		return;
	comm[strcspn(comm, "\n")] = '\0';
	(void)snprintf(ret, COMMAND_SIZE, "%s", comm);
}

void tell_denial(struct alone *alone, const struct call *call)
{
	const pid_t pid = call->identity_known ? call->identity.tgid : call->request.tid;
	char name[4 * QUEUE_NAME_MAX + 1], command[COMMAND_SIZE] = "", escaped[4 * COMMAND_SIZE];
	_cleanup_free_ char *queue = NULL;
	size_t size = 0;
	FILE *f;

	if (call->verdict.allow || call->verdict.reason == REASON_MALFORMED)
		return;
	/* The kernel would have refused it with the same error. */
	if (call->verdict.reason == REASON_NOT_GRANTED &&
		!queue_name_is_possible(call->request.name))
		return;
	if (!is_news(alone, call))
		return;
	if (call->identity_known)
		(void)strcpy(command, call->identity.command);
	else
		read_command(pid, command);
	f = open_memstream(&queue, &size);
	if (!f)
		return;
	(void)fputc('/', f);
	print_word(f, escape(call->request.name, name, sizeof(name)));
	if (fclose(f) != 0)
		return;
	print_denial(alone, call, pid, escape(command, escaped, sizeof(escaped)), queue);
	if (alone->told_count == DENIALS_TOLD_MAX)
		tell_text(alone, "mq-run: no further denials of this run are told");
}
