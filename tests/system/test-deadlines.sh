#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadlines of include/limits.h that nothing but a process that does not answer lets pass: each is reached, and what is said then is said
# neither earlier nor much later.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup
# shellcheck source=tests/system/service-manager.sh
. "$(dirname "$0")/service-manager.sh"

write_package late.yaml <<'YAML'
name: late
plugs:
  queue: posix-mq
slots:
  kept: {interface: posix-mq, posix-mq: queue, path: "@Q@-kept", permissions: [read, write, create, delete]}
  later: {interface: posix-mq, posix-mq: queue, path: "@Q@-later", permissions: [read, write, create, delete]}
YAML

# Session processes that never say anything, as long as there is such a file.
mkdir "$WORK/real"
mv "$WORK/bin/mqgate-session" "$WORK/real"
cat >"$WORK/bin/mqgate-session" <<SCRIPT
#!/bin/bash
[ ! -e "$WORK/hang" ] || exec -a mqgate-session sleep 1000
exec -a mqgate-session "$WORK/real/mqgate-session" "\$@"
SCRIPT
chmod 755 "$WORK/bin/mqgate-session"

# timed CMD…: run, and how long it took, in microseconds
timed() {
	local begin

	begin=$(date +%s%N)
	run "$@"
	TOOK=$((($(date +%s%N) - begin) / 1000))
}

# lasted DESCRIPTION NAME [MORE_USEC]: the bound, and no more than three seconds longer (times the patience of this machine)
lasted() {
	local usec
	usec=$(($(bound "$2") + ${3:-0}))

	holds "$1: $2, not sooner" test "$TOOK" -ge "$usec"
	holds "$1: nor much later" test "$TOOK" -le $((usec + 3000000 * TEST_PATIENCE))
}

start_manager
check "connected" mqctl connect late:queue late:kept

# --- mqctl waits for a manager that hangs ---------------------------------------------------------

kill -STOP "$DAEMON"
DEADLINE=60 timed mqctl status
expect_status "a manager that hangs: mqctl status" 1
expect_stderr "… says so" "no answer from mqgated"
lasted "mqctl status waits" STATUS_DEADLINE_USEC
DEADLINE=60 timed mqctl connections
expect_status "a manager that hangs: mqctl connections" 1
expect_stderr "… says so" "no answer from mqgated"
lasted "mqctl connections waits" CONTROL_DEADLINE_USEC
kill -CONT "$DAEMON"

# --- session processes that hang ------------------------------------------------------------------

# Of the session, and the spare one
both_hang() {
	[ "$(pgrep -fc '^mqgate-session 1000')" = 2 ]
}

only_the_spare_hangs() {
	[ "$(pgrep -fc '^mqgate-session 1000')" = 1 ]
}

none_hangs() {
	! pgrep -f '^mqgate-session 1000' >/dev/null && [ "$(session_processes | wc -l)" = 1 ]
}

# A session whose session processes hang, one after the other
start_hindered() {
	rm -f "$WORK/hang"
	pkill -KILL -f '^mqgate-session 1000'
	wait_until 5 none_hangs
	start_app app mq-run --plug late:queue mqtry
	expect_answer "it works" app "open $Q-kept rwc 0600 4 64" ' -> [0-9]+$'
	expect_answer "it works" app "send one" ' -> 0$'
	touch "$WORK/hang"
	session_processes | xargs kill -KILL
	holds "its session process hangs" wait_until 5 both_hang
}

# Nothing is taken from a program that does not answer: it ends.
start_hindered
DEADLINE=60 timed mqctl disconnect late:queue late:kept
expect_status "disconnected meanwhile: in force" 0
lasted "mqctl disconnect waits" REVOKE_GIVE_UP_USEC "$(bound SESSION_SHARE_USEC)"
holds "… for the program, which is killed" wait_until 5 app_gone app
stop_app app

check "connected again" mqctl connect late:queue late:kept
start_hindered
BEGIN=$(date +%s%N)
stop_app app
holds "after its program it is killed" wait_until 10 only_the_spare_hangs
TOOK=$((($(date +%s%N) - BEGIN) / 1000))
lasted "it is waited for, to exit by itself" DISMISS_DEADLINE_USEC

start_hindered
DEADLINE=60 timed mqctl connect late:queue late:later
expect_status "connected meanwhile: not in force" 1
expect_stderr "… which is said" "stored, but not yet in force in 1 session"
lasted "mqctl connect waits" CHANGE_DEADLINE_USEC "$(bound SESSION_SHARE_USEC)"
holds "who does not acknowledge is killed" wait_until 10 grep -q "did not acknowledge in time" "$WORK/daemon.log"

BEGIN=$(date +%s%N)
take_down
bring_up
TOOK=$((($(date +%s%N) - BEGIN) / 1000))
lasted "the next manager waits for the session" TAKE_OVER_DEADLINE_USEC
holds "… and goes on without it, and says so" grep -q "1 sessions do not yet have their current permissions" "$WORK/daemon.log"
rm "$WORK/hang"
expect_answer "a session process that answers: the program goes on" app "send two" ' -> 0$'
stop_app app
stop_manager
finish
