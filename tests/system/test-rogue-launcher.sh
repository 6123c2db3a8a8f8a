#!/bin/bash
# SPDX-License-Identifier: MIT
# Launchers made by hand, by an ordinary user: none gives anything, stops anybody else, holds up the
# manager or leaves anything behind.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/siege.sh
. "$(dirname "$0")/siege.sh"
setup

write_package rogue.yaml <<'YAML'
name: rogue
plugs:
  granted: posix-mq
slots:
  granted-queues:
    interface: posix-mq
    posix-mq: granted
    path: "@Q@granted"
    permissions: [read, write, create]
YAML
prepare_siege rogue:granted
start_daemon
check "connected" mqctl connect rogue:granted rogue:granted-queues
TARGET=${Q}target
GRANTED=${Q}granted
check "root's queue" mqtry "open $TARGET rwc 600 4 64"
check "a queue of everybody's" sh -c "umask 0; mqtry 'open $GRANTED rwc 666 4 64'"

kernel_before() {
	[ "$(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" != "$1" ]
}

SOON=$(soon as_uid 65533 mq-run --plug granted mqtry "open $GRANTED r")

# others_are_served DESCRIPTION: soon, for another user and for root
others_are_served() {
	check "$1: another user's launch, meanwhile" \
		timeout "${SOON}e-3" as_uid 65533 mq-run --plug granted mqtry "open $GRANTED r"
	check "$1: mqctl, meanwhile" timeout "${SOON}e-3" mqctl status
}

# spare_only: the daemon has no session process but the spare one
spare_only() {
	[ "$(session_processes | wc -l)" = 1 ]
}

open_descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 -printf '%l\n' | sed 's/[0-9]\{2,\}//' | sort
}

same_descriptors() {
	[ "$(open_descriptors | wc -l)" = "$DESCRIPTORS" ]
}

# nothing_left DESCRIPTION
nothing_left() {
	holds "$1: the daemon lives" daemon_alive
	holds "$1: no session process is left" wait_until 5 spare_only
	holds "$1: no descriptor is left" wait_until 5 same_descriptors
	holds "$1: root's queue is still there" test -e "/dev/mqueue$TARGET"
}

wait_until 5 spare_only
DESCRIPTORS=$(open_descriptors | wc -l)

# --- what is said ---------------------------------------------------------------------------------

for kind in short long one-byte magic none too-many very-many reserved kind empty-name unterminated \
	trailing; do
	run as_user rogue-launcher hello "$kind"
	expect_output "hello, $kind: refused" "refused EBADMSG: malformed hello"
done
run as_user rogue-launcher hello descriptor
if kernel_before 6.16; then
	expect_output "hello, descriptor: refused" "refused EBADMSG: malformed hello"
else
	expect_output "hello, descriptor: cannot be sent" "sendmsg EPERM"
fi
run as_user rogue-launcher hello version
expect_stdout "hello, version: refused" "^refused EPROTONOSUPPORT: .*version"
nothing_left "hellos"

# --- what is handed over --------------------------------------------------------------------------

for kind in none two many; do
	run as_user rogue-launcher descriptor "$kind"
	expect_output "descriptors, $kind: refused" "refused EBADMSG: malformed handover"
done
for kind in file directory path socket pipe eventfd memfd pidfd named; do
	run as_user rogue-launcher descriptor "$kind"
	expect_output "descriptor, $kind: refused" \
		"refused EBADF: the descriptor that was handed over is not a seccomp listener"
done
nothing_left "descriptors"

# One that takes long to close, when the manager is the last to have it.
start_app lingering as_user rogue-launcher descriptor linger
holds "a descriptor that lingers: sent" wait_until 5 grep -q sent "$WORK/lingering.out"
others_are_served "a descriptor that lingers"
expect_end "a descriptor that lingers: answered" lingering 0
expect_stdout "a descriptor that lingers: refused" \
	"^(refused EBADF: the descriptor that was handed over is not a seccomp listener|answer (end|ECONNRESET))"
nothing_left "a descriptor that lingers"

# --- a peer that dies or sleeps -------------------------------------------------------------------

STEPS="connect hello answer filter handover word"
for step in $STEPS; do
	for _ in 1 2 3 4 5; do
		run as_user rogue-launcher die "$step"
	done
	expect_status "dies after $step" 0
done
others_are_served "launchers that died"
nothing_left "launchers that died"

for step in $STEPS; do
	for i in 1 2; do
		start_app "sleeper-$step-$i" as_user rogue-launcher sleep "$step"
	done
done
for step in $STEPS; do
	holds "asleep after $step" wait_until 5 grep -q asleep "$WORK/sleeper-$step-2.out"
done
others_are_served "launchers that sleep"
# Past its limit a user waits for its own sleepers, and others do not.
for i in 1 2 3 4 5 6 7 8; do
	start_app "sleeper-more-$i" as_user rogue-launcher sleep connect
done
sleep 0.2
run as_user rogue-launcher sleep connect
others_are_served "more launchers that sleep than a user may have"
for step in $STEPS; do
	wait_until 20 app_gone "sleeper-$step-2"
	expected="let go after 9|let go after 1[01]"
	case $step in handover | word) expected="let go after 0" ;; esac
	holds "asleep after $step: let go in time" grep -Eq "$expected" "$WORK/sleeper-$step-2.out"
	stop_app "sleeper-$step-1"
	stop_app "sleeper-$step-2"
done
for i in 1 2 3 4 5 6 7 8; do
	stop_app "sleeper-more-$i"
done
nothing_left "launchers that slept"

measure_peace
for state in unsaid short greeted; do
	withstand "$state"
done
nothing_left "sieges"

# --- filters of other kinds -----------------------------------------------------------------------

# rogue_app NAME [race]: hands over a listener of its own, as a user
rogue_app() {
	start_app "rogue-$1" as_user rogue-launcher app "$1" "$TARGET" "$GRANTED" "${@:2}"
	sleep 0.3
	others_are_served "$1"
	wait_until 20 app_gone "rogue-$1"
	stop_app "rogue-$1"
	cp "$WORK/rogue-$1.out" "$WORK/stdout"
	cp "$WORK/rogue-$1.err" "$WORK/stderr"
	STATUS=- COMMAND="rogue-launcher app $*"
}

# expect_queues DESCRIPTION: what was tried of queues came to what it comes to behind any door
expect_queues() {
	expect_stdout "$1: opening" "^open-target EACCES"
	expect_stdout "$1: creating" "^create-target EACCES"
	expect_stdout "$1: deleting" "^unlink-target EACCES"
	expect_stdout "$1: a granted one opens" "^open-granted positive"
	expect_stdout "$1: a granted one is not deleted" "^unlink-granted EACCES"
	nothing_left "$1"
}

rogue_app queues
expect_queues "a filter made by hand"
rogue_app every-call
for call in getpid kill openat setuid unknown negative; do
	expect_stdout "every call: $call: no such call" "^$call ENOSYS"
done
if [ "$(uname -m)" = x86_64 ]; then
	for call in x32-getpid x32-mq_open; do
		expect_stdout "every call: $call: no such call" "^$call ENOSYS"
	done
fi
expect_queues "every call"
if [ "$(uname -m)" = x86_64 ] && machine_can int-0x80 "32-bit calls"; then
	rogue_app i386-calls
	for call in i386-getpid i386-socketcall; do
		expect_stdout "32-bit calls: $call: no such call" "^$call ENOSYS"
	done
	nothing_left "32-bit calls"
fi
rogue_app user-namespace
expect_queues "a full set of capabilities in a user namespace"

# --- raced with, gone, unreadable -----------------------------------------------------------------

rogue_app race race
expect_stdout "a copy of the listener: many calls" "^many-calls positive"
holds "a copy of the listener: not one message" grep -q "^QSIZE:0 " "/dev/mqueue$TARGET"
nothing_left "a copy of the listener"

rogue_app vanish
expect_stdout "processes that vanish: they did" "^vanished positive"
expect_queues "processes that vanish"

rogue_app unserved-memory
expect_stdout "memory that nobody serves: a name" "^unserved-name (EFAULT|EACCES)"
expect_stdout "memory that nobody serves: attributes" "^unserved-attributes (EFAULT|EACCES)"
expect_stdout "memory that nobody serves: deleting" "^unserved-unlink (EFAULT|EACCES)"
expect_stdout "memory that nobody serves: the next call" "^open-granted positive"
nothing_left "memory that nobody serves"
# Root's covers the kernel's own accesses too.
run rogue-launcher app unserved-memory "$TARGET" "$GRANTED"
expect_stdout "root's memory that nobody serves: a name" "^unserved-name (EFAULT|EACCES)"
expect_stdout "root's memory that nobody serves: the next call" "^open-granted positive"
nothing_left "root's memory that nobody serves"

# --- descriptors where there should be none -------------------------------------------------------

# On this kernel, and as before Linux 6.16, when no socket refuses them.
descriptors_that_linger() {
	start_app lingering as_user python3 "$WORK/bin/neighbour.py" lingers
	holds "$1: they are there" wait_until 10 grep -q "^half $2" "$WORK/lingering.out"
	for _ in 1 2 3; do
		others_are_served "$1"
	done
	stop_app lingering
	nothing_left "$1"
}

if kernel_before 6.16; then
	descriptors_that_linger "descriptors that linger" True
else
	descriptors_that_linger "descriptors that linger" False
fi
stop_daemon
mv "$WORK/bin/mqgated" "$WORK/bin/mqgated.whole"
cat >"$WORK/bin/mqgated" <<SCRIPT
#!/bin/sh
exec old-kernel passrights "$WORK/bin/mqgated.whole" "\$@"
SCRIPT
chmod 755 "$WORK/bin/mqgated"
start_daemon
descriptors_that_linger "descriptors that linger, before 6.16" True
stop_daemon
mv "$WORK/bin/mqgated.whole" "$WORK/bin/mqgated"
start_daemon

# --- from a PID namespace that the daemon is not in ------------------------------------------------

launch_daemon_inside() {
	{
		close_apps
		exec unshare --pid --fork --kill-child --mount-proc mqgated \
			--config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" \
			--state-dir "$WORK/state" --packages "$WORK/packages" \
			--session-program "$WORK/bin/mqgate-session"
	} </dev/null >>"$WORK/daemon.log" 2>&1 &
	DAEMON=$!
}

fd_receiver_at_work() {
	pgrep -P "$DAEMON" mqgated
}

start_app silent as_user rogue-launcher sleep answer
holds "a launch is under way" wait_until 5 fd_receiver_at_work
holds "… and the daemon ends well" stop_daemon
stop_app silent

mark_log
launch_daemon_inside
expect_log "a daemon in a PID namespace of its own" "ready"
INSIDE=$(pgrep -P "$DAEMON" mqgated)
run as_user mq-run --plug granted true
expect_status "a launcher from outside of it has no pid there: 125" 125
expect_stderr "a launcher from outside of it: says so" "cannot tell who is launching"
start_app giver as_user rogue-launcher give "$WORK/open/give" "$TARGET" "$GRANTED"
holds "a listener of outside" wait_until 5 grep -q ready "$WORK/giver.out"
start_app relay nsenter -p -t "$INSIDE" as_user rogue-launcher relay "$WORK/open/give"
holds "it is handed over by somebody inside" wait_until 5 grep -q accepted "$WORK/relay.out"
wait_until 20 app_gone giver
cp "$WORK/giver.out" "$WORK/stdout"
for call in open-target create-target unlink-target open-granted unlink-granted; do
	expect_stdout "a thread without a pid: $call: refused" "^$call EACCES"
done
# Sanitized programs look for leaks through /proc, which is not of this PID namespace.
check "… and others are served" timeout "$((2 * SOON))e-3" env ASAN_OPTIONS="detect_leaks=0" \
	nsenter -p -t "$INSIDE" as_uid 65533 mq-run --plug granted mqtry "open $GRANTED r"
stop_app relay
stop_app giver
holds "a thread without a pid: root's queue is still there" test -e "/dev/mqueue$TARGET"
kill "$INSIDE"
stop_daemon

finish
