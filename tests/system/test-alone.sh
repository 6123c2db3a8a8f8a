#!/bin/bash
# SPDX-License-Identifier: MIT
# mq-run --policy: without a daemon the command is confined by files, by an ordinary user, and is to its
# parent what it would be bare: its end, its signals, its descriptors, its orphans.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

cat >"$WORK/app.yaml" <<YAML
name: app
plugs:
  app: posix-mq
slots:
  one:
    interface: posix-mq
    posix-mq: app
    path: ${Q}one
    permissions: [read, write, create, delete]
  two:
    interface: posix-mq
    posix-mq: app
    path: ${Q}two
    permissions: [read]
YAML
ALONE=(mq-run --policy "$WORK/app.yaml" --plug app --)

# supervisors: the pids of those of this test
supervisors() {
	local pid

	for pid in $(pgrep -x mqgate-alone); do
		[[ $(readlink "/proc/$pid/exe") != "$WORK"/* ]] || echo "$pid"
	done
}

no_alone_left() {
	[ -z "$(supervisors)" ]
}

# --- what it may do -------------------------------------------------------------------------------

for who in root user; do
	see as_who $who "${ALONE[@]}" mqtry "open ${Q}one rwcx 0600" "send hello" "receive 1" "close" "open ${Q}two w" \
		"open ${Q}three rwc 0600" "open ${Q}one rw" "unlink ${Q}two" "unlink ${Q}one"
	expect_results "$who: what the file gives, and no more" "0;0;hello 0;0;-1 EACCES;-1 EACCES;1;-1 EACCES;0;"
	expect_stderr "$who: … and what is missing is said" \
		"^mq-run: denied: mq_open of ${Q}three by mqtry \(pid [0-9]+\).*read,write,create.*app.yaml"
	holds "$who: … once each" test "$(grep -c '^mq-run: denied' "$WORK/stderr")" = 3
	holds "$who: nothing is left behind" test -z "$(own_queues)$(ls -A "$WORK/run")"
	holds "$who: … no process" wait_until 5 no_alone_left
done

# Where it may open what it may not read, mq_notify of a program of several threads is watched.
sed '$a\  three: {interface: posix-mq, posix-mq: app, path: '"$Q"'three, permissions: [write]}' "$WORK/app.yaml" >"$WORK/watched.yaml"
run as_user mq-run --policy "$WORK/watched.yaml" --plug app -- mqtry "open ${Q}one rwc 0600" thread "notify" "unlink ${Q}one" "open ${Q}three r"
expect_results "with a queue that it may not read it is told of another's messages" "0;0;0;-1 EACCES;"

# --- the end of the command -----------------------------------------------------------------------

for status in 0 1 37 255; do
	run as_user "${ALONE[@]}" sh -c "exit $status"
	expect_status "its exit status $status" $status
done
for signal in KILL TERM INT SEGV USR1 RTMIN; do
	run as_user "${ALONE[@]}" sh -c "kill -$signal \$\$"
	expect_status "its end by SIG$signal" $((128 + $(kill -l $signal)))
done
run as_user "${ALONE[@]}" "$WORK/nothing"
expect_status "no such command: 127" 127
run as_user "${ALONE[@]}" "$WORK"
expect_status "one that cannot be executed: 126" 126
run as_user "${ALONE[@]}" printf '<%s>' a 'b c' '' --policy '*'
expect_output "its arguments" "<a><b c><><--policy><*>"

# --- signals ------------------------------------------------------------------------------------

# signalled_alone [WORD…]: starts the app "signalled", WORD before it, as leader of a process group; COMMAND_PID is its number
signalled_alone() {
	start_app signalled as_user setsid "${ALONE[@]}" "$@" signalled
	wait_until 5 grep -q ready "$WORK/signalled.out"
	COMMAND_PID=$(awk '{ print $2 }' "$WORK/signalled.out")
	FRONT=$(app_pid signalled)
}

came() {
	tail -n +2 "$WORK/signalled.out" | tr '\n' ';'
}

signalled_alone
kill -TERM "$FRONT"
kill -USR1 "$FRONT"
kill -HUP "$FRONT"
comes_all() {
	wait_until 5 more_lines "$WORK/signalled.out" $(($1 - 1))
	sleep 0.4 # one more would have come
	came | tr ';' '\n' | sort | tr '\n' ' '
}
expect_came() {
	local description=$1 expected=$2 seen

	seen=$(comes_all "$3")
	holds "$description" test "$seen" = " $expected " -o "$seen" = "$expected "
}
expect_came "what mq-run is sent reaches the command, once" "HUP sent 0 TERM sent 0 USR1 sent 0" 4
for number in $(seq 35 $((35 + $(bound FRONT_SIGNALS_MAX) + 4))); do kill -s "$number" "$FRONT"; done
expect_came "also more at once than FRONT_SIGNALS_MAX" \
	"HUP sent 0 $(for _ in $(seq $(($(bound FRONT_SIGNALS_MAX) + 5))); do echo -n "RT sent 0 "; done)TERM sent 0 USR1 sent 0" $(($(bound FRONT_SIGNALS_MAX) + 9))
kill -s QUIT "$FRONT"
expect_end "… and the command ends by itself" signalled 0

signalled_alone
/bin/kill -q 4711 -s RTMIN "$FRONT"
expect_came "one that is queued comes with its value" "RT queued 4711" 2
kill -TERM -- "-$FRONT"
kill -WINCH -- "-$FRONT"
expect_came "what is sent to the process group comes once" "RT queued 4711 TERM sent 0 WINCH sent 0" 4
sleep 0.5
for pid in "$FRONT" $(supervisors) "$COMMAND_PID"; do
	kill -INT "$pid"
done
expect_came "… also if it is sent to each process of a unit" "INT sent 0 RT queued 4711 TERM sent 0 WINCH sent 0" 5
kill -QUIT "$FRONT"
expect_end "… and it ends" signalled 0

# Real-time signals are queued: none is lost, none comes twice, and they come in order.
signalled_alone
for i in $(seq 100); do /bin/kill -q "$i" -s RTMIN "$FRONT"; done
wait_until 10 more_lines "$WORK/signalled.out" 100
in_order() {
	[ "$(sed -n 's/^RT queued //p' "$WORK/signalled.out")" = "$(seq 100)" ]
}
holds "100 that are queued come in order" in_order
for _ in 1 2 3; do kill -s RTMAX -- "-$FRONT"; done
sleep 0.5
holds "… and of three to the group three" test "$(grep -c "^RT sent" "$WORK/signalled.out")" = 3
kill -QUIT "$FRONT"
expect_end "… and it ends" signalled 0

# A command may change the limits of its supervisor: the run ends then.
run as_user "${ALONE[@]}" sh -c 'prlimit --nofile=0:0 --pid $PPID; mqtry "open $0 rwc 0600"; exec sleep 60' "${Q}one"
expect_status "a supervisor without a limit: the run ends" 125
expect_stderr "… and that is said" "mqgate-alone.*has ended; the command is killed"
# Without descriptors nobody can look for leaks.
if [ -z "${SANITIZED:-}" ]; then
	start_app signalled as_user "${ALONE[@]}" signalled
	wait_until 5 grep -q ready "$WORK/signalled.out"
	FRONT=$(app_pid signalled)
	as_user prlimit --nofile=0:0 --pid "$FRONT"
	kill -USR1 "$FRONT"
	expect_end "an mq-run without one ends, too" signalled 125
fi
holds "… and nothing is left" wait_until 5 no_alone_left
rm -f "/dev/mqueue${Q}one"

# state PID: its letter
state() {
	awk '/^State/ { print $2 }' "/proc/$1/status"
}
is_in_state() {
	[ "$(state "$1")" = "$2" ]
}
signalled_alone setsid
kill -STOP "$COMMAND_PID"
holds "a command in a session of its own that stops: mq-run does" wait_until 5 is_in_state "$FRONT" T
kill -CONT "$FRONT"
holds "… and goes on with it" wait_until 5 is_in_state "$COMMAND_PID" S
kill -QUIT "$FRONT"
expect_end "… and it ends" signalled 0
signalled_alone
kill -STOP "$COMMAND_PID"
holds "a stopped command stops mq-run" wait_until 5 is_in_state "$FRONT" T
kill -CONT "$FRONT"
holds "… a continued one goes on" wait_until 5 is_in_state "$FRONT" S
holds "… and so does the command" wait_until 5 is_in_state "$COMMAND_PID" S
kill -KILL "$FRONT"
holds "a killed mq-run is a killed command" wait_until 5 app_gone signalled
gone() {
	! kill -0 "$1" 2>/dev/null
}
holds "… which is gone" wait_until 5 gone "$COMMAND_PID"
holds "… and nothing is left" wait_until 5 no_alone_left
stop_app signalled

# Killed at any moment of its start: nothing runs.
rm -f "$WORK/open/began"
for i in $(seq 40); do
	as_user "${ALONE[@]}" sh -c 'echo "$$" >>"$0"; exec sleep 60' "$WORK/open/began" &
	STARTING=$!
	sleep "0.0$((i % 10))$((i / 10))"
	kill -KILL $STARTING
	wait $STARTING
done 2>/dev/null
all_gone() {
	local pid

	while read -r pid; do
		! kill -0 "$pid" || return 1
	done <"$WORK/open/began"
} 2>/dev/null
touch "$WORK/open/began"
holds "mq-run, killed while it starts, leaves no supervisor" wait_until 10 no_alone_left
holds "… and no command" wait_until 5 all_gone

# Killed before the supervisor could say that it has started.
cat >"$WORK/front-gone.py" <<'PYTHON'
import os, signal, socket, sys
launch, front = (socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(2))
front[0].close()
supervisor = os.fork()
if supervisor == 0:
    os.setsid()
    kept = [os.dup2(end.fileno(), 20 + i) for i, end in enumerate((launch[1], front[1]))]
    os.closerange(3, 20)
    command = os.fork()
    if command == 0:
        os.closerange(3, 30)
        os.execvp("sleep", ["sleep", "60"])
    os.dup2(20, 3), os.dup2(21, 4), os.closerange(5, 30)
    os.execvp("mqgate-alone", ["mqgate-alone", str(command), "--policy", sys.argv[1]])
launch[1].close()
launch[0].settimeout(5 * int(os.environ["TEST_PATIENCE"]))
try:
    print(launch[0].recv(1))
finally:
    os.killpg(supervisor, signal.SIGKILL)
PYTHON
run as_user python3 "$WORK/front-gone.py" "$WORK/app.yaml"
expect_stdout "a supervisor whose mq-run is gone says at once that it serves nobody" "^b''\$"

# Nobody is left who could.
signalled_alone
kill -KILL "$(supervisors)" "$FRONT"
holds "mq-run and its supervisor killed at once: so is the command" wait_until 5 gone "$COMMAND_PID"
stop_app signalled

# Who kills the supervisor has no queues.
start_app shut as_user "${ALONE[@]}" mqtry
expect_answer "before the supervisor is killed" shut "open ${Q}one rwc 0600" "-> 0"
kill -KILL "$(supervisors)"
expect_end "without its supervisor mq-run fails" shut 125
holds "… and says so" grep -q "mqgate-alone.*has ended" "$WORK/shut.err"
rm -f "/dev/mqueue${Q}one"
start_app shut as_user "${ALONE[@]}" sh -c 'exec 3<&0; mqtry <&3 & wait'
tell shut "open ${Q}one rwc 0600"
kill -KILL "$(supervisors)"
expect_answer "what its command has started meets a door that is shut" shut "open ${Q}one rw" "ENOSYS"
expect_answer "… whatever it does" shut "unlink ${Q}one" "ENOSYS"
stop_app shut
rm -f "/dev/mqueue${Q}one"

# --- what the command has left behind -------------------------------------------------------------

mkfifo "$WORK/open/left"
chmod 666 "$WORK/open/left"
run as_user "${ALONE[@]}" sh -c 'setsid sh -c "mqtry \"open $1 rwc 0600\" \"send x\" <\"$0\" >\"$0.out\" 2>&1; mqtry \"unlink $1\" >>\"$0.out\"" "$0" "$1" >/dev/null 2>&1 & exit 3' \
	"$WORK/open/left" "${Q}one"
expect_status "mq-run ends with the command, whatever it leaves behind" 3
holds "… which is still supervised" test -n "$(supervisors)"
echo go >"$WORK/open/left"
wait_until 5 no_alone_left
holds "… and has what the command had, to its end" \
	test "$(sed 's/.*-> //' "$WORK/open/left.out" | tr '\n' ';')" = "0;0;0;"
holds "… when nothing is left" no_alone_left

# --- what it inherits ----------------------------------------------------------------------------

cat >"$WORK/bin/inherited" <<'SCRIPT'
#!/bin/sh
ls -l /proc/self/fd | sed 's/.* \([0-9]* -> .*\)/\1/; s/pipe:.*/pipe/; s/socket:.*/socket/; s#/proc/[0-9]*#/proc/PID#; /total/d'
grep -E '^(SigBlk|SigIgn|Umask|Groups|Uid)' /proc/self/status
ps -o pgid=,sid=,ni=,cls= $$
pwd
env | grep -vE '^(_|SHLVL)=' | sort
SCRIPT
chmod 755 "$WORK/bin/inherited"
cat >"$WORK/bin/inherits" <<'SCRIPT'
#!/bin/bash
# inherits FILE CMD…: what CMD's inherited finds, in FILE
exec 5</etc/passwd 9>/dev/null 3</dev/null
umask 027
trap '' USR2 HUP
"${@:2}" inherited 2>&1 | cat >"$1"
exec 0<&- 1>&-
"${@:2}" sh -c 'ls /proc/self/fd >&2' 2>>"$1"
SCRIPT
chmod 755 "$WORK/bin/inherits"
for who in root user; do
	check "$who: bare" as_who $who inherits "$WORK/open/bare.$who"
	check "$who: confined" as_who $who inherits "$WORK/open/confined.$who" "${ALONE[@]}"
	holds "$who: descriptors, process group, signals, environment are as bare" \
		diff <(sed -E 's/^ *[0-9]+ +/PGID /' "$WORK/open/bare.$who") <(sed -E 's/^ *[0-9]+ +/PGID /' "$WORK/open/confined.$who")
	rm -f "$WORK/open/"*".$who"
done
begin=$(date +%s)
as_user "${ALONE[@]}" sh -c 'exec >&- 2>&-; exec sleep 30' 2>/dev/null </dev/null | cat >"$WORK/stdout" &
PIPED=$!
pipe_is_closed() {
	! pgrep -P $$ -x cat >/dev/null
}
holds "who reads a pipe of the command's sees that it closes it" wait_until 5 pipe_is_closed
pkill -x -P "$(supervisors)" sleep
wait $PIPED

# What the parent ignores, and limits, are the command's own.
run as_user sh -c 'trap "" CHLD; exec "$@"' sh "${ALONE[@]}" sh -c 'exit 7'
expect_status "a parent that ignores how children end: the status is told" 7
run as_user sh -c 'ulimit -S -n 12; ulimit -S -f 8; exec "$@"' sh "${ALONE[@]}" mqtry "open ${Q}one rwc 0600" "send x" "receive 1" "unlink ${Q}one"
expect_results "few descriptors and small files: as bare" "0;0;x 0;0;"
run as_user sh -c 'ulimit -n 14; exec "$@"' sh "${ALONE[@]}" mqtry "open ${Q}one rwc 0600" "unlink ${Q}one"
expect_results "so few that nobody can be served: denied" "-1 EACCES;-1 ENOENT;"
expect_stderr "… and it says why, and what to do" "^mq-run: denied: mq_open by mqtry .*may not open so many files; allow more \(ulimit -n"
# What looks for leaks cannot do so behind the wall, and fails.
if [ -z "${SANITIZED:-}" ]; then
	run as_user sh -c 'ulimit -f 8; exec "$@"' sh "${ALONE[@]}" true
	expect_message "files that nobody may make large enough: 125, and what to do" \
		"^mq-run: .*File too large; allow larger files \(ulimit -f; LimitFSIZE="
fi
run as_user sh -c 'exec "$@" <&- >&- 2>&-' sh "${ALONE[@]}" sh -c 'exit 9'
expect_status "nothing open: as bare" 9

cat >"$WORK/bin/time-used" <<'PYTHON'
#!/usr/bin/env python3
"""Milliseconds of a processor that a command has used, as its parent is told."""
import resource, subprocess, sys

subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(int((used.ru_utime + used.ru_stime) * 1000))
PYTHON
chmod 755 "$WORK/bin/time-used"
see as_user time-used "${ALONE[@]}" python3 -c 'import time
while time.process_time() < 0.7: pass'
holds "the time of its processor" test "$(cat "$WORK/seen")" -ge 500

# As systemd hands over a queue: to the process that it starts.
check "a queue" as_user mqtry "open ${Q}one rwc 0600"
QUEUE=(as_user hand-on 3 rwn "${Q}one")
run "${QUEUE[@]}" sh -c 'LISTEN_PID=$$ LISTEN_FDS=1 WATCHDOG_PID=$$ exec "$@"' sh "${ALONE[@]}" \
	sh -c 'test "$LISTEN_PID" = $$ && test "$WATCHDOG_PID" = $$ && exec mqtry "take 3" "send hello" "receive 1"'
expect_results "LISTEN_FDS: the command is meant, and has the queue" "0;0;hello 0;"
run "${QUEUE[@]}" "${ALONE[@]}" true
expect_status "a queue that nobody has named is not inherited" 125
run "${QUEUE[@]}" mq-run --inherit-queues "${ALONE[@]:1}" mqtry "take 3" "send hello"
expect_results "… but with --inherit-queues" "0;0;"
as_user mqtry "unlink ${Q}one" >/dev/null

# --- a terminal ----------------------------------------------------------------------------------

cp "$SOURCE_ROOT/tests/system/terminal.py" "$WORK/bin"
see as_user python3 "$WORK/bin/terminal.py" "$TEST_PATIENCE" env
expect_status "a person at a terminal: bare" 0
cp "$WORK/seen" "$WORK/bare.txt"
see as_user python3 "$WORK/bin/terminal.py" "$TEST_PATIENCE" "${ALONE[@]}"
expect_status "… with mq-run" 0
holds "^C, ^Z, fg, bg, a new size, pipelines: the terminal shows the same" diff "$WORK/bare.txt" "$WORK/seen"

# --- what it cannot do ---------------------------------------------------------------------------

# impossible DESCRIPTION REGEX CMD…: denied for a user, and it says why; root can
impossible() {
	local description=$1 message=$2
	shift 2

	run as_user "${ALONE[@]}" "$@"
	expect_stdout "$description: denied" "^open .* -> -1 EACCES"
	expect_stderr "… and it says why, and what to do" "^mq-run: denied: mq_open by [a-z]+ \(pid [0-9]+\): $message.*mqgated"
	run "${ALONE[@]}" "$@"
	expect_stdout "… root can" "^open .* -> [0-9]"
}
install -m 711 "$WORK/bin/mqtry" "$WORK/bin/unreadable"
impossible "a program that nobody may look into" "nobody may look into it" unreadable "open ${Q}one rwc 0600" "unlink ${Q}one"
impossible "one in an IPC namespace of its own" "it is in an IPC namespace" unshare -Uri mqtry "open ${Q}one rwc 0600" "unlink ${Q}one"
run as_user "${ALONE[@]}" sh -c 'unshare -Uri mqtry "open $1 rwc 0600"; mqtry "open $1 rwc 0600" "unlink $1"' sh "${Q}one"
expect_results "others of the same run go on" "-1 EACCES;0;0;"
run mq-run --policy "$WORK/app.yaml" --plug app setpriv --reuid=65534 --regid=65534 --clear-groups mqtry "open ${Q}one rwc 0600" "unlink ${Q}one"
expect_results "root's run has programs of other users" "0;0;"
run as_user "${ALONE[@]}" "${ALONE[@]}" true
expect_status "a run inside a run: 125" 125
expect_message "… says why" "^mq-run: .*already runs under another seccomp supervisor"

# Landlock keeps signals in, where it can.
start_app outsider as_user sleep 60
if [ "$(printf '%s\n' 6.12 "$(uname -r)" | sort -V | head -n 1)" = 6.12 ]; then
	run as_user "${ALONE[@]}" sh -c 'kill -0 "$0"' "$(app_pid outsider)"
	expect_stderr "it sends no signals to others" "not permitted"
	# shellcheck disable=SC2016
	run as_user "${ALONE[@]}" sh -c 'kill -KILL $PPID; sleep 0.1; mqtry "open $0 rwc 0600" "unlink $0"' "${Q}one"
	expect_results "… nor to its supervisor" "0;0;"
fi
check "… but to its own" as_user "${ALONE[@]}" sh -c 'sleep 60 & kill $! && ! wait $!'
stop_app outsider 0

# --- files ---------------------------------------------------------------------------------------

# refused DESCRIPTION REGEX OPTION…: 125, with this message, and nothing is started
refused() {
	local description=$1 message=$2
	shift 2

	run as_user mq-run "$@" -- touch "$WORK/open/started"
	expect_status "$description: 125" 125
	expect_stderr "… says why" "$message"
	holds "… nothing is started" test ! -e "$WORK/open/started"
	rm -f "$WORK/open/started"
}
F="$WORK/files"
mkdir "$F"
printf 'name: app\nplugs: [\n' >"$F/malformed.yaml"
printf 'name: app\nplugs:\n  -app-: posix-mq\n' >"$F/warning.yaml"
printf 'name: other\nplugs:\n  other: posix-mq\n' >"$F/other.yaml"
cp "$WORK/app.yaml" "$F/twin.yaml"
install -m 600 "$WORK/app.yaml" "$F/unreadable.yaml"
for _ in 1 2 3 4 5 6; do
	refused "a file with errors" "^mq-run: --policy: nothing is started" --policy "$F/malformed.yaml" --plug app
done
refused "a file that is missing" "^$F/no.yaml: error: cannot be read: No such file" --policy "$F/no.yaml" --plug app
refused "one that may not be read" "^$F/unreadable.yaml: error: cannot be read: Permission denied" --policy "$F/unreadable.yaml" --plug app
refused "a directory" "^$F: error: cannot be read: Is a directory" --policy "$F" --plug app
refused "a malformed one" "^$F/malformed.yaml:[0-9]+:[0-9]+: error: " --policy "$F/malformed.yaml" --plug app
refused "one of two that is malformed" "^$F/malformed.yaml:[0-9]+:[0-9]+: error: " --policy "$WORK/app.yaml" --policy "$F/malformed.yaml" --plug app
refused "one package in two files" "^$F/twin.yaml: error: package \"app\" is also in $WORK/app.yaml" --policy "$F/twin.yaml" --policy "$WORK/app.yaml" --plug app
refused "a plug that is in no file" '^mq-run: no package has a plug named "ap"' --policy "$WORK/app.yaml" --plug ap
refused "what was dropped" "^$F/warning.yaml:3:[0-9]+: warning: " --policy "$F/warning.yaml" --plug app
refused "another form of the wall" "^mq-run: --wall=mount is not to be had with --policy or --learn" --policy "$WORK/app.yaml" --wall=mount --plug app
refused "neither plug nor slot" "^mq-run: --plug, --slot and --app are all missing" --policy "$WORK/app.yaml"
MANY=()
for _ in $(seq "$(bound POLICY_FILES_MAX)"); do MANY+=(--policy "$F/other.yaml"); done
refused "more files than POLICY_FILES_MAX" "^mq-run: --policy .*: more than 64 files" "${MANY[@]}" --policy "$WORK/app.yaml" --plug app

# Without "connections" a plug has every slot of its id, whichever file it is in; with them, these.
cat >"$F/reader.yaml" <<YAML
name: reader
plugs:
  in: {interface: posix-mq, posix-mq: data}
  none: posix-mq
apps:
  all:
    plugs: [in]
YAML
cat >"$F/writer.yaml" <<YAML
name: writer
slots:
  out: {interface: posix-mq, posix-mq: data, path: ${Q}data, permissions: [read, create, delete]}
  more: {interface: posix-mq, posix-mq: data, path: ${Q}more, permissions: [write]}
  other: {interface: posix-mq, path: ${Q}other, permissions: [read]}
  mine: {interface: posix-mq, path-pattern: ["${Q}own-{instance}", "${Q}p-{pid}"], permissions: [read, write, create, delete]}
YAML
TRY=("open ${Q}data rc 0600" "unlink ${Q}data" "open ${Q}more w" "open ${Q}other r" "open ${Q}own-x rwc 0600" "open ${Q}p-%p rwc 0600" "unlink ${Q}p-%p" "unlink ${Q}own-x")
# has DESCRIPTION RESULTS OPTION…: of TRY
has() {
	local description=$1 results=$2
	shift 2

	run as_user mq-run "$@" -- mqtry "${TRY[@]}"
	expect_results "$description" "$results"
}
NO="-1 EACCES"
has "every slot of its id" "0;0;-1 ENOENT;$NO;$NO;$NO;$NO;$NO;" --policy "$F/reader.yaml" --policy "$F/writer.yaml" --plug in
has "… by an app" "0;0;-1 ENOENT;$NO;$NO;$NO;$NO;$NO;" --policy "$F/writer.yaml" --policy "$F/reader.yaml" --app reader.all
has "a slot's own side, an instance, its own number" "$NO;$NO;$NO;$NO;0;1;0;0;" --policy "$F/writer.yaml" --slot writer:mine --instance x
has "a plug without a slot has nothing" "$NO;$NO;$NO;$NO;$NO;$NO;$NO;$NO;" --policy "$F/reader.yaml" --policy "$F/writer.yaml" --plug reader:none
run as_user mq-run --policy "$F/writer.yaml" --slot mine -- true
expect_stderr "a name that needs an instance is told of" "^mq-run: names with {instance} mean nothing to this command: .*--instance"
printf 'version: 1\nconnections:\n- {plug: "reader:in", slot: "writer:more"}\n' >"$F/list.yaml"
has "connections of a file of their own" "$NO;$NO;-1 ENOENT;$NO;$NO;$NO;$NO;$NO;" \
	--policy "$F/reader.yaml" --policy "$F/writer.yaml" --policy "$F/list.yaml" --plug in
printf 'connections:\n- {plug: "reader:in", slot: "writer:other", any-id: true}\n' >>"$F/reader.yaml"
has "… and of a package's" "$NO;$NO;$NO;-1 ENOENT;$NO;$NO;$NO;$NO;" --policy "$F/reader.yaml" --policy "$F/writer.yaml" --plug in
has "… together" "$NO;$NO;-1 ENOENT;-1 ENOENT;$NO;$NO;$NO;$NO;" \
	--policy "$F/reader.yaml" --policy "$F/writer.yaml" --policy "$F/list.yaml" --plug in
printf 'version: 1\nconnections:\n- {plug: "reader:in", slot: "writer:no"}\n' >"$F/list.yaml"
refused "a connection to what is in no file" "^$F/list.yaml:3:[0-9]+: error: .*writer.*no slot" \
	--policy "$F/reader.yaml" --policy "$F/writer.yaml" --policy "$F/list.yaml" --plug in

cp "$WORK/app.yaml" "$F/"$'e\x1b[31m.yaml'
run as_user mq-run --policy "$F/"$'e\x1b[31m.yaml' --plug app -- mqtry "open ${Q}three r"
expect_stderr "a file's name is told as a terminal takes it" 'no slot in .*/e\\x1b\[31m\.yaml gives that'

# Denials are told once each, and at most so many.
NAMES=()
for i in $(seq $(($(bound DENIALS_TOLD_MAX) + 8))); do NAMES+=("open ${Q}$i r" "open ${Q}$i r"); done
run as_user "${ALONE[@]}" mqtry "${NAMES[@]}"
expect_stderr "more than DENIALS_TOLD_MAX denials: that is said" "^mq-run: no further denials"
holds "… and so many are told" test "$(grep -c "^mq-run: denied" "$WORK/stderr")" = "$(bound DENIALS_TOLD_MAX)"

finish
