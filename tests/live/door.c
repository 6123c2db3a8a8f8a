/* SPDX-License-Identifier: MIT */
/* A session without a manager. */
#include "door.h"

#include <dirent.h>
#include <grp.h>
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "daemon/session/session.h"
#include "launcher/filter.h"
#include "tests/must-work.h"
#include "tests/patience.h"

uint64_t door_other_filter_id;
bool door_tells_tables, door_processes_unknown;

void need_root(void)
{
	if (geteuid() != 0)
		leave_out("it needs root");
}

int door_deadline_seconds(void)
{
	return 10 * patience();
}

long result_of(long value)
{
	return value < 0 ? -errno : value;
}

static void pipe_wait(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;

	if (poll(&p, 1, DOOR_DEADLINE_SECONDS * 1000) != 1 || read(fd, &byte, 1) != 1)
		abort();
}

void app_tell(struct stage *stage)
{
	if (write(stage->ready[1], "r", 1) != 1)
		abort();
}

void app_pause(struct stage *stage)
{
	app_tell(stage);
	pipe_wait(stage->go[0]);
}

void door_wait(struct door *door)
{
	pipe_wait(door->stage->ready[0]);
}

void door_go(struct door *door)
{
	cr_assert_eq(write(door->stage->go[1], "g", 1), 1);
}

static void send_message(
	struct door *door, struct session_message *message, const int *fds, size_t count)
{
	cr_assert_eq(message_send(door->channel, message, sizeof(*message), fds, count), 0);
}

int door_receive(int channel, struct session_message *ret)
{
	_cleanup_close_ int pidfd = -EBADF;
	size_t came = 0;
	int r = message_receive_some(channel, ret, sizeof(*ret), &pidfd, 1, &came);

	if (r == 1)
		cr_assert_eq(came, ret->type == SESSION_PROCESS ? 1 : 0);
	return r;
}

static struct session_message receive_message(struct door *door)
{
	struct pollfd p = {.fd = door->channel, .events = POLLIN};
	struct session_message message;

	do {
		cr_assert_eq(poll(&p, 1, DOOR_DEADLINE_SECONDS * 1000), 1,
			"nothing from the session process");
		cr_assert_eq(door_receive(door->channel, &message), 1);
		door->process_count += message.type == SESSION_PROCESS;
	} while (message.type == SESSION_PROCESS);
	return message;
}

static void start_session(struct door *door)
{
	struct session_message attach = {.type = SESSION_ATTACH,
		.attach = {.record_rate = 1000,
			.mediation = door->mediation,
			.tells_tables = door_tells_tables,
			.processes_unknown = door_processes_unknown,
			.filter_id = door->filter_id,
			.capabilities = UINT64_MAX}};
	int sockets[2];

	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	door->session = fork();
	cr_assert(door->session >= 0);
	if (door->session == 0) {
		static struct supervisor session = {.listener = -EBADF};

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)close(sockets[0]);
		session.channel = sockets[1];
		_exit(own_identity_get(&session.own) < 0 || session_run(&session) < 0 ? 1 : 0);
	}
	(void)close(sockets[1]);
	door->channel = sockets[0];
	send_message(door, &attach, (int[]){door->listener, door->inflight}, 2);
}

static void post_grants(struct door *door)
{
	struct session_message message = {.type = SESSION_GRANTS};
	_cleanup_close_ int fd = memfd_create("grants", MFD_CLOEXEC);
	_cleanup_free_ void *data = NULL;
	size_t size;

	cr_assert_eq(grants_serialise(door->grants, &data, &size), 0);
	cr_assert_eq(write(fd, data, size), (ssize_t)size);
	message.grants.generation = door->grants->generation;
	message.grants.size = size;
	send_message(door, &message, &fd, 1);
}

static void send_grants(struct door *door)
{
	struct session_message message;

	post_grants(door);
	while ((message = receive_message(door)).type == SESSION_RECORD) {
		door->record_count++;
		door->last_record = message;
	}
	cr_assert_eq(message.type, SESSION_ACK);
	cr_assert_eq(message.ack.generation, door->grants->generation);
}

void door_grant_rules(struct door *door, const struct grant *rules, size_t count)
{
	door->grants = grants_free(door->grants);
	cr_assert_eq(grants_new(++door->generation, &door->grants), 0);
	for (size_t i = 0; i < count; i++) {
		if (rules[i].giver != 0)
			cr_assert_eq(grants_set_giver(door->grants, rules[i].name), 0);
		cr_assert_eq(grants_add(door->grants, &rules[i]), 0);
	}
	grants_seal(door->grants);
	send_grants(door);
}

void door_grant_both(struct door *door, uint32_t permissions, uint32_t permissions_on_other)
{
	struct grant rules[2];
	size_t count = 0;

	if (permissions)
		rules[count++] =
			(struct grant){.name = door->stage->queue + 1, .permissions = permissions};
	if (permissions_on_other)
		rules[count++] = (struct grant){
			.name = door->stage->other + 1, .permissions = permissions_on_other};
	door_grant_rules(door, rules, count);
}

void door_grant(struct door *door, uint32_t permissions)
{
	door_grant_both(door, permissions, 0);
}

void door_begin(struct door *door, uint32_t permissions, uint32_t permissions_on_other)
{
	door_wait(door);
	door_grant_both(door, permissions, permissions_on_other);
	door_go(door);
	door_wait(door);
}

unsigned door_count_links(const struct door *door, const char *text)
{
	char path[64], link[128];
	struct dirent *entry;
	unsigned count = 0;
	DIR *table;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", door->session);
	table = opendir(path);
	cr_assert_not_null(table);
	while ((entry = readdir(table))) {
		ssize_t n = readlinkat(dirfd(table), entry->d_name, link, sizeof(link) - 1);

		link[n < 0 ? 0 : n] = '\0';
		count += strstr(link, text) != NULL;
	}
	(void)closedir(table);
	return count;
}

struct inflight *door_notes(const struct door *door)
{
	struct inflight *inflight;

	cr_assert_eq(inflight_map(door->inflight, &inflight), 0);
	return inflight;
}

void door_wait_for_death(const struct door *door)
{
	siginfo_t info = {0};

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 1000 && info.si_pid == 0; i++) {
		(void)waitid(P_PID, (id_t)door->session, &info, WEXITED | WNOWAIT | WNOHANG);
		(void)usleep(1000);
	}
	cr_assert_eq(info.si_pid, door->session, "the session process is alive");
}

static void restart_session(struct door *door)
{
	cr_assert_eq(kill(door->session, SIGKILL), 0);
	cr_assert_eq(waitpid(door->session, NULL, 0), door->session);
	(void)close(door->channel);
	start_session(door);
}

void door_replace(struct door *door)
{
	restart_session(door);
	send_grants(door);
}

void door_replace_in_vain(struct door *door)
{
	restart_session(door);
	post_grants(door);
	door_wait_for_death(door);
}

struct session_message door_record(struct door *door)
{
	struct session_message message = receive_message(door);

	cr_assert_eq(message.type, SESSION_RECORD);
	return message;
}

/* In the app: becomes uid, loads the filter, hands the listener over. */
static void run_app(struct door *door, int socket, uid_t uid, void (*before)(struct stage *),
	void (*app)(struct stage *))
{
	_cleanup_free_ char *message = NULL;
	int listener;

	(void)alarm(10 * (unsigned)DOOR_DEADLINE_SECONDS);
	if (uid != 0 && (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 ||
				setresuid(uid, uid, uid) < 0))
		_exit(101);
	if (before)
		before(door->stage);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		filter_load(door_other_filter_id ?: door->filter_id, door->mediation, &listener,
			&message) < 0)
		_exit(102);
	if (message_send(socket, "", 1, &listener, 1) < 0)
		_exit(103);
	(void)close(listener);
	pipe_wait(door->stage->go[0]);
	app(door->stage);
	_exit(0);
}

static void receive_listener(struct door *door, int socket)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};
	char byte;

	cr_assert_eq(poll(&p, 1, DOOR_DEADLINE_SECONDS * 1000), 1);
	cr_assert_eq(message_receive(socket, &byte, 1, &door->listener, 1), 1);
}

void door_open(
	struct door *door, uid_t uid, void (*before)(struct stage *), void (*app)(struct stage *))
{
	door_open_as(door, MEDIATION_CALL, uid, before, app);
}

void door_open_as(struct door *door, enum mediation mediation, uid_t uid,
	void (*before)(struct stage *), void (*app)(struct stage *))
{
	int sockets[2];

	need_root();
	*door = (struct door){.mediation = mediation,
		.filter_id = (uint64_t)getpid() << 32 | 0x6d716761,
		.stage = mmap(NULL, sizeof(struct stage), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
	cr_assert_neq(door->stage, MAP_FAILED);
	(void)snprintf(door->stage->queue, sizeof(door->stage->queue), "/mqgate-live-%d", getpid());
	(void)snprintf(
		door->stage->other, sizeof(door->stage->other), "/mqgate-other-%d", getpid());
	(void)mq_unlink(door->stage->other);
	(void)mq_unlink(door->stage->queue);
	cr_assert_eq(pipe(door->stage->go), 0);
	cr_assert_eq(pipe(door->stage->ready), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	door->app = fork();
	cr_assert(door->app >= 0);
	if (door->app == 0)
		run_app(door, sockets[1], uid, before, app);
	receive_listener(door, sockets[0]);
	(void)close(sockets[0]);
	(void)close(sockets[1]);
	door->inflight = memfd_create("inflight", MFD_CLOEXEC);
	cr_assert_eq(ftruncate(door->inflight, (off_t)INFLIGHT_SIZE), 0);
	start_session(door);
	door_grant(door, 0);
	door_go(door);
}

/* As the manager does, who reads whatever comes. */
static void discard_messages(struct door *door)
{
	struct session_message message;

	while (door_receive(door->channel, &message) == 1)
		;
}

void door_sweep(struct door *door)
{
	(void)kill(door->session, SIGKILL);
	(void)waitpid(door->session, NULL, 0);
	(void)mq_unlink(door->stage->queue);
	(void)mq_unlink(door->stage->other);
}

void door_close(struct door *door)
{
	int status = -1;

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 100; i++) {
		if (waitpid(door->app, &status, WNOHANG) == door->app)
			break;
		discard_messages(door);
		(void)usleep(10000);
	}
	if (status == -1)
		(void)kill(door->app, SIGKILL);
	door_sweep(door);
	cr_expect_eq(status, 0, "the app ended with wait status %#x", (unsigned)status);
}

void door_expect_killed(struct door *door)
{
	int status = -1;

	for (int i = 0; i < DOOR_DEADLINE_SECONDS * 100; i++) {
		if (waitpid(door->app, &status, WNOHANG) == door->app)
			break;
		(void)usleep(10000);
	}
	if (status == -1)
		(void)kill(door->app, SIGKILL);
	cr_expect(status != -1 && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "%#x",
		(unsigned)status);
}

void door_close_killed(struct door *door)
{
	door_expect_killed(door);
	door_sweep(door);
}

void door_ask(struct door *door, uint64_t number, uint64_t wait_usec, bool kill)
{
	struct session_message message = {.type = SESSION_HOLDERS,
		.holders = {.number = number, .wait_usec = wait_usec, .kill = kill}};
	_cleanup_(grants_freep) struct grants *scope = NULL;
	_cleanup_close_ int fd = memfd_create("scope", MFD_CLOEXEC);
	_cleanup_free_ void *data = NULL;
	size_t size;

	cr_assert_eq(grants_new(0, &scope), 0);
	cr_assert_eq(grants_add(scope,
			     &(struct grant){
				     .name = "*", .pattern = true, .permissions = PERMISSIONS_ALL}),
		0);
	grants_seal(scope);
	cr_assert_eq(grants_serialise(scope, &data, &size), 0);
	cr_assert_eq(write(fd, data, size), (ssize_t)size);
	message.holders.size = size;
	cr_assert_eq(message_send(door->channel, &message, sizeof(message), &fd, 1), 0);
}

struct session_message door_answer(struct door *door)
{
	struct session_message message;

	do
		message = receive_message(door);
	while (message.type == SESSION_RECORD);
	cr_assert_eq(message.type, SESSION_HOLDERS_FOUND);
	return message;
}
