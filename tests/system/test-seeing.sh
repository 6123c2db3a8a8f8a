#!/bin/bash
# SPDX-License-Identifier: MIT
# What an operator sees of a running system: counters, top, monitor, queues, graph, metrics; and who sees what.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

ADMIN_GROUP=games
printf 'admin-group: %s\naudit: {rate: 10000}\n' "$ADMIN_GROUP" >"$WORK/mqgated.yaml"
write_package app.yaml <<'YAML'
name: app
plugs:
  in: {interface: posix-mq, posix-mq: events}
  out: {interface: posix-mq, posix-mq: orders}
YAML
write_package hub.yaml <<'YAML'
name: hub
slots:
  events: {interface: posix-mq, posix-mq: events, path: @Q@events, permissions: [read, write]}
  orders: {interface: posix-mq, posix-mq: orders, path: @Q@orders, permissions: [write]}
YAML
start_daemon
for name in events orders other; do
	mqtry "umask 0" "look $Q$name rwc 0666 8 64" >/dev/null
done
mqctl connect app:in hub:events
mqctl connect app:out hub:orders

# value EXPRESSION: of the JSON on stdin, which is j
value() {
	python3 -c "import json, sys
j = json.load(sys.stdin)
print($1)"
}

# of_app WHO KEY: of "mqctl top --once --json", of the session of the app "one"
of_app() {
	"$1" mqctl top --once --json | value "[s['$2'] for s in j if s['pid'] == $(app_pid one)][0]"
}

# counts WHO CALLS DENIED REFUSED SENT RECEIVED BYTES
counts() {
	local key found=

	for key in calls denied refused sent received bytes; do
		found+="$(of_app "$1" $key) "
	done
	echo "found: $found"
	[ "$found" = "${*:2} " ]
}

# --- counters ---------------------------------------------------------------------------------------

# counting WHO
counting() {
	local who=$1

	start_app one as_who "$who" mq-run --plug app:in --plug app:out mqtry
	expect_answer "$who: opens" one "open ${Q}events rw" ' -> 0$'
	expect_answer "$who: sends" one "send hello" ' -> 0$'
	expect_answer "$who: receives" one "receive" 'hello'
	expect_answer "$who: opens another" one "open ${Q}orders w" ' -> 1$'
	expect_answer "$who: sends again" one "send 12345678" ' -> 0$'
	expect_answer "$who: is denied" one "open ${Q}other r" 'EACCES$'
	expect_answer "$who: is refused by the kernel" one "open ${Q}events rwcx 0600 8 64" 'EACCES$'
	holds "$who: all of it is counted" counts env 7 2 0 2 1 13
	holds "$who: by plug" by_plug
	kill -KILL $(session_processes)
	expect_answer "$who: works after its session process was killed" one "send 12345678" ' -> 0$'
	holds "$who: counting goes on" counts env 8 2 0 3 1 21
	refute "$who: the app cannot see the memory in which it is counted" \
		grep -q mqgate-inflight "/proc/$(app_pid one)/maps"
	stop_app one
	wait_until 5 no_sessions
}

# What the two plugs have; both denials are of a session with two plugs: it cannot be told whose they are.
by_plug() {
	mqctl metrics >metrics
	grep '^mqgate_calls' metrics
	grep -q '^mqgate_messages_sent_total{plug="app:in"} [1-9]' metrics &&
		grep -q '^mqgate_messages_sent_total{plug="app:out"} [1-9]' metrics &&
		grep -q '^mqgate_messages_received_total{plug="app:in"} [1-9]' metrics
}

no_sessions() {
	[ "$(mqctl sessions --json | tr -d ' \n')" = "[]" ]
}

counting root
counting user

# empty_orders: what is sent has room
empty_orders() {
	rm "/dev/mqueue${Q}orders"
	mqtry "umask 0" "look ${Q}orders rwc 0666 8 64" >/dev/null
}

# --- top --------------------------------------------------------------------------------------------

start_app one as_user mq-run --plug app:in mqtry
start_app two mq-run --plug app:out --instance second mqtry
tell one "open ${Q}events rw"
for _ in 1 2 3; do
	tell one "send x"
done
empty_orders
tell two "open ${Q}orders w"
see mqctl top --once
expect_stdout "top --once: the busiest first" "^PID +UID +Command +Plugs +Calls .*Waits +Instance"
holds "top --once: … and then the other one" eval \
	'[ "$(awk "NR > 1 { print \$1 }" seen | xargs)" = "$(app_pid one) $(app_pid two)" ]'
see mqctl top --once --no-legend
holds "top --no-legend" eval '[ "$(grep -c "" seen)" = 2 ]'
# No more than the queue takes.
for _ in 1 2 3 4 5 6 7; do
	sleep 0.3
	tell two "send x"
done &
see mqctl top --once --interval 2 --json
holds "top --interval: what came in that time, a second" eval \
	"value \"[0 < s['sent/s'] < 10 for s in j if s['pid'] == $(app_pid two)] == [True]\" <seen | grep -x True"
wait $!
see mqctl top --interval 0
expect_status "top --interval 0" 2
run mqctl top --once --interval $(($(bound TOP_INTERVAL_MAX) + 1))
expect_message "top: a longer interval than TOP_INTERVAL_MAX" "--interval 3601: not a number of seconds from 1 to 3600"
see mqctl top --json
holds "top without a terminal prints once" eval 'value "len(j)" <seen | grep -x 2'

# switches: how often each session process has waited and woken
switches() {
	session_processes | sed 's|.*|/proc/&/status|' | xargs grep ctxt_switches
}
before=$(switches)
for _ in 1 2 3; do
	mqctl top --once >/dev/null
	mqctl metrics >/dev/null
	mqctl graph --live >/dev/null
done
holds "looking wakes no session process" test -n "$before" -a "$(switches)" = "$before"

# on_terminal KEYS: mqctl top on a terminal of 40 columns and 3 lines, with these keys
on_terminal() {
	script -qec "stty cols 40 rows 3; mqctl top" /dev/null <>"$WORK/keys" >shown &
	wait_until 20 grep -q PID shown
	printf %s "$1" >"$WORK/keys"
	wait $!
}
mkfifo "$WORK/keys"
holds "top on a terminal: q quits" on_terminal "d q"
holds "top on a terminal: no line is longer than it" eval \
	'! tr -d "\r" <shown | sed "s/\x1b\[[0-9;]*[A-Za-z]/\n/g" | grep -E "^.{41}"'
script -qec "bash -mc \"mqctl top & sleep 1; kill -TERM %1; wait %1; echo ended \\\$?\"" /dev/null <>"$WORK/keys" >shown
holds "top in the background of a terminal ends when it is told to" grep 'ended 143' shown
on_terminal "d q"
holds "top on a terminal: a key changes the order" grep -q "by denied" shown

# --- who may see --------------------------------------------------------------------------------------

see as_user mqctl top --once --json
holds "a user sees its own sessions" eval "value \"[s['pid'] for s in j] == [$(app_pid one)]\" <seen | grep -x True"
see as_user mqctl metrics
refute "a user sees nothing of mqgated itself" grep -q mqgate_launches seen
refute "a user sees no plug of others" grep -q app:out seen
see setpriv --reuid=65533 --regid=65533 --groups="$(getent group $ADMIN_GROUP | cut -d: -f3)" -- mqctl top --once --json
holds "a member of admin-group sees all" eval 'value "len(j)" <seen | grep -x 2'
see setpriv --reuid=65533 --regid=65533 --clear-groups -- mqctl top --once --json
holds "somebody else sees nothing" eval 'value "len(j)" <seen | grep -x 0'

# --- queues --------------------------------------------------------------------------------------------

mqtry "umask 0" "open ${Q}secret rwc 0600 4 32" "send hush" >/dev/null
see mqctl queues --json
holds "queues: what is in it, and whose it is" eval "value \"[(q['messages'], q['bytes'], q['max-messages'], q['max-size'],
	q['owner'], q['mode']) for q in j if q['queue'] == '${Q}secret'] == [(1, 4, 4, 32, 'root', '0600')]\" <seen | grep -x True"
holds "queues: who has it open" eval "value \"['$(app_pid one)(mqtry)'] == [q['open'] for q in j
	if q['queue'] == '${Q}events'][0]\" <seen | grep -x True"
holds "queues: who is granted what" eval "value \"['app:in=open+read+write'] == [q['granted'] for q in j
	if q['queue'] == '${Q}events'][0]\" <seen | grep -x True"
see as_user mqctl queues --json
holds "queues: a user sees no more than the file system shows" eval "value \"[(q['messages'], q['bytes'], q['mode'],
	q['open']) for q in j if q['queue'] == '${Q}secret'] == [(None, None, '0600', [])]\" <seen | grep -x True"
start_app registered mq-run --plug app:in mqtry
tell registered "open ${Q}events r"
while mqtry "open ${Q}events rn" receive >/dev/null; do :; done
tell registered notify
see mqctl queues --json
holds "queues: who is registered" eval "value \"[q['registered'] for q in j if q['queue'] == '${Q}events'] ==
	['$(app_pid registered)']\" <seen | grep -x True"
stop_app registered

# --- graph ---------------------------------------------------------------------------------------------

see mqctl graph
expect_stdout "graph: a plug and its slot" "^  open,read,write -> hub:events \(manual\)  ${Q}events"
see mqctl graph --format=mermaid
expect_stdout "graph: mermaid" '^flowchart LR'
see mqctl graph --format=dot --live
expect_stdout "graph --live: who uses it" 'calls/s'
see mqctl graph --format=png
expect_status "graph: an unknown format" 2

# --- monitor -------------------------------------------------------------------------------------------

mqctl monitor >all 2>&1 &
MONITORS=($!)
mqctl monitor app:out >out 2>&1 &
MONITORS+=($!)
mqctl monitor --json >json 2>&1 &
MONITORS+=($!)
as_user mqctl monitor >user 2>&1 &
MONITORS+=($!)
sleep 1
tell one "look ${Q}other r"
tell two "look ${Q}other r"
holds "monitor: all records" wait_until 5 eval '[ "$(grep -c denied all)" = 2 ]'
holds "monitor: of one plug" wait_until 5 eval 'grep -q app:out out && ! grep app:in out'
holds "monitor: of a user's own sessions" wait_until 5 eval 'grep -q app:in user && ! grep app:out user'
holds "monitor --json: an object on each line" wait_until 5 eval \
	'[ "$(while read -r line; do value "j[\"plug\"]" <<<"$line"; done <json | sort | xargs)" = "app:in app:out" ]'
kill "${MONITORS[@]}"
run mqctl explain --last --packages packages
expect_status "explain --last asks nobody but the daemon" 2

# --- who reads slowly ----------------------------------------------------------------------------------

# For one that stands still CONTROL_RECORDS_UNREAD_MAX bytes are kept, besides what its socket has. It is told how many are missing,
# and nobody else misses any.
BATCH=()
for ((i = 0; i < 200; i++)); do
	BATCH+=("open ${Q}slow r")
done
mqctl monitor >slow &
SLOW=$!
as_user mqctl monitor >"$WORK/fast" &
FAST=$!
sleep 1
kill -STOP $SLOW
dropped() {
	mqctl metrics | sed -n 's/^mqgate_records_dropped_total //p'
}

# told FILE: of how many denials it tells, and how many it says are missing
told() {
	echo $(($(grep -c "denied mq_open ${Q}slow:" "$1") + $(sed -n 's/^\([0-9]*\) records before this one.*/\1/p' "$1" | paste -sd+ | sed 's/^$/0/')))
}

# complete FILE: it is as the log, which has all
complete() {
	[ "$(told "$1")" = "$(grep -c "denied mq_open ${Q}slow:" "$WORK/daemon.log")" ]
}

before=$(dropped)
for ((i = 0; i < 50; i++)); do
	as_user mq-run --plug app:in mqtry "${BATCH[@]}" >/dev/null
	wait_until 10 complete "$WORK/fast"
	[ "$(dropped)" = "$before" ] || break
	sleep 1
done
kill -CONT $SLOW

as_user mq-run --plug app:in mqtry "open ${Q}slow r" >/dev/null
holds "monitor: who reads in time is told of all" wait_until 10 complete "$WORK/fast"
holds "monitor: … and misses none" eval '! grep missing "$WORK/fast"'
holds "monitor: who reads slowly is told of most, and how many are missing" wait_until 10 complete slow
holds "monitor: … some are" grep 'are missing here' slow
kill $SLOW $FAST

# --- busctl --------------------------------------------------------------------------------------------

bus() {
	busctl --address="unix:path=$MQGATE_RUNTIME_DIR/control" "$@"
}
if command -v busctl >/dev/null; then
	run bash -c "$(declare -f bus); bus introspect org.mqgate /org/mqgate"
	expect_stdout "busctl introspect" 'Counters .*method'
	run bash -c "$(declare -f bus); bus tree org.mqgate"
	expect_stdout "busctl tree" '/org/mqgate'
	run bash -c "$(declare -f bus); bus call org.mqgate /org/mqgate org.mqgate.Manager1 List s plugs"
	expect_stdout "busctl call" '"app:in"'
	(close_apps && exec busctl --address="unix:path=$MQGATE_RUNTIME_DIR/control" monitor) >monitored 2>&1 &
	sleep 1
	tell one "look ${Q}other r"
	holds "busctl monitor: the signal comes" wait_until 5 grep -q 'Member=Record' monitored
	kill $!
else
	skip "busctl" "it is not installed"
fi
stop_app one
stop_app two

# --- another daemon ------------------------------------------------------------------------------------

stop_daemon
# shellcheck source=tests/system/service-manager.sh
. "$(dirname "$0")/service-manager.sh"
start_manager
empty_orders
mqctl disconnect app:out hub:orders
mqctl connect app:out hub:orders
as_user mq-run --plug app:out mqtry "open ${Q}orders w" "send x" "send y" >/dev/null
start_app one as_user mq-run --plug app:in --plug app:out mqtry
tell one "open ${Q}orders w"
tell one "send hello"
tell one "open ${Q}other r"

# what_counts: of mqctl metrics, what does not change by itself
what_counts() {
	mqctl metrics | grep -E '^mqgate_(calls|denied|messages|bytes|launches|change_duration|records)'
}

what_counts >before
holds "metrics: there is something to be kept" eval \
	'grep -x "mqgate_launches_total 2" before && grep -x "mqgate_messages_sent_total{plug=\"app:out\"} 3" before'
take_down 9
bring_up
what_counts >after
holds "metrics: another daemon goes on with the same numbers" diff before after
holds "top: … and with those of the session" counts env 3 1 0 1 0 5
tell one "send hello"
holds "top: … which are counted further" counts env 4 1 0 2 0 10
stop_app one
wait_until 10 no_sessions
holds "metrics: what has ended stays counted" eval \
	'mqctl metrics | grep -x "mqgate_messages_sent_total{plug=\"app:out\"} 4"'
stop_manager
finish
