#!/bin/bash
# SPDX-License-Identifier: MIT
# An event loop that goes on asking for what was taken away takes no processor, and nobody waits for it.
. "$(dirname "$0")/lib.sh"

TICKS=$(getconf CLK_TCK)
ROUNDS=1000

setup
write_package p.yaml <<YAML
name: app
plugs:
  loop: posix-mq
  trips: posix-mq
slots:
  lost: {interface: posix-mq, posix-mq: loop, path: "@Q@lost", permissions: [read]}
  kept: {interface: posix-mq, posix-mq: trips, path: "@Q@kept", permissions: [read, write]}
YAML
start_daemon
mqctl connect app:loop app:lost
mqctl connect app:trips app:kept
mqtry "open ${Q}lost rwc 0666 2 8" "send left" >/dev/null
mqtry "open ${Q}kept rwc 0666 2 8" >/dev/null
chmod 666 "/dev/mqueue${Q}lost" "/dev/mqueue${Q}kept"

# ticks PID…: of a processor, that they have taken
ticks() {
	local pid sum=0 fields

	for pid; do
		read -r -a fields < <(sed 's/.*) //' "/proc/$pid/stat")
		sum=$((sum + fields[11] + fields[12]))
	done
	echo "$sum"
}

ask() {
	tell loop "$1"
	echo "$ANSWER"
}

are_at_least() {
	[ "$(ask refused)" -ge "$1" ]
}

now_ms() {
	echo $((${EPOCHREALTIME/./} / 1000))
}

# measure SECONDS: ticks and refusals meanwhile, in USED and REFUSED; and TOOK, in milliseconds
measure() {
	local pids

	mapfile -t pids < <(
		app_pid loop
		session_processes
	)
	TOOK=$(now_ms)
	REFUSED=$(ask refused)
	USED=$(ticks "${pids[@]}")
	sleep "$1"
	USED=$(($(ticks "${pids[@]}") - USED))
	REFUSED=$(($(ask refused) - REFUSED))
	TOOK=$(($(now_ms) - TOOK))
}

for who in as_user env; do
	start_app loop $who mq-run --plug app:loop --plug app:trips poll-loop "${Q}lost" "${Q}kept"
	[[ $(ask "trips 10") =~ ^[0-9]+$ ]]
	holds "it is served before ($who)" test $? = 0
	check "its queue is taken away ($who)" mqctl disconnect app:loop app:lost
	quiet=$(ask "trips $ROUNDS")

	tell loop loop
	holds "it is refused again and again ($who)" wait_until 20 are_at_least 310
	measure 3
	holds "then it takes less than 5 % of a processor: $USED of $((3 * TICKS)) ticks ($who)" \
		test $((USED * 20)) -lt $((3 * TICKS))
	# REFUSAL_DELAY_MAX_USEC is 20 ms.
	holds "… and goes on: $REFUSED refusals in $TOOK ms ($who)" \
		test "$REFUSED" -ge 10 -a "$REFUSED" -le $((TOOK / 20 + 10))

	beside=$(ask "trips $ROUNDS")
	holds "nothing else in that session waits: $ROUNDS round trips took $beside us, $quiet before ($who)" \
		test "$beside" -gt 0 -a "$beside" -lt $((10 * quiet))
	REFUSED=$(ask refused)
	# shellcheck disable=SC2046 # pids
	kill -KILL $(session_processes)
	holds "the next session process refuses it, too ($who)" wait_until 10 are_at_least $((REFUSED + 110))
	mqctl connect app:loop app:lost
	holds "connected again, it receives ($who)" wait_until 5 grep -q received "$WORK/loop.out"
	check "taken away once more while it waits ($who)" mqctl disconnect app:loop app:lost
	check "what it took is put back ($who)" mqtry "open ${Q}lost rw" "send left"
	holds "it is refused again ($who)" wait_until 5 are_at_least 400
	kill -KILL "$(app_pid loop)"
	holds "killed while it is to be answered, it is gone ($who)" wait_until 5 app_gone loop
	stop_app loop
	mqctl connect app:loop app:lost
done
finish
