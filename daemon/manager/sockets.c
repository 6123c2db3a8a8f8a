/* SPDX-License-Identifier: MIT */
/* The listening sockets, and the lock on the state directory. */
#include "sockets.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "daemon/manager/peers/fd-receiver.h"
#include "daemon/manager/bus/peer.h"
#include "daemon/manager/sessions/take-over.h"
#include "include/bus.h"
#include "include/container.h"
#include "include/limits.h"
#include "include/log.h"
#include "include/protocol.h"
#include "include/socket.h"
#include "container.h"
#include "launch.h"

static int make_directory(const char *path)
{
	if (mkdir(path, 0755) == 0)
		/* Whatever our umask is. */
		return chmod(path, 0755) < 0 ? -errno : 0;
	return errno == EEXIST ? 0 : -errno;
}

static int report(int r, const char *what, const char *path)
{
	if ((r != -EACCES && r != -EPERM) || geteuid() == 0)
		return log_errno(r, "cannot %s %s", what, path);
	log_error("cannot %s %s: %s; start mqgated as root (systemctl start mqgated), or give it "
		  "directories of your own: --state-dir, --runtime-dir and --packages",
		what, path, strerror(-r));
	return r;
}

int lock_state_dir(const char *directory, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	int r;

	r = make_directory(directory);
	if (r < 0)
		return report(r, "create the state directory", directory);
	if (asprintf(&path, "%s/lock", directory) < 0) {
		path = NULL;
		return log_errno(-ENOMEM, "cannot lock the state directory");
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return report(-errno, "open", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK)
			return log_errno(-errno, "cannot lock %s", path);
		log_error("another mqgated is running on the state directory %s; stop it, or name "
			  "another directory with --state-dir",
			directory);
		return -EBUSY;
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

/* With each message comes who has sent it. So it is for what is accepted from here, and for what
 * was sent before that. */
static int ask_for_senders(int fd)
{
	const int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

/* Whether somebody listens there. 1, 0 (nobody: ours to remove), or negative errno. */
static int somebody_listens(const char *path, int type)
{
	_cleanup_close_ int fd = socket_connect(path, type | SOCK_NONBLOCK, 0);

	return fd >= 0 || fd == -EAGAIN ? 1 : fd == -ECONNREFUSED ? 0 : fd;
}

static int remove_stale(const char *path, int type)
{
	struct stat st;
	int r;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : log_errno(-errno, "cannot look at %s", path);
	if (!S_ISSOCK(st.st_mode)) {
		log_error(
			"%s is not a socket; remove it, or name another directory with --runtime-dir",
			path);
		return -EEXIST;
	}
	r = somebody_listens(path, type);
	if (r < 0)
		return log_errno(r, "cannot tell who listens on %s", path);
	if (r > 0) {
		log_error("another mqgated is listening on %s; stop it, or name another directory "
			  "with --runtime-dir",
			path);
		return -EADDRINUSE;
	}
	return unlink(path) < 0 ? log_errno(-errno, "cannot remove the stale socket %s", path) : 0;
}

static int listen_at(
	const char *directory, const char *name, int type, int *ret_fd, char **ret_path)
{
	struct sockaddr_un address;
	_cleanup_close_ int fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	int r;

	if (asprintf(&path, "%s/%s", directory, name) < 0) {
		path = NULL;
		return log_errno(-ENOMEM, "cannot listen");
	}
	r = socket_address(path, &address);
	if (r < 0) {
		log_error("%s is too long for a socket; name a shorter --runtime-dir", path);
		return r;
	}
	r = remove_stale(path, type);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Everybody may connect; who may do what is decided for each peer. */
	if (fd < 0 || ask_for_senders(fd) < 0 ||
		bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		chmod(path, 0666) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return report(-errno, "listen on", path);
	*ret_fd = take_fd(&fd);
	*ret_path = take_pointer(path);
	return 0;
}

static bool is_socket(int fd)
{
	return sd_is_socket(fd, AF_UNSPEC, 0, -1) > 0;
}

static int take_passed(struct manager *manager, int fd, const char *name)
{
	const bool launch = streq(name, LAUNCH_SOCKET), container = streq(name, CONTAINER_SOCKET);
	int *slot = launch      ? &manager->launch_socket
		    : container ? &manager->container_socket
				: &manager->control_socket;

	if ((!launch && !container && !streq(name, BUS_SOCKET)) || *slot >= 0 ||
		sd_is_socket_unix(fd, launch ? SOCK_SEQPACKET : SOCK_STREAM, 1, NULL, 0) <= 0) {
		log_error("the service manager passed a socket \"%s\" that is not wanted; expected "
			  "are \"" LAUNCH_SOCKET "\" (sequential packets), \"" BUS_SOCKET
			  "\" and \"" CONTAINER_SOCKET "\" (streams), listening",
			name);
		(void)safe_close(fd);
		return -EINVAL;
	}
	*slot = fd;
	return ask_for_senders(fd);
}

static int take_all_passed(struct manager *manager)
{
	char **names = NULL;
	int n, r = 0;

	n = sd_listen_fds_with_names(true, &names);
	if (n < 0)
		return log_errno(n, "cannot take over the sockets of the service manager");
	for (int i = 0; r == 0 && i < n; i++) {
		int fd = SD_LISTEN_FDS_START + i;

		r = is_socket(fd) ? take_passed(manager, fd, names[i])
				  : store_take(manager, fd, names[i]);
	}
	(void)strings_free(names, (size_t)n);
	return r;
}

static int open_missing(struct manager *manager)
{
	const char *directory = manager->options->runtime_dir;
	int r;

	if (manager->launch_socket >= 0 && manager->control_socket >= 0 &&
		(manager->container_socket >= 0 || !manager->options->containers))
		return 0;
	r = make_directory(directory);
	if (r < 0)
		return report(r, "create the runtime directory", directory);
	if (manager->launch_socket < 0) {
		r = listen_at(directory, LAUNCH_SOCKET, SOCK_SEQPACKET, &manager->launch_socket,
			&manager->launch_path);
		if (r < 0)
			return r;
	}
	if (manager->control_socket < 0) {
		r = listen_at(directory, BUS_SOCKET, SOCK_STREAM, &manager->control_socket,
			&manager->control_path);
		if (r < 0)
			return r;
	}
	if (manager->options->containers && manager->container_socket < 0)
		return listen_at(directory, CONTAINER_SOCKET, SOCK_STREAM,
			&manager->container_socket, &manager->container_path);
	return 0;
}

/* A failing accept leaves the connection waiting: without a pause the loop would spin. */
static int serve(
	struct manager *manager, int fd, sd_event_io_handler_t handler, sd_event_source **ret)
{
	int r = sd_event_add_io(manager->event, ret, fd, EPOLLIN, handler, manager);

	return r < 0 ? r : sd_event_source_set_ratelimit(*ret, ACCEPT_INTERVAL_USEC, ACCEPT_BURST);
}

int sockets_open(struct manager *manager)
{
	int r = take_all_passed(manager);

	return r < 0 ? r : open_missing(manager);
}

int sockets_serve(struct manager *manager)
{
	int r;

	/* Whoever receives one must close it, which may take long: see fd-receiver.c. */
	manager->refuses_descriptors = descriptors_allow(manager->launch_socket, false) == 0 &&
				       descriptors_allow(manager->control_socket, false) == 0;
	r = bus_start(manager);
	r = r < 0 ? r
		  : serve(manager, manager->launch_socket, launch_accept, &manager->launch_source);
	r = r < 0 ? r
		  : serve(manager, manager->control_socket, bus_accept, &manager->control_source);
	if (r == 0 && manager->container_socket >= 0)
		r = serve(manager, manager->container_socket, container_accept,
			&manager->container_source);
	return r < 0 ? log_errno(r, "cannot serve the sockets") : 0;
}

static void remove_path(char **path)
{
	if (*path)
		(void)unlink(*path);
	free(take_pointer(*path));
}

void sockets_close(struct manager *manager)
{
	manager->launch_source = sd_event_source_disable_unref(manager->launch_source);
	manager->control_source = sd_event_source_disable_unref(manager->control_source);
	manager->container_source = sd_event_source_disable_unref(manager->container_source);
	manager->container_socket = safe_close(manager->container_socket);
	manager->launch_socket = safe_close(manager->launch_socket);
	manager->control_socket = safe_close(manager->control_socket);
	remove_path(&manager->launch_path);
	remove_path(&manager->control_path);
	remove_path(&manager->container_path);
}
