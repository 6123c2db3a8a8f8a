#!/bin/bash
# SPDX-License-Identifier: MIT
# Session processes that are killed, stopped or hammered; floods; and that nothing is left behind.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

write_package traffic.yaml <<'YAML'
name: traffic
plugs:
  nothing: posix-mq
slots:
  all:
    interface: posix-mq
    path-pattern: "@Q@*"
YAML
start_daemon

daemon_descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 -maxdepth 1 | wc -l
}

one_session_process() {
	[ "$(session_processes | wc -l)" = 1 ]
}

# at_rest: no session but the spare process, and as many descriptors as at the start
at_rest() {
	one_session_process && [ "$(daemon_descriptors)" = "$DESCRIPTORS" ]
}

traffic_has_started() {
	[ "$(mqctl sessions --json | grep -o '"pid"' | wc -l)" = 3 ] || ! running receiver sender creator
}

# one_traffic WHO PREFIX…: kill -9 of every session process, again and again, while it lasts
one_traffic() {
	local who=$1 end=$((SECONDS + 60))
	shift

	start_app receiver "$@" mq-run --slot traffic:all traffic receive "${Q}flow" 60000
	start_app sender "$@" mq-run --slot traffic:all traffic send "${Q}flow" 60000
	start_app creator "$@" mq-run --slot traffic:all traffic create "${Q}new" 15000
	wait_until 10 traffic_has_started
	while running receiver sender creator && [ $SECONDS -lt $end ]; do
		session_processes | xargs -r kill -KILL 2>/dev/null && kills=$((kills + 1))
		sleep 0.15
	done
	expect_end "$who: every message was sent" sender 0
	expect_end "$who: none was lost, doubled or out of order" receiver 0
	expect_end "$who: every queue was created once and unlinked once" creator 0
	rm -f "/dev/mqueue${Q}flow"
}

# On a busy machine, one traffic may be over before it is seen.
killed_under_traffic() {
	local kills=0

	while [ $kills -lt 5 ]; do
		one_traffic "$@"
	done
	echo "# $1: session processes were killed $kills times"
}

# The session process of the only session: the one that the spare is not.
stopped() {
	local before

	start_app app mq-run --slot traffic:all mqtry
	expect_answer "an app works" app "open ${Q}stopped rwcx" ' -> 0$'
	before=$(session_processes)
	echo "$before" | xargs kill -STOP
	expect_answer "its session process is stopped: it gets its answer all the same" \
		app "send one" ' -> 0$'
	expect_answer "… and the next" app "receive" ' -> one 0$'
	replaced() {
		! session_processes | grep -Fxq "$before"
	}
	holds "stopped session processes are replaced" within 5 replaced
	expect_answer "it can unlink" app "unlink ${Q}stopped" ' -> 0$'
	stop_app app
}

# As the user himself: signals to the daemon and everything that it has started.
write_hammer() {
	cat >"$WORK/bin/hammer" <<'SCRIPT'
#!/bin/bash
end=$((SECONDS + $2))
hits=0
while [ $SECONDS -lt $end ]; do
	pids=$(pgrep -P "$1,$(pgrep -d , -P "$1")")
	for _ in {1..200}; do
		for signal in KILL STOP; do
			for pid in $1 $pids; do
				kill -$signal "$pid" 2>/dev/null && hits=$((hits + 1))
			done
		done
	done
done
echo "$hits"
SCRIPT
	chmod 755 "$WORK/bin/hammer"
}

hammered() {
	local daemon=$DAEMON

	write_hammer
	start_app bystander as_uid 65533 mq-run --slot traffic:all mqtry
	start_app of_root mq-run --slot traffic:all mqtry
	expect_answer "a bystander works before" bystander "open ${Q}bystander rwcx" ' -> 0$'
	start_app victim as_user mq-run --slot traffic:all traffic create "${Q}victim" 1000000
	start_app hammer as_user hammer "$DAEMON" 5
	expect_answer "under hammering, a bystander can send" bystander "send one" ' -> 0$'
	expect_answer "… receive" bystander "receive" ' -> one 0$'
	run as_uid 65533 mq-run --slot traffic:all traffic create "${Q}other" 300
	expect_status "… launch a new session and create queues" 0
	expect_answer "… and root as well" of_root "open ${Q}of-root rwcx" ' -> 0$'
	expect_answer "… unlink" of_root "unlink ${Q}of-root" ' -> 0$'
	stop_app hammer 10
	holds "the hammer has hit" test "$(cat "$WORK/hammer.out")" -gt 0
	holds "the daemon is the same" test "$DAEMON" = "$daemon" -a -d "/proc/$daemon"
	expect_answer "after it, the bystander goes on" bystander "unlink ${Q}bystander" ' -> 0$'
	kill -KILL "$(app_pid victim)"
	stop_app victim
	rm -f "/dev/mqueue${Q}victim"
	run as_user mq-run --slot traffic:all traffic create "${Q}victim" 20
	expect_status "the user that hammered can work again" 0
	stop_app bystander
	stop_app of_root
}

# 2000 denials of one app are not 2000 lines.
flooded() {
	local lines held

	mark_log
	start_app flood as_user mq-run --plug traffic:nothing mqtry
	{
		for _ in {1..2000}; do
			echo "open ${Q}denied r"
		done
	} >&"$(cat "$WORK/flood.fd")"
	all_answered() {
		[ "$(grep -c 'EACCES' "$WORK/flood.out")" = 2000 ]
	}
	holds "2000 calls are refused" wait_until 15 all_answered
	sleep 1
	lines=$(log_matches "denied mq_open ${Q}denied" | wc -l)
	held=$(($(log_matches "denied mq_open ${Q}denied" |
		sed -nE 's/.*; ([0-9]+) before this one not recorded$/\1/p' | paste -sd+)))
	holds "their records are limited" test "$lines" -ge 20 -a "$lines" -le 120
	holds "… and count those that were held back" test $((lines + held)) = 2000
	stop_app flood
}

# Killed in the middle of everything: the app, then the daemon.
killed_app() {
	start_app app mq-run --slot traffic:all traffic create "${Q}cut" 1000000
	sleep 0.5
	kill -KILL "$(app_pid app)"
	stop_app app
	rm -f "/dev/mqueue${Q}cut"
	holds "an app killed in the middle of a call leaves nothing in the daemon" wait_until 5 at_rest
}

killed_daemon() {
	start_app app as_user mq-run --slot traffic:all mqtry
	expect_answer "an app works" app "open ${Q}last rwcx" ' -> 0$'
	# Session processes that hang do not notice by themselves, and would hold the calls up for ever.
	kill -STOP "$DAEMON"
	session_processes | xargs kill -STOP
	holds "there are session processes, and they hang" eval '! no_session_processes'
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	holds "a killed daemon takes its session processes along" wait_until 5 no_session_processes
	expect_answer "the door is closed" app "open ${Q}last r" ' -> -1 (ENOSYS|EACCES)$'
	start_daemon
	check "a new daemon starts on the same directories" \
		as_user mq-run --slot traffic:all mqtry "open ${Q}last rw" "unlink ${Q}last"
	stop_app app
	holds "the daemon ends with status 0" stop_daemon
	holds "no session process is left" wait_until 5 no_session_processes
}

# Its parent is a child of the daemon here; under systemd, test-systemd.sh kills it.
killed_spawner() {
	start_daemon
	mark_log
	start_app app as_user mq-run --slot traffic:all mqtry
	expect_answer "an app works" app "open ${Q}parent rwcx" ' -> 0$'
	kill -KILL "$(spawner)"
	holds "without what starts session processes the daemon ends" wait_until 5 daemon_gone
	wait "$DAEMON"
	holds "… with status 1" test $? = 1
	DAEMON=
	expect_log "… and says why" "the spawner of session processes has ended"
	holds "… no session process is left" wait_until 5 no_session_processes
	expect_answer "… the door is closed" app "open ${Q}parent r" ' -> -1 (ENOSYS|EACCES)$'
	stop_app app
	rm -f "/dev/mqueue${Q}parent"
}

check "one session to warm up" mq-run --slot traffic:all true
wait_until 5 one_session_process
DESCRIPTORS=$(daemon_descriptors)
killed_under_traffic root
killed_under_traffic user as_user
stopped
hammered
flooded
holds "nothing is left in the daemon" wait_until 5 at_rest
killed_app
killed_daemon
killed_spawner
holds "no queue is left" test -z "$(own_queues)"
finish
