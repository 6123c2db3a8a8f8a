/* SPDX-License-Identifier: MIT */
/* What the manager learns of the capabilities of a launcher. */
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "daemon/manager/peers/peer.h"
#include "door.h"
#include "support.h"
#include "include/capabilities.h"

TestSuite(peer, .init = need_root);

/* As it is told of a process that connects after before(). */
static uint64_t told_of_peer(void (*before)(void))
{
	_cleanup_close_ int go = -EBADF;
	struct identity identity = {.pidfd = -EBADF};
	uint64_t capabilities;
	int ready[2], hold[2];
	char byte;

	cr_assert_eq(pipe2(ready, O_CLOEXEC), 0);
	cr_assert_eq(pipe2(hold, O_CLOEXEC), 0);
	identity.pid = fork();
	if (identity.pid == 0) {
		(void)close(hold[1]);
		before();
		_exit(write(ready[1], "r", 1) != 1 || read(hold[0], &byte, 1) != 0);
	}
	go = hold[1];
	(void)close(hold[0]);
	(void)close(ready[1]);
	identity.pidfd = (int)syscall(SYS_pidfd_open, identity.pid, 0);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	cr_assert_eq(identity_capabilities(&identity, &capabilities), 0);
	go = safe_close(go);
	cr_assert_eq(waitpid(identity.pid, NULL, 0), identity.pid);
	(void)close(identity.pidfd);
	(void)close(ready[0]);
	return capabilities;
}

static void change_nothing(void)
{
}

static void enter_user_namespace(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || unshare(CLONE_NEWUSER) < 0)
		_exit(105);
}

Test(peer, capabilities_of_a_launcher_are_the_kernels_word)
{
	cr_expect_eq(told_of_peer(change_nothing), CAPABILITIES_ALL, "an exec may give it any");
	cr_expect_eq(told_of_peer(become_root_with_one), CAPABILITIES_ALL, "the same");
	cr_expect_eq(told_of_peer(become_root_with_one_for_good), CAPABILITY(FOWNER));
	cr_expect_eq(told_of_peer(enter_user_namespace), 0, "all, but of another user namespace");
}
