/* SPDX-License-Identifier: MIT */
/* The probe's frame. usage: probe [SECTION]… */
#include "probe.h"

#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

static const char *section;
static struct timespec started;

static const struct {
	const char *name;
	void (*run)(void);
} sections[] = {
	{"names", probe_names},
	{"flags", probe_flags},
	{"attributes", probe_attributes},
	{"modes", probe_modes},
	{"data", probe_data},
	{"descriptors", probe_descriptors},
	{"timeouts", probe_timeouts},
	{"setattr", probe_setattr},
	{"notify", probe_notify},
	{"poll", probe_poll},
	{"processes", probe_processes},
	{"passing", probe_passing},
	{"limits", probe_limits},
	{"identity", probe_identity},
	{"namespaces", probe_namespaces},
	{"signals", probe_signals},
	{"threads", probe_threads},
};

long report(long result, const char *format, ...)
{
	int error = errno;
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (result < 0)
		(void)printf(
			"%s: %s -> %ld %s\n", section, line, result, strerrorname_np(error) ?: "?");
	else
		(void)printf("%s: %s -> %ld\n", section, line, result);
	(void)fflush(stdout);
	errno = error;
	return result;
}

void note(const char *format, ...)
{
	va_list arguments;

	(void)printf("%s: ", section);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf("\n");
	(void)fflush(stdout);
}

long raw_open(const void *name, int oflag, mode_t mode, const void *attributes)
{
	return syscall(SYS_mq_open, name, oflag, mode, attributes);
}

long raw_unlink(const void *name)
{
	return syscall(SYS_mq_unlink, name);
}

long raw_send(int queue, const void *message, size_t size, unsigned priority, const void *timeout)
{
	return syscall(SYS_mq_timedsend, queue, message, size, priority, timeout);
}

long raw_receive(int queue, void *message, size_t size, void *priority, const void *timeout)
{
	return syscall(SYS_mq_timedreceive, queue, message, size, priority, timeout);
}

long raw_notify(int queue, const void *event)
{
	return syscall(SYS_mq_notify, queue, event);
}

long raw_getsetattr(int queue, const void *new_attributes, void *old_attributes)
{
	return syscall(SYS_mq_getsetattr, queue, new_attributes, old_attributes);
}

mqd_t fresh(const char *name, int oflag)
{
	struct mq_attr attributes = {.mq_maxmsg = 4, .mq_msgsize = 32};
	mode_t mask = umask(0);
	mqd_t queue;

	(void)mq_unlink(name);
	queue = mq_open(name, oflag | O_CREAT | O_EXCL, 0666, &attributes);
	(void)umask(mask);
	if (queue < 0) {
		note("cannot make %s: %s", name, strerrorname_np(errno));
		exit(3);
	}
	return queue;
}

void remove_all(void)
{
	(void)mq_unlink(QUEUE);
	(void)mq_unlink(OTHER);
}

void wait_for(pid_t pid, const char *what)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		note("%s: lost", what);
	else if (WIFSIGNALED(status))
		note("%s: killed by signal %d", what, WTERMSIG(status));
	else
		note("%s: exit %d", what, WEXITSTATUS(status));
}

void in_child(const char *what, void (*f)(void))
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)alarm(20 * (unsigned)patience());
		f();
		exit(0);
	}
	wait_for(pid, what);
}

char *page_before_hole(bool mapped)
{
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED ||
		(mapped ? mprotect(pages + 4096, 4096, PROT_NONE) : munmap(pages + 4096, 4096)) < 0)
		exit(4);
	return pages;
}

struct timespec in_ms(long ms)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ms / 1000;
	ts.tv_nsec += ms % 1000 * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	if (ts.tv_nsec < 0) {
		ts.tv_sec--;
		ts.tv_nsec += 1000000000;
	}
	return ts;
}

void clock_start(void)
{
	(void)clock_gettime(CLOCK_MONOTONIC, &started);
}

const char *clock_class(void)
{
	struct timespec now;
	long ms;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	ms = (now.tv_sec - started.tv_sec) * 1000 + (now.tv_nsec - started.tv_nsec) / 1000000;
	/* Who waits here waits 500 ms. */
	return ms < 250 ? "at once" : ms < 3000 ? "waited" : "waited long";
}

int main(int argc, char **argv)
{
	struct rlimit no_core = {0, 0};

	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < ELEMENTSOF(sections); i++) {
		bool wanted = argc == 1;

		for (int a = 1; a < argc; a++)
			wanted = wanted || strcmp(argv[a], sections[i].name) == 0;
		if (!wanted)
			continue;
		section = sections[i].name;
		/* Each in a process of its own: no section leaves anything to the next. */
		in_child("section", sections[i].run);
		remove_all();
	}
	return 0;
}
