/* SPDX-License-Identifier: MIT */
/* The adversary's modes in which the kernel waits for a file: leased, or of a FUSE file system. */
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "adversary.h"

#define LEASES  4
#define FUSE_FD 9 /* see fuse-file.c */
#define MAPPED  4096

static const char *file_in(const char *kind, intptr_t i)
{
	char *path;

	return asprintf(&path, "%s/%s%d", directory, kind, (int)i) < 0 ? "" : path;
}

static void write_program(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || close(fd) < 0)
		give_up(path);
}

/* The interpreter is none: should the lease end, execve() fails and is made again. */
static void write_script(intptr_t i)
{
	char text[256];

	write_program(file_in("interpreter", i), "no program\n");
	(void)snprintf(text, sizeof(text), "#!%s\n", file_in("interpreter", i));
	write_program(file_in("script", i), text);
}

static void hold_leases(int count, int ready)
{
	(void)signal(SIGIO, SIG_IGN);
	for (int i = 0; i < count; i++)
		if (fcntl(open(file_in("interpreter", i), O_RDONLY), F_SETLEASE, F_WRLCK) < 0)
			give_up("F_SETLEASE");
	if (write(ready, "", 1) != 1)
		give_up("pipe");
	stay();
}

static atomic_bool all_there;

/* While one thread is in execve() no other can be made. */
static void *execute(void *i)
{
	char *const arguments[] = {(char[]){"script"}, NULL};

	while (!all_there)
		pause_for(1);
	for (;;) {
		(void)execve(file_in("script", (intptr_t)i), arguments, NULL);
		pause_for(1);
	}
	return NULL;
}

void get_stuck_in_execve(int count)
{
	int ends[2];

	if (pipe(ends) < 0)
		give_up("pipe");
	for (int i = 0; i < count; i++)
		write_script(i);
	if (start_child() == 0)
		hold_leases(count, ends[1]);
	if (read(ends[0], (char[1]){0}, 1) != 1)
		give_up("pipe");
	for (intptr_t i = 0; i < count; i++)
		start_thread(execute, (void *)i);
	all_there = true;
}

void attack_execlease(void)
{
	mqd_t queue = open_queue("", O_RDONLY);

	start_thread(receive_in_thread, (void *)(intptr_t)queue);
	say("ready");
	wait_until_told("hold");
	get_stuck_in_execve(LEASES);
}

/* --- FUSE ---------------------------------------------------------------------------------- */

static void *execute_something_else(void *unused)
{
	wait_until_told("hold");
	(void)execl("/proc/self/exe", "adversary", "innocent", (char *)NULL);
	return unused;
}

void attack_fuse_exec(void)
{
	mqd_t queue = open_queue("", O_RDONLY);

	if (fcntl(FUSE_FD, F_SETFD, FD_CLOEXEC) < 0)
		give_up("the file");
	start_thread(execute_something_else, NULL);
	say("ready");
	receive_for_ever(queue);
}

void attack_fuse_exit(void)
{
	mqd_t queue = open_queue("", O_RDONLY);
	pid_t pid = start_receiver(queue);

	say("ready");
	wait_until_told("hold");
	(void)kill(pid, SIGSTOP);
	wait_until_told("go");
	(void)kill(pid, SIGCONT);
}

/* Not looked at before "hold": then the server is asked for it. */
static char *map_file(void)
{
	char *page = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE, MAP_PRIVATE, FUSE_FD, 0);

	if (page == MAP_FAILED)
		give_up("mmap");
	return page;
}

void attack_fuse_send(void)
{
	mqd_t queue = open_queue("", O_WRONLY);
	char *page = map_file();

	say("ready");
	wait_until_told("hold");
	for (;;)
		if (mq_send(queue, page, MESSAGE_SIZE, 0) < 0)
			pause_for(1);
}

void attack_fuse_name(void)
{
	mqd_t queue = open_queue("", O_RDONLY);
	char *page = map_file();

	start_thread(receive_in_thread, (void *)(intptr_t)queue);
	say("ready");
	wait_until_told("hold");
	(void)syscall(SYS_mq_open, page, O_RDONLY, 0, NULL);
}

void attack_fuse_receive(void)
{
	mqd_t queue = open_queue("", O_RDONLY);
	char *page = map_file();

	say("ready");
	while (!is_told("hold"))
		(void)receive_once(queue, 10);
	for (;;)
		if (syscall(SYS_mq_timedreceive, queue, page, MESSAGE_SIZE, NULL, NULL) >= 0)
			say("got one in the file");
		else
			pause_for(1);
}
