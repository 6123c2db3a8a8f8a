/* SPDX-License-Identifier: MIT */
/* The request in hand, noted where the next session process finds it. */
#include "inflight.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "include/util.h"

static bool is_text(const char text[static QUEUE_NAME_MAX + 1])
{
	return strnlen(text, QUEUE_NAME_MAX + 1) <= QUEUE_NAME_MAX;
}

static bool host_names_are_sound(const struct host_queues *queues)
{
	for (uint32_t i = 0; i < queues->count; i++)
		if (!is_text(queues->items[i].name))
			return false;
	return true;
}

static bool counted_are_sound(const struct inflight_head *head)
{
	for (uint32_t i = 0; i < head->counted_count; i++)
		if (strnlen(head->counted[i].ref, REF_MAX + 1) > REF_MAX)
			return false;
	return true;
}

static bool denials_are_sound(const struct denials *denials)
{
	if (denials->count > SESSION_DENIALS_MAX || denials->newest >= SESSION_DENIALS_MAX)
		return false;
	for (uint32_t i = 0; i < denials->count; i++)
		if (!is_text(denials->items[i].name) ||
			!memchr(denials->items[i].command, '\0', sizeof(denials->items[i].command)))
			return false;
	return true;
}

static bool names_are_sound(const struct queues *queues)
{
	for (uint32_t i = 0; i < queues->count; i++)
		if (!is_text(queues->entries[i].name) || !is_text(queues->entries[i].alias) ||
			queues->entries[i].counted >= COUNTED_MAX)
			return false;
	return true;
}

/* Nobody but session processes writes there, and no store of theirs makes this false; but what is
 * read leads to further memory, and then into an app. */
static bool is_sound(const struct inflight *inflight)
{
	return inflight->head.counted_count >= 1 && inflight->head.counted_count <= COUNTED_MAX &&
	       counted_are_sound(&inflight->head) && denials_are_sound(&inflight->head.denials) &&
	       inflight->waiting_used <= SESSION_WAITING_MAX &&
	       inflight->queues.count <= SESSION_QUEUES_MAX &&
	       inflight->threads.count <= SESSION_THREADS_MAX &&
	       inflight->processes.count <= SESSION_PROCESSES_MAX &&
	       inflight->host_queues.count <= HOST_QUEUES_MAX &&
	       inflight->done.used <= SESSION_MESSAGE_MAX &&
	       inflight->done.result <= SESSION_MESSAGE_MAX && names_are_sound(&inflight->queues) &&
	       host_names_are_sound(&inflight->host_queues);
}

int inflight_map(int fd, struct inflight **ret)
{
	struct inflight *inflight;
	struct stat st;
	int r = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size != (off_t)INFLIGHT_SIZE)
		return -EBADMSG;
	inflight = mmap(NULL, INFLIGHT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (inflight == MAP_FAILED)
		return -errno;
	if (inflight->head.version == 0) {
		inflight->head.counted_count = 1;
		inflight->head.version = INFLIGHT_VERSION;
	}
	if (inflight->head.version != INFLIGHT_VERSION)
		r = -EPROTONOSUPPORT;
	else if (!is_sound(inflight))
		r = -EBADMSG;
	if (r < 0) {
		(void)munmap(inflight, INFLIGHT_SIZE);
		return r;
	}
	*ret = inflight;
	return 0;
}

/* Of the whole process, not of the descriptor, which all session processes and the manager share;
 * the kernel drops it when the process has made its last system call. */
static struct flock whole_file(void)
{
	return (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET};
}

/* 0: nobody. */
static pid_t holder(int fd)
{
	struct flock lock = whole_file();

	return fcntl(fd, F_GETLK, &lock) < 0 || lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/* Whoever holds it before and after the pidfd was opened is behind the pidfd. */
static void evict(int fd)
{
	pid_t pid = holder(fd);
	_cleanup_close_ int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -EBADF;

	if (pidfd >= 0 && holder(fd) == pid)
		(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
}

int inflight_claim(int fd)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	uint64_t deadline = now_usec() + CLAIM_DEADLINE_USEC;
	struct flock lock = whole_file();

	while (fcntl(fd, F_SETLK, &lock) < 0) {
		if (errno != EAGAIN && errno != EACCES)
			return -errno;
		if (now_usec() > deadline)
			return -EBUSY;
		evict(fd);
		(void)nanosleep(&pause, NULL);
	}
	return 0;
}

const struct seccomp_notif *inflight_noted(const struct inflight *inflight, uint32_t i)
{
	if (i == 0)
		return &inflight->notification;
	return i <= inflight->waiting_used ? &inflight->waiting[i - 1] : NULL;
}

static void set_phase(struct inflight *inflight, enum inflight_phase phase)
{
	__atomic_store_n(&inflight->phase, phase, __ATOMIC_SEQ_CST);
}

void inflight_begin(struct inflight *inflight)
{
	memset(&inflight->notification, 0, sizeof(inflight->notification));
	set_phase(inflight, INFLIGHT_RECEIVED);
	__atomic_store_n(&inflight->head.since, now_usec(), __ATOMIC_SEQ_CST);
}

void inflight_acting(struct inflight *inflight, bool existed)
{
	inflight->existed = existed;
	set_phase(inflight, INFLIGHT_ACTING);
}

void inflight_acted(struct inflight *inflight, int result)
{
	inflight->result = result;
	set_phase(inflight, INFLIGHT_ACTED);
}

void inflight_injecting(struct inflight *inflight)
{
	set_phase(inflight, INFLIGHT_INJECTING);
}

void inflight_injected(struct inflight *inflight, int number)
{
	inflight->result = number;
	set_phase(inflight, INFLIGHT_INJECTED);
}

void inflight_end(struct inflight *inflight)
{
	__atomic_store_n(&inflight->notification.id, 0, __ATOMIC_SEQ_CST);
	if (inflight->done.id != 0)
		emulate_answered(&inflight->done);
	__atomic_store_n(&inflight->head.since, 0, __ATOMIC_SEQ_CST);
}
