#!/bin/bash
# SPDX-License-Identifier: MIT
# One session calls from 64 threads as fast as it is let, granted and denied calls: another session and the control bus go on. And
# the control bus is besieged, with a list that takes long to make.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/siege.sh
. "$(dirname "$0")/siege.sh"
private_ipc
setup

ROUNDS=20
write_package app.yaml <<'YAML'
name: app
plugs: {flood: posix-mq, quiet: posix-mq}
slots:
  flood-queue: {interface: posix-mq, posix-mq: flood, path: "@Q@flood", permissions: [read, write, create, delete]}
  quiet-queue: {interface: posix-mq, posix-mq: quiet, path: "@Q@quiet", permissions: [read, write, create, delete]}
YAML
{
	printf 'name: many\nplugs:\n'
	printf '  plug-%d: posix-mq\n' {1..4000}
} >"$WORK/packages/many.yaml"
prepare_siege app:quiet
start_daemon
check "connected" mqctl connect app:flood app:flood-queue
check "and the other" mqctl connect app:quiet app:quiet-queue

# milliseconds CMD…: how long it takes
milliseconds() {
	local begin=$EPOCHREALTIME end

	"$@" >/dev/null || echo 1000000
	end=$EPOCHREALTIME
	echo $(((${end/./} - ${begin/./}) / 1000))
}

# A round: 50 queues made, opened and deleted, by the session that must not notice.
round() {
	tell quiet "churn ${Q}quiet 50"
	[[ $ANSWER == *" -> 0" ]]
}

median() {
	sort -n | sed -n "$((ROUNDS / 2))p"
}

# rounds: the median of some
rounds() {
	local i

	for ((i = 0; i < ROUNDS; i++)); do
		milliseconds round
	done | median
}

slowest_answer() {
	local i

	for ((i = 0; i < ROUNDS; i++)); do
		milliseconds mqctl status
	done | sort -n | tail -n 1
}

flooding() {
	[ "$(wc -l <"$WORK/flood.out")" -gt "$1" ]
}

flood() {
	local quiet busy answer soon

	start_app quiet as_user mq-run --plug app:quiet mqtry
	quiet=$(rounds)
	soon=$(soon mqctl status)
	start_app flood as_uid 65533 mq-run --plug app:flood flood 64 "${Q}flood" "${Q}denied"
	holds "a session floods from 64 threads" wait_until 10 flooding 0
	busy=$(rounds)
	answer=$(slowest_answer)
	echo "# a round takes $quiet ms in quiet, $busy ms beside the flood; mqctl at most $answer ms"
	# On two cores, with 64 threads that are always ready to run.
	holds "another session's calls take at most 5 times as long, and 300 ms" \
		test "$busy" -le $((5 * quiet + 300))
	holds "the control bus answers within $soon ms" test "$answer" -le "$soon"
	tell flood "end"
	holds "all the while granted calls were granted and denied ones denied" \
		grep -Eq '^granted [1-9][0-9]* denied [1-9][0-9]* wrong 0$' <<<"$ANSWER"
	stop_app flood
	stop_app quiet
}

# Every state in which a connection can be.
siege() {
	local state

	measure_peace
	for state in silent line part long descriptor unread lists; do
		withstand "$state"
	done
}

flood
siege
finish
