#!/bin/bash
# SPDX-License-Identifier: MIT
# Sessions that have lost a queue, whose calls are carried out for them: numbered messages while the daemon is restarted in
# an orderly way, and while session processes are killed.
# LOSS_RESTARTS, LOSS_KILLS: how many of each.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

RESTARTS=${LOSS_RESTARTS:-40}
KILLS=${LOSS_KILLS:-100}
PAIRS="1 2 3"

private_ipc
setup
# shellcheck source=tests/system/service-manager.sh
. "$SOURCE_ROOT/tests/system/service-manager.sh"

write_package numbered.yaml <<'YAML'
name: numbered
plugs:
  flow: posix-mq
  lost: posix-mq
slots:
  all-flows:
    interface: posix-mq
    posix-mq: flow
    path-pattern: "@Q@flow*"
    permissions: [read, write, create]
  to-lose:
    interface: posix-mq
    posix-mq: lost
    path: "@Q@lost"
    permissions: [read, write, create]
YAML

APPS=$(for i in $PAIRS; do echo "receive$i send$i"; done)

apps_are_ready() {
	# shellcheck disable=SC2086
	for name in $APPS; do
		grep -q ready "$WORK/$name.out" || return 1
	done
}

# start_pairs COUNT: senders and receivers, all of which lose a queue
start_pairs() {
	mqctl connect numbered:flow numbered:all-flows
	mqctl connect numbered:lost numbered:to-lose
	for i in $PAIRS; do
		for what in receive send; do
			start_app "$what$i" as_user mq-run --plug numbered:flow --plug numbered:lost \
				numbered "$what" "${Q}flow$i" "$1" "${Q}lost"
		done
	done
	holds "the programs are ready" wait_until 20 apps_are_ready || return 1
	mqctl disconnect numbered:lost numbered:to-lose
}

# pairs_end: counts what its programs could not tell, and what the log says of that
pairs_end() {
	local name
	UNCERTAIN=0 UNEXPLAINED=0

	for name in $APPS; do
		wait_until 120 app_gone "$name"
		expect_end "$1: $name has met nothing twice or out of order, and no other error" "$name" 0
		UNCERTAIN=$((UNCERTAIN + $(grep -c '^uncertain' "$WORK/$name.out")))
	done
	for i in $PAIRS; do
		unexplained "$i"
		rm -f "/dev/mqueue${Q}flow$i"
	done
	LOGGED=$(log_matches 'uncertain mq_timed(send|receive) /' | wc -l)
}

# unexplained PAIR: messages that are missing, of which neither the sender nor the receiver knows
unexplained() {
	local missing taken

	missing=$(grep -hE '^missing' "$WORK/receive$1.out" | sed 's/missing/uncertain/' |
		grep -vxFc -f <(grep '^uncertain' "$WORK/send$1.out" || echo none))
	taken=$(grep -c '^uncertain' "$WORK/receive$1.out")
	[ "$missing" -le "$taken" ] || UNEXPLAINED=$((UNEXPLAINED + missing - taken))
}

# pairs_run: as long as all of them do
pairs_run() {
	# shellcheck disable=SC2086
	running $APPS
}

restarts() {
	local done=0

	mark_log
	while [ $done -lt "$RESTARTS" ]; do
		start_pairs 30000 || return
		while pairs_run && [ $done -lt "$RESTARTS" ]; do
			manager "signal 15"
			done=$((done + 1))
			sleep "0.0$((RANDOM % 10))"
			wait_until_ready
		done
		pairs_end "restarts"
		holds "restarts: no message is missing, and nobody is in doubt" \
			test "$UNEXPLAINED" = 0 -a "$UNCERTAIN" = 0
	done
	holds "$done orderly restarts: the log is in doubt of nothing" test "$LOGGED" = 0
}

kills() {
	local done=0 uncertain=0

	mark_log
	while [ $done -lt "$KILLS" ]; do
		start_pairs 20000 || return
		while pairs_run && [ $done -lt "$KILLS" ]; do
			session_processes | xargs kill -KILL 2>/dev/null
			done=$((done + 6))
			sleep "0.$((RANDOM % 10 + 5))"
		done
		pairs_end "kills"
		holds "kills: what is missing is in doubt" test "$UNEXPLAINED" = 0
		uncertain=$((uncertain + UNCERTAIN))
	done
	echo "# $done session processes killed, $uncertain calls in doubt"
	holds "$done kills: what is in doubt is in the log, and nothing else" test "$LOGGED" = "$uncertain"
}

start_manager
restarts
kills
stop_manager
finish
