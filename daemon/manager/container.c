/* SPDX-License-Identifier: MIT */
/* The socket on which container runtimes hand over listeners: from connect to the session.
 *
 * The runtime does not wait for us, and nothing is answered: what is wrong is told in the log. Who
 * may hand over is who may launch, and a peer that is not root only processes of its own user.
 * Nothing that it says is believed: the process is looked at (its session process does), and
 * whatever notifies on the listener is under its filter. */
#include "container.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "daemon/manager/core/timer.h"
#include "daemon/manager/peers/account.h"
#include "daemon/manager/peers/container-receiver.h"
#include "daemon/manager/peers/fd-receiver.h"
#include "daemon/manager/sessions/examination.h"
#include "daemon/manager/sessions/session.h"
#include "daemon/manager/sessions/totals.h"
#include "include/capabilities.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/verdict.h"
#include "may-launch.h"

struct arrival {
	struct arrival *previous, *next;
	struct account *account;
	int socket;
	bool receives; /* what comes there is a report */
	sd_event_source *socket_source, *deadline_source;
	struct identity runtime;
	struct examination *examination;
	struct container_message message; /* once it has come */
	struct container_bundle bundle;
	struct session *session; /* while its process is looked at */
};

static struct arrival *arrival_free(struct arrival *arrival)
{
	struct manager *manager = arrival->account->manager;

	LIST_DROP(manager->arrivals, arrival);
	launches_drop(arrival->account);
	arrival->socket_source = sd_event_source_disable_unref(arrival->socket_source);
	arrival->deadline_source = sd_event_source_disable_unref(arrival->deadline_source);
	arrival->examination = examination_free(arrival->examination);
	/* Of the runtime's own one we know nothing; the receiver's is ours. */
	if (arrival->receives)
		(void)safe_close(arrival->socket);
	else
		fd_receiver_close_loaded(manager, &arrival->socket);
	arrival->account = account_unref(arrival->account);
	arrival->bundle.root = safe_close(arrival->bundle.root);
	arrival->runtime.pidfd = safe_close(arrival->runtime.pidfd);
	free(arrival);
	return NULL;
}

/* Root's all; of others' so many a second, for one who wants to could fill the log. */
static bool may_tell(struct manager *manager, uid_t uid)
{
	const uint64_t now = now_usec();

	if (uid == 0)
		return true;
	if (now - manager->refusals_second >= 1000000) {
		manager->refusals_second = now;
		manager->refusals_told = 0;
	}
	return manager->refusals_told++ < CONTAINER_REFUSALS_MAX;
}

static void tell(const struct arrival *arrival, const char *what)
{
	const struct container_message *message = &arrival->message;

	if (!may_tell(arrival->account->manager, arrival->runtime.uid))
		return;
	log_warning("container %s%s%s, handed over by pid %d, uid %u, is not served: %s; its "
		    "message-queue calls fail",
		*message->id ? message->id : "(unnamed)", *message->name ? " " : "", message->name,
		(int)arrival->runtime.pid, arrival->runtime.uid, what);
}

/* A session that has begun is ended: nobody would wait for it. */
static void refuse(struct arrival *arrival, const char *what)
{
	struct session *session = take_pointer(arrival->session);

	tell(arrival, what);
	(void)arrival_free(arrival);
	if (session) {
		session->starter = (struct session_starter){0};
		session_end(session);
	}
}

void containers_free(struct manager *manager)
{
	FOREACH (arrival, manager->arrivals)
		(void)arrival_free(arrival);
}

static void on_ready(void *userdata)
{
	struct arrival *arrival = userdata;

	arrival->account->manager->totals->launches++;
	(void)arrival_free(arrival);
}

static void on_ended(bool over, void *userdata)
{
	struct arrival *arrival = userdata;

	arrival->session = NULL;
	if (over)
		(void)arrival_free(arrival);
	else
		refuse(arrival, "its session process has ended");
}

#define MAKE_AGAIN "make that again with mqctl oci-profile, and leave it as it is"

/* Nobody else can answer its calls, since its filter takes no other listener; if it does, that is
 * what is wrong with it. */
static const char *refusal(const struct examined *examined)
{
	if (examined->confined > 0)
		return "its process is not under the profile that it was handed over with, or "
		       "under another one, too; " MAKE_AGAIN;
	if (examined->reason != REASON_GRANTED)
		return reason_to_string(examined->reason);
	switch (examined->confined) {
	case -ENOENT:
		return "its process is not under the profile that it was handed over with; " MAKE_AGAIN;
	case -ENODATA:
		return "its profile lacks the flag " CONTAINER_FLAG
		       ", or the runtime did not take it (crun 1.6 or newer does)";
	case -ENOLINK:
		return "its config.json cannot be read, or is another user's than the runtime";
	default:
		return examination_refusal(examined->confined);
	}
}

/* The session stays, and denies every call. Who had ended before it was looked at misses nothing.
 */
static void on_refused(const struct examined *examined, void *userdata)
{
	struct arrival *arrival = userdata;
	struct session *session = take_pointer(arrival->session);
	char what[256];

	if (*examined->lacks)
		(void)snprintf(what, sizeof(what),
			"its profile lets %s through; make it with mqctl oci-profile",
			examined->lacks);
	else
		(void)snprintf(what, sizeof(what), "%s", refusal(examined));
	if (*examined->lacks || examined->confined != -ESRCH || !session_is_over(session))
		tell(arrival, what);
	(void)arrival_free(arrival);
	session_refuse(session);
}

static bool is_of(const struct session *session, const struct container_message *message)
{
	const size_t length = strlen(message->id);

	return session->container && session->filter_id == message->filter_id &&
	       startswith(session->container, message->id) &&
	       (session->container[length] == '\0' || session->container[length] == ' ');
}

/* Of what is put into a container the runtime tells too little: it is judged by the process of the
 * container's own session, which is under the same profile. */
static int find_container(const struct arrival *arrival, struct identity *ret)
{
	FOREACH (session, arrival->account->manager->sessions)
		if (is_of(session, &arrival->message)) {
			*ret = session->launcher;
			ret->pidfd = fcntl(session->launcher.pidfd, F_DUPFD_CLOEXEC, 0);
			return ret->pidfd < 0 ? -errno : 0;
		}
	return -ESRCH;
}

/* A process is handed over once: nobody else gets the listener of its filter. */
static bool is_served(const struct manager *manager, pid_t pid, uint64_t filter_id)
{
	FOREACH (session, manager->sessions)
		if (session->container && session->filter_id == filter_id &&
			session->launcher.pid == pid && pidfd_is_alive(session->launcher.pidfd))
			return true;
	return false;
}

/* Of a user's own container only, but for root. */
static int identify(const struct arrival *arrival, struct identity *ret, const char **ret_text)
{
	const struct manager *manager = arrival->account->manager;
	const bool joins = !*arrival->message.bundle;
	int r = joins ? find_container(arrival, ret)
		      : identity_of_process(arrival->message.pid, ret);

	if (r < 0) {
		*ret_text = joins ? "its container is not served, so what is put into it is not"
				  : "its process is gone, or in another PID namespace";
		return r;
	}
	if (arrival->runtime.uid != 0 && arrival->runtime.uid != ret->uid)
		*ret_text = "its process is another user's than the runtime";
	else if (!joins && is_served(manager, ret->pid, arrival->message.filter_id))
		*ret_text = "its process was handed over before";
	else
		return 0;
	ret->pidfd = safe_close(ret->pidfd);
	return -EPERM;
}

static int bind_plugs(const struct arrival *arrival, struct bindings *ret, struct fault *fault)
{
	const struct manager *manager = arrival->account->manager;
	int r = bindings_from_hello(&manager->policy, &arrival->message.hello, ret, fault);
	struct bound bound;

	if (r < 0)
		return r;
	bound = bindings_bound(ret);
	return policy_check_names(&manager->policy, &bound, manager->has_host, fault);
}

static int begin_session(
	struct arrival *arrival, int *listener, const char **ret_text, struct fault *fault)
{
	struct manager *manager = arrival->account->manager;
	struct session_origin origin = {.filter_id = arrival->message.filter_id,
		.mediation = MEDIATION_CALL,
		.launch_version = LAUNCH_VERSION,
		.container = &arrival->message,
		.starter = {on_ready, on_ended, on_refused, arrival, &arrival->bundle}};
	const bool joins = !*arrival->message.bundle;
	_cleanup_(bindings_clear) struct bindings bindings = {0};
	int r = bind_plugs(arrival, &bindings, fault);

	if (r == 0 && sessions_full(manager, arrival->runtime.uid))
		r = -EAGAIN;
	r = r < 0 ? r : identify(arrival, &origin.launcher, ret_text);
	if (r < 0)
		return r;
	/* An exec may give what it brings more than the container has. */
	origin.capabilities = CAPABILITIES_ALL;
	if (!joins)
		r = identity_capabilities(&origin.launcher, &origin.capabilities);
	/* Whose share it takes, and who sees it. */
	origin.launcher.uid = arrival->runtime.uid;
	origin.launcher.gid = arrival->runtime.gid;
	r = r < 0 ? r : session_new(manager, &origin, &bindings, listener, &arrival->session);
	(void)safe_close(origin.launcher.pidfd);
	return r;
}

/* Who has taken it apart may not be itself any more. */
static bool is_valid(const struct container_report *report)
{
	return memchr(report->fault, '\0', sizeof(report->fault)) &&
	       container_message_is_valid(&report->message) &&
	       (*report->fault || launch_hello_check(&report->message.hello,
					  sizeof(report->message.hello)) == 0);
}

static int take(struct arrival *arrival, const struct container_report *report, int *listener)
{
	_cleanup_(fault_clear) struct fault fault = {0};
	const char *text = *report->fault ? report->fault : NULL;
	int r = text ? -EBADMSG : 0;

	arrival->message = report->message;
	(void)strcpy(arrival->bundle.path, report->message.bundle);
	if (r == 0 && *listener < 0) {
		text = "no seccomp listener came with the message";
		r = -EBADF;
	}
	r = r < 0 ? r : begin_session(arrival, listener, &text, &fault);
	if (r < 0 && *listener >= 0 && listener_is_over(*listener))
		(void)arrival_free(arrival);
	else if (r < 0)
		refuse(arrival, fault.message ? fault.message : text ?: strerror(-r));
	return r;
}

static int on_report(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	static struct container_report report;
	struct arrival *arrival = userdata;
	_cleanup_close_ int listener = -EBADF;
	size_t came;
	int r = message_receive_some(fd, &report, sizeof(report), &listener, 1, &came);

	if (r == -EAGAIN || r == -EINTR)
		return 0;
	/* It has connected, and then begun nothing. */
	if (r == 0)
		(void)arrival_free(arrival);
	else if (r < 0 || !is_valid(&report))
		refuse(arrival, "what its runtime says could not be received");
	else if (take(arrival, &report, &listener) == 0)
		arrival->socket_source = sd_event_source_disable_unref(arrival->socket_source);
	return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
	refuse(userdata, "it took too long");
	return 0;
}

static int listen_to(struct arrival *arrival)
{
	int r = container_receiver_start(arrival->account, &arrival->socket);

	arrival->receives = r == 0;
	return r < 0 ? r
		     : sd_event_add_io(arrival->account->manager->event, &arrival->socket_source,
			       arrival->socket, EPOLLIN, on_report, arrival);
}

static void on_examined(int confined, void *userdata)
{
	struct arrival *arrival = userdata;

	arrival->examination = NULL;
	if (confined != 0)
		refuse(arrival, examination_refusal(confined));
	else if (listen_to(arrival) < 0)
		refuse(arrival, "mqgated cannot receive it now");
}

/* Before Linux 6.5 it is looked up by its number, which may be another one's by now. Nothing comes
 * of that: who is confined has no listener to hand over, for its filter takes no other. */
static int examine(struct arrival *arrival, const char **ret_text)
{
	const struct manager *manager = arrival->account->manager;
	int r = may_launch(manager, arrival->socket, &arrival->runtime, ret_text);

	r = r < 0 ? r : identity_may_be_confined(&arrival->runtime, serves_containers(manager));
	if (r <= 0)
		return r < 0 ? r : listen_to(arrival);
	return examination_start(
		arrival->account, &arrival->runtime, on_examined, arrival, &arrival->examination);
}

/* The runtime does not wait for us: what is needed of it is taken at once. */
static int find_root(struct arrival *arrival, const char **ret_text)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)arrival->runtime.pid);
	arrival->bundle.root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (arrival->bundle.root >= 0 && pidfd_is_alive(arrival->runtime.pidfd))
		return 0;
	*ret_text = "its runtime had ended before mqgated could look at it; start it again";
	return -ESRCH;
}

/* Takes the reference to account, and socket and identity. */
static int arrive(struct account *account, int *socket, struct identity *identity)
{
	struct arrival *arrival = calloc(1, sizeof(*arrival));
	const char *text = NULL;
	int r;

	if (!arrival) {
		(void)account_unref(account);
		return -ENOMEM;
	}
	*arrival = (struct arrival){.account = account,
		.socket = take_fd(socket),
		.runtime = *identity,
		.bundle = {.root = -EBADF, .user = identity->uid, .group = identity->gid}};
	identity->pidfd = -EBADF;
	LIST_ADD(account->manager->arrivals, arrival);
	launches_add(account);
	r = timer_start(account->manager->event, &arrival->deadline_source, CONTAINER_DEADLINE_USEC,
		on_deadline, arrival);
	r = r < 0 ? r : find_root(arrival, &text);
	r = r < 0 ? r : examine(arrival, &text);
	if (r < 0)
		refuse(arrival, text ?: strerror(-r));
	return 0;
}

static int admit(struct manager *manager, int *socket, struct identity *identity)
{
	struct account *account = account_of(manager, identity->uid);

	if (!account)
		return -ENOMEM;
	if (!launches_full(account))
		return arrive(account, socket, identity);
	(void)account_unref(account);
	return -EAGAIN;
}

int container_accept(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct manager *manager = userdata;
	_cleanup_close_ int socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct identity identity = {.uid = (uid_t)-1};
	int r;

	if (socket < 0)
		return 0;
	r = identity_of_peer(socket, &identity);
	if (r == 0) {
		r = admit(manager, &socket, &identity);
		identity.pidfd = safe_close(identity.pidfd);
	}
	if (r < 0 && may_tell(manager, identity.uid))
		log_warning("a container of user %d is not served: %s; start it again",
			(int)identity.uid,
			r == -EAGAIN ? "this user starts too many programs at once" : strerror(-r));
	fd_receiver_close_loaded(manager, &socket);
	return 0;
}
