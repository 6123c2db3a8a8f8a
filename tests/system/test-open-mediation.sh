#!/bin/bash
# SPDX-License-Identifier: MIT
# Sessions under open mediation, and what disconnect says and does about descriptors that are held.
. "$(dirname "$0")/lib.sh"

private_ipc
setup
cat >"$WORK/packages/p.yaml" <<YAML
name: app
plugs:
  fast:
    interface: posix-mq
    posix-mq: events
    mediation: open
  faster:
    interface: posix-mq
    posix-mq: events
    mediation: open
  slow:
    interface: posix-mq
    posix-mq: events
slots:
  events:
    interface: posix-mq
    path: $Q-events
    permissions: [read, write]
  reading:
    interface: posix-mq
    posix-mq: events
    path: $Q-reading
    permissions: [read]
  other:
    interface: posix-mq
    posix-mq: events
    path: $Q-other
    permissions: [read, write]
apps:
  main:
    plugs: [fast]
  both:
    plugs: [fast, slow]
YAML
start_daemon
mqtry "open $Q-events rwc 0666 8 64" "open $Q-reading rwc 0666 8 64" \
	"open $Q-other rwc 0666 8 64" >/dev/null
chmod 666 "/dev/mqueue$Q-events" "/dev/mqueue$Q-reading" "/dev/mqueue$Q-other"

# --- which sessions are open ----------------------------------------------------------------------

# mediation_of MQ-RUN-ARGS…: as mqctl sessions shows it
mediation_of() {
	local before

	before=$(session_count)
	start_app one mq-run "$@" mqtry
	tell one pid
	mqctl sessions --json | grep -o '"mediation": *"[a-z]*"' | grep -o '[a-z]*"$' | tr -d '"'
	stop_app one
	wait_until 5 session_count_is "$before"
}

session_count() {
	mqctl sessions --json | grep -o '"pid"' | wc -l
}

session_count_is() {
	[ "$(session_count)" = "$1" ]
}

no_sessions() {
	session_count_is 0
}

while read -r expected arguments; do
	# shellcheck disable=SC2086
	holds "a session with $arguments is $expected" \
		test "$(mediation_of $arguments)" = "$expected"
done <<'LIST'
open --plug app:fast
open --plug app:fast --plug app:faster
call --plug app:slow
call --plug app:fast --plug app:slow
call --plug app:slow --plug app:fast
call --slot app:events
open --plug app:fast --slot app:events
open --app app.main
call --app app.both
LIST
run mqctl plugs
expect_stdout "plugs shows what they ask for" "^app:fast +events +open "
mqctl connect app:fast app:events
run mqctl explain app:fast write "$Q-events"
expect_status "explain: it may" 0
expect_stdout "explain tells what open means for sending" \
	"mediation open: .*until it is closed.*--kill"
mqctl connect app:slow app:events
run mqctl explain app:slow write "$Q-events"
holds "and nothing of the kind under call" test "$(grep -c mediation "$WORK/stdout")" = 0
mqctl disconnect app:slow app:events
mqctl disconnect app:fast app:events

# --- what is decided ------------------------------------------------------------------------------

mqctl connect app:fast app:reading
start_app reader as_user mq-run --plug app:fast mqtry
expect_answer "a granted access mode is given" reader "open $Q-reading r" "-> 0"
holds "no send wakes anything of the session process's" \
	test -z "$(for pid in $(session_processes); do readlink "/proc/$pid/fd/"* | grep eventpoll; done)"
expect_answer "the kernel itself refuses what its descriptor does not carry" \
	reader "send x" "-> -1 EBADF"
expect_answer "attributes are not decided" reader "getattr" "8 64 0"
expect_answer "more than granted is refused" reader "open $Q-reading rw" "-> -1 EACCES"
expect_answer "writing alone, too" reader "open $Q-reading w" "-> -1 EACCES"
expect_answer "creating, too" reader "open $Q-reading rc" "-> -1 EACCES"
expect_answer "deleting, too" reader "unlink $Q-reading" "-> -1 EACCES"
expect_answer "what is not connected is refused" reader "open $Q-other r" "-> -1 EACCES"
mqtry "open $Q-reading w" "send hello 3" >/dev/null
expect_answer "receiving works" reader "receive 1" "hello 3"
expect_answer "notification is decided" reader "notify" "-> 0"
check "disconnecting" mqctl disconnect app:fast app:reading
expect_stdout "tells who holds it, and how many are registered" \
	"^1 session \(1 process\) still holds descriptors .*until they are closed; 1 process of them is registered for notification; to end them: mqctl disconnect --kill app:fast app:reading$"
holds "the registration stays" grep -q "NOTIFY_PID:$(app_pid reader)" "/dev/mqueue$Q-reading"
expect_answer "a new registration is refused" reader "notify" "-> -1 EACCES"
expect_answer "removing it is not" reader "unnotify" "-> 0"
expect_answer "opening is refused at once" reader "open $Q-reading r" "-> -1 EACCES"
check "it can be told again who holds" mqctl disconnect --wait 0 app:fast
expect_stdout "and nobody is registered any more" "^1 session \(1 process\) still holds descriptors .*closed; to end "
mqtry "open $Q-reading w" "send late 4" >/dev/null
expect_answer "what is open can be used until it is closed" reader "receive 1" "late 4"
expect_answer "it is closed" reader "forget" "-> 0"
check "and then nobody holds it" mqctl disconnect --wait 0 app:fast
expect_output "and nothing is told" "No connections to disconnect"
stop_app reader
run mqctl disconnect --kill app:fast app:reading
expect_output "nobody is left to be killed" "No connections to disconnect"

if can_run_32_bit "$APPS/mqtry-32" "32-bit programs"; then
	mqctl connect app:fast app:reading
	start_app reader32 as_user mq-run --plug app:fast mqtry-32
	expect_answer "32-bit: opens" reader32 "open $Q-reading r" "-> 0"
	check "32-bit: disconnecting" mqctl disconnect app:fast app:reading
	expect_stdout "32-bit: tells who holds it" "^1 session \(1 process\) still holds descriptors "
	mqtry "open $Q-reading w" "send late 4" >/dev/null
	expect_answer "32-bit: it can be used until it is closed" reader32 "receive 1" "late 4"
	expect_answer "32-bit: nothing new is opened" reader32 "open $Q-reading r" "-> -1 EACCES"
	stop_app reader32
fi

# --- holding and letting go -----------------------------------------------------------------------

# hold NAME KIND: a holder of $Q-events in the session NAME; its pid in HOLDER
hold() {
	start_app "$1" as_user mq-run --plug app:fast holder "$Q-events" "$2"
	wait_until 10 grep -q holding "$WORK/$1.out"
	HOLDER=$(sed -n 's/holding //p' "$WORK/$1.out")
}

dead() {
	local state

	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null) || return 0
	[ -z "$state" ] || [ "$state" = Z ]
}

alive() {
	! dead "$1"
}

for kind in plain daemon namespaces traced threads vfork table; do
	mqctl connect app:fast app:events
	hold held "$kind"
	holder=$HOLDER
	hold neighbour plain
	neighbour=$HOLDER
	start_app outsider as_user holder "$Q-events" plain
	wait_until 10 grep -q holding "$WORK/outsider.out"
	# A session that may still have it is no neighbour to be spared: this one has never had it.
	start_app bystander as_user mq-run --plug app:fast --plug app:slow mqtry
	tell bystander pid
	check "$kind: disconnect" mqctl disconnect app:fast app:events
	expect_stdout "$kind: both sessions hold" "^2 sessions \([23] processes\) still hold "
	stop_app neighbour
	check "$kind: disconnect --kill" mqctl disconnect --kill app:fast app:events
	expect_stdout "$kind: tells how many" "^[12] process(es)? killed$"
	holds "$kind: the holder is dead" dead "$holder"
	holds "$kind: an outsider of the same user lives" alive "$(app_pid outsider)"
	holds "$kind: a session that never opened it lives" alive "$(app_pid bystander)"
	stop_app held
	stop_app outsider
	stop_app bystander
	holds "$kind: nothing is left" wait_until 5 no_sessions
done

mqctl connect app:fast app:events
hold racer race
for round in 1 2 3 4 5; do
	check "race: disconnect, $round" mqctl disconnect --wait 0 app:fast app:events
	expect_stdout "race: tells that it is held, $round" "^1 (session \([12] process(es)?\)|process may) still hold"
	mqctl connect app:fast app:events
done
check "race: disconnect --wait --kill" mqctl disconnect --wait 1 --kill app:fast app:events
expect_stdout "race: does not take it for let go" "killed$"
holds "race: a process that always forks away is caught" within 3 no_sessions
stop_app racer
mqctl connect app:fast app:events
hold racer race
check "race: disconnect --kill" mqctl disconnect --kill app:fast app:events
holds "race: it is caught without waiting, too" within 3 no_sessions
stop_app racer

mqctl connect app:fast app:events
hold many swarm
# They may keep everybody else from running: then the command fails and says so.
holds "swarm: disconnect --kill, perhaps repeated" \
	wait_until 30 mqctl disconnect --kill app:fast app:events
holds "swarm: those that fork as fast as they can are ended" within 3 no_sessions
stop_app many

# --- strangers that hold up whoever looks at them --------------------------------------------------

mkdir -m 777 "$WORK/leases"
mqctl connect app:faster app:events
start_app stuck env TMPDIR="$WORK/leases" setpriv --reuid=65533 --regid=65533 --clear-groups \
	mq-run --plug app:faster holder "$Q-events" execs
wait_until 10 grep -q holding "$WORK/stuck.out"
STUCK=$(sed -n 's/holding //p' "$WORK/stuck.out")
mqctl connect app:fast app:events
hold held plain
check "a neighbour in execve(): disconnect" mqctl disconnect app:fast app:events
expect_stdout "a neighbour in execve(): tells who holds, and that the neighbour may" \
	"^1 session \(1 process\) still holds .*; 1 more process may: "
check "a neighbour in execve(): disconnect --kill" mqctl disconnect --kill app:fast app:events
expect_output "a neighbour in execve(): ends the session" "1 process killed"
holds "a neighbour in execve(): it is dead" dead "$HOLDER"
holds "a neighbour in execve(): the neighbour lives" alive "$STUCK"
stop_app held
check "in execve(): disconnect --kill" mqctl disconnect --kill app:faster app:events
expect_stdout "in execve(): ends whom it waits for, and it, if that has not ended it" \
	"^[123] process(es)? killed$"
holds "in execve(): it is dead" dead "$STUCK"
stop_app stuck
holds "nothing is left" wait_until 5 no_sessions

mqctl connect app:fast app:events
hold hider hidden
check "hidden: disconnect" mqctl disconnect app:fast app:events
expect_output "hidden: nobody is seen" ""
check "hidden: disconnect --wait --kill takes it for let go" \
	mqctl disconnect --wait 1 --kill app:fast app:events
holds "hidden: and spares it" alive "$HOLDER"
check "hidden: disconnect --kill" mqctl disconnect --kill app:fast app:events
expect_output "hidden: ends a session that had opened it" "1 process killed"
holds "hidden: it is dead" dead "$HOLDER"
stop_app hider

mqctl connect app:fast app:events
hold patient soon
started=$(date +%s%N)
check "soon: disconnect --wait --kill" mqctl disconnect --wait 20 --kill app:fast app:events
took=$((($(date +%s%N) - started) / 1000000))
expect_output "soon: it lets go and is not killed" ""
holds "soon: it lives" alive "$HOLDER"
holds "soon: the waiting ends at once ($took ms)" test "$took" -lt 5000
stop_app patient

mqctl connect app:fast app:events
hold stubborn plain
started=$(date +%s%N)
check "plain: disconnect --wait 1 --kill" mqctl disconnect --wait 1 --kill app:fast app:events
took=$((($(date +%s%N) - started) / 1000000))
expect_output "plain: it does not let go and is killed" "1 process killed"
holds "plain: not before the time is over ($took ms)" test "$took" -ge 1000
stop_app stubborn

# --- session processes that die meanwhile ---------------------------------------------------------

kill_session_processes() {
	# shellcheck disable=SC2046
	kill -KILL $(session_processes)
} 2>/dev/null

# After so many deaths the next session process comes late (RESTART_BURST). Without a command between
# them, since on a slow machine one takes longer than RESTART_DELAY.
let_the_next_one_be_late() {
	local end=$((SECONDS + 10)) spawner pids pid
	local -A killed=()

	spawner=$(spawner)
	while [ $SECONDS -lt $end ]; do
		read -r -a pids <"/proc/$spawner/task/$spawner/children" || true
		[ ${#pids[@]} != 0 ] || [ ${#killed[@]} -lt 14 ] || return 0
		for pid in "${pids[@]}"; do
			! kill -KILL "$pid" || killed[$pid]=1
		done
	done
	return 1
} 2>/dev/null

# looks: a session process has a child that looks for holders
looks() {
	local pid

	for pid in $(session_processes); do
		! pgrep -P "$pid" || return 0
	done
	return 1
}

mqctl connect app:fast app:events
hold patient plain
mqctl disconnect app:fast app:events >"$WORK/stdout"
holds "session processes die until there is none" let_the_next_one_be_late
check "disconnect when there is no session process" mqctl disconnect --wait 0 app:fast
expect_stdout "the next one tells who holds" "^1 session \(1 process\) still holds "
started=$(date +%s%N)
mqctl disconnect --wait 2 app:fast app:events >"$WORK/disconnected" 2>&1 &
waits=$!
holds "a session process looks for holders" wait_until 5 looks
kill_session_processes
wait "$waits"
holds "disconnect when the session process dies while it looks" test $? = 0
took=$((($(date +%s%N) - started) / 1000000))
holds "the next one tells who holds, after the same time ($took ms)" \
	test "$took" -ge 2000 -a "$took" -lt 5000
holds "and who it is" grep -q "^1 session (1 process) still holds " "$WORK/disconnected"
waits=()
for i in 1 2 3 4 5 6 7 8 9; do # HOLDER_LOOKS_MAX is 8
	mqctl disconnect --wait 3 app:fast app:events >/dev/null 2>"$WORK/waits.$i" &
	waits+=($!)
done
failures=0
for i in "${waits[@]}"; do
	wait "$i" || failures=$((failures + 1))
done
cat "$WORK/waits."* >"$WORK/waits"
# The look before may not have ended yet, though it has answered: then that is one of the 8.
holds "of 9 that look at once one fails, or two ($failures)" \
	test $failures -ge 1 -a $failures -le 2
holds "and says how to look again" test $failures = "$(grep -c \
	"1 session could not be examined .*; to try again: mqctl disconnect --wait 1 app:fast app:events$" \
	"$WORK/waits")"
mqctl disconnect --wait 1 --kill app:fast app:events >"$WORK/disconnected" 2>&1 &
waits=$!
holds "a session process looks for holders, to end them" wait_until 5 looks
kill_session_processes
wait "$waits"
holds "disconnect --kill when the session process dies while it looks" test $? = 0
holds "the next one ends the session" grep -q "^1 process killed" "$WORK/disconnected"
holds "it is dead" dead "$HOLDER"
stop_app patient

# At any moment: all that counts is that it is told.
DEATHS_ROUNDS=${DEATHS_ROUNDS:-40}
start_app looped mq-run --plug app:fast mqtry
while sleep "0.0$((RANDOM % 9 + 1))"; do
	kill_session_processes
done &
killer=$!
failures=0
for ((i = 0; i < DEATHS_ROUNDS; i++)); do
	mqctl connect app:fast app:events &&
		mqctl disconnect app:fast app:events || failures=$((failures + 1))
done >"$WORK/disconnected" 2>&1
kill $killer
wait $killer 2>/dev/null
holds "of $DEATHS_ROUNDS disconnects while session processes die none fails ($failures)" \
	test $failures = 0
stop_app looped

# --- a neighbour that holds the same through a connection of its own -------------------------------

mqctl connect app:fast app:events
mqctl connect app:faster app:events
hold ours plain
start_app theirs as_user mq-run --plug app:faster holder "$Q-events" plain
wait_until 10 grep -q holding "$WORK/theirs.out"
start_app again as_user mq-run --plug app:fast --plug app:faster holder "$Q-events" plain
wait_until 10 grep -q holding "$WORK/again.out"
check "disconnect --kill of one of two connections" \
	mqctl disconnect --kill app:fast app:events
expect_output "kills one" "1 process killed"
holds "the one that has lost it" dead "$HOLDER"
holds "not the session of the other plug" alive "$(app_pid theirs)"
holds "nor one that has it by another plug, too" alive "$(app_pid again)"
check "disconnect --kill of a slot" mqctl disconnect --kill app:events
expect_output "kills the others" "2 processes killed"
stop_app ours
stop_app theirs
stop_app again

# --- call mediation -------------------------------------------------------------------------------

mqctl connect app:slow app:events
start_app slow as_user mq-run --plug app:slow holder "$Q-events" plain
wait_until 10 grep -q holding "$WORK/slow.out"
check "call: disconnect" mqctl disconnect app:slow app:events
expect_output "call: nothing is to be told, the descriptor is worth nothing" ""
check "call: disconnect --kill" mqctl disconnect --kill app:slow app:events
expect_output "call: ends the session" "1 process killed"
holds "call: it is dead" dead "$(app_pid slow)"
stop_app slow
# Who has a queue open alone can keep everybody from opening it.
cat >"$WORK/bin/lease" <<'CODE'
import ctypes, fcntl, os, signal, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGIO, signal.SIG_IGN)
queue = libc.mq_open(sys.argv[1].encode(), os.O_RDONLY)
assert libc.mq_notify(queue, struct.pack("=qii48x", 0, 0, 1)) == 0
fcntl.fcntl(queue, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("leased", flush=True)
sys.stdin.read()
CODE
chown 65534 "/dev/mqueue$Q-other"
mqctl connect app:slow app:other
start_app leaser as_user mq-run --plug app:slow python3 "$WORK/bin/lease" "$Q-other"
holds "call: a queue is leased" wait_until 10 grep -q leased "$WORK/leaser.out"
check "call: disconnecting who cannot be looked at" mqctl disconnect app:slow app:other
expect_output "call: tells that there may be somebody" \
	"1 process may still hold descriptors of these queues, or be registered on them: it is traced, or could not be examined; to end them: mqctl disconnect --kill app:slow app:other"
check "call: disconnect --kill ends it all the same" mqctl disconnect --kill app:slow app:other
expect_output "call: and says so" "1 process killed"
stop_app leaser
mqctl connect app:slow app:events
start_app told as_user mq-run --plug app:slow mqtry
tell told "open $Q-events r"
expect_answer "call: it registers" told "notify" "-> 0"
check "call: disconnecting who is registered" mqctl disconnect app:slow app:events
expect_output "call: tells of it" \
	"1 session (1 process) is still registered for notification on these queues: it is told once that a message has come, but not what is in it; to end them: mqctl disconnect --kill app:slow app:events"
holds "call: the registration stays" grep -q "NOTIFY_PID:$(app_pid told)" "/dev/mqueue$Q-events"
expect_answer "call: a new one is refused" told "notify" "-> -1 EACCES"
check "call: disconnect --wait" mqctl disconnect --wait 1 app:slow app:events
expect_stdout "call: waits for it in vain" "^1 session \(1 process\) is still registered "
check "call: disconnect --kill ends it" mqctl disconnect --kill app:slow app:events
expect_output "call: and says so" "1 process killed"
holds "call: nobody is registered any more" grep -Eq 'NOTIFY_PID:0( |$)' "/dev/mqueue$Q-events"
stop_app told
mqctl connect app:slow app:events
start_app waiting as_user mq-run --plug app:slow mqtry
tell waiting "open $Q-other r"
tell waiting "open $Q-events r"
check "call: losing it" mqctl disconnect app:slow app:events
mqctl connect app:slow app:events
echo "receive 50" >&"$(cat "$WORK/waiting.fd")"
sleep 0.3
mqctl disconnect app:slow app:events
mqctl connect app:slow app:events
echo "receive 50" >&"$(cat "$WORK/waiting.fd")"
sleep 0.3
run mqctl disconnect --kill app:slow app:events
expect_output "call: also one that waits inside the door" "1 process killed"
stop_app waiting

# --- grants that change while it runs -------------------------------------------------------------

mqctl connect app:fast app:events
start_app runs mq-run --plug app:fast mqtry
tell runs "open $Q-events rw"
sed -i 's/mediation: open/mediation: call/' "$WORK/packages/p.yaml"
check "mediation is call now" mqctl reload
run mqctl sessions
expect_stdout "a running session keeps its own" " open +- +mqtry$"
expect_answer "and works" runs "send x" "-> 0"
holds "a new one has the new" test "$(mediation_of --plug app:fast | sort | head -1)" = call
stop_app runs
start_app runs mq-run --plug app:fast mqtry
tell runs "open $Q-events rw"
sed -i 's/mediation: call/mediation: open/' "$WORK/packages/p.yaml"
mqctl reload
mqctl disconnect app:fast app:events
expect_answer "and the other way round: what was call is decided" runs "send x" "-> -1 EACCES"
stop_app runs

# --- usage ----------------------------------------------------------------------------------------

for bad in -1 x "" 3601 1.5 " 1"; do
	run mqctl disconnect --wait "$bad" app:fast app:events
	expect_status "--wait \"$bad\" is no usage" 2
	expect_stderr "--wait \"$bad\" is told" "number of seconds from 0 to 3600"
done
run mqctl connect --kill app:fast app:events
expect_status "connect does not take --kill" 2
run mqctl disconnect app:fast app:events
expect_status "without --kill, what is not connected cannot be disconnected" 1
run as_user mqctl disconnect --kill app:fast app:events
expect_stderr "--kill is for administrators" "permission denied"
finish
