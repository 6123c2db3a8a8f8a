#!/bin/bash
# SPDX-License-Identifier: MIT
# A queue is taken from many sessions at once, each of four processes that all wait for a message: SCALE_SESSIONS of them. It takes a
# bounded time, nobody receives anything, and a session that is not concerned is not held up. Figures in lines that begin with "#".
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

SESSIONS=${SCALE_SESSIONS:-50}
PROCESSES=4

private_ipc
setup
write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq, other: posix-mq}
slots:
  lost: {interface: posix-mq, posix-mq: work, path: @Q@lost, permissions: [read, write]}
  apart: {interface: posix-mq, posix-mq: other, path: @Q@other, permissions: [read, write]}
YAML
start_daemon
mqtry "open ${Q}lost rwc 0666 8 64" "open ${Q}other rwc 0666 8 64" >/dev/null
chmod 666 "/dev/mqueue${Q}other"
mqctl connect app:work app:lost
mqctl connect app:other app:apart

mkfifo "$WORK/end"
exec {writer}<>"$WORK/end"
start=$SECONDS
for ((i = 0; i < SESSIONS; i++)); do
	{
		exec mq-run --plug app:work crowd "${Q}lost" $PROCESSES <"$WORK/end" >"$WORK/crowd.$i" 2>&1
	} {writer}>&- &
	# Launches beyond LAUNCHES_OF_ROOT_MAX wait; they need not all come at once.
	((i % 20)) || sleep 0.2
done

# blocked: as many processes wait in a receive as there are
blocked() {
	# shellcheck disable=SC2046 # one word for each
	[ "$(grep -l '^243 ' $(pgrep -x crowd | sed 's|.*|/proc/&/syscall|') 2>/dev/null | wc -l)" -ge $((SESSIONS * PROCESSES)) ]
}

[ "$(uname -m)" = x86_64 ] || skip_all "knows the number of mq_timedreceive on x86-64 only"
holds "$SESSIONS sessions run, and $PROCESSES processes of each wait for a message" wait_until 120 blocked
echo "# started in $((SECONDS - start)) s"

# start_beat: the time of an unrelated session, until stop_beat, which sets MEDIAN, HUNDREDTH and LONGEST
start_beat() {
	start_app pulse as_user mq-run --plug app:other pulse "${Q}other"
	wait_until 10 grep -q beating "$WORK/pulse.out"
}

stop_beat() {
	stop_app pulse
	read -r MEDIAN HUNDREDTH LONGEST < <(sed -nE \
		's/^.* beats, median ([0-9]*), one in a hundred over ([0-9]*), longest ([0-9]*)$/\1 \2 \3/p' \
		"$WORK/pulse.out")
}

start_beat
sleep 1
stop_beat
alone="median $MEDIAN us, one in a hundred over $HUNDREDTH, longest $LONGEST"
longest_alone=$LONGEST
start_beat
begin=$(date +%s%N)
check "the queue is taken from all of them" mqctl disconnect app:work app:lost
took=$((($(date +%s%N) - begin) / 1000000))
mqtry "open ${Q}lost w" "send late" >/dev/null
stop_beat
echo "# disconnect with $SESSIONS sessions of $PROCESSES processes: $took ms"
echo "# an unrelated session, send and receive: $alone; during it: median $MEDIAN, one in a hundred over $HUNDREDTH, longest $LONGEST"
holds "… within the deadlines" test "$took" -lt 5000
holds "… an unrelated session was not held up" test "$LONGEST" -lt $((500000 + 2000 * SESSIONS + 2 * longest_alone))
run mqtry "open ${Q}lost r" "receive"
expect_stdout "… the message that was sent afterwards is there" 'receive -> late 0$'
exec {writer}>&-
counts() {
	[ "$(cat "$WORK"/crowd.* | grep -c "^$PROCESSES refused, 0 received, 0 failed$")" = "$SESSIONS" ]
}
outcomes() {
	wait_until 60 counts || {
		cat "$WORK"/crowd.* | sort | uniq -c
		grep -c 'mqgated: killed: ' "$WORK/daemon.log"
		return 1
	}
}
holds "… each process was refused" outcomes
finish
