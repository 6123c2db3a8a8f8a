#!/bin/bash
# SPDX-License-Identifier: MIT
# Queues that are open when mq-run starts: which pass, and that the command can do with them what it is granted, and nothing else.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

private_ipc
setup

write_package app.yaml <<'YAML'
name: app
plugs:
  work: {interface: posix-mq, posix-mq: work}
  fast: {interface: posix-mq, mediation: open}
slots:
  both: {interface: posix-mq, posix-mq: work, path: @Q@both, permissions: [read, write]}
  read: {interface: posix-mq, posix-mq: work, path: @Q@read, permissions: [read]}
  kept: {interface: posix-mq, posix-mq: work, path: @Q@kept, permissions: [read, write]}
YAML
for name in both read kept; do
	mqtry "umask 0" "open $Q$name rwc 0666 8 64" >/dev/null
done
COMMAND_MARK=$WORK/open/started

# listening COUNT CMD…: becomes CMD, which is told that so many descriptors are for it
cat >"$WORK/bin/listening" <<'SCRIPT'
#!/bin/sh
export LISTEN_PID=$$ LISTEN_FDS="$1" LISTEN_FDNAMES=the-queue
shift
exec "$@"
SCRIPT
# with_files CMD…: becomes CMD, with files open as 4 and 5
cat >"$WORK/bin/with_files" <<'SCRIPT'
#!/bin/sh
exec "$@" 4</etc/passwd 5</etc/group
SCRIPT
# what_there_is: what a command has been given
cat >"$WORK/bin/what_there_is" <<'SCRIPT'
#!/bin/sh
[ "$LISTEN_PID" = $$ ] && echo "$LISTEN_FDS $LISTEN_FDNAMES"
for number in 3 4 5 6; do
	readlink "/proc/$$/fd/$number"
done
SCRIPT
chmod 755 "$WORK/bin"/{listening,with_files,what_there_is}

# given QUEUE [CMD…]: with that queue as descriptor 3, for reading and writing, as systemd hands it over
given() {
	local queue=$1
	shift
	run listening 1 hand-on 3 rwn "$Q$queue" "$@"
}

# app_given QUEUE CMD…: an app that has taken it
app_given() {
	local queue=$1
	shift
	start_app app listening 1 hand-on 3 rwn "$Q$queue" "$@" mqtry
	tell app "take 3"
}

# not_started DESCRIPTION REGEX: the last run
not_started() {
	expect_status "$1: 125" 125
	expect_message "$1: … says why" "$2"
	holds "$1: … nothing is started" test ! -e "$COMMAND_MARK"
}

start_daemon

# --- what passes ----------------------------------------------------------------------------------

# passes WHO MQ_RUN…
passes() {
	local who=$1
	shift

	given both with_files "$@" --plug app:work what_there_is
	expect_output "$who: the command has what it was given, at its place" \
		"$(printf '1 the-queue\n%s\n/etc/passwd\n/etc/group' "${Q}both")"
	run hand-on 7 r "${Q}both" hand-on 0 w "${Q}read" "$@" --inherit-queues --plug app:work readlink /proc/self/fd/0 /proc/self/fd/7
	expect_output "$who: with --inherit-queues all pass, whatever their numbers" "$(printf '%s\n%s' "${Q}read" "${Q}both")"
}
passes root mq-run
passes user as_user mq-run
passes "mount wall" mq-run --wall=mount

refused() {
	local who=$1 count
	shift

	for count in "" 0 -1 x 1x 2 1000000 99999999999999999999; do
		run listening "$count" hand-on 3 rwn "${Q}both" "$@" mq-run --plug app:work touch "$COMMAND_MARK"
		not_started "$who: LISTEN_FDS=$count" '^mq-run: descriptor 3 is a message queue; close it first .*--inherit-queues$'
	done
	run listening 1 sh -c '"$@"; exit $?' sh hand-on 3 rwn "${Q}both" "$@" mq-run --plug app:work touch "$COMMAND_MARK"
	not_started "$who: LISTEN_PID of another" '^mq-run: descriptor 3 is a message queue.*in a shell use exec mq-run$'
	run listening 2 with_files hand-on 3 r "${Q}both" hand-on 6 r "${Q}both" "$@" mq-run --plug app:work touch "$COMMAND_MARK"
	not_started "$who: a queue that is not named, beside one that is" '^mq-run: descriptor 6 is a message queue'
	run listening 1 sh -c 'exec "$@" 3</dev/mqueue' sh "$@" mq-run --inherit-queues --plug app:work touch "$COMMAND_MARK"
	not_started "$who: the directory of queues" '^mq-run: descriptor 3 is open on a message queue file system'
	given both "$@" mq-run --plug app:fast touch "$COMMAND_MARK"
	not_started "$who: open mediation" '^mq-run: descriptor 3 is a message queue.*mediation: open'
	run hand-on 7 r "${Q}both" "$@" mq-run --inherit-queues --plug app:fast touch "$COMMAND_MARK"
	not_started "$who: open mediation, --inherit-queues" '^mq-run: descriptor 7 is a message queue.*mediation: open'
	check "$who: open mediation: without a queue it starts" listening 1 "$@" mq-run --inherit-queues --plug app:fast true
}
refused root
refused user as_user
run listening 1 hand-on 3 rwn "${Q}both" old-kernel notify mq-run --plug app:work touch "$COMMAND_MARK"
not_started "a queue that cannot be looked at" '^mq-run: mqgated cannot look at .* descriptor 3: Permission denied'
run mqctl sessions --no-legend
expect_output "no session is left" ""

# --- granted, denied, taken back ------------------------------------------------------------------

decided() {
	local who=$1
	shift

	mark_log
	app_given both "$@" --plug app:work
	holds "$who: not granted: there is no record as long as it does nothing" eval '! log_matches denied'
	expect_answer "$who: not granted: it cannot send" app "send one" ' -> -1 EACCES$'
	expect_answer "$who: … nor receive" app "receive 0" ' -> -1 EACCES$'
	expect_answer "$who: … nor ask for its attributes" app "getattr" ' -> -1 EACCES$'
	expect_answer "$who: … nor register" app "notify" ' -> -1 EACCES$'
	expect_log "$who: … which is on record" "denied mq_timedsend ${Q}both: .*mqctl connect app:work app:both"
	check "$who: connected while it runs" mqctl connect app:work app:both
	expect_answer "$who: … it sends" app "send one 3" ' -> 0$'
	expect_answer "$who: … and receives" app "receive" ' -> one 3$'
	expect_answer "$who: … does not wait, as it was opened" app "receive" ' -> -1 EAGAIN$'
	expect_answer "$who: … unless it asks for that" app "setattr -" ' -> 0$'
	echo "receive 30" >&"$(cat app.fd)"
	wait_until 5 is_receiving
	check "$who: disconnected while it waits" mqctl disconnect app:work app:both
	holds "$who: … it is refused" wait_until 5 grep -qx 'receive 30 -> -1 EACCES' app.out
	expect_answer "$who: … and cannot send" app "send two" ' -> -1 EACCES$'
	stop_app app

	check "$who: only reading is granted" mqctl connect app:work app:read
	app_given read "$@" --plug app:work
	mqtry "open ${Q}read w" "send theirs" >/dev/null
	expect_answer "$who: … it receives" app "receive" ' -> theirs 0$'
	expect_answer "$who: … and cannot send, though the descriptor can" app "send mine" ' -> -1 EACCES$'
	check "$who: … taken back" mqctl disconnect app:work app:read
	expect_answer "$who: … it receives nothing" app "receive" ' -> -1 EACCES$'
	stop_app app
}

is_receiving() {
	[ "$(cut -d ' ' -f 1 "/proc/$(app_pid app)/syscall")" = "$RECEIVES" ]
}
RECEIVES=$(printf '#include <sys/syscall.h>\n=SYS_mq_timedreceive\n' | cc -E -P -xc - | sed -n 's/^=//p')

# answered_late: 300 refusals take at least as long as the last 200 of them are to be delayed (REFUSALS_AT_ONCE, REFUSAL_DELAY_MAX_USEC)
answered_late() {
	local begin tries

	begin=$(date +%s%N)
	mapfile -t tries < <(yes "receive 0" | head -n 300)
	run listening 1 hand-on 3 rwn "${Q}both" mq-run --plug app:work mqtry "take 3" "${tries[@]}"
	TOOK=$((($(date +%s%N) - begin) / 1000000))
	[ "$(grep -c 'receive 0 -> -1 EACCES' stdout)" = 300 ] && [ "$TOOK" -ge 2000 ]
}

decided root mq-run
decided user as_user mq-run
decided "mount wall" mq-run --wall=mount

holds "a loop that goes on asking for what is not granted is answered late" answered_late

# --- never used before it is taken back -----------------------------------------------------------

unused() {
	local who=$1
	shift

	check "$who: granted" mqctl connect app:work app:both
	app_given both "$@" mq-run --plug app:work
	check "$who: taken back before it is ever used" mqctl disconnect app:work app:both
	expect_answer "$who: … it is refused" app "send late" ' -> -1 EACCES$'
	stop_app app

	check "$who: granted again" mqctl connect app:work app:both
	app_given both "$@" mq-run --plug app:work
	check "$who: … disconnected with --kill, unused" mqctl disconnect --kill app:work app:both
	expect_stdout "$who: … who holds it is killed" '^1 process killed$'
	holds "$who: … and gone" wait_until 5 app_gone app
	stop_app app
}
# hider: has descriptor 3 in a socket only
cat >"$WORK/bin/hider" <<'PYTHON'
#!/usr/bin/env python3
import os, socket, sys
a, b = socket.socketpair()
socket.send_fds(a, [b"x"], [3])
os.close(3)
print("hidden", flush=True)
sys.stdin.readline()
PYTHON
chmod 755 "$WORK/bin/hider"

hidden() {
	local who=$1
	shift

	start_app app listening 1 hand-on 3 rwn "${Q}both" "$@" mq-run --plug app:work hider
	holds "$who: one that is not granted is hidden" wait_until 10 grep -qx hidden app.out
	check "$who: … it is granted" mqctl connect app:work app:both
	check "$who: … and taken back with --kill" mqctl disconnect --kill app:work app:both
	expect_stdout "$who: … who hides it is killed" '^1 process killed$'
	stop_app app
}

unused root
unused user as_user
hidden root
hidden user as_user

# --- what has no name -----------------------------------------------------------------------------

# nameless WHAT: the last run, "take 3" "send x" "receive" "getattr"
nameless() {
	expect_stdout "$1: nothing is sent" '^send x -> -1 EACCES$'
	expect_stdout "$1: nothing is received" '^receive -> -1 EACCES$'
	expect_stdout "$1: nothing is told" '^getattr -> -1 EACCES$'
}
TRIES=("take 3" "send x" "receive" "getattr")

mqctl connect app:work app:both
given both mq-run --plug app:work mqtry "${TRIES[@]}"
expect_stdout "what has a name is sent to" '^send x -> 0$'
mqtry "open ${Q}both r" receive >/dev/null
run listening 1 hand-on 3 rwnd "${Q}both" mq-run --plug app:work mqtry "${TRIES[@]}"
nameless "a queue that has been deleted"
mqtry "umask 0" "open ${Q}both rwc 0666 8 64" >/dev/null
run listening 1 hand-on 3 rwnd "${Q}both" sh -c 'umask 0; mqtry "open $1 rwc 0666 8 64" >/dev/null; shift; exec "$@"' \
	sh "${Q}both" mq-run --plug app:work mqtry "${TRIES[@]}"
nameless "… though there is another one of its name"
given both unshare --ipc mq-run --plug app:work mqtry "${TRIES[@]}"
nameless "a queue of another IPC namespace"
run listening 1 sh -c 'exec "$@" 3<>"/dev/mqueue$0"' "${Q}both" mq-run --plug app:work mqtry "${TRIES[@]}"
nameless "a queue that was opened as a file"
holds "nothing has come to it" grep -q '^QSIZE:0 ' "/dev/mqueue${Q}both"

# --- where else it leads --------------------------------------------------------------------------

# reopens CMD…: a queue that was opened for reading, by mq_open() or as a file; WHO, EXPECT, EXPECTED: what comes of it
reopens() {
	run listening 1 hand-on 3 r "${Q}both" "$@" sh -c ': >>/proc/self/fd/3'
	"$EXPECT" "$WHO: opened by mq_open()" "$EXPECTED"
	run listening 1 sh -c 'exec "$@" 3<"/dev/mqueue$0"' "${Q}both" "$@" sh -c ': >>/proc/self/fd/3'
	"$EXPECT" "$WHO: opened as a file" "$EXPECTED"
}
for who in env as_user; do
	WHO="$who, bare: a queue can be opened for writing by its number" EXPECT=expect_status EXPECTED=0 reopens $who
	WHO="$who, confined: it cannot" EXPECT=expect_stderr EXPECTED='/proc/self/fd/3: Permission denied' \
		reopens $who mq-run --plug app:work
done
WHO="mount wall: it cannot" EXPECT=expect_stderr EXPECTED='/proc/self/fd/3: Permission denied' \
	reopens mq-run --wall=mount --plug app:work

# --- another session process ----------------------------------------------------------------------

app_given both mq-run --plug app:work
# shellcheck disable=SC2046 # pids
kill -KILL $(session_processes)
expect_answer "another session process goes on with it" app "send one" ' -> 0$'
expect_answer "… both ways" app "receive" ' -> one 0$'
check "… disconnected" mqctl disconnect app:work app:both
expect_answer "… it is refused" app "send late" ' -> -1 EACCES$'
stop_app app

# --- exchanged between look and use ---------------------------------------------------------------

stop_daemon
HOLD=$WORK/open/hold
mv "$WORK/bin/mqgate-session" "$WORK/bin/mqgate-session.real"
cat >"$WORK/bin/mqgate-session" <<SCRIPT
#!/bin/sh
ASAN_OPTIONS=verify_asan_link_order=0 HOLD_DIR=$HOLD LD_PRELOAD=$BUILD_ROOT/tests/preload/hold.so exec $WORK/bin/mqgate-session.real
SCRIPT
# exchanger KEPT HOLD: sends to KEPT, behind whose number it puts descriptor 3 while the session process is held before its answer
cat >"$WORK/bin/exchanger" <<'PYTHON'
#!/usr/bin/env python3
import ctypes, os, sys, threading, time
libc = ctypes.CDLL(None)
hold = sys.argv[2]
number = libc.mq_open(sys.argv[1].encode(), os.O_RDWR)
print("ready" if number >= 0 else "no queue", flush=True)
sys.stdin.readline()
open(hold + "/answer", "w").close()
sender = threading.Thread(target=lambda: print("sent", libc.mq_send(number, b"x", 1, 0), flush=True))
sender.start()
while not os.path.exists(hold + "/held"):
    time.sleep(0.01)
os.dup2(3, number)
open(hold + "/release", "w").close()
sender.join()
PYTHON
chmod 755 "$WORK/bin/mqgate-session" "$WORK/bin/exchanger"
start_daemon
mqctl connect app:work app:kept

# exchanged WHO HOW [AS]: HOW: whether it is granted at the start
exchanged() {
	local who=$1 how=$2
	shift 2

	rm -rf "$HOLD"
	mkdir -m 1777 "$HOLD"
	[ "$how" = denied ] || mqctl connect app:work app:both
	start_app app listening 1 hand-on 3 rwn "${Q}both" "$@" mq-run --plug app:work exchanger "${Q}kept" "$HOLD"
	wait_until 10 grep -qx ready app.out
	[ "$how" = denied ] || check "$who, $how: taken back, unused" mqctl disconnect app:work app:both
	echo go >&"$(cat app.fd)"
	holds "$who, $how: a message is sent to the queue that was looked at" wait_until 10 grep -qx 'sent 0' app.out
	expect_end "$who, $how: … of which another has taken the place" app 0
	run mqtry "open ${Q}both rn" getattr "open ${Q}kept rn" receive
	expect_stdout "$who, $how: … which gets nothing" '^getattr -> 8 64 0$'
	expect_stdout "$who, $how: … and it arrives" '^receive -> x 0$'
}
for how in granted denied; do
	exchanged root "$how"
	exchanged user "$how" as_user
done
finish
