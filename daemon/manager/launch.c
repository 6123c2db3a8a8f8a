/* SPDX-License-Identifier: MIT */
/* The launcher socket: from connect to the word.
 *
 * Whoever connects is not trusted. What a launch may come to is a session with what its hello
 * asked for, for a listener that it made itself; the kernel says who it is.
 *
 * A confined process launches nothing. Who has a filter is examined: when it connects, so that a
 * confined one is let go at once, and again if its hello had not come before that began, for it may
 * have become confined meanwhile. Confinement never ends, so whoever is not confined was not when
 * it sent what had come. It is the process that connected, and nobody else may speak in its place.
 * At the handover it must be under the new session's filter and no other session's: its session
 * process looks (channel.c). */
#include "launch.h"

#include <sys/random.h>
#include <sys/socket.h>

#include "daemon/manager/peers/account.h"
#include "daemon/manager/peers/fd-receiver.h"
#include "include/limits.h"
#include "include/log.h"
#include "daemon/manager/core/timer.h"
#include "daemon/manager/sessions/examination.h"
#include "daemon/manager/sessions/session.h"
#include "daemon/manager/sessions/totals.h"
#include "include/protocol.h"
#include "may-launch.h"

enum launch_state {
	LAUNCH_EXAMINING, /* nothing is read */
	LAUNCH_HELLO,
	LAUNCH_HANDOVER,
	LAUNCH_ATTACHING,
};

struct launch {
	struct launch *previous, *next;
	struct manager *manager;
	struct account *account;
	int socket;
	sd_event_source *socket_source, *deadline_source;
	enum launch_state state;
	uint32_t version; /* the launcher's, once it is known */
	struct identity identity;
	struct examination *examination;
	bool heard; /* something had come before that began */
	struct bindings bindings;
	uint64_t filter_id;
	uint64_t capabilities;    /* at the handover */
	enum mediation mediation; /* as the launcher was told; its filter cannot change */
	struct session *session;  /* while attaching */
};

static const char too_many[] = "too many launches at once; try again";

static struct launch *launch_free(struct launch *launch)
{
	struct manager *manager;

	if (!launch)
		return NULL;
	manager = launch->manager;
	LIST_DROP(manager->launches, launch);
	launches_drop(launch->account);
	launch->socket_source = sd_event_source_disable_unref(launch->socket_source);
	launch->deadline_source = sd_event_source_disable_unref(launch->deadline_source);
	launch->examination = examination_free(launch->examination);
	if (launch->state == LAUNCH_EXAMINING ||
		(launch->state == LAUNCH_HELLO && launch->account->kind != ACCOUNT_ROOT))
		fd_receiver_close(manager, &launch->socket);
	launch->socket = safe_close(launch->socket);
	launch->account = account_unref(launch->account);
	launch->identity.pidfd = safe_close(launch->identity.pidfd);
	bindings_clear(&launch->bindings);
	free(launch);
	return NULL;
}

void launches_free(struct manager *manager)
{
	FOREACH (launch, manager->launches)
		(void)launch_free(launch);
}

static int send_answer(int socket, const struct launch_answer *answer)
{
	return message_send(socket, answer, sizeof(*answer), NULL, 0);
}

static int answer_refusal(int socket, uint32_t version, int error, const char *text)
{
	struct launch_answer answer = {.magic = LAUNCH_MAGIC, .version = version, .error = error};

	(void)snprintf(answer.text, sizeof(answer.text), "%s", text);
	return send_answer(socket, &answer);
}

static const char apart[] =
	"the queues of this command are its own, and nobody else's: it is in another IPC namespace than mqgated; to share queues, take PrivateIPC= (or IPCNamespacePath=) out of its unit, start its container with --ipc=host, or connect it to a slot with \"namespace: host\"";

static bool shares_queues(const struct launch *launch)
{
	_cleanup_(grants_freep) struct grants *grants = NULL;

	return bindings_grants(&launch->session->bindings, &launch->manager->policy, 0, &grants) ==
		       0 &&
	       grants_have_host(grants);
}

/* For the person who has started it; NULL: nothing. */
static const char *notice(const struct launch *launch)
{
	if (identity_is_apart(&launch->identity) && !shares_queues(launch))
		return apart;
	return bindings_lack(&launch->session->bindings, &launch->manager->policy);
}

static int answer_launcher(const struct launch *launch)
{
	struct launch_answer answer = {.magic = LAUNCH_MAGIC,
		.version = launch->version,
		.mediation = launch->mediation,
		.filter_id = launch->filter_id};

	if (launch->state == LAUNCH_ATTACHING && notice(launch))
		(void)snprintf(answer.text, sizeof(answer.text), "%s", notice(launch));
	return send_answer(launch->socket, &answer);
}

/* Unread data would cost the launcher the answer; a child reads it where there may be descriptors
 * with it. */
static void discard_hello(const struct manager *manager, int socket)
{
	struct launch_hello hello;

	if (!manager->refuses_descriptors)
		return;
	(void)shutdown(socket, SHUT_RD);
	(void)recv(socket, &hello, sizeof(hello), MSG_DONTWAIT);
}

/* The launcher is told why, and let go. */
static void refuse(struct launch *launch, int error, const char *text)
{
	struct session *session = take_pointer(launch->session);

	launch->manager->totals->launches_refused++;
	if (launch->state == LAUNCH_EXAMINING)
		discard_hello(launch->manager, launch->socket);
	(void)answer_refusal(launch->socket, launch->version, error, text);
	(void)launch_free(launch);
	if (session) {
		session->starter = (struct session_starter){0};
		session_end(session);
	}
}

static void on_ended(bool over, void *userdata)
{
	struct launch *launch = userdata;

	launch->session = NULL;
	refuse(launch, -ECHILD, "cannot start a session process; see the log of mqgated");
}

static void on_refused(const struct examined *examined, void *userdata)
{
	refuse(userdata, -EPERM,
		examined->confined == -ENOENT
			? "this process is not under the filter that was handed over; a launcher confines itself"
			: examination_refusal(examined->confined));
}

static void on_ready(void *userdata)
{
	struct launch *launch = userdata;
	struct session *session = launch->session;
	int r;

	launch->manager->totals->launches++;
	r = answer_launcher(launch);
	(void)launch_free(launch);
	if (r < 0)
		session_end(session);
}

/* From here on the launch may be gone when a function returns. */

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata);

/* From now on the launcher may send descriptors, of whatever kind. Root's are as good as ours. */
static int expect_descriptor(struct launch *launch)
{
	int r;

	(void)descriptors_allow(launch->socket, true);
	if (launch->account->kind == ACCOUNT_ROOT)
		return 0;
	launch->socket_source = sd_event_source_disable_unref(launch->socket_source);
	r = fd_receiver_start(launch->account, &launch->socket);
	return r < 0 ? r
		     : sd_event_add_io(launch->manager->event, &launch->socket_source,
			       launch->socket, EPOLLIN, on_socket, launch);
}

static bool something_has_come(int socket)
{
	char byte;

	return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 || errno != EAGAIN;
}

static void accept_hello(struct launch *launch)
{
	int r;

	/* Nobody else can have sent what comes from now on. The hello may be a predecessor's, which
	 * gains nothing by it. */
	if (launch->identity.by_number && something_has_come(launch->socket)) {
		refuse(launch, -EPERM,
			"before Linux 6.5 a launcher must wait for the answer to its hello");
		return;
	}
	if (getrandom(&launch->filter_id, sizeof(launch->filter_id), 0) !=
		(ssize_t)sizeof(launch->filter_id)) {
		refuse(launch, -EIO, "the kernel gives no random number; try again");
		return;
	}
	launch->mediation = bindings_mediation(&launch->bindings, &launch->manager->policy);
	r = expect_descriptor(launch);
	if (r < 0) {
		refuse(launch, r,
			"mqgated cannot receive a descriptor now; try again, and see its log");
		return;
	}
	if (answer_launcher(launch) < 0) {
		(void)launch_free(launch);
		return;
	}
	launch->state = LAUNCH_HANDOVER;
}

static int check_names(const struct launch *launch, struct fault *fault)
{
	const struct bound bound = bindings_bound(&launch->bindings);

	return policy_check_names(
		&launch->manager->policy, &bound, launch->manager->has_host, fault);
}

static int bind_all(struct launch *launch, const struct launch_hello *hello, struct fault *fault)
{
	int r = bindings_from_hello(&launch->manager->policy, hello, &launch->bindings, fault);

	return r < 0 ? r : check_names(launch, fault);
}

/* The policy may be another one than at the hello. */
static int bind_again(struct launch *launch, struct fault *fault)
{
	struct bindings bindings;
	int r;

	r = bindings_again(&launch->bindings, &launch->manager->policy, &bindings);
	if (r < 0)
		return r;
	bindings_clear(&launch->bindings);
	launch->bindings = bindings;
	return check_names(launch, fault);
}

static const char not_the_connector[] =
	"this message is not from the process that has connected; a launcher does both itself";

static void on_hello(struct launch *launch)
{
	struct launch_hello hello;
	struct fault fault = {0};
	const char *text = NULL;
	pid_t sender;
	int r;

	if (descriptors_wait(launch->socket)) {
		refuse(launch, -EBADMSG, "malformed hello");
		return;
	}
	r = message_receive_from(launch->socket, &hello, sizeof(hello), NULL, 0, &sender);
	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r == 0) {
		(void)launch_free(launch);
		return;
	}
	r = r < 0 ? r : launch_hello_check(&hello, sizeof(hello));
	if (r < 0) {
		refuse(launch, r,
			r == -EPROTONOSUPPORT
				? "mq-run is another version than mqgated; install both from the same release and restart mqgated"
				: "malformed hello");
		return;
	}
	launch->version = hello.version;
	if (sender != launch->identity.pid) {
		refuse(launch, -EPERM, not_the_connector);
		return;
	}
	r = may_launch(launch->manager, launch->socket, &launch->identity, &text);
	if (r == 0)
		r = bind_all(launch, &hello, &fault);
	if (r < 0)
		refuse(launch, r, text ? text : fault.message ? fault.message : strerror(-r));
	else
		accept_hello(launch);
	fault_clear(&fault);
}

static void on_examined(int confined, void *userdata)
{
	struct launch *launch = userdata;

	launch->examination = NULL;
	if (confined != 0) {
		refuse(launch, -EPERM, examination_refusal(confined));
		return;
	}
	launch->state = LAUNCH_HELLO;
	if (sd_event_source_set_enabled(launch->socket_source, SD_EVENT_ON) < 0)
		(void)launch_free(launch);
	else if (launch->heard)
		on_hello(launch);
}

/* 1: it will be known later. 0: it is not confined. Negative errno: it was refused. */
static int examine(struct launch *launch)
{
	int r = identity_may_be_confined(&launch->identity, serves_containers(launch->manager));

	if (r == 0)
		return 0;
	launch->state = LAUNCH_EXAMINING;
	launch->heard = something_has_come(launch->socket);
	if (r > 0)
		r = sd_event_source_set_enabled(launch->socket_source, SD_EVENT_OFF);
	if (r == 0)
		r = examination_start(launch->account, &launch->identity, on_examined, launch,
			&launch->examination);
	if (r < 0)
		refuse(launch, r, examination_refusal(r));
	return r < 0 ? r : 1;
}

static const char *session_error(int error)
{
	switch (error) {
	case -E2BIG:
		return "these plugs and slots have too many queues for one session (GRANTS_MAX and GRANTS_PATTERNS_MAX in mqgate-limits(7)); disconnect some, or use fewer";
	case -ENOENT:
	case -EACCES:
		return "mqgated cannot start its session program; see its log";
	case -EPIPE:
	case -ECONNRESET:
		return "the session process has just been killed; try again";
	default:
		return strerror(-error);
	}
}

static int start_session(struct launch *launch, int *listener)
{
	const struct session_origin origin = {.launcher = launch->identity,
		.filter_id = launch->filter_id,
		.capabilities = launch->capabilities,
		.mediation = launch->mediation,
		.launch_version = launch->version,
		.starter = {on_ready, on_ended, on_refused, launch}};

	return session_new(launch->manager, &origin, &launch->bindings, listener, &launch->session);
}

static void on_handover(struct launch *launch)
{
	struct launch_handover handover;
	struct fault fault = {0};
	_cleanup_close_ int listener = -EBADF;
	pid_t sender;
	int r;

	r = message_receive_from(
		launch->socket, &handover, sizeof(handover), &listener, 1, &sender);
	if (r == -EAGAIN || r == -EINTR)
		return;
	if (r == 0) {
		(void)launch_free(launch);
		return;
	}
	/* Others' go to the fd receiver, which asks the same. */
	if (launch->account->kind == ACCOUNT_ROOT && sender != launch->identity.pid) {
		refuse(launch, -EPERM, not_the_connector);
		return;
	}
	r = r < 0 ? r : launch_handover_check(&handover, sizeof(handover));
	r = r < 0 ? r : listener_check(listener);
	if (r < 0) {
		refuse(launch, r,
			r == -EBADF
				? "the descriptor that was handed over is not a seccomp listener"
				: "malformed handover");
		return;
	}
	r = identity_capabilities(&launch->identity, &launch->capabilities);
	if (r < 0) {
		refuse(launch, r, "cannot find out the capabilities of mq-run; try again");
		return;
	}
	if (sessions_full(launch->manager, launch->identity.uid)) {
		refuse(launch, -EAGAIN, "too many sessions; end some of them");
		return;
	}
	r = bind_again(launch, &fault);
	r = r < 0 ? r : start_session(launch, &listener);
	if (r < 0) {
		log_errno(r, "cannot start a session for pid %d, uid %u", (int)launch->identity.pid,
			launch->identity.uid);
		refuse(launch, r, fault.message ? fault.message : session_error(r));
		fault_clear(&fault);
		return;
	}
	launch->state = LAUNCH_ATTACHING;
}

/* It waits for the word and has nothing to say: it is gone, or it breaks the protocol. */
static void on_attaching(struct launch *launch)
{
	refuse(launch, -EBADMSG, "unexpected message");
}

static int on_socket(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct launch *launch = userdata;

	switch (launch->state) {
	case LAUNCH_EXAMINING:
		break;
	case LAUNCH_HELLO:
		if (examine(launch) == 0)
			on_hello(launch);
		break;
	case LAUNCH_HANDOVER:
		on_handover(launch);
		break;
	case LAUNCH_ATTACHING:
		on_attaching(launch);
		break;
	}
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	refuse(userdata, -ETIMEDOUT, "the launch took too long");
	return 0;
}

/* Takes the reference to account, and socket and identity. */
static int launch_new(struct account *account, int *socket, struct identity *identity)
{
	struct manager *manager = account->manager;
	struct launch *launch = calloc(1, sizeof(*launch));
	int r;

	if (!launch) {
		(void)account_unref(account);
		return -ENOMEM;
	}
	launch->manager = manager;
	launch->account = account;
	launch->socket = take_fd(socket);
	launch->state = LAUNCH_HELLO;
	launch->version = LAUNCH_VERSION_OLDEST;
	launch->identity = *identity;
	identity->pidfd = -EBADF;
	LIST_ADD(manager->launches, launch);
	launches_add(account);
	r = sd_event_add_io(
		manager->event, &launch->socket_source, launch->socket, EPOLLIN, on_socket, launch);
	if (r == 0)
		r = timer_start(manager->event, &launch->deadline_source, LAUNCH_DEADLINE_USEC,
			on_deadline, launch);
	if (r < 0)
		(void)launch_free(launch);
	else
		(void)examine(launch);
	return r;
}

/* Without keeping anything of it. */
static void turn_away(struct manager *manager, int *socket, int error, const char *text)
{
	manager->totals->launches_refused++;
	discard_hello(manager, *socket);
	(void)answer_refusal(*socket, LAUNCH_VERSION_OLDEST, error, text);
	fd_receiver_close(manager, socket);
}

static int admit(struct manager *manager, int *socket, struct identity *identity)
{
	struct account *account = account_of(manager, identity->uid);

	if (!account)
		return -ENOMEM;
	if (!launches_full(account))
		return launch_new(account, socket, identity);
	(void)account_unref(account);
	turn_away(manager, socket, -EAGAIN, too_many);
	return 0;
}

int launch_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct manager *manager = userdata;
	_cleanup_close_ int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct identity identity;
	int r;

	if (socket < 0)
		return 0;
	r = identity_of_peer(socket, &identity);
	if (r < 0) {
		turn_away(manager, &socket, r, "mqgated cannot tell who is launching");
		return 0;
	}
	r = admit(manager, &socket, &identity);
	if (r < 0)
		log_errno(r, "cannot serve a launcher");
	identity.pidfd = safe_close(identity.pidfd);
	return 0;
}
