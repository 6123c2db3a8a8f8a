/* SPDX-License-Identifier: MIT */
/* rogue-launcher: an ordinary user's hand-made launcher. It speaks mqgate's protocol, and breaks
 * it.
 *
 *   app NAME TARGET GRANTED [race]  a session over its own filter (rogue-app.c); prints what each
 *                                   call of its app came to; race: answers on its own copy as well
 *   hello KIND                      a malformed hello; prints the answer
 *   descriptor KIND                 hands over something else than one listener; prints the answer
 *   die STEP, sleep STEP            stops at that step; sleep: prints when it is let go
 *   stay STEP                       the same, until standard input ends
 *   give SOCKET                     listens there and gives a listener to whoever connects
 *   relay SOCKET [KIND]             hands over the listener that is given there; unconfined: under
 * no filter itself; twice: under another session's, too give-input SOCKET               gives its
 * standard input to whoever connects there
 *
 * Everywhere the plug is "granted", the daemon that of MQGATE_RUNTIME_DIR. ROGUE_VERSION: which
 * version of the protocol it speaks, if not ours. */
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "app.h"
#include "include/bus.h"
#include "include/filter-id.h"
#include "include/protocol.h"
#include "rogue.h"
#include "tests/patience.h"

static const char *stop_at = "", *stop_how = "";
static uint64_t filter_id; /* of the answer */

_noreturn_ static void give_up(const char *what)
{
	printf("%s %s\n", what, strerrorname_np(errno));
	exit(3);
}

static long elapsed(const struct timespec *since)
{
	struct timespec now = from_now(0);

	return (now.tv_sec - since->tv_sec) * 1000 + (now.tv_nsec - since->tv_nsec) / 1000000;
}

/* Dies or falls asleep here, if it was told to. */
static void step(const char *name, int socket)
{
	struct pollfd p = {.fd = socket, .events = POLLRDHUP};
	struct timespec start = from_now(0);

	if (strcmp(stop_at, name) != 0)
		return;
	if (strcmp(stop_how, "die") == 0)
		_exit(0);
	puts("asleep");
	(void)fflush(stdout);
	if (strcmp(stop_how, "stay") == 0)
		exit(getchar() != EOF);
	(void)poll(&p, 1, 15000);
	printf("%s after %ld s\n", p.revents ? "let go" : "still there", elapsed(&start) / 1000);
	exit(0);
}

/* --- the protocol ----------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		give_up("connect");
	return fd;
}

static int connect_launch(void)
{
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s/%s", getenv("MQGATE_RUNTIME_DIR"), LAUNCH_SOCKET);
	return connect_to(path);
}

static uint32_t version(void)
{
	const char *of = getenv("ROGUE_VERSION");

	return of ? (uint32_t)atoi(of) : LAUNCH_VERSION;
}

static struct launch_hello good_hello(void)
{
	return (struct launch_hello){.magic = LAUNCH_MAGIC,
		.version = version(),
		.ref_count = 1,
		.refs = {{.kind = LAUNCH_REF_PLUG, .text = "granted"}}};
}

/* Any number of descriptors. */
static void send_any(int socket, const void *data, size_t size, const int *fds, size_t count)
{
	char control[CMSG_SPACE(sizeof(int) * 253)] = {0};
	struct iovec iov = {.iov_base = (void *)data, .iov_len = size};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *header = (struct cmsghdr *)control;

	if (count > 0) {
		*header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int) * count),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
		message.msg_control = control;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
	}
	/* Whoever was refused already hears it with the answer. */
	if (sendmsg(socket, &message, MSG_NOSIGNAL) < 0 && errno != EPIPE)
		give_up("sendmsg");
}

/* 1: accepted. Otherwise it has been printed what came. */
static int take_answer(int socket)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};
	struct launch_answer answer;
	int r = poll(&p, 1, 15000) == 1 ? message_receive(socket, &answer, sizeof(answer), NULL, 0)
					: -ETIMEDOUT;

	if (r == 1 && answer.error == 0) {
		filter_id = answer.filter_id;
		return 1;
	}
	if (r == 1)
		printf("refused %s: %s\n", strerrorname_np(-answer.error), answer.text);
	else
		printf("answer %s\n", r == 0 ? "end" : strerrorname_np(-r));
	return 0;
}

static int greeted(void)
{
	struct launch_hello hello = good_hello();
	int socket = connect_launch();

	step("connect", socket);
	send_any(socket, &hello, sizeof(hello), NULL, 0);
	step("hello", socket);
	if (!take_answer(socket))
		exit(1);
	step("answer", socket);
	return socket;
}

/* As a launcher must be; it allows everything. */
static void confine_self(uint64_t id)
{
	struct sock_filter program[FILTER_ID_LENGTH + 1] = {
		[FILTER_ID_LENGTH] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
	const struct sock_fprog fprog = {.len = ELEMENTSOF(program), .filter = program};

	filter_id_write(program, id);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &fprog) < 0)
		give_up("confine");
}

static void hand_over(int socket, const int *fds, size_t count)
{
	struct launch_handover handover = {.magic = LAUNCH_MAGIC, .version = version()};

	send_any(socket, &handover, sizeof(handover), fds, count);
}

/* --- hellos ----------------------------------------------------------------------------------- */

static int say_hello(const char *kind)
{
	char space[sizeof(struct launch_hello) + 1] = {0};
	struct launch_hello *hello = (struct launch_hello *)(void *)space;
	size_t size = sizeof(*hello), count = 0;
	const int fds[] = {STDIN_FILENO};
	int socket = connect_launch();

	*hello = good_hello();
	if (strcmp(kind, "short") == 0)
		size--;
	else if (strcmp(kind, "long") == 0)
		size++;
	else if (strcmp(kind, "one-byte") == 0)
		size = 1;
	else if (strcmp(kind, "magic") == 0)
		hello->magic++;
	else if (strcmp(kind, "version") == 0)
		hello->version++;
	else if (strcmp(kind, "none") == 0)
		hello->ref_count = 0;
	else if (strcmp(kind, "too-many") == 0)
		hello->ref_count = LAUNCH_REFS_MAX + 1;
	else if (strcmp(kind, "very-many") == 0)
		hello->ref_count = UINT32_MAX;
	else if (strcmp(kind, "reserved") == 0)
		hello->reserved = 1;
	else if (strcmp(kind, "kind") == 0)
		hello->refs[0].kind = LAUNCH_REF_APP + 1;
	else if (strcmp(kind, "empty-name") == 0)
		hello->refs[0].text[0] = '\0';
	else if (strcmp(kind, "unterminated") == 0)
		memset(hello->refs[0].text, 'a', sizeof(hello->refs[0].text));
	else if (strcmp(kind, "trailing") == 0)
		hello->refs[LAUNCH_REFS_MAX - 1].text[187] = 'x';
	else if (strcmp(kind, "descriptor") == 0)
		count = 1;
	else
		return 2;
	send_any(socket, space, size, fds, count);
	if (take_answer(socket))
		puts("accepted");
	return 0;
}

/* --- descriptors ------------------------------------------------------------------------------ */

/* A connection whose peer takes nothing any more: closing it last waits as long as it says. */
static int lingering(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	const struct linger linger = {.l_onoff = 1, .l_linger = 20};
	int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);
	static char data[65536];
	pid_t peer;

	if (bind(listening, (struct sockaddr *)&address, size) < 0 || listen(listening, 1) < 0 ||
		getsockname(listening, (struct sockaddr *)&address, &size) < 0 ||
		connect(fd, (struct sockaddr *)&address, size) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		give_up("linger");
	while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		;
	peer = fork();
	if (peer == 0) {
		(void)close(fd);
		(void)close(STDOUT_FILENO);
		(void)close(STDERR_FILENO);
		pause_for(20000);
		_exit(0);
	}
	(void)close(listening);
	return fd;
}

static int some_descriptor(const char *kind)
{
	char path[] = "/tmp/anon_inode:seccomp notify.XXXXXX";
	int fd, fds[2];

	if (strcmp(kind, "file") == 0)
		return open("/etc/passwd", O_RDONLY);
	if (strcmp(kind, "directory") == 0)
		return open("/", O_RDONLY | O_DIRECTORY);
	if (strcmp(kind, "path") == 0)
		return open("/etc/passwd", O_PATH);
	if (strcmp(kind, "socket") == 0)
		return socket(AF_UNIX, SOCK_STREAM, 0);
	if (strcmp(kind, "pipe") == 0)
		return pipe(fds) < 0 ? -1 : fds[0];
	if (strcmp(kind, "eventfd") == 0)
		return eventfd(0, 0);
	if (strcmp(kind, "memfd") == 0)
		return memfd_create("anon_inode:seccomp notify", 0);
	if (strcmp(kind, "pidfd") == 0)
		return (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (strcmp(kind, "linger") == 0)
		return lingering();
	if (strcmp(kind, "named") == 0) {
		fd = mkstemp(path);
		(void)unlink(path);
		return fd;
	}
	errno = EINVAL;
	return -1;
}

/* The daemon's side is the last to have the descriptor: in its turn it takes the first message, and
 * the others are closed with the socket. */
static int hand_over_last(int fd)
{
	int socket = greeted();

	for (int i = 0; i < 8; i++)
		hand_over(socket, &fd, 1);
	puts("sent");
	(void)fflush(stdout);
	/* If the daemon's side has been faster, it is we who wait here. */
	(void)close(fd);
	if (take_answer(socket))
		puts("accepted");
	return 0;
}

static int hand_over_what(const char *kind)
{
	int fds[253], count = 1, socket;

	for (size_t i = 0; i < ELEMENTSOF(fds); i++)
		fds[i] = STDIN_FILENO;
	if (strcmp(kind, "none") == 0) {
		count = 0;
	} else if (strcmp(kind, "two") == 0 || strcmp(kind, "many") == 0) {
		count = strcmp(kind, "two") == 0 ? 2 : 253;
		if (rogue_app_find("queues")->before(NULL) < 0)
			give_up("no_new_privs");
	} else {
		fds[0] = some_descriptor(kind);
		if (fds[0] < 0)
			give_up(kind);
		if (strcmp(kind, "linger") == 0)
			return hand_over_last(fds[0]);
	}
	socket = greeted();
	/* Not before: who is under a filter already may not launch. */
	if (count > 1)
		for (int i = 0; i < 2; i++)
			fds[i] = i == 0 ? rogue_filter(false) : fds[0];
	hand_over(socket, fds, (size_t)count);
	if (take_answer(socket))
		puts("accepted");
	return 0;
}

/* --- sessions --------------------------------------------------------------------------------- */

static void run_app(const struct rogue_app *app, struct rogue *rogue)
{
	int listener;

	if (app->before(rogue) < 0)
		give_up("before");
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	listener = rogue_filter(app->everything);
	/* From here on a call may wait for somebody to answer it. */
	__atomic_store_n(&rogue->listener, listener < 0 ? -2 : listener, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&rogue->go, __ATOMIC_SEQ_CST))
		if (!app->everything)
			pause_for(1);
	app->run(rogue);
	__atomic_store_n(&rogue->done, 1, __ATOMIC_SEQ_CST);
	for (;;)
		(void)syscall(SYS_ppoll, NULL, 0, NULL, NULL, 0);
}

/* Takes notifications away and answers them any way; asks and injects for those that are not its
 * own too. Returns after a while. */
static void answer_wildly(int listener)
{
	static uint64_t last;
	static unsigned turn;
	struct pollfd p = {.fd = listener, .events = POLLIN};
	struct seccomp_notif notification = {0};
	struct seccomp_notif_resp response = {0};
	struct seccomp_notif_addfd addfd = {.srcfd = STDIN_FILENO};

	for (int i = 0; i < 100; i++) {
		if (poll(&p, 1, 1) == 1 && turn++ % 3 == 0) {
			memset(&notification, 0, sizeof(notification));
			if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notification) == 0)
				last = notification.id;
		} else {
			last++;
		}
		response = (struct seccomp_notif_resp){.id = last,
			.error = turn % 4 == 1 ? -EPERM : 0,
			.val = turn % 4 == 2 ? 4711 : 0,
			.flags = turn % 4 == 3 ? SECCOMP_USER_NOTIF_FLAG_CONTINUE : 0};
		addfd.id = last;
		if (turn % 5 == 0)
			(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &addfd);
		(void)ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
	}
}

static void on_alarm(int signal)
{
}

/* A RECV that the session process was quicker with must not hold us up. */
static void interrupt_often(void)
{
	const struct itimerval timer = {{0, 20000}, {0, 20000}};
	const struct sigaction action = {.sa_handler = on_alarm};

	(void)sigaction(SIGALRM, &action, NULL);
	(void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void await(struct rogue *rogue, bool racing)
{
	struct timespec start = from_now(0);

	if (racing)
		interrupt_often();
	while (!__atomic_load_n(&rogue->done, __ATOMIC_SEQ_CST) &&
		elapsed(&start) < 15000L * patience()) {
		if (racing)
			answer_wildly(rogue->listener);
		else
			pause_for(5);
	}
	if (!rogue->done)
		puts("app held-up");
}

static void print_results(const struct rogue *rogue)
{
	for (unsigned i = 0; i < rogue->count; i++)
		if (rogue->results[i].result < 0)
			printf("%s %s\n", rogue->results[i].what,
				strerrorname_np((int)-rogue->results[i].result));
		else
			printf("%s %s\n", rogue->results[i].what,
				rogue->results[i].result == 0 ? "0" : "positive");
}

static struct rogue *rogue_new(const char *target, const char *granted)
{
	struct rogue *rogue = mmap(
		NULL, sizeof(*rogue), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (rogue == MAP_FAILED)
		give_up("mmap");
	rogue->listener = -1;
	(void)snprintf(rogue->target, sizeof(rogue->target), "%s", target);
	(void)snprintf(rogue->granted, sizeof(rogue->granted), "%s", granted);
	return rogue;
}

/* The app shares our table, for its listener. */
static pid_t start_app(const struct rogue_app *app, struct rogue *rogue)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		run_app(app, rogue);
	while (__atomic_load_n(&rogue->listener, __ATOMIC_SEQ_CST) == -1 &&
		waitpid(pid, NULL, WNOHANG) == 0)
		pause_for(1);
	if (rogue->listener < 0)
		give_up("filter");
	return pid;
}

static int launch_app(const char *name, const char *target, const char *granted, bool racing)
{
	const struct rogue_app *app = rogue_app_find(name);
	struct rogue *rogue = rogue_new(target, granted);
	int socket = greeted();
	pid_t pid;

	if (!app)
		return 2;
	pid = start_app(app, rogue);
	confine_self(filter_id);
	step("filter", socket);
	hand_over(socket, &rogue->listener, 1);
	step("handover", socket);
	if (!take_answer(socket)) {
		(void)kill(pid, SIGKILL);
		return 1;
	}
	step("word", socket);
	__atomic_store_n(&rogue->go, 1, __ATOMIC_SEQ_CST);
	await(rogue, racing);
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	print_results(rogue);
	return 0;
}

/* --- from one process to another -------------------------------------------------------------- */

static int give(const char *path, const char *target, const char *granted)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct rogue *rogue = rogue_new(target, granted);
	int listening = socket(AF_UNIX, SOCK_SEQPACKET, 0), peer;
	pid_t pid;
	char byte;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listening, 1) < 0)
		give_up("bind");
	pid = start_app(rogue_app_find("queues"), rogue);
	puts("ready");
	(void)fflush(stdout);
	peer = accept(listening, NULL, NULL);
	hand_over(peer, &rogue->listener, 1);
	(void)recv(peer, &byte, 1, 0);
	__atomic_store_n(&rogue->go, 1, __ATOMIC_SEQ_CST);
	await(rogue, false);
	(void)kill(pid, SIGKILL);
	print_results(rogue);
	return 0;
}

/* Gives standard input to whoever connects, once. */
static int give_input(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listening = socket(AF_UNIX, SOCK_STREAM, 0), fd = STDIN_FILENO;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(listening, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listening, 1) < 0)
		give_up("bind");
	send_any(accept(listening, NULL, NULL), "x", 1, &fd, 1);
	return 0;
}

static int relay(const char *path, const char *kind)
{
	struct launch_handover handover;
	int socket = greeted(), listener, giver = connect_to(path);
	struct pollfd p = {.fd = giver, .events = POLLIN};

	if (poll(&p, 1, 5000) != 1 ||
		message_receive(giver, &handover, sizeof(handover), &listener, 1) != 1)
		give_up("receive");
	if (strcmp(kind, "twice") == 0)
		confine_self(filter_id + 1);
	if (strcmp(kind, "unconfined") != 0)
		confine_self(filter_id);
	hand_over(socket, &listener, 1);
	if (!take_answer(socket))
		return 1;
	puts("accepted");
	(void)fflush(stdout);
	send_any(giver, "x", 1, NULL, 0);
	(void)recv(giver, &handover, sizeof(handover), 0);
	return 0;
}

int main(int argc, char *argv[])
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc >= 5 && strcmp(argv[1], "app") == 0)
		return launch_app(argv[2], argv[3], argv[4], argc == 6);
	if (argc == 3 && strcmp(argv[1], "hello") == 0)
		return say_hello(argv[2]);
	if (argc == 3 && strcmp(argv[1], "descriptor") == 0)
		return hand_over_what(argv[2]);
	if (argc == 3 && (strcmp(argv[1], "die") == 0 || strcmp(argv[1], "sleep") == 0 ||
				 strcmp(argv[1], "stay") == 0)) {
		stop_how = argv[1];
		stop_at = argv[2];
		return launch_app("queues", "/none", "/none", false);
	}
	if (argc == 5 && strcmp(argv[1], "give") == 0)
		return give(argv[2], argv[3], argv[4]);
	if (argc == 3 && strcmp(argv[1], "give-input") == 0)
		return give_input(argv[2]);
	if (argc >= 3 && strcmp(argv[1], "relay") == 0)
		return relay(argv[2], argc == 4 ? argv[3] : "");
	fprintf(stderr, "usage: see the beginning of rogue-launcher.c\n");
	return 2;
}
