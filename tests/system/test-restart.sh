#!/bin/bash
# SPDX-License-Identifier: MIT
# Running programs and the end of mqgated, under a small service manager that keeps its descriptors: a restart, a crash, an
# upgrade, changes that were under way or were made meanwhile, and what cannot be taken over.
# RESTART_KILLS: how many daemons and session processes are killed under load.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

KILLS=${RESTART_KILLS:-20}

private_ipc
setup
cp "$BUILD_ROOT"/tests/preload/*.so "$WORK/bin/"

write_package traffic.yaml <<'YAML'
name: traffic
plugs:
  nothing: posix-mq
  granted: posix-mq
  timed: posix-mq
  queue: posix-mq
  open-all: {interface: posix-mq, posix-mq: all, mediation: open}
  open-one: {interface: posix-mq, posix-mq: queue, mediation: open}
slots:
  all:
    interface: posix-mq
    path-pattern: "@Q@*"
    permissions: [read, write, create, delete]
  short:
    interface: posix-mq
    posix-mq: timed
    path: "@Q@timed"
    permissions: [read, write, create]
  one:
    interface: posix-mq
    posix-mq: queue
    path: "@Q@queue"
    permissions: [read, write, create]
apps:
  app:
    slots: [all]
    plugs: []
YAML

# shellcheck source=tests/system/service-manager.sh
. "$SOURCE_ROOT/tests/system/service-manager.sh"

descriptors() {
	find "/proc/$1/fd" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l
}

one_session_process() {
	[ "$(session_processes | wc -l)" = 1 ]
}

# none_but_ours: no session process lives but children of the daemon
none_but_ours() {
	[ "$(all_session_processes | wc -l)" = "$(session_processes | wc -l)" ]
}

# preloaded NAME: makes a session program with this fault
preloaded() {
	printf '#!/bin/sh\nASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=%s exec -a mqgate-session %s\n' "$WORK/bin/$1.so" \
		"$WORK/bin/mqgate-session" | sed '1s/sh/bash/' >"$WORK/bin/$1"
	chmod 755 "$WORK/bin/$1"
}

# --- a restart, a crash, an upgrade ---------------------------------------------------------------

survives() {
	local signal=$1 before

	start_app app as_user mq-run --slot traffic:all mqtry
	start_app other mq-run --app traffic.app mqtry
	expect_answer "signal $signal: a program works" app "open ${Q}lives rwcx 0600 4 64" ' -> 0$'
	expect_answer "signal $signal: another one, too" other "open ${Q}other rwcx 0600 4 64" ' -> 0$'
	before=$(mqctl sessions --json | tr '{' '\n' | sort)
	holds "signal $signal: the service manager keeps three descriptors of each" stored 6
	mark_log
	take_down "$signal"
	holds "signal $signal: session processes end with the daemon" \
		wait_until 5 no_session_processes
	echo "send one" >&"$(cat "$WORK/app.fd")"
	echo "open ${Q}second rwcx 0600 4 64" >&"$(cat "$WORK/other.fd")"
	sleep 0.3
	holds "signal $signal: calls wait while there is no daemon" \
		test "$(cat "$WORK/app.out" "$WORK/other.out" | wc -l)" = 2
	bring_up
	answered() {
		[ "$(cat "$WORK/app.out" "$WORK/other.out" | grep -c -- '-> [01]$')" = 4 ]
	}
	holds "signal $signal: the next daemon's session processes answer them" wait_until 5 answered
	expect_log "signal $signal: the log says so" 'mqgated: 2 sessions are taken over'
	expect_answer "signal $signal: what was open works" app "receive" ' -> one 0$'
	expect_answer "signal $signal: what was not granted is refused" app "open /elsewhere r" EACCES
	holds "signal $signal: mqctl sessions shows the same" \
		test "$(mqctl sessions --json | tr '{' '\n' | sort)" = "$before"
	expect_answer "signal $signal: it can unlink" app "unlink ${Q}lives" ' -> 0$'
	expect_answer "signal $signal: and so can the other" other "unlink ${Q}other" ' -> 0$'
	stop_app app
	stop_app other
	holds "signal $signal: what has ended leaves the store" wait_until 5 nothing_stored
	rm -f "/dev/mqueue${Q}second"
}

# open_survives SIGNAL: under open mediation the kernel alone answers what is sent and received.
open_survives() {
	local signal=$1

	mqctl connect traffic:open-one traffic:one
	start_app app as_user mq-run --plug traffic:open-one mqtry
	expect_answer "open, signal $signal: a program works" app "open ${Q}queue rwc 0600 4 64" ' -> 0$'
	take_down "$signal"
	expect_answer "open, signal $signal: it goes on without a daemon" app "send one" ' -> 0$'
	echo "open ${Q}queue rw" >&"$(cat "$WORK/app.fd")"
	sleep 0.3
	holds "open, signal $signal: what it opens waits" test "$(wc -l <"$WORK/app.out")" = 2
	bring_up
	opened() {
		tail -n 1 "$WORK/app.out" | grep -q -- ' -> [0-9]*$'
	}
	holds "open, signal $signal: the next daemon's session process opens it" wait_until 5 opened
	expect_answer "open, signal $signal: … and it is the same" app "receive" ' -> one 0$'
	expect_answer "open, signal $signal: what was not granted is refused" app "open ${Q}other rwc" ' EACCES$'
	run mqctl disconnect traffic:open-one traffic:one
	expect_stdout "open, signal $signal: who holds it is told" "^1 session \(1 process\) still holds descriptors "
	take_down "$signal"
	bring_up
	expect_answer "open, signal $signal: after the next restart nothing is opened" app "open ${Q}queue rw" ' EACCES$'
	run mqctl disconnect --kill traffic:open-one traffic:one
	expect_status "open, signal $signal: and it can be killed" 0
	holds "open, signal $signal: … which it is" wait_until 5 app_gone app
	stop_app app
	rm -f "/dev/mqueue${Q}queue"
	holds "open, signal $signal: what has ended leaves the store" wait_until 5 nothing_stored
}

# So many that it has not read all when it ends.
records_of_the_end() {
	stop_manager
	printf 'audit:\n  rate: 10000\n' >"$WORK/mqgated.yaml"
	start_manager
	start_app app mq-run --plug traffic:nothing mqtry
	expect_answer "a program is denied" app "open ${Q}denied r" EACCES
	mark_log
	manager hold
	kill -STOP "$DAEMON"
	for i in {1..150}; do
		echo "open ${Q}at-the-end-$i r"
	done >&"$(cat "$WORK/app.fd")"
	all_denied() {
		[ "$(grep -c EACCES "$WORK/app.out")" = 151 ]
	}
	wait_until 10 all_denied
	manager "signal 15"
	kill -CONT "$DAEMON"
	expect_log "what was denied before an orderly end is recorded" 'denied mq_open .*at-the-end-150: '
	bring_up
	stop_app app
	wait_until 5 nothing_stored
	rm "$WORK/mqgated.yaml"
	stop_manager
	start_manager
}

ends_meanwhile() {
	start_app app mq-run --slot traffic:all mqtry
	expect_answer "a program works" app "open ${Q}ends rwcx 0600 4 64" ' -> 0$'
	take_down
	kill -KILL "$(app_pid app)"
	stop_app app
	mark_log
	bring_up
	holds "a program that ends while there is no daemon leaves the store" nothing_stored
	holds "… and nothing in the next daemon" one_session_process
	holds "… and nobody complains" test -z "$(log_matches 'not taken over')"
	rm -f "/dev/mqueue${Q}ends"
}

# A session of an mq-run of 0.1.0.
of_old() {
	noted() {
		mqctl sessions --json | grep -q '"notes": "reopenable"'
	}
	start_app old env ROGUE_VERSION=1 rogue-launcher stay word
	holds "a session of 0.1.0 is noted as reopenable" wait_until 5 noted
	take_down
	bring_up
	holds "… and by the next daemon as well" noted
	stop_app old
	wait_until 5 nothing_stored
}

# Another file of the same program, as after an upgrade.
upgraded() {
	mkdir -p "$WORK/new"
	cp "$WORK/bin/mqgated" "$WORK/new/mqgated"
	start_app app mq-run --slot traffic:all mqtry
	expect_answer "a program works before an upgrade" app "open ${Q}upgrade rwcx 0600 4 64" ' -> 0$'
	manager "program $WORK/new/mqgated"
	cp "$WORK/bin/mqgate-session" "$WORK/new/session" &&
		mv "$WORK/new/session" "$WORK/bin/mqgate-session"
	manager "signal 15"
	wait_until_ready
	holds "the new daemon runs" test "$(readlink "/proc/$DAEMON/exe")" = "$WORK/new/mqgated"
	expect_answer "… and the program goes on" app "unlink ${Q}upgrade" ' -> 0$'
	stop_app app
	wait_until 5 nothing_stored
}

# --- what is lost meanwhile -----------------------------------------------------------------------

# blocked NAME PLUG QUEUE: a program that waits in mq_receive, given back to the kernel
blocked() {
	start_app "$1" as_user mq-run --plug "$2" traffic receive "$3" 1000
	waits() {
		grep -q wq_sleep "/proc/$(app_pid "$1")/wchan"
	}
	holds "a program waits in mq_receive ($1)" wait_until 20 waits "$1"
}

# lost DESCRIPTION NAME QUEUE: the very first moment after READY
lost() {
	mqtry "open $3 w" "send 1" >/dev/null
	expect_end "$1: the call that waited is refused" "$2" 1
	expect_stderr "$1: … with EACCES" "mq_receive .*: Permission denied"
	holds "$1: … and the message is still there" \
		grep -Eq 'QSIZE:1 ' "/dev/mqueue$3"
	rm -f "/dev/mqueue$3"
}

loses_while_down() {
	mqctl connect traffic:queue traffic:one
	blocked waiter traffic:queue "${Q}queue"
	take_down
	sed -i '/traffic:queue/,+2d; s/^connections:$/connections: []/' "$WORK/state/connections.yaml"
	bring_up
	lost "a connection is gone from the state" waiter "${Q}queue"

	mqctl connect traffic:queue traffic:one
	blocked waiter traffic:queue "${Q}queue"
	take_down
	cp "$WORK/packages/traffic.yaml" "$WORK/traffic.yaml"
	sed -i "s|path: \"${Q}queue\"|path: \"${Q}another\"|" "$WORK/packages/traffic.yaml"
	bring_up
	lost "a package offers another queue" waiter "${Q}queue"
	cp "$WORK/traffic.yaml" "$WORK/packages/traffic.yaml"
	mqctl reload
	mqctl disconnect traffic:queue

	mqctl connect --for 2s traffic:timed traffic:short
	blocked waiter traffic:timed "${Q}timed"
	take_down
	sleep 3.2
	bring_up
	lost "a timed connection has run out" waiter "${Q}timed"
}

# break_launch: the daemon dies while one is under way, which takes half a second at least. How soon it begins is the machine's business.
break_launch() {
	local soon

	for soon in 0.25 0.5 0.8 1.2 1.6 2; do
		# Behind its filter, the leak sanitizer would wait for the next daemon.
		start_app launched env ASAN_OPTIONS=detect_leaks=0 mq-run --slot traffic:all mqtry
		sleep $soon
		take_down
		! wait_until 1 app_gone launched || return 0
		bring_up
		stop_app launched
	done
}

# mqctl disconnect waits for a session process; then the daemon dies, and the session process with it.
half_way() {
	preloaded slow-grants
	stop_manager
	start_manager "$WORK/bin/slow-grants"
	mqctl connect traffic:queue traffic:one
	blocked waiter traffic:queue "${Q}queue"
	mqctl disconnect traffic:queue traffic:one >"$WORK/half.out" 2>&1 &
	disconnected() {
		! grep -q traffic:queue "$WORK/state/connections.yaml"
	}
	holds "a disconnect is half way" wait_until 3 disconnected
	take_down
	wait $!
	holds "… and mqctl does not say that it is done" test $? = 1
	bring_up
	lost "the next daemon completes it" waiter "${Q}queue"

	break_launch
	expect_end "a launch under way ends with 125" launched 125
	expect_message "… and mq-run says why" "^mq-run: mqgated at .* closed the connection"
	start_app waits mq-run --slot traffic:all mqtry "open ${Q}waits rwcx 0600 4 64" "unlink ${Q}waits"
	bring_up
	expect_end "a launch begun while there is no daemon waits for the next one" waits 0
	stop_manager
	start_manager
}

another_has_it() {
	local pid

	for pid in $(all_session_processes); do
		[ "$pid" = "$HAS_IT" ] || ! ls -l "/proc/$pid/fd" 2>/dev/null | grep -q 'seccomp notify' || break
		pid=
	done
	[ -n "${pid:-}" ] && HAS_IT=$pid
}

# kill_session_process: that of the one session there is; it takes half a second to read grants
kill_session_process() {
	wait_until 5 another_has_it && kill -KILL "$HAS_IT"
}

# Two session processes die on the way of a disconnect: all who are inside a call are killed. The next daemon knows them.
killed_by_the_next() {
	local HAS_IT=

	preloaded slow-grants
	stop_manager
	start_manager "$WORK/bin/slow-grants"
	mqctl connect traffic:queue traffic:one
	blocked waiter traffic:queue "${Q}queue"
	take_down
	bring_up
	mark_log
	mqctl disconnect traffic:queue traffic:one >"$WORK/half.out" 2>&1 &
	holds "a disconnect, of the next daemon, is half way" wait_until 3 disconnected
	holds "… the session process dies" kill_session_process
	holds "… and the next one" kill_session_process
	wait $!
	holds "… and done, although two session processes have died" test $? = 0
	expect_log "… since the program is killed" 'the 1 processes of the session of pid [0-9]+ are killed: '
	holds "… which it is" app_gone waiter
	stop_app waiter
	rm -f "/dev/mqueue${Q}queue"
	stop_manager
	start_manager
}

# The same at random moments.
half_way_at_random() {
	local round

	for round in {1..10}; do
		mqctl connect traffic:queue traffic:one
		blocked "waiter$round" traffic:queue "${Q}queue"
		mqctl disconnect traffic:queue traffic:one >"$WORK/half.out" 2>&1 &
		sleep "0.00$((RANDOM % 10))"
		take_down
		wait $!
		bring_up
		mqctl disconnect traffic:queue traffic:one 2>/dev/null
		lost "a disconnect, cut off at a random moment ($round)" "waiter$round" "${Q}queue"
	done
}

# --- two session processes ------------------------------------------------------------------------

# A session process that does not notice its manager's end, and comes back to life later.
two_at_once() {
	local old spawner

	preloaded outlives-parent
	stop_manager
	start_manager "$WORK/bin/outlives-parent"
	start_app app mq-run --slot traffic:all mqtry
	expect_answer "a program works" app "open ${Q}two rwcx 0600 4 64" ' -> 0$'
	old=$(session_processes)
	# Else they would notice, replace them and kill them.
	spawner=$(spawner)
	kill -STOP "$DAEMON" "$spawner"
	echo "$old" | xargs kill -STOP
	echo "send one" >&"$(cat "$WORK/app.fd")"
	sleep 0.2
	take_down
	holds "a session process outlives the daemon" \
		test -n "$(for pid in $old; do [ -d "/proc/$pid" ] && echo "$pid"; done)"
	bring_up
	expect_answer "the next one answers" app "receive" ' -> (one )?0$'
	serving_ended() {
		[ "$(for pid in $old; do grep -l mqgate-inflight "/proc/$pid/maps" 2>/dev/null; done)" = "" ]
	}
	holds "… after it has killed the old one" serving_ended
	echo "$old" | xargs kill -KILL 2>/dev/null
	stop_app app
	rm -f "/dev/mqueue${Q}two"
	wait_until 5 nothing_stored
	stop_manager
	start_manager
}

# --- what cannot be taken over --------------------------------------------------------------------

# refused DESCRIPTION COMMAND LOG: two programs; what was kept of the one is changed
refused() {
	start_app app mq-run --slot traffic:all mqtry
	expect_answer "$1: a program works" app "open ${Q}refused rwcx 0600 4 64" ' -> 0$'
	take_down
	mark_log
	manager "$2"
	holds "$1: it is done" test "$ANSWER" = 1
	start_app late mq-run --slot traffic:all mqtry
	bring_up
	expect_log "$1: it is said" "$3"
	expect_answer "$1: the door is closed" app "open ${Q}refused r" ' -> -1 ENOSYS$'
	holds "$1: the service manager keeps it no longer" wait_until 5 stored 3
	expect_answer "$1: a new session works" late "unlink ${Q}refused" ' -> 0$'
	stop_app app
	stop_app late
	wait_until 5 nothing_stored
}

refuses() {
	local why='session [0-9a-f]+ is not taken over: %s; message-queue calls of its programs fail with ENOSYS until they are started again'

	# shellcheck disable=SC2059
	{
		refused "facts of another version" "set mqgate-facts 4 99" \
			"$(printf "$why" 'its snapshot is of another version')"
		refused "an in-flight memfd of another version" "set mqgate-inflight 8 99" \
			"$(printf "$why" 'its snapshot is of another version')"
		refused "malformed facts" "set mqgate-facts 0 0" \
			"$(printf "$why" 'its snapshot is malformed')"
		refused "facts of another session" "set mqgate-facts 8 77" \
			"$(printf "$why" 'its snapshot is malformed')"
		refused "facts that are lost" "drop mqgate-facts" \
			"$(printf "$why" 'its snapshot is incomplete')"
		refused "an in-flight memfd that is lost" "drop mqgate-inflight" \
			"$(printf "$why" 'its snapshot is incomplete')"
	}
	mark_log
	take_down
	manager "add nobody-knows"
	bring_up
	expect_log "a strange descriptor is dropped and said" \
		'stored an unknown descriptor "nobody-knows"; it is dropped'
	holds "… and leaves the store" nothing_stored
}

# --- under load -----------------------------------------------------------------------------------

LOAD="receiver sender creator denied user-receiver user-sender user-creator user-denied open-receiver open-sender open-creator"

# The launch itself is not under test here.
load_has_started() {
	[ "$(mqctl sessions --json | grep -o '"pid"' | wc -l)" = "$(wc -w <<<"$LOAD")" ] || ! running $LOAD
}

start_load() {
	local count=$1 who prefix

	for who in "" user-; do
		prefix=${who:+as_user}
		start_app "${who}receiver" $prefix mq-run --slot traffic:all traffic receive "$Q${who}flow" "$count"
		start_app "${who}sender" $prefix mq-run --slot traffic:all traffic send "$Q${who}flow" "$count"
		start_app "${who}creator" $prefix mq-run --slot traffic:all traffic create "$Q${who}new" $((count / 4))
		start_app "${who}denied" $prefix mq-run --plug traffic:nothing traffic denied "${Q}denied" $((count / 4))
	done
	start_app open-receiver as_user mq-run --plug traffic:open-all traffic receive "${Q}open-flow" "$count"
	start_app open-sender as_user mq-run --plug traffic:open-all traffic send "${Q}open-flow" "$count"
	start_app open-creator as_user mq-run --plug traffic:open-all traffic create "${Q}open-new" $((count / 4))
	wait_until 10 load_has_started
}

load_is_well() {
	local name well=0

	for name in $LOAD; do
		wait_until 120 app_gone "$name"
		stop_app "$name" || {
			echo "$name: $(cat "$WORK/$name.err")"
			well=1
		}
	done
	rm -f "/dev/mqueue$Q"*flow
	return $well
}

# one_kill: the daemon by SIGKILL or SIGTERM, or its session processes; counted if it has hit
one_kill() {
	ANSWER=sent
	case $((RANDOM % 4)) in
	0) manager "signal 15" ;;
	1) session_processes | xargs kill -KILL 2>/dev/null || ANSWER=none ;;
	*) manager "signal 9" ;;
	esac
	[ "$ANSWER" != sent ] || kills=$((kills + 1))
	sleep "0.0$((RANDOM % 10))"
	[ $((RANDOM % 3)) = 0 ] || wait_until_ready
}

# warm_up: the daemon has had a session, and has none
warm_up() {
	mq-run --slot traffic:all true
	wait_until 5 one_session_process
}

under_load() {
	local kills=0 rounds=0 well=0 before_manager before

	warm_up
	check "connected, under open mediation" mqctl connect traffic:open-all traffic:all
	before=$(descriptors "$DAEMON")
	before_manager=$(descriptors "$(app_pid manager)")
	mqtry "open ${Q}denied rwc 0600 4 64" >/dev/null
	: >"$WORK/load.txt"
	while [ $kills -lt "$KILLS" ]; do
		rounds=$((rounds + 1))
		start_load 20000
		# shellcheck disable=SC2086
		while running $LOAD && [ $kills -lt "$KILLS" ]; do
			one_kill
		done
		wait_until_ready
		load_is_well >>"$WORK/load.txt" || well=1
	done
	echo "# $kills kills of daemons and session processes under $rounds loads of $(wc -w <<<"$LOAD") sessions"
	holds "$kills kills: nothing was lost, doubled, out of order or wrongly allowed" \
		eval "cat load.txt; [ $well = 0 ]"
	holds "… the store is empty" wait_until 5 nothing_stored
	holds "… no session process is left" wait_until 5 one_session_process
	holds "… nor one of an earlier daemon" none_but_ours
	warm_up
	wait_until 5 eval "[ \$(descriptors $DAEMON) -le $before ]"
	holds "… the daemon has no more descriptors than at the start" \
		eval "echo $before \$(descriptors $DAEMON); [ \$(descriptors $DAEMON) -le $before ]"
	holds "… and so has the service manager" \
		test "$(descriptors "$(app_pid manager)")" = "$before_manager"
	rm -f "/dev/mqueue${Q}denied"
}

start_manager
survives 15
survives 9
open_survives 15
open_survives 9
records_of_the_end
ends_meanwhile
of_old
upgraded
loses_while_down
half_way
killed_by_the_next
half_way_at_random
two_at_once
refuses
under_load
stop_manager
holds "no queue is left" test -z "$(own_queues)"
finish
