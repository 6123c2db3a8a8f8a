#!/bin/bash
# SPDX-License-Identifier: MIT
# Real-time programs: their session process runs with their priority, for as long as they have it; nothing that they do with it
# keeps a disconnection from being in force; and rt-tests' pmqtest, beside ordinary load, waits about as long under mediation as
# with a supervisor that decides nothing.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup
machine_can real-time "real-time programs" || finish

write_package rt.yaml <<'YAML'
name: rt
plugs:
  call: posix-mq
  open: {interface: posix-mq, posix-mq: call, mediation: open}
slots:
  all: {interface: posix-mq, posix-mq: call, path-pattern: "@Q@*", permissions: [read, write, create, delete]}
  pmqtest: {interface: posix-mq, posix-mq: call, path-pattern: /*msg0, permissions: [read, write, create, delete]}
YAML
start_daemon
for plug in call open; do
	check "$plug is connected" mqctl connect "rt:$plug" rt:all
	check "… also for pmqtest" mqctl connect "rt:$plug" rt:pmqtest
done

# --- whose priority -------------------------------------------------------------------------------

# serving: the pid of the session process that has a session
serving() {
	local pid

	for pid in $(session_processes); do
		! readlink "/proc/$pid/fd/"* | grep -q 'seccomp notify' || echo "$pid"
	done
}

spare() {
	session_processes | grep -vx "$(serving)"
}

# scheduling PID: its policy, priority, niceness ("-" if it has a priority) and processors
scheduling() {
	echo "$(chrt -p "$1" | sed 's/.*: //' | paste -sd' ')" \
		"$(ps -o ni= -p "$1" | tr -d ' ') $(taskset -p "$1" | sed 's/.*: //')"
}

# expect_scheduling DESCRIPTION POLICY PRIORITY NICENESS PROCESSORS
expect_scheduling() {
	local description=$1 pid
	shift

	pid=$(serving)
	holds "$description" test "$(scheduling "$pid")" = "$*"
}

spare_is_ordinary() {
	[ "$(scheduling "$(spare)")" = "$ORDINARY" ]
}

replaced() {
	[ -n "$(serving)" ] && [ "$(serving)" != "$KILLED" ]
}

nobody_served() {
	[ -z "$(serving)" ]
}

end_app() {
	stop_app app
	wait_until 5 nobody_served
}

# call_again: after the last look is out of date
call_again() {
	sleep 0.03
	tell app getattr
	[[ $ANSWER == *" -> "[0-9]* ]]
}

LAST=$(taskset -p $$ | sed 's/.*: //') # its processors
LAST=$(python3 -c "print(int('$LAST', 16).bit_length() - 1)")
ONE=$(printf %x $((1 << LAST)))
for plug in call open; do
	start_app app as_user mq-run --plug "rt:$plug" mqtry
	expect_answer "$plug: an app opens a queue" app "open ${Q}queue rwc 0600 4 64" ' -> 0$'
	ORDINARY=$(scheduling "$(serving)")
	holds "$plug: its session process is an ordinary one" test "${ORDINARY%% *}" = SCHED_OTHER
	check "$plug: the app becomes a real-time program" chrt -f -p 40 "$(app_pid app)"
	check "$plug: … on one processor" taskset -cp "$LAST" "$(app_pid app)"
	sleep 0.03
	expect_answer "$plug: … and opens another" app "look ${Q}queue r" ' -> 0$'
	expect_scheduling "$plug: the session process has its priority and its processor" \
		SCHED_FIFO 40 - "$ONE"
	holds "$plug: the spare one has not" wait_until 5 spare_is_ordinary
	KILLED=$(serving)
	kill -KILL "$KILLED"
	holds "$plug: it is killed and replaced" wait_until 5 replaced
	expect_scheduling "$plug: … by an ordinary one" "$ORDINARY"
	expect_answer "$plug: another call" app "look ${Q}queue r" ' -> 0$'
	expect_scheduling "$plug: … and the new one has the priority" SCHED_FIFO 40 - "$ONE"
	check "$plug: the app becomes an ordinary one" chrt -o -p 0 "$(app_pid app)"
	sleep 0.03
	expect_answer "$plug: … and calls" app "look ${Q}queue r" ' -> 0$'
	expect_scheduling "$plug: so does its session process, on its own processors" "$ORDINARY"
	end_app
done
start_app app as_user mq-run --plug rt:call nice -n 10 mqtry
tell app "open ${Q}queue rwc 0600 4 64"
holds "niceness is nobody's concern" call_again
expect_scheduling "… it stays an ordinary one" "$ORDINARY"
end_app

# --- who spins ------------------------------------------------------------------------------------

# A real-time app leaves its session process to wait for a processor that it never gives away, and a receiver in its call.
cat >"$WORK/bin/spin" <<SCRIPT
#!/bin/bash
mqtry "open ${Q}queue rwc 0666 4 64" "receive 60" &
sleep 0.2
mqtry "look ${Q}queue r"
echo spins
while :; do :; done
SCRIPT
chmod 755 "$WORK/bin/spin"
spins() {
	grep -qx spins "$WORK/spin.out"
}
start_app spin taskset -c "$LAST" chrt -f 50 mq-run --plug rt:call spin
holds "an app spins on the only processor of its session process" wait_until 10 spins
run mqctl disconnect rt:call rt:all
expect_status "it is disconnected all the same" 0
mqtry "open ${Q}queue w" "send late" >"$WORK/late"
run mqtry "open ${Q}queue r" getattr
expect_stdout "… and gets nothing any more" ' -> [0-9]+ [0-9]+ 1$'
stop_app spin 0
rm -f "/dev/mqueue${Q}queue"
check "connected again" mqctl connect rt:call rt:all

# --- pmqtest --------------------------------------------------------------------------------------

ROUNDS=7
SIDES=(bare empty call open)

# one_pmqtest SIDE PREFIX…: notes some of its latencies and their maximum, in microseconds
one_pmqtest() {
	local side=$1
	shift

	patiently 20 "$@" pmqtest -p 80 -i 1000 -l 1000 </dev/null >"$WORK/pmqtest" 2>&1 || return
	grep -oP 'Cur +\K\d+' "$WORK/pmqtest" >>"$WORK/$side.some"
	grep -oP 'Max +\K\d+' "$WORK/pmqtest" | tail -n 1 >>"$WORK/$side.most"
}

pmqtest_everywhere() {
	local i

	for ((i = 0; i < ROUNDS; i++)); do
		one_pmqtest bare &&
			one_pmqtest empty chrt -f 80 "$BUILD_ROOT/tests/bench/bench-yardstick" empty &&
			one_pmqtest call mq-run --plug rt:call &&
			one_pmqtest open mq-run --plug rt:open || return
	done
}

median() {
	sort -n "$1" | sed -n "$((($(wc -l <"$1") + 1) / 2))p"
}

# is_near SIDE WHAT TIMES MORE: no more than so many times as long as with the empty supervisor, and so much more
is_near() {
	[ "$(median "$WORK/$1.$2")" -le $(($3 * $(median "$WORK/empty.$2") + $4)) ]
}

if command -v pmqtest >/dev/null; then
	for load in load-1 load-2 load-3; do
		start_app $load bash -c 'while :; do :; done'
	done
	holds "pmqtest runs beside three busy loops" pmqtest_everywhere
	for side in "${SIDES[@]}"; do
		echo "# $side: median $(median "$WORK/$side.some") µs; maxima $(sort -n "$WORK/$side.most" | paste -sd' ') µs"
	done
	# Single maxima are the machine's: the median of them is not. With sanitizers there is nothing to compare.
	[ -z "${SANITIZED:-}" ] || finish
	for side in call open; do
		holds "$side: its median is near that of an empty supervisor" is_near $side some 2 50
		holds "$side: … and its maximum" is_near $side most 4 1000
	done
else
	skip "pmqtest waits about as long as with an empty supervisor" "rt-tests is not installed"
fi
finish
