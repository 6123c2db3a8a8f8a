/* SPDX-License-Identifier: MIT */
/* From the hello to the word.
 *
 * What mqgated does with a launcher, for our own child, which is mq-run still and not yet confined:
 * nothing of it need be proved. */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "alone.h"
#include "include/alone.h"
#include "include/capabilities.h"
#include "include/documents.h"
#include "include/text.h"

struct launch {
	int socket;
	uint64_t deadline;
	uint64_t filter_id;
	enum mediation mediation;
};

static int answer(const struct launch *launch, int error, const char *text)
{
	struct launch_answer message = {.magic = LAUNCH_MAGIC,
		.version = LAUNCH_VERSION,
		.error = error,
		.mediation = launch->mediation,
		.filter_id = launch->filter_id};
	int r;

	(void)snprintf(message.text, sizeof(message.text), "%s", text ?: "");
	r = message_send(launch->socket, &message, sizeof(message), NULL, 0);
	return error < 0 ? error : r;
}

/* 0; -ECONNRESET: it is gone; -EOWNERDEAD: mq-run is; or another negative errno. */
static int hear(const struct launch *launch, void *message, size_t size, int *ret_fd)
{
	struct pollfd p[] = {{.fd = launch->socket, .events = POLLIN}, {.fd = ALONE_FRONT_FD}};
	uint64_t now;
	int r;

	do {
		now = now_usec();
		if (now >= launch->deadline)
			return -ETIMEDOUT;
		r = poll(p, ELEMENTSOF(p), (int)((launch->deadline - now) / 1000) + 1);
		if (r > 0 && p[1].revents != 0)
			return -EOWNERDEAD;
		if (r > 0)
			r = message_receive(launch->socket, message, size, ret_fd, ret_fd ? 1 : 0);
		else
			r = r < 0 ? -errno : -EAGAIN;
	} while (r == -EAGAIN || r == -EINTR);
	return r == 0 ? -ECONNRESET : MIN(r, 0);
}

static int read_policy(struct alone *alone, const struct launch *launch)
{
	_cleanup_(diagnostics_clear) struct diagnostics diagnostics = {0};
	int r = alone_learns(alone) ? learner_begin(&alone->learner, &diagnostics)
				    : policy_from_documents(alone->files, alone->file_count,
					      &diagnostics, &alone->policy);

	tell_diagnostics(alone, &diagnostics);
	if (r == -EBADMSG)
		return answer(launch, r,
			alone_learns(alone)
				? "--learn: nothing is started when that could not be written"
				: "--policy: nothing is started with files that have errors");
	return r < 0 ? answer(launch, r, strerror(-r)) : 0;
}

/* What could have been meant. */
static void tell_plugs(struct alone *alone)
{
	const struct packages *packages = alone->policy.packages;

	for (size_t i = 0; i < packages->count; i++)
		for (size_t j = 0; j < packages->items[i]->plug_count; j++)
			tell_text(alone, "%s: plug %s", packages->items[i]->file,
				packages->items[i]->plugs[j].name);
}

static int bind_hello(
	struct alone *alone, const struct launch *launch, const struct launch_hello *hello)
{
	struct fault fault = {0};
	struct bound bound;
	int r = bindings_from_hello(&alone->policy, hello, &alone->bindings, &fault);

	bound = bindings_bound(&alone->bindings);
	if (r == 0)
		r = policy_check_names(&alone->policy, &bound, alone->session.own.has_host, &fault);
	if (r == -ENOENT)
		tell_plugs(alone);
	if (r < 0)
		r = answer(launch, r, fault.message ?: strerror(-r));
	fault_clear(&fault);
	return r;
}

/* It is heard before anything is answered: who closes a socket with something unread in it takes
 * back what it has said. */
static int take_hello(struct alone *alone, const struct launch *launch)
{
	struct launch_hello hello;
	int r = hear(launch, &hello, sizeof(hello), NULL);

	r = r < 0 ? r : launch_hello_check(&hello, sizeof(hello));
	r = r < 0 ? r : read_policy(alone, launch);
	if (r == 0 && chdir("/") < 0)
		r = -errno;
	return r < 0 || alone_learns(alone) ? r : bind_hello(alone, launch, &hello);
}

/* One message to the session from its manager, which is us. */
static int command_session(struct alone *alone, int manager, const struct session_message *message,
	const int *fds, size_t fd_count)
{
	int r = message_send(manager, message, sizeof(*message), fds, fd_count);

	r = r < 0 ? r : session_take_message(&alone->session);
	return r == 0 ? -EIO : MIN(r, 0);
}

static int attach(struct alone *alone, const struct launch *launch, int listener)
{
	_cleanup_close_ int inflight = memfd_create(INFLIGHT_MEMFD, MFD_CLOEXEC);
	struct session_message message = {.type = SESSION_ATTACH,
		.attach = {.record_rate = RECORD_RATE_MAX,
			.mediation = launch->mediation,
			.user = getuid(),
			.tells_tables = true,
			.filter_id = launch->filter_id}};
	const int fds[] = {listener, inflight};
	uint64_t capabilities = 0;
	int r = inflight < 0 || ftruncate(inflight, INFLIGHT_SIZE) < 0
			? -errno
			: capabilities_get(&capabilities);

	message.attach.capabilities = capabilities;
	return r < 0 ? r : command_session(alone, alone->reports, &message, fds, 2);
}

static int give_grants(struct alone *alone)
{
	struct session_message message = {.type = SESSION_GRANTS, .grants = {.generation = 1}};
	_cleanup_(grants_freep) struct grants *grants = NULL;
	_cleanup_close_ int fd = -EBADF;
	size_t size;
	int r = alone_learns(alone) ? learner_grants(&grants)
				    : bindings_grants(&alone->bindings, &alone->policy, 1, &grants);

	r = r < 0 ? r : grants_memfd(grants, &fd, &size);
	if (r < 0)
		return r;
	message.grants.size = size;
	return command_session(alone, alone->reports, &message, &fd, 1);
}

/* {pid} counts in the PID namespace in which the command begins: ours. */
static int find_depth(struct alone *alone)
{
	_cleanup_free_ char *status = NULL;
	uint32_t tgid;
	int r = text_read_at(AT_FDCWD, "/proc/self/status", STATUS_FILE_MAX, &status);

	return r < 0 ? r
		     : credentials_parse_nested(status, &tgid, &alone->session.inflight->pid_depth);
}

static int begin_session(struct alone *alone, const struct launch *launch, int listener)
{
	int pair[2];
	int r = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair);

	if (r < 0)
		return -errno;
	alone->session.channel = pair[0];
	alone->reports = pair[1];
	r = attach(alone, launch, listener);
	r = r < 0 ? r : find_depth(alone);
	return r < 0 ? r : give_grants(alone);
}

static const char *session_error(int error)
{
	switch (error) {
	case -E2BIG:
		return "these plugs and slots have too many queues for one session (GRANTS_MAX and GRANTS_PATTERNS_MAX in mqgate-limits(7)); use fewer";
	case -EFBIG:
		return "cannot begin a session: File too large; allow larger files (ulimit -f; LimitFSIZE= of the unit)";
	case -EMFILE:
		return "cannot begin a session: Too many open files; allow more descriptors (ulimit -n; LimitNOFILE= of the unit)";
	default:
		return strerror(-error);
	}
}

static int take_listener(struct alone *alone, const struct launch *launch)
{
	_cleanup_close_ int listener = -EBADF;
	struct launch_handover handover;
	int r = hear(launch, &handover, sizeof(handover), &listener);

	r = r < 0 ? r : launch_handover_check(&handover, sizeof(handover));
	r = r < 0 ? r : begin_session(alone, launch, listener);
	if (r < 0 && r != -ECONNRESET && r != -EOWNERDEAD)
		return answer(launch, r, session_error(r));
	return r < 0 ? r : answer(launch, 0, bindings_lack(&alone->bindings, &alone->policy));
}

int alone_launch(struct alone *alone)
{
	struct launch launch = {
		.socket = ALONE_LAUNCH_FD, .deadline = now_usec() + LAUNCH_DEADLINE_USEC};
	int r;

	r = take_hello(alone, &launch);
	if (r == 0 && getrandom(&launch.filter_id, sizeof(launch.filter_id), 0) !=
			      (ssize_t)sizeof(launch.filter_id))
		r = -EIO;
	if (r == 0) {
		launch.mediation = bindings_mediation(&alone->bindings, &alone->policy);
		r = answer(&launch, 0, NULL);
	}
	r = r < 0 ? r : take_listener(alone, &launch);
	(void)safe_close(ALONE_LAUNCH_FD);
	return r;
}
