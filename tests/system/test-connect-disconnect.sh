#!/bin/bash
# SPDX-License-Identifier: MIT
# Denied, connected, working, disconnected: as root and as an ordinary user.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package logger.yaml <<'YAML'
name: logger
plugs:
  events:
    interface: posix-mq
YAML
write_package sensor.yaml <<'YAML'
name: sensor
slots:
  events:
    interface: posix-mq
    path: @Q@events
    permissions: [read]
  feed:
    interface: posix-mq
    posix-mq: events
    path: @Q@events
    permissions: [write]
  whole:
    interface: posix-mq
    posix-mq: events
    path: @Q@events
    permissions: [read, write, create, delete]
YAML
start_daemon

connected() {
	mqctl connections | grep -Eq "^posix-mq +logger:events +sensor:$1 +manual\$"
}

# denied_everywhere WHO: all that a program may try on the queue, on its open descriptor too
denied_everywhere() {
	expect_answer "$1: opening is refused" app "open ${Q}events r" ' -> -1 EACCES$'
	expect_answer "$1: receiving on the old descriptor is refused" app "receive 0" ' -> -1 EACCES$'
	expect_answer "$1: sending on it is refused" app "send more" ' -> -1 EACCES$'
	expect_answer "$1: mq_notify on it is refused" app "notify" ' -> -1 EACCES$'
	expect_answer "$1: mq_getattr on it is refused" app "getattr" ' -> -1 EACCES$'
	expect_answer "$1: mq_setattr on it is refused" app "setattr n" ' -> -1 EACCES$'
	expect_answer "$1: removing a registration is always allowed" app "unnotify" ' -> 0$'
	expect_answer "$1: unlinking is refused" app "unlink ${Q}events" ' -> -1 EACCES$'
	holds "$1: the queue is still there" test -e "/dev/mqueue${Q}events"
}

denied_before_connect() {
	local pid

	pid=$(app_pid app)
	mark_log
	expect_answer "$1: unconnected, opening is refused" app "open ${Q}events r" ' -> -1 EACCES$'
	expect_log "$1: the record names call and queue" "denied mq_open ${Q}events"
	expect_log "$1: … the missing permission" "denied mq_open .*read"
	expect_log "$1: … the plug" "denied mq_open .*logger:events"
	expect_log "$1: … pid, user and command" "denied mq_open .*$pid.*$2.*mqtry"
	expect_log "$1: … and the command that helps" "mqctl connect logger:events sensor:events"
	expect_answer "$1: a queue of nobody is refused the same way" app "open ${Q}none r" \
		' -> -1 EACCES$'
	expect_answer "$1: a queue of nobody cannot be created" app "open ${Q}none rwc" \
		' -> -1 EACCES$'
	holds "$1: … and was not" test ! -e "/dev/mqueue${Q}none"
	run mqctl explain logger:events read "${Q}events"
	expect_status "$1: mqctl explain: denied" 1
	expect_stdout "$1: … with the command that helps" "mqctl connect logger:events sensor:events"
}

# The app that was denied is the one that gets it: nothing is restarted.
connected_while_running() {
	check "$1: mqctl connect" mqctl connect logger:events sensor:events
	holds "$1: mqctl connect says nothing" test ! -s "$WORK/stdout"
	check "$1: connecting again is success" mqctl connect logger:events sensor:events
	holds "$1: mqctl connections shows it" connected events
	check "$1: mqctl explain: allowed" mqctl explain logger:events read "${Q}events"
	expect_answer "$1: the very next call opens the queue" app "open ${Q}events r" ' -> 0$'
	expect_answer "$1: highest priority first" app "receive" ' -> smoke 9$'
	expect_answer "$1: then the next" app "receive" ' -> door 5$'
	expect_answer "$1: then the lowest" app "receive" ' -> temperature 1$'
	expect_answer "$1: mq_getattr works" app "getattr" ' -> 8 64 0$'
	expect_answer "$1: mq_notify works" app "notify" ' -> 0$'
	expect_answer "$1: … and its removal" app "unnotify" ' -> 0$'
	expect_answer "$1: no more than was granted: writing" app "open ${Q}events w" ' -> -1 EACCES$'
	expect_answer "$1: … reading and writing" app "open ${Q}events rw" ' -> -1 EACCES$'
	expect_answer "$1: … creating" app "open ${Q}events rc" ' -> -1 EACCES$'
	expect_answer "$1: … deleting" app "unlink ${Q}events" ' -> -1 EACCES$'
	expect_answer "$1: … the descriptor itself is read-only" app "send more" ' -> -1 E(BADF|ACCES)$'
}

several_connections_add_up() {
	check "$1: a second connection" mqctl connect logger:events sensor:feed
	expect_answer "$1: adds writing" app "open ${Q}events rw" ' -> 1$'
	expect_answer "$1: sending works" app "send ping 3" ' -> 0$'
	expect_answer "$1: receiving works" app "receive" ' -> ping 3$'
	check "$1: disconnecting the first" mqctl disconnect logger:events sensor:events
	expect_answer "$1: takes reading away from the open descriptor" app "receive 0" ' -> -1 EACCES$'
	expect_answer "$1: and leaves writing" app "send pong 3" ' -> 0$'
	check "$1: disconnecting the second" mqctl disconnect logger:events sensor:feed
	holds "$1: mqctl disconnect says nothing" test ! -s "$WORK/stdout"
}

deleting_needs_delete() {
	check "$1: a slot with all permissions" mqctl connect logger:events sensor:whole
	expect_answer "$1: the old descriptor works again" app "receive" ' -> pong 3$'
	expect_answer "$1: deleting works" app "unlink ${Q}events" ' -> 0$'
	holds "$1: the queue is gone" test ! -e "/dev/mqueue${Q}events"
	expect_answer "$1: creating works" app "open ${Q}events rwcx" ' -> 2$'
	expect_answer "$1: an error of the kernel is the kernel's" app "open ${Q}events rwcx" \
		' -> -1 EEXIST$'
	expect_answer "$1: deleting again" app "unlink ${Q}events" ' -> 0$'
	expect_answer "$1: and again" app "unlink ${Q}events" ' -> -1 ENOENT$'
	check "$1: disconnecting by the plug alone" mqctl disconnect logger:events
	check "$1: … when nothing is connected" mqctl disconnect logger:events
	expect_output "$1: … says so" "No connections to disconnect"
	refute "$1: disconnecting what is not connected" mqctl disconnect logger:events sensor:whole
	expect_message "$1: … says which" "cannot disconnect logger:events from sensor:whole"
}

# round WHO UID PREFIX…: the whole story once
round() {
	local who=$1 uid=$2
	shift 2

	start_app provider "$@" mq-run --slot sensor:whole mqtry
	expect_answer "$who: the slot's side creates, unconnected" provider \
		"open ${Q}events rwcx 600 8 64" ' -> 0$'
	tell provider "send temperature 1"
	tell provider "send smoke 9"
	expect_answer "$who: … and sends" provider "send door 5" ' -> 0$'
	start_app app "$@" mq-run --plug logger:events mqtry
	denied_before_connect "$who" "$uid"
	connected_while_running "$who"
	several_connections_add_up "$who"
	denied_everywhere "$who"
	deleting_needs_delete "$who"
	expect_answer "$who: the slot's side has kept its descriptor" provider "getattr" ' -> 8 64 0$'
	stop_app app
	stop_app provider
}

# Connections are on disk; a session without a daemon is closed, and a new one works.
restart() {
	start_app provider "$@" mq-run --slot sensor:whole mqtry
	tell provider "open ${Q}events rwcx"
	tell provider "send still-here 2"
	start_app old "$@" mq-run --plug logger:events mqtry
	check "restart: connected before" mqctl connect logger:events sensor:events
	expect_answer "restart: the app works" old "open ${Q}events r" ' -> 0$'
	holds "restart: the daemon ends with status 0" stop_daemon
	expect_answer "restart: without a daemon the door is closed" old "open ${Q}events r" \
		' -> -1 (ENOSYS|EACCES)$'
	expect_answer "restart: … on the open descriptor too" old "receive 0" ' -> -1 (ENOSYS|EACCES)$'
	start_daemon
	holds "restart: the connection is still there" connected events
	run "$@" mq-run --plug logger:events mqrecv "${Q}events"
	expect_output "restart: a new app receives" "2 still-here"
	stop_app old
	stop_app provider
	check "restart: disconnected" mqctl disconnect logger:events sensor:events
	restart_daemon
	holds "restart: and stays disconnected" test -z "$(mqctl connections)"
	rm -f "/dev/mqueue${Q}events"
}

# What the kernel has in hand is out of everybody's reach once the daemon is gone; doc/differences.md says so.
waiting() {
	start_app provider "$@" mq-run --slot sensor:whole mqtry
	tell provider "open ${Q}events rwcx"
	check "waiting: connected" mqctl connect logger:events sensor:events
	start_app waiting "$@" mq-run --plug logger:events mqtry
	tell waiting "open ${Q}events r"
	echo receive >&"$(cat "$WORK/waiting.fd")"
	holds "waiting: it waits in the kernel" wait_until 5 grep -q wq_sleep "/proc/$(app_pid waiting)/wchan"
	stop_daemon
	check "waiting: somebody sends" "$@" mqtry "open ${Q}events w" "send late"
	holds "waiting: a call that waited is served without a daemon" \
		wait_until 5 grep -q '^receive.* late' "$WORK/waiting.out"
	stop_app waiting
	stop_app provider
	start_daemon
	check "waiting: disconnected" mqctl disconnect logger:events sensor:events
	rm -f "/dev/mqueue${Q}events"
}

round root "uid 0"
round user "uid 65534" as_user
restart
restart as_user
waiting
waiting as_user
holds "no queue is left" test -z "$(own_queues)"
finish
