/* SPDX-License-Identifier: MIT */
/* signalled: prints "ready PID", and then of each signal that comes "NAME CODE VALUE" as often as
 * it comes; ends after QUIT. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(void)
{
	siginfo_t info;
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	(void)printf("ready %d\n", (int)getpid());
	do {
		const char *name;

		if (sigwaitinfo(&all, &info) < 0)
			continue;
		name = sigabbrev_np(info.si_signo);
		(void)printf("%s %s %d\n", name ? name : "RT",
			info.si_code == SI_QUEUE ? "queued" : "sent",
			info.si_code == SI_QUEUE ? info.si_value.sival_int : 0);
	} while (info.si_signo != SIGQUIT);
	return 0;
}
