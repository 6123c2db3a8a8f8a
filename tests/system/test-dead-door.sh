#!/bin/bash
# SPDX-License-Identifier: MIT
# A dead door stays shut: nobody answers the calls of a confined program, and it tries to answer them
# itself. What it does is first shown to work for a bare process; then the daemon is killed or stopped,
# or the session process is gone while the daemon still holds the listener. As root and as an ordinary
# user, by the calls of each kind that this machine has.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

write_package dead.yaml <<'YAML'
name: dead
plugs:
  granted: posix-mq
  fast:
    interface: posix-mq
    posix-mq: granted
    mediation: open
slots:
  queues:
    interface: posix-mq
    posix-mq: granted
    path-pattern: "@Q@granted-*"
    permissions: [read, write, create, delete]
YAML

# ONLY_32_BIT: what 32-bit calls do, and nothing else.
KINDS=(native)
[ -z "${ONLY_32_BIT:-}" ] || KINDS=()
[ "$(uname -m)" != x86_64 ] || ! machine_can int-0x80 "32-bit calls in a 64-bit program" || KINDS+=(int80)
! can_run_32_bit "$WORK/bin/dead-door-32" "the calls of 32-bit programs" || KINDS+=(32)

# ways RESULT: what each way to ask for a listener is to come to, as a regular expression
ways() {
	echo "^plain=$1 log=$1 spec=$1 killable=$1 tsync=$1( upper-[a-z]+=$1)* \$"
}

# calls RESULT [RESULT-OF-DATA-CALLS]: the same for every call on both queues
calls() {
	local which call expected="^"

	for which in granted foreign; do
		for call in create open send receive long-send long-receive notify unlink; do
			case $call in
			long-*) expected+="($call-$which=${2:-$1} )?" ;;
			send | receive) expected+="$call-$which=${2:-$1} " ;;
			*) expected+="$call-$which=$1 " ;;
			esac
		done
	done
	echo "$expected\$"
}

# prepare NAME CMD…: two queues of that user's with a message each, and an outsider who gives the second
prepare() {
	local name=$1
	shift

	mkdir -p -m 777 "$WORK/open/$name"
	"$@" mqtry "open ${Q}granted-$name rwc 600 4 64" "send first" \
		"open ${Q}foreign-$name rwc 600 4 64" "send first" >"$WORK/stdout" ||
		not_ok "$name: the queues were made" <"$WORK/stdout"
	rm -f "$WORK/open/$name/socket"
	start_app "outsider-$name" "$@" sh -c \
		"exec rogue-launcher give-input '$WORK/open/$name/socket' <>'/dev/mqueue${Q}foreign-$name'"
	wait_until 5 test -S "$WORK/open/$name/socket" || not_ok "$name: the outsider is ready" </dev/null
}

# start_door NAME KIND CMD…: the program that tries
start_door() {
	local name=$1 kind=$2 program=dead-door
	shift 2

	[ "$kind" != 32 ] || program=dead-door-32 kind=native
	start_app "$name" "$@" "$program" "$kind" \
		"${Q}granted-$name" "${Q}foreign-$name" "$WORK/open/$name/socket"
	expect_answer "$name: holds a granted queue and another one" "$name" hold '^granted=0 foreign=0 $'
}

# intact NAME: neither of the queues has changed, and there is no other
intact() {
	local which

	for which in granted foreign; do
		grep -q 'QSIZE:5 .*NOTIFY_PID:0 ' "/dev/mqueue${Q}$which-$1" || return
		[ ! -e "/dev/mqueue${Q}$which-$1-made" ] || return
	done
}

# for_everybody FUNCTION: FUNCTION NAME KIND CMD for each who tries
for_everybody() {
	local kind

	for kind in "${KINDS[@]}"; do
		"$1" "root-$kind" "$kind" env
		"$1" "user-$kind" "$kind" as_user
	done
}

# --- bare -----------------------------------------------------------------------------------------

# What all else that seccomp(2) does came to, bare, is what is expected confined.
declare -A BARE

bare() {
	local name=$1

	prepare "$name" "$3"
	start_door "$name" "$2" "$3"
	expect_answer "bare, $name: each way to a listener works" "$name" listeners "$(ways 0)"
	tell "$name" seccomp
	BARE[$name]=$ANSWER
	expect_answer "bare, $name: a listener of its own" "$name" reopen '^listener=0 $'
	expect_answer "bare, $name: … by which every call is continued" "$name" try "$(calls 0)"
	holds "bare, $name: … and was made" test -e "/dev/mqueue${Q}granted-$name-made" -a \
		-e "/dev/mqueue${Q}foreign-$name-made" -a ! -e "/dev/mqueue${Q}granted-$name"
	stop_app "$name"
	stop_app "outsider-$name"
	rm -f "/dev/mqueue${Q}"*-"$name"*
}

# --- confined -------------------------------------------------------------------------------------

PLUG=granted

confine() {
	prepare "$1" "$3"
	start_door "$1" "$2" "$3" mq-run --plug "$PLUG"
}

# refused_listeners NAME WHEN
refused_listeners() {
	expect_answer "$2, $1: no way leads to a listener" "$1" listeners "$(ways EBUSY)"
	expect_answer "$2, $1: not even one to stay" "$1" reopen '^listener=EBUSY $'
}

alive() {
	refused_listeners "$1" "alive"
	tell "$1" seccomp
	holds "alive, $1: all else that seccomp(2) does it does" test "$ANSWER" = "${BARE[$1]}"
}

waits() {
	refused_listeners "$1" "nobody there"
	expect_answer "nobody there, $1: every call waits" "$1" try "$(calls EINTR)"
	holds "nobody there, $1: nothing has changed" intact "$1"
}

dead() {
	expect_answer "$HOW, $1: the door is dead" "$1" wait '^door=ENOSYS $'
	refused_listeners "$1" "$HOW"
	expect_answer "$HOW, $1: every call fails" "$1" try "$(calls ENOSYS)"
	holds "$HOW, $1: nothing has changed" intact "$1"
}

finish_off() {
	stop_app "$1"
	stop_app "outsider-$1"
	rm -f "/dev/mqueue${Q}"*-"$1"*
}

# --- the daemon, the session process --------------------------------------------------------------

kill_daemon() {
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	DAEMON=
	wait_until 5 no_session_processes
}

# The listener is with the daemon, which does not get to replace who answered.
kill_session_processes() {
	local pids

	pids=$(session_processes)
	kill -STOP "$DAEMON"
	# shellcheck disable=SC2086
	kill -KILL $pids
	wait_until 5 no_session_processes
}

# once HOW: from a running daemon on
once() {
	HOW=$1
	start_daemon
	check "$HOW: connected" mqctl connect "dead:$PLUG" dead:queues
	for_everybody confine
}

for_everybody bare

# What 0.1.0 has started has a filter without this, and is listed as such.
start_daemon
start_app old env ROGUE_VERSION=1 rogue-launcher stay word
start_app new mq-run --plug granted cat
listed() {
	[ "$(mqctl sessions --no-legend | awk '{print $6}' | sort | xargs)" = "- reopenable" ]
}
holds "mqctl sessions has a note on a session of 0.1.0's, and none on others" wait_until 5 listed
run mqctl sessions --json
expect_stdout "… as JSON, too" '"notes": "reopenable"'
stop_app old
stop_app new
stop_daemon

once "daemon killed"
for_everybody alive
kill_daemon
for_everybody dead
for_everybody finish_off

once "daemon stopped"
stop_daemon
for_everybody dead
for_everybody finish_off

once "session process killed, then the daemon"
kill_session_processes
for_everybody waits
kill_daemon
for_everybody dead
for_everybody finish_off

# Under open mediation what is held is between the program and the kernel, as ever; nothing else is.
PLUG=fast
dead_open() {
	expect_answer "$HOW, $1: the door is dead" "$1" wait '^door=ENOSYS $'
	refused_listeners "$1" "$HOW"
	expect_answer "$HOW, $1: every call that comes to the door fails" "$1" try "$(calls ENOSYS 0)"
	holds "$HOW, $1: nothing was made or deleted" intact_names "$1"
}

intact_names() {
	[ "$(find /dev/mqueue -name "${Q#/}*-$1*" | wc -l)" = 2 ]
}

once "open mediation, daemon killed"
kill_daemon
for_everybody dead_open
for_everybody finish_off
finish
