#!/bin/bash
# SPDX-License-Identifier: MIT
# What the daemon's processes may do, as the kernel says it, and no more; and the units' restrictions.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

# What systemd-analyze 252 says of the units, times ten; what is missing is named in them.
SCORE=8
SCORE_OF_SESSIONS=62

KILL=$((1 << 5)) SETGID=$((1 << 6)) SETUID=$((1 << 7)) SETPCAP=$((1 << 8))
DAC_OVERRIDE=$((1 << 1)) DAC_READ_SEARCH=$((1 << 2)) FOWNER=$((1 << 3))
SYS_PTRACE=$((1 << 19)) SYS_ADMIN=$((1 << 21)) SYS_NICE=$((1 << 23)) SYS_RESOURCE=$((1 << 24))
ALWAYS=$((SETUID | SETGID | SYS_PTRACE | DAC_OVERRIDE | SYS_ADMIN | KILL | SYS_NICE))
LENT=$((DAC_READ_SEARCH | FOWNER | SYS_RESOURCE))
# Root of a container may lack one itself.
OURS=$((16#$(sed -n 's/^CapPrm:\t//p' /proc/self/status)))

write_package some.yaml <<'YAML'
name: some
plugs:
  queue: posix-mq
slots:
  all:
    interface: posix-mq
    posix-mq: queue
    path-pattern: "@Q@*"
    permissions: [read, write, create, delete]
YAML

# sets PID: its sets, permitted and effective, the others none
sets() {
	sed -n 's/^\(Cap...\|NoNewPrivs\):\t/\1 /p' "/proc/$1/status"
}

# expected_sets KEPT BOUNDING
expected_sets() {
	printf 'CapInh %016x\nCapPrm %016x\nCapEff %016x\nCapBnd %016x\nCapAmb %016x\nNoNewPrivs 1' \
		0 "$1" "$1" "$2" 0
}

# expect_sets DESCRIPTION PID KEPT [BOUNDING]
expect_sets() {
	local expected

	expected=$(expected_sets "$(($3 & OURS))" "$((${4:-$3} & OURS))")
	holds "$1" eval "sets $2; [ \"\$(sets $2)\" = '$expected' ]"
}

# session_process: of the one session that there is, hence not the spare one; it has its listener
session_process() {
	local pid

	for pid in $(session_processes); do
		! ls -l "/proc/$pid/fd" 2>/dev/null | grep -q 'seccomp notify' || echo "$pid"
	done
}

one_session_process() {
	[ "$(session_process | wc -w)" = 1 ]
}

is_replaced() {
	one_session_process && [ "$(session_process)" != "$1" ]
}

# expect_session DESCRIPTION KEPT CMD…: a session of that launcher; again after its process has died
expect_session() {
	local what=$1 kept=$2 pid
	shift 2

	start_app app "$@" mq-run --plug some:queue mqtry
	expect_answer "$what: it works" app "open ${Q}x rwcx" ' -> 0$'
	wait_until 5 one_session_process
	pid=$(session_process)
	expect_sets "$what: its session process has exactly what it needs" "$pid" "$kept"
	kill -KILL "$pid"
	wait_until 5 is_replaced "$pid"
	expect_answer "$what: it works with the next one" app "unlink ${Q}x" ' -> 0$'
	expect_sets "… which has the same" "$(session_process)" "$kept"
	stop_app app
	wait_until 5 eval '! one_session_process'
}

start_daemon
check "connected" mqctl connect some:queue some:all
MANAGERS=$((SYS_PTRACE | DAC_OVERRIDE | SYS_RESOURCE))
[ $((OURS & SYS_RESOURCE)) != 0 ] || MANAGERS=$((MANAGERS | SYS_ADMIN))
expect_sets "the daemon has what it needs" "$DAEMON" $MANAGERS
expect_sets "its spawner has what it passes on" "$(spawner)" $((ALWAYS | LENT | SETPCAP))
spare_is_there() {
	[ "$(session_processes | wc -w)" = 1 ]
}
holds "there is a spare session process" wait_until 5 spare_is_there
expect_sets "… which has the same" "$(session_processes)" $((ALWAYS | LENT | SETPCAP))

# with_capabilities LIST CMD…: as root with these alone
cat >"$WORK/bin/with_capabilities" <<'SCRIPT'
#!/bin/sh
list=$1
shift
exec setpriv --bounding-set="$list" --inh-caps="-all" --ambient-caps="-all" -- "$@"
SCRIPT
chmod 755 "$WORK/bin/with_capabilities"

expect_session "an ordinary user" "$ALWAYS" as_user
expect_session "root" $((ALWAYS | LENT)) env
expect_session "root with none" "$ALWAYS" with_capabilities "-all"
expect_session "root with one that is lent" $((ALWAYS | FOWNER)) with_capabilities "-all,+fowner"
expect_session "root with some that are not" "$ALWAYS" \
	with_capabilities "-all,+net_admin,+sys_chroot,+setpcap"
expect_session "a full set in a user namespace" "$ALWAYS" unshare --user --map-root-user

# A user's launcher that takes its time after the hello has an fd receiver.
fd_receiver() {
	pgrep -P "$DAEMON" -x mqgated
}
write_package rogue.yaml <<'YAML'
name: rogue
plugs:
  granted: posix-mq
YAML
check "a plug for a launcher made by hand" mqctl reload
start_app sleeper as_user rogue-launcher sleep answer
wait_until 5 grep -q asleep "$WORK/sleeper.out"
expect_sets "an fd receiver may do nothing but send" "$(fd_receiver)" $SYS_RESOURCE $MANAGERS
kill -KILL "$(app_pid sleeper)"
stop_app sleeper

# --- the units ------------------------------------------------------------------------------------

# expect_score UNIT TENTHS
expect_score() {
	run systemd-analyze security --no-pager --offline=yes --threshold="$2" \
		"$WORK/tree/usr/lib/systemd/system/$1"
	expect_status "systemd-analyze security $1: $(($2 / 10)).$(($2 % 10)) or better" 0
	holds "… and it knows every line" eval '! grep -i ignoring "$WORK/stderr"'
}

restrictions_of_units() {
	if ! command -v systemd-analyze >/dev/null; then
		skip "the units' restrictions" "no systemd-analyze"
		return
	fi
	meson install -C "$BUILD_ROOT" --no-rebuild --destdir "$WORK/tree" >/dev/null
	expect_score mqgated.service "$SCORE"
	expect_score mqgate-sessions@.service "$SCORE_OF_SESSIONS"
}

restrictions_of_units
finish
