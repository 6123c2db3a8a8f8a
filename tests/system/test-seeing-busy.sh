#!/bin/bash
# SPDX-License-Identifier: MIT
# Looking at a busy daemon: sessions of root and of a user that are denied as fast as they can ask, with listeners of which one does
# not read; and at many sessions. SEEING_MANY of them.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

BUSY=100
MANY=${SEEING_MANY:-300}
write_package app.yaml <<'YAML'
name: app
plugs:
  in: {interface: posix-mq, posix-mq: events}
slots:
  events: {interface: posix-mq, posix-mq: events, path: @Q@events, permissions: [read, write, create]}
YAML
start_daemon
mqctl connect app:in app:events
mqtry "umask 0" "look ${Q}events rwc 0666 4 64" >/dev/null
mkfifo "$WORK/end"
exec {END}<>"$WORK/end"
SESSIONS=()

# start_session WHO CMD…: until end_sessions
start_session() {
	local who=$1
	shift
	{
		exec {END}>&-
		as_who "$who" mq-run --plug app:in "$@" <"$WORK/end" >>"$WORK/sessions.out" 2>&1
	} &
	SESSIONS+=($!)
	# Launches beyond LAUNCHES_OF_ROOT_MAX and LAUNCHES_PER_USER_MAX wait or are refused.
	((${#SESSIONS[@]} % 10)) || wait_until 60 sessions_are ${#SESSIONS[@]}
}

sessions_are() {
	[ "$(mqctl status --json | sed -nE 's/.*"sessions": "?([0-9]+).*/\1/p')" = "$1" ]
}

# answered CMD…: see, again if mqgated, for which little time is left, has not answered in mqctl's
answered() {
	local i

	for i in {1..20}; do
		see "$@"
		[ "$STATUS" != 0 ] || return
	done
}

end_sessions() {
	exec {END}>&-
	wait "${SESSIONS[@]}"
	SESSIONS=()
}

# --- busy -------------------------------------------------------------------------------------------

# They begin all at once.
mkfifo "$WORK/begin"
chmod 644 "$WORK/begin"
FLOOD="cat $WORK/begin; exec flood 1 ${Q}events ${Q}denied"
for ((i = 0; i < BUSY / 2; i++)); do
	start_session root bash -c "$FLOOD"
	start_session user bash -c "$FLOOD"
done
holds "$BUSY sessions run" wait_until 60 sessions_are $BUSY
mqctl monitor >monitored {END}>&- &
MONITORS=($!)
mqctl monitor app:in >slow {END}>&- &
MONITORS+=($!)
as_user mqctl monitor --json >"$WORK/monitored.user" {END}>&- &
MONITORS+=($!)
# Later they might not get to connect before mqctl gives up.
all_listen() {
	as_user mq-run --plug app:in mqtry "open ${Q}denied r" >/dev/null {END}>&-
	grep -q denied monitored && grep -q denied slow && grep -q denied monitored.user
}
holds "three monitors listen" wait_until 30 all_listen
: >"$WORK/begin"
sleep 5
kill -STOP "${MONITORS[1]}"
answered mqctl top --once --json
holds "top: all sessions are denied, and get what they may" eval 'python3 -c "import json
j = json.load(open(\"seen\"))
assert len(j) == '$BUSY' and all(s[\"denied\"] > 0 and s[\"calls\"] > s[\"denied\"] for s in j), j"'
answered as_user mqctl top --once --json
holds "top: a user its own" eval '[ "$(grep -o "\"uid\": [0-9]*" seen | sort | uniq -c | xargs)" = "'$((BUSY / 2))' uid: 65534" ]'
answered mqctl metrics
holds "metrics: records that were held back" grep -E '^mqgate_records_suppressed_total [1-9]' seen
holds "metrics: sessions" grep -x "mqgate_sessions $BUSY" seen
answered as_user mqctl explain --last
expect_stdout "explain --last" "denied .*${Q}denied"
dropped() {
	mqctl metrics | grep '^mqgate_records_dropped_total [1-9]'
}
holds "metrics: records that one who does not read was not sent" wait_until 60 dropped
kill -CONT "${MONITORS[1]}"
end_sessions
mq-run --plug app:in mqtry "open ${Q}denied r" >/dev/null
holds "monitor: records come" wait_until 30 eval '[ "$(grep -c denied monitored)" -ge 50 ]'
holds "monitor: of a user's sessions" wait_until 30 eval '[ "$(grep -c "\"uid\": 65534" monitored.user)" -ge 25 ]'
refute "monitor: … and of no other's" grep -q '"uid": 0' "$WORK/monitored.user"
holds "monitor: who did not read learns how many were dropped" wait_until 30 grep 'are missing here' slow
kill "${MONITORS[@]}"
holds "all that were denied were denied, and the others were not" eval \
	'[ "$(grep -c " denied [1-9][0-9]* wrong 0$" sessions.out)" = '$BUSY' ]'
holds "no session is left" wait_until 60 sessions_are 0

# --- many -------------------------------------------------------------------------------------------

exec {END}<>"$WORK/end"
for ((i = 0; i < MANY; i++)); do
	start_session root cat
done
holds "$MANY sessions run" wait_until 60 sessions_are "$MANY"

# best CMD…: of five times, in ms
best() {
	local begin took least=100000

	for _ in 1 2 3 4 5; do
		begin=${EPOCHREALTIME/./}
		"$@" >table
		took=$(((${EPOCHREALTIME/./} - begin) / 1000))
		[ $took -ge $least ] || least=$took
	done
	echo $least
}

start=$(best mqctl --version)
took=$(best mqctl top --once)
echo "# top --once with $MANY sessions: $took ms; mqctl --version: $start ms"
holds "top --once takes less than 100 ms" test "$took" -lt $((100 * TEST_PATIENCE))
holds "top --once: all of them" eval '[ "$(grep -c " cat" table)" = '"$MANY ]"
end_sessions
finish
