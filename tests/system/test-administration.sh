#!/bin/bash
# SPDX-License-Identifier: MIT
# Who may change what, and who sees what.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

ADMIN_GROUP=daemon # a group that every system has
ADMIN_GID=$(getent group "$ADMIN_GROUP" | cut -d: -f3)

write_package logger.yaml <<'YAML'
name: logger
plugs:
  events: posix-mq
YAML
write_package sensor.yaml <<'YAML'
name: sensor
slots:
  events:
    interface: posix-mq
    path: @Q@events
YAML
echo "admin-group: $ADMIN_GROUP" >"$WORK/mqgated.yaml"
start_daemon

unconnected() {
	[ -z "$(mqctl connections)" ]
}

# cannot_change WHO PREFIX…
cannot_change() {
	local who=$1
	shift

	run "$@" mqctl connect logger:events sensor:events
	expect_status "$who cannot connect" 1
	expect_message "$who: … and is told why" .
	holds "$who: … nothing is connected" unconnected
	mqctl connect logger:events sensor:events
	run "$@" mqctl disconnect logger:events sensor:events
	expect_status "$who cannot disconnect" 1
	check "$who: … it is still connected" mqctl disconnect logger:events sensor:events
	run "$@" mqctl reload
	expect_status "$who cannot reload" 1
}

can_change() {
	local who=$1
	shift

	mark_log
	check "$who can connect" "$@" mqctl connect logger:events sensor:events
	expect_log "$who: … and is recorded" "connect.*logger:events"
	check "$who can reload" "$@" mqctl reload
	check "$who can disconnect" "$@" mqctl disconnect logger:events sensor:events
}

everyone_can_read() {
	local verb

	for verb in plugs slots "connections --all" status; do
		# shellcheck disable=SC2086
		check "$1 can read: $verb" "${@:2}" mqctl $verb
	done
	run "${@:2}" mqctl explain logger:events read "${Q}events"
	expect_stdout "$1 can ask for an explanation" "mqctl connect"
}

cannot_read() {
	local verb

	for verb in plugs slots "connections --all" sessions status "explain logger:events read ${Q}events" "learn logger:events"; do
		# shellcheck disable=SC2086
		run "${@:2}" mqctl $verb
		expect_status "$1 cannot read: $verb" 1
		expect_message "$1: … and is told why" "permission denied: this process is confined already"
	done
}

# A session is no way to be root, even for root.
confined_root() {
	cannot_change "confined root" mq-run --plug logger:events
	run mq-run --plug logger:events mq-run --plug logger:events touch "$WORK/open/started"
	expect_status "confined root cannot launch again" 125
	holds "… and nothing was started" test ! -e "$WORK/open/started"
	cannot_change "a confined member of the group" \
		as_uid "65533:$ADMIN_GID" mq-run --plug logger:events
}

visible() {
	"$@" mqctl sessions --json | grep -o '"pid": *[0-9]*' | grep -o '[0-9]*' | sort -n | xargs
}

sessions() {
	local root_pid user_pid

	start_app of_root mq-run --plug logger:events mqtry
	start_app of_user as_user mq-run --plug logger:events mqtry
	tell of_root pid
	tell of_user pid
	root_pid=$(app_pid of_root)
	user_pid=$(app_pid of_user)
	run mqctl sessions
	expect_stdout "root sees its session" "^$root_pid +(0|root) +logger:events .*mqtry"
	expect_stdout "root sees a user's session" "^$user_pid +(65534|nobody) +logger:events .*mqtry"
	holds "a user sees its own session only" test "$(visible as_user)" = "$user_pid"
	holds "another user sees none" test -z "$(visible as_uid 65533)"
	stop_app of_root
	stop_app of_user
	holds "sessions that have ended are gone" wait_until 5 no_sessions
}

no_sessions() {
	[ -z "$(visible)" ]
}

# A session is there until its last process is gone, and confines all of them.
last_process() {
	mqtry "open ${Q}events rwc" >/dev/null
	start_app parent mq-run --plug logger:events sh -c 'exec 3<&0; mqtry <&3 & exit 0'
	holds "the first process of a session ends" wait_until 5 app_gone parent
	expect_answer "its child is confined like itself" parent "open ${Q}events r" ' -> -1 EACCES$'
	holds "the session is still there" test -n "$(visible)"
	check "connecting reaches it" mqctl connect logger:events sensor:events
	expect_answer "… from the next call on" parent "open ${Q}events r" ' -> 0$'
	mqctl disconnect logger:events sensor:events
	stop_app parent
	holds "with its last process it is gone" wait_until 5 no_sessions
}

cannot_change "a user" as_user
cannot_change "another user" as_uid 65533
can_change "a member of the admin group" as_uid "65533:$ADMIN_GID"
can_change "root" env
confined_root
everyone_can_read "a user" as_user
cannot_read "a confined app" as_user mq-run --plug logger:events
sessions
last_process
# A socket's path has 107 bytes.
run mqctl --runtime-dir "/$(printf 'a%.0s' {1..98})" status
expect_message "the longest path of a socket: nobody listens" "mqgated is not running"
run mqctl --runtime-dir "/$(printf 'a%.0s' {1..99})" status
expect_message "a longer one is refused" "too long for a socket; choose a shorter --runtime-dir"
finish
