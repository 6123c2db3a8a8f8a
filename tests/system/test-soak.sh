#!/bin/bash
# SPDX-License-Identifier: MIT
# Time: sessions come and go, connections are made and cut, everything is read again and everything crashes, for SOAK_SECONDS; then
# memory, descriptors and processes are what they were, and every program got what it should.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

SOAK=${SOAK_SECONDS:-12}
# By which two moments of rest may differ: memory of the daemon or of three session processes, and what these keep open of callers
# of late.
ALLOWED_KIB=512
! grep -qa __asan_init "$MQGATED" || ALLOWED_KIB=16384 # what a sanitizer keeps of its own
ALLOWED_DESCRIPTORS=12

private_ipc
setup
# What a sanitizer keeps of freed memory is no growth of ours.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=0:thread_local_quarantine_size_kb=0"

write_package soak.yaml <<'YAML'
name: soak
plugs:
  nothing: posix-mq
  granted: posix-mq # what rogue-launcher asks for
  queue: posix-mq
  fast:
    interface: posix-mq
    posix-mq: queue
    mediation: open
slots:
  all:
    interface: posix-mq
    path-pattern: "@Q@*"
  one:
    interface: posix-mq
    posix-mq: queue
    path: "@Q@one"
    permissions: [read, write, create]
YAML

cat >"$WORK/bin/logged" <<'SCRIPT'
#!/bin/sh
exec "$@" 2>>daemon.log
SCRIPT
chmod 755 "$WORK/bin/logged"

# --- the daemon, under a small service manager ----------------------------------------------------

# manager LINE: tells it to the service manager; ANSWER is what it says
manager() {
	tell manager "$1"
}

wait_until_ready() {
	manager ready
	[[ $ANSWER == ready* ]] || complain "the daemon is not ready: $ANSWER"
	manager main
	DAEMON=$ANSWER
}

# stored COUNT: so many descriptors, besides the counters
stored() {
	manager stored
	[ "$ANSWER" = $(($1 + 1)) ]
}

# crash_daemon SIGNAL: waits for the next one
crash_daemon() {
	local before=$DAEMON

	manager "signal $1"
	is_other() {
		manager main
		[ "$ANSWER" != 0 ] && [ "$ANSWER" != "$before" ]
	}
	wait_until 10 is_other || complain "no other daemon after signal $1"
	wait_until_ready
}

# --- what is wrong --------------------------------------------------------------------------------

: >"$WORK/complaints"
complain() {
	echo "round $ROUNDS: $1" >>"$WORK/complaints"
}

# expect WHAT NAME LINE REGEX: as expect_answer, but only a complaint counts
expect() {
	tell "$2" "$3"
	echo "$ANSWER" | grep -Eq -- "$4" || complain "$1: told $3, answer $ANSWER, expected $4"
}

# expect_success WHAT CMD…
expect_success() {
	local what=$1
	shift
	run "$@"
	[ "$STATUS" = 0 ] || complain "$what: status $STATUS: $(stderr | head -n 2)"
}

# --- a round --------------------------------------------------------------------------------------

TRAFFIC="receiver sender creator denied"

start_traffic() {
	local prefix=$1 flow="$Q$ROUNDS-flow"

	start_app receiver $prefix mq-run --slot soak:all traffic receive "$flow" 2000
	start_app sender $prefix mq-run --slot soak:all traffic send "$flow" 2000
	start_app creator $prefix mq-run --slot soak:all traffic create "$Q$ROUNDS-new" 300
	start_app denied $prefix mq-run --plug soak:nothing traffic denied "${Q}denied" 300
}

# A launch that the daemon's end comes in the way of fails, and rightly so.
traffic_has_begun() {
	local name

	for name in $TRAFFIC; do
		app_gone "$name" || [[ $(readlink "/proc/$(app_pid "$name")/exe") == */traffic ]] ||
			return 1
	done
}

end_traffic() {
	local name

	for name in $TRAFFIC; do
		wait_until 60 app_gone "$name" || complain "$name does not end"
		stop_app "$name" || complain "$name: $(cat "$WORK/$name.err")"
	done
	rm -f "/dev/mqueue$Q$ROUNDS-flow"
}

# disturb MAY_CRASH: something goes wrong, or is changed
disturb() {
	case $((ROUNDS % 5)) in
	0) session_processes | xargs -r kill -KILL ;;
	1) [ "$1" = no ] || crash_daemon 9 ;;
	2) expect_success "reload" mqctl reload ;;
	3) [ "$1" = no ] || crash_daemon 15 ;;
	4) as_user rogue-launcher die "$(echo connect hello answer filter handover word | cut -d " " -f $((ROUNDS / 5 % 6 + 1)))" ;;
	esac >/dev/null 2>&1
}

# What the programs that stay see of a connection that comes and goes.
change() {
	expect_success "connect queue" mqctl connect soak:queue soak:one
	expect_success "connect fast" mqctl connect soak:fast soak:one
	expect "call, connected" call "open ${Q}one rwc 0666 4 64" ' -> [0-9]+$'
	expect "call, connected" call "send one" ' -> 0$'
	expect "call, connected" call "receive" ' -> one 0$'
	expect "open, connected" open "open ${Q}one rw" ' -> [0-9]+$'
	expect "open, connected" open "send two" ' -> 0$'
	expect "open, connected" open "receive" ' -> two 0$'
	expect_success "disconnect" mqctl disconnect soak:one
	cp "$WORK/stdout" "$WORK/disconnect"
	expect "call, disconnected" call "send three" ' EACCES$'
	expect "call, disconnected" call "open ${Q}one r" ' EACCES$'
	grep -q '^1 session (1 process) still holds descriptors ' "$WORK/disconnect" || complain "disconnect: $(cat "$WORK/disconnect")"
	expect "open, disconnected" open "send three" ' -> 0$'
	expect "open, disconnected" open "open ${Q}one r" ' EACCES$'
	expect "call, closes" call "forget" ' -> 0$'
	expect "open, closes" open "forget" ' -> 0$'
	rm -f "/dev/mqueue${Q}one"
}

one_round() {
	ROUNDS=$((ROUNDS + 1))
	if [ $((ROUNDS % 2)) = 0 ]; then
		start_traffic as_user
	else
		start_traffic ""
	fi
	wait_until 20 traffic_has_begun || complain "the programs do not begin"
	disturb "$1"
	change
	end_traffic
}

# rounds SECONDS MAY_CRASH
rounds() {
	local end=$((SECONDS + $1))

	while [ $SECONDS -lt $end ] && [ "$(wc -l <"$WORK/complaints")" -lt 20 ]; do
		one_round "$2"
	done
}

# --- at rest --------------------------------------------------------------------------------------

# Two sessions, the two programs that stay, and the spare one.
is_at_rest() {
	[ "$(session_processes | wc -l)" = 3 ] && [ "$(daemon_children | wc -l)" = 4 ] &&
		[ "$(mqctl sessions --json | grep -o '"pid"' | wc -l)" = 2 ] && stored 6
}

# all_processes: of the programs of this test
all_processes() {
	local pid count=0

	for pid in /proc/[0-9]*; do
		[[ $(readlink "$pid/exe") != "$WORK"/* ]] || count=$((count + 1))
	done
	echo "$count"
}

# memory PID…, descriptors PID…: of all of them; memory that is shared with nobody, in KiB
memory() {
	local pid sum=0

	for pid in "$@"; do
		sum=$((sum + $(sed -n 's/^Anonymous: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup")))
	done
	echo "$sum"
}

descriptors() {
	local pid sum=0

	for pid in "$@"; do
		sum=$((sum + $(find "/proc/$pid/fd" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)))
	done
	echo "$sum"
}

# look NAME: notes what there is at a moment of rest
look() {
	local sessions

	holds "$1: all that is left are the programs that stay" wait_until 10 is_at_rest
	sessions=$(session_processes)
	# shellcheck disable=SC2086
	declare -gA "$1=([manager]=$(memory "$DAEMON") [sessions]=$(memory $sessions)
		[descriptors]=$(descriptors "$DAEMON") [kept]=$(descriptors "$(app_pid manager)")
		[in_sessions]=$(descriptors $sessions)
		[processes]=$(all_processes))"
}

# flat WHAT KEY FROM TO ALLOWED
flat() {
	local -n from=$3 to=$4

	echo "# $1: ${from[$2]} → ${to[$2]}"
	holds "$1: ${from[$2]} at first, ${to[$2]} at the end" \
		test "${to[$2]}" -le $((${from[$2]} + $5))
}

start_app manager logged service-manager "$WORK/run" mqgated --config "$WORK/mqgated.yaml" \
	--runtime-dir "$WORK/run" --state-dir "$WORK/state" --packages "$WORK/packages" \
	--session-program "$WORK/bin/mqgate-session"
ROUNDS=0
wait_until_ready
start_app call mq-run --plug soak:queue mqtry
start_app open mq-run --plug soak:fast mqtry

for _ in 1 2 3 4 5; do
	one_round yes
done
look first
rounds $((SOAK / 2)) yes
look crashed
for _ in 1 2 3 4 5 6; do
	one_round no
done
look warm
rounds $((SOAK / 2)) no
look last

echo "# $ROUNDS rounds of 4 sessions, some of the daemon's crashes among them"
holds "$ROUNDS rounds: every program got what it should" eval "cat complaints; [ ! -s complaints ]"
flat "descriptors that the service manager keeps, with crashes" kept first crashed 0
flat "processes, with crashes" processes first crashed 0
flat "descriptors of the daemon, with crashes" descriptors first crashed 1
flat "descriptors of session processes, with crashes" in_sessions first crashed "$ALLOWED_DESCRIPTORS"
flat "processes" processes warm last 0
flat "descriptors of the daemon" descriptors warm last 0
flat "descriptors of session processes" in_sessions warm last "$ALLOWED_DESCRIPTORS"
flat "memory of the daemon, KiB of its own" manager warm last "$ALLOWED_KIB"
flat "memory of three session processes, KiB of their own" sessions warm last "$ALLOWED_KIB"
stop_app call
stop_app open
holds "nothing is kept of sessions that have ended" wait_until 5 stored 0
DAEMON=
stop_app manager
finish
