# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2034 # the tests use what this file sets
# The frame of the whole-program tests: a private daemon, real programs, TAP version 13.
#
# A test sources this file, calls setup, then check, run and expect_*, and ends with finish.
# Each description comes first. Programs are found by MQGATED, MQ_RUN, MQCTL, MQGATE_SESSION, MQGATE_ALONE, MQGATE_ROADS
# (files)
# and APPS (the directory of the test apps), which meson sets; they are copied to $WORK/bin, which
# is on PATH, because an ordinary user must reach them. In $WORK are also packages/, state/, run/
# and mqgated.yaml of the private daemon, which MQGATE_RUNTIME_DIR names for mqctl and mq-run.
#
#	as_user CMD…          runs CMD as uid 65534 without groups
#	as_uid UID[:GID] CMD… runs CMD as that user
#	as_who root|user CMD… runs CMD as it is, or as_user
#	$Q                    a prefix for queue names ("/…"), unique to this run; swept at the end
#
# What a user may have in queues, in bytes, is one sum for all that the user runs on this machine. A
# test with a part that comes close to it runs in two: LIMITS=only is that part, which runs while no
# other test does, LIMITS=without is the rest; and all of it if LIMITS is not set.
set -u

DEADLINE=${DEADLINE:-20}
TEST_PATIENCE=${TEST_PATIENCE:-$("${BASH_SOURCE[0]%/*}/../patience")}
export TEST_PATIENCE
WORK=
DAEMON=
Q=
TAP_COUNT=0
TAP_FAILED=0
STATUS=0
APPS_RUNNING=()

# --- TAP ------------------------------------------------------------------------------------------

diagnose() {
	sed 's/^/# /'
}

ok() {
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - ${1//#/}"
}

# not_ok DESCRIPTION; diagnostics on stdin, for stderr, which the test runner shows
not_ok() {
	TAP_COUNT=$((TAP_COUNT + 1))
	TAP_FAILED=$((TAP_FAILED + 1))
	echo "not ok $TAP_COUNT - ${1//#/}"
	{
		echo "$TAP_COUNT - $1"
		cat
		if [ -s "$WORK/daemon.log" ]; then
			echo "the daemon's last lines:"
			tail -n 12 "$WORK/daemon.log"
		fi
	} | diagnose >&2
}

# skip DESCRIPTION REASON
skip() {
	if [ "${MUST_WORK:-0}" = 1 ]; then
		not_ok "$1" <<<"$2, and MUST_WORK=1 allows no skipping"
	else
		TAP_COUNT=$((TAP_COUNT + 1))
		echo "ok $TAP_COUNT - ${1//#/} # SKIP $2"
	fi
}

# machine_can WHAT DESCRIPTION: true if this machine can do it (tests/machine/machine.c). Otherwise
# DESCRIPTION is left out, which is no failure with MUST_WORK=1 either; tests/count lists it.
machine_can() {
	local reason status

	reason=$("$BUILD_ROOT/tests/machine/machine" "$1" 2>&1)
	status=$?
	case $status in
	0) return ;;
	1)
		TAP_COUNT=$((TAP_COUNT + 1))
		echo "ok $TAP_COUNT - ${2//#/} # SKIP this machine $reason"
		;;
	*) not_ok "$2" <<<"this machine could not be asked about $1: status $status $reason" ;;
	esac
	return 1
}

# can_run_32_bit PROGRAM DESCRIPTION: true if this program of 32 bits is there, and machine_can
can_run_32_bit() {
	machine_can 32-bit-programs "$2" || return
	[ ! -x "$1" ] || return 0
	skip "$2" "the compiler makes no 32-bit programs"
	return 1
}

# skip_all REASON: the whole program, before any test
skip_all() {
	if [ "${MUST_WORK:-0}" = 1 ]; then
		echo "Bail out! $1, and MUST_WORK=1 allows no skipping"
		exit 1
	fi
	echo "1..0 # SKIP $1"
	exit 0
}

# sanitizer_reports: of the daemon, the session processes and the apps
sanitizer_reports() {
	grep -hE 'runtime error:|ERROR: (Address|Leak)Sanitizer' "$WORK/daemon.log" "$WORK"/*.err \
		2>/dev/null
}

finish() {
	stop_daemon
	if [ -n "$(sanitizer_reports)" ]; then
		not_ok "the sanitizers have nothing to report" < <(sanitizer_reports)
	fi
	echo "1..$TAP_COUNT"
	[ "$TAP_FAILED" = 0 ]
	exit
}

# near_limits, far_from_limits: whether that part, or the rest, is to be run
near_limits() {
	[ "${LIMITS:-}" != without ]
}

far_from_limits() {
	[ "${LIMITS:-}" != only ]
}

# --- running and expecting ------------------------------------------------------------------------

# patiently SECONDS CMD…: it is ended when it takes longer, times what tests/patience says of this
# machine; as every deadline here but those of "within"
patiently() {
	local seconds=$(($1 * TEST_PATIENCE))
	shift
	timeout -k 2 "$seconds" "$@"
}

# run CMD…: sets STATUS, and $WORK/stdout and $WORK/stderr; never longer than $DEADLINE seconds (then
# STATUS is 124). CMD is a program, not a function.
run() {
	COMMAND="$*"
	{
		patiently "$DEADLINE" "$@" </dev/null >"$WORK/stdout" 2>"$WORK/stderr"
		STATUS=$?
	} 2>/dev/null
}

# see CMD…: run, and what it prints is kept in $WORK/seen, for holds
see() {
	run "$@"
	cp "$WORK/stdout" "$WORK/seen"
}

stdout() {
	cat "$WORK/stdout"
}

stderr() {
	cat "$WORK/stderr"
}

show_run() {
	echo "command: $COMMAND"
	echo "status: $STATUS"
	echo "stdout:"
	head -n 40 "$WORK/stdout"
	echo "stderr:"
	head -n 40 "$WORK/stderr"
}

# verdict DESCRIPTION TRUTH TEXT: of the last run
verdict() {
	if [ "$2" = 0 ]; then
		ok "$1"
	else
		not_ok "$1" < <(
			echo "$3"
			show_run
		)
	fi
}

# check DESCRIPTION CMD…: CMD succeeds
check() {
	local description=$1
	shift
	run "$@"
	[ "$STATUS" = 0 ]
	verdict "$description" $? "expected status 0"
}

# refute DESCRIPTION CMD…: CMD fails, of itself and in time
refute() {
	local description=$1
	shift
	run "$@"
	[ "$STATUS" != 0 ] && [ "$STATUS" -lt 124 ]
	verdict "$description" $? "expected a failure"
}

# results: those that mqtry has printed in the last run, in one line
results() {
	sed 's/.* -> //' "$WORK/stdout" | tr '\n' ';'
}

# expect_results DESCRIPTION RESULTS: of the last run
expect_results() {
	[ "$(results)" = "$2" ]
	verdict "$1" $? "expected the results $2, and not $(results)"
}

# holds DESCRIPTION CMD…: a condition in the shell itself (test, function)
holds() {
	local description=$1
	shift
	COMMAND="$*"
	"$@" >"$WORK/stdout" 2>"$WORK/stderr"
	STATUS=$?
	[ "$STATUS" = 0 ]
	verdict "$description" $? "does not hold"
}

expect_status() {
	[ "$STATUS" = "$2" ]
	verdict "$1" $? "expected status $2"
}

# expect_output DESCRIPTION TEXT: stdout is exactly this, but for the final newline
expect_output() {
	[ "$(stdout)" = "$2" ]
	verdict "$1" $? "expected stdout: $2"
}

# expect_stdout, expect_stderr DESCRIPTION REGEX: some line matches (grep -E)
expect_stdout() {
	grep -Eq -- "$2" "$WORK/stdout"
	verdict "$1" $? "expected in stdout: $2"
}

expect_stderr() {
	grep -Eq -- "$2" "$WORK/stderr"
	verdict "$1" $? "expected in stderr: $2"
}

# expect_message DESCRIPTION REGEX: stderr is one message that matches, on a single line
expect_message() {
	[ "$(grep -c '' "$WORK/stderr")" = 1 ] && grep -Eq -- "$2" "$WORK/stderr"
	verdict "$1" $? "expected one line on stderr: $2"
}

# wait_until SECONDS CMD…: until CMD (which may be a function) succeeds; at first it is asked often
wait_until() {
	local end=$((SECONDS + $1 * TEST_PATIENCE + 1)) pauses=(0.002 0.005 0.01 0.02) tries=0
	shift
	until "$@" >/dev/null 2>&1; do
		[ "$SECONDS" -lt "$end" ] || return 1
		sleep "${pauses[tries++]:-0.05}"
	done
}

# bound NAME: the value of a bound of include/limits.h
bound() {
	printf '#include "include/limits.h"\n=%s\n' "$1" | cc -E -P -iquote "$SOURCE_ROOT" -xc - |
		sed -n 's/^=//p' | sed 's/ULL//g'
}

# within SECONDS CMD…: as wait_until, where the seconds are a bound of mqgate's, on a slow machine as well
within() {
	TEST_PATIENCE=1 wait_until "$@"
}

# soon CMD…: prints the milliseconds within which others are served, whatever somebody does: a second,
# or, on a slow machine, ten times as long as CMD takes now, undisturbed
soon() {
	local begin took least=1000000

	for _ in 1 2 3; do
		begin=$(date +%s%N)
		"$@" >/dev/null 2>&1
		took=$((($(date +%s%N) - begin) / 1000000))
		[ "$took" -ge "$least" ] || least=$took
	done
	echo $((10 * least > 1000 ? 10 * least : 1000))
}

# --- the daemon -----------------------------------------------------------------------------------

daemon_alive() {
	[ -n "$DAEMON" ] && kill -0 "$DAEMON" 2>/dev/null
}

daemon_answers() {
	mqctl status
}

daemon_answers_or_is_dead() {
	! daemon_alive || daemon_answers
}

# launch_daemon [ARG…]: starts it and does not wait
launch_daemon() {
	{
		close_apps
		exec mqgated --config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" \
			--state-dir "$WORK/state" --packages "$WORK/packages" \
			--session-program "$WORK/bin/mqgate-session" "$@"
	} </dev/null >>"$WORK/daemon.log" 2>&1 &
	DAEMON=$!
}

# start_daemon [ARG…]: returns when it answers; a daemon that does not is the end of the test
start_daemon() {
	launch_daemon "$@"
	wait_until 5 daemon_answers_or_is_dead
	if ! daemon_alive || ! daemon_answers >/dev/null 2>&1; then
		diagnose <"$WORK/daemon.log"
		echo "Bail out! mqgated does not answer"
		exit 1
	fi
}

daemon_gone() {
	! kill -0 "$DAEMON" 2>/dev/null
}

# stop_daemon: by SIGTERM, or after the deadline by SIGKILL. Returns its exit status.
stop_daemon() {
	local status

	[ -n "$DAEMON" ] || return 0
	kill "$DAEMON" 2>/dev/null
	wait_until 5 daemon_gone || kill -KILL "$DAEMON" 2>/dev/null
	wait "$DAEMON" 2>/dev/null
	status=$?
	DAEMON=
	return $status
}

restart_daemon() {
	stop_daemon
	start_daemon "$@"
}

# mark_log: what the daemon says from here on is what expect_log and log_matches look at
mark_log() {
	LOG_MARK=$(wc -l <"$WORK/daemon.log")
}

new_log() {
	tail -n "+$((LOG_MARK + 1))" "$WORK/daemon.log"
}

log_matches() {
	new_log | grep -E -- "$1"
}

# expect_log DESCRIPTION REGEX: the daemon says it, or has said it, since mark_log
expect_log() {
	if wait_until 10 log_matches "$2"; then
		ok "$1"
	else
		not_ok "$1" < <(
			echo "expected in the daemon's log: $2"
			new_log | tail -n 20
		)
	fi
}

# spawner: pid of the daemon's child that is the parent of its session processes
spawner() {
	pgrep -P "$DAEMON" -x mqgate-spawner
}

# session_processes: their pids, the spare one among them; not a child of the spawner's that is still
# about to execute, whose command line is the daemon's
session_processes() {
	local spawner

	spawner=$(spawner) && pgrep -P "$spawner" -f '^mqgate-session'
}

# all_session_processes: of every daemon of this test
all_session_processes() {
	local pid

	for pid in $(pgrep -f '^mqgate-session'); do
		[[ $(readlink "/proc/$pid/exe") != "$WORK"/* ]] || echo "$pid"
	done
}

no_session_processes() {
	[ -z "$(all_session_processes)" ]
}

# daemon_children: pids of all that the daemon has started, itself or through its spawner
daemon_children() {
	pgrep -P "$DAEMON"
	session_processes
}

# --- apps that run beside the test ----------------------------------------------------------------

# close_apps: the commands of the other apps are not for this child
close_apps() {
	local file fd

	for file in "$WORK"/*.fd; do
		[ -e "$file" ] || continue
		fd=$(cat "$file")
		exec {fd}>&-
	done
}

# start_app NAME CMD…: in the background. $WORK/NAME.out, .err; commands by tell; pid in $WORK/NAME.pid
start_app() {
	local name=$1 fd
	shift
	rm -f "$WORK/$name.in"
	: >"$WORK/$name.out"
	mkfifo "$WORK/$name.in"
	# What an earlier app of that name has said is no answer of this one.
	: >"$WORK/$name.out"
	{
		close_apps
		exec "$@"
	} <"$WORK/$name.in" >"$WORK/$name.out" 2>"$WORK/$name.err" &
	echo $! >"$WORK/$name.pid"
	exec {fd}>"$WORK/$name.in"
	echo "$fd" >"$WORK/$name.fd"
	APPS_RUNNING+=("$name")
}

app_pid() {
	cat "$WORK/$1.pid"
}

app_gone() {
	! kill -0 "$(app_pid "$1")" 2>/dev/null
}

# running NAME…: whether one of these apps is there
running() {
	local name

	for name in "$@"; do
		app_gone "$name" || return 0
	done
	return 1
}

more_lines() {
	[ "$(wc -l <"$1")" -gt "$2" ]
}

# tell NAME LINE: gives an app its next command; ANSWER is the line with which it answers
tell() {
	local before

	before=$(wc -l <"$WORK/$1.out")
	echo "$2" 2>/dev/null 1>&"$(cat "$WORK/$1.fd")"
	if wait_until 10 more_lines "$WORK/$1.out" "$before"; then
		ANSWER=$(sed -n "$((before + 1))p" "$WORK/$1.out")
	else
		ANSWER="(no answer in time)"
	fi
}

# expect_answer DESCRIPTION NAME LINE REGEX
expect_answer() {
	tell "$2" "$3"
	if echo "$ANSWER" | grep -Eq -- "$4"; then
		ok "$1"
	else
		not_ok "$1" < <(
			printf 'told: %s\nanswer: %s\nexpected: %s\n' "$3" "$ANSWER" "$4"
			cat "$WORK/$2.err"
		)
	fi
}

# stop_app NAME: by end of file, then by SIGKILL. Returns its exit status.
stop_app() {
	local pid fd

	pid=$(app_pid "$1")
	fd=$(cat "$WORK/$1.fd" 2>/dev/null)
	[ -z "$fd" ] || exec {fd}>&-
	rm -f "$WORK/$1.fd"
	wait_until "${2:-3}" app_gone "$1" || kill -KILL "$pid" 2>/dev/null
	wait "$pid" 2>/dev/null
} 2>/dev/null # the shell tells of each job that was killed

# expect_end DESCRIPTION NAME STATUS: the app ends of itself with this status
expect_end() {
	wait_until 30 app_gone "$2"
	stop_app "$2"
	STATUS=$?
	COMMAND="the app $2"
	cp "$WORK/$2.out" "$WORK/stdout"
	cp "$WORK/$2.err" "$WORK/stderr"
	expect_status "$1" "$3"
}

# --- setting up and sweeping ----------------------------------------------------------------------

# need_mqueue: /dev/mqueue is mounted, by us if need be
need_mqueue() {
	[ "$(stat -f -c %T /dev/mqueue 2>/dev/null)" = mqueue ] && return
	if ! mkdir -p /dev/mqueue || ! mount -t mqueue none /dev/mqueue 2>/dev/null; then
		skip_all "/dev/mqueue is not mounted and cannot be"
	fi
}

# private_ipc: starts the test again in an IPC namespace of its own, with its own queues and limits on them, where nobody else's queues
# of the same names can disturb it. Before setup.
private_ipc() {
	[ -z "${PRIVATE_IPC:-}" ] && [ "$(id -u)" = 0 ] || return 0
	PRIVATE_IPC=1 exec unshare --ipc --mount --propagation private bash -c '
		mkdir -p /dev/mqueue
		umount -l /dev/mqueue 2>/dev/null
		mount -t mqueue none /dev/mqueue && exec bash "$0"' "$0"
}

write_helpers() {
	cat >"$WORK/bin/as_uid" <<'SCRIPT'
#!/bin/sh
ids=$1
shift
exec setpriv --reuid="${ids%%:*}" --regid="${ids##*:}" --clear-groups -- "$@"
SCRIPT
	cat >"$WORK/bin/as_user" <<'SCRIPT'
#!/bin/sh
exec setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
SCRIPT
	cat >"$WORK/bin/as_who" <<'SCRIPT'
#!/bin/sh
who=$1
shift
[ "$who" = root ] && exec "$@"
exec as_user "$@"
SCRIPT
	chmod 755 "$WORK/bin/as_who" "$WORK/bin/as_uid" "$WORK/bin/as_user"
}

copy_programs() {
	cp "$MQGATED" "$WORK/bin/mqgated" && cp "$MQ_RUN" "$WORK/bin/mq-run" &&
		cp "$MQCTL" "$WORK/bin/mqctl" && cp "$MQGATE_SESSION" "$WORK/bin/mqgate-session" &&
		cp "$MQGATE_ALONE" "$WORK/bin/mqgate-alone" && cp "$MQGATE_ROADS" "$WORK/bin/mqgate-roads" &&
		ln -s mqgate-roads "$WORK/bin/road" &&
		find "$APPS" -maxdepth 1 -type f -perm -u=x -exec cp -t "$WORK/bin" {} + && return
	echo "Bail out! MQGATED, MQ_RUN, MQCTL, MQGATE_SESSION, MQGATE_ALONE, MQGATE_ROADS and APPS must name the programs"
	exit 1
}

sweep() {
	local name

	trap - EXIT
	for name in "${APPS_RUNNING[@]+"${APPS_RUNNING[@]}"}"; do
		app_gone "$name" || kill -KILL "$(app_pid "$name")" 2>/dev/null
	done
	stop_daemon
	rm -f "/dev/mqueue$Q"*
	rm -rf "$WORK"
}

# own_queues: the queues of this run that exist
own_queues() {
	find /dev/mqueue -maxdepth 1 -name "${Q#/}*" -printf '/%f\n'
}

setup() {
	echo "TAP version 13"
	[ "$(id -u)" = 0 ] || skip_all "needs root"
	need_mqueue
	WORK=$(mktemp -d "${TMPDIR:-/tmp}/mqgate-test.XXXXXX") || exit 1
	Q=/mqgate-test-$$-
	trap sweep EXIT
	trap 'exit 1' HUP INT TERM
	trap : PIPE # an app that has ended early is a failed test, not the end of all
	chmod 755 "$WORK"
	mkdir "$WORK/bin" "$WORK/packages" "$WORK/state" "$WORK/run"
	mkdir -m 1777 "$WORK/open"
	: >"$WORK/daemon.log"
	LOG_MARK=0
	copy_programs
	write_helpers
	export MQGATE_RUNTIME_DIR="$WORK/run"
	export PATH="$WORK/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	unset NOTIFY_SOCKET LISTEN_PID LISTEN_FDS JOURNAL_STREAM
	cd "$WORK" || exit 1
	umask 022
}

# write_package FILE: stdin into packages/, @Q@ standing for $Q
write_package() {
	sed "s|@Q@|$Q|g" >"$WORK/packages/$1"
}
