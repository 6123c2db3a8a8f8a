/* SPDX-License-Identifier: MIT */
/* Processes that may be members of a session, and looking for them. */
#include "member-processes.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "door.h"
#include "launcher/filter.h"

uint64_t filter_id;
static char name[16];

void choose_filter_id(void)
{
	filter_id = (uint64_t)getpid() << 32 | 0x6d716761;
	(void)snprintf(name, sizeof(name), "member-%d", (int)getpid());
	(void)prctl(PR_SET_NAME, name);
}

bool is_of_this_test(void *context, const struct member *member)
{
	int fd = openat(member->proc, "comm", O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	(void)close(fd);
	return n > 1 && strncmp(text, name, (size_t)n - 1) == 0 && name[n - 1] == '\0';
}

void confine(uint64_t its_filter_id)
{
	_cleanup_free_ char *message = NULL;
	int listener;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		filter_load(its_filter_id, MEDIATION_OPEN, &listener, &message) < 0)
		_exit(102);
	(void)close(listener);
}

struct seen *seen;

/* Children look. */
static void *shared(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	cr_assert_neq(memory, MAP_FAILED);
	return memory;
}

void see(void *context, const struct member *member, enum membership membership)
{
	if (membership == MEMBERSHIP_PROVED && seen->found_count < SEEN_MAX)
		seen->found[seen->found_count++] = member->pid;
	if (membership == MEMBERSHIP_UNKNOWN && seen->unknown_count < SEEN_MAX)
		seen->unknown[seen->unknown_count++] = member->pid;
}

bool is_in(pid_t pid, const pid_t *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i] == pid)
			return true;
	return false;
}

struct members *new_members(void)
{
	struct members *members = shared(sizeof(*members));

	seen = shared(sizeof(*seen));
	members->filter.id = filter_id;
	members->deadline = now_usec() + 6 * DOOR_DEADLINE_SECONDS * 1000000ULL;
	return members;
}

void look_with(struct members *members)
{
	for (int i = 0; i < 20; i++) {
		memset(seen, 0, sizeof(*seen));
		cr_assert_eq(
			members_for_each(members,
				&(struct member_visitor){.wants = is_of_this_test, .visit = see}),
			0);
		if (seen->unknown_count == 0)
			return;
		(void)usleep(5000);
	}
}

void look(void)
{
	look_with(new_members());
}

int look_once(struct members *members, const struct member_visitor *visitor)
{
	memset(seen, 0, sizeof(*seen));
	return members_for_each(members, visitor);
}

bool found(pid_t pid)
{
	return is_in(pid, seen->found, seen->found_count);
}

pid_t start(pid_t (*f)(void), pid_t *ret_reported)
{
	pid_t pid, reported;
	int ready[2];

	need_root();
	cr_assert_eq(pipe(ready), 0);
	pid = fork();
	cr_assert(pid >= 0);
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(9 * DOOR_DEADLINE_SECONDS);
		reported = f();
		if (write(ready[1], &reported, sizeof(reported)) != sizeof(reported))
			_exit(103);
		for (;;)
			(void)pause();
	}
	cr_assert_eq(poll(&(struct pollfd){.fd = ready[0], .events = POLLIN}, 1,
			     DOOR_DEADLINE_SECONDS * 1000),
		1);
	cr_assert_eq(read(ready[0], &reported, sizeof(reported)), (ssize_t)sizeof(reported));
	(void)close(ready[0]);
	(void)close(ready[1]);
	if (ret_reported)
		*ret_reported = reported;
	return pid;
}

pid_t member(void)
{
	confine(filter_id);
	return 0;
}

pid_t neighbour(void)
{
	confine(filter_id + 1);
	return 0;
}

int wait_to_be_killed(void *unused)
{
	(void)unused;
	(void)alarm(9 * DOOR_DEADLINE_SECONDS);
	for (;;)
		(void)pause();
	return 0;
}
char directory[] = "/tmp/mqgate-member-XXXXXX";

void remove_directory(void)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/interpreter", directory);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/script", directory);
	(void)unlink(path);
	(void)rmdir(directory);
}
