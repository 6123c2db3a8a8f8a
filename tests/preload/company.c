/* SPDX-License-Identifier: MIT */
/* Preloaded into an app: a second thread, which does nothing. So the process is not alone with its
 * descriptors, and its calls are carried out by the session process once something is lost. */
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static void *do_nothing(void *context)
{
	for (;;)
		(void)pause();
	return context;
}

static void add_thread(void)
{
	sigset_t all, before;
	pthread_t thread;

	/* Signals go to the program's own. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	(void)pthread_create(&thread, NULL, do_nothing, NULL);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

__attribute__((constructor)) static void begin(void)
{
	(void)pthread_atfork(NULL, NULL, add_thread);
	add_thread();
}
