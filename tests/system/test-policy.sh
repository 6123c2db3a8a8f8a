#!/bin/bash
# SPDX-License-Identifier: MIT
# Packages, reload and state: bad input is named exactly, and nothing is half-applied.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

good_packages() {
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
}

# The word is at line 6, column 25.
broken_package() {
	write_package broken.yaml <<'YAML'
name: broken
slots:
  events:
    interface: posix-mq
    path: @Q@broken
    permissions: [read, raed]
  fine:
    interface: posix-mq
    path: @Q@fine
YAML
}

# The tab is at line 4.
malformed_package() {
	write_package malformed.yaml <<YAML
name: malformed
slots:
  events:
${1:-	}interface: posix-mq
    path: /malformed
YAML
}

works() {
	mq-run --plug logger:events mqtry "open ${Q}events r"
}

start_with_bad_documents() {
	good_packages
	broken_package
	malformed_package
	mark_log
	start_daemon
	expect_log "a malformed document is named with line and column" \
		"packages/malformed.yaml:4:[0-9]+: error: "
	expect_log "a bad slot is named with line and column" \
		"packages/broken.yaml:6:25: warning: .*raed.*read.*write.*create.*delete"
	run mqctl check packages/malformed.yaml packages/broken.yaml packages/logger.yaml
	expect_status "mqctl check refuses them" 1
	expect_stderr "mqctl check says the same of the one" "packages/malformed.yaml:4:[0-9]+: error: "
	expect_stderr "… and of the other" "packages/broken.yaml:6:25: .*raed"
	check "mqctl check accepts what is good" mqctl check packages/logger.yaml packages/sensor.yaml
	run mqctl slots
	expect_stdout "the rest of a package with a bad slot works" "^broken:fine "
	expect_stdout "the other packages work" "^sensor:events "
	run mqctl connect logger:events broken:events
	expect_status "the bad slot is not there" 1
	check "the rest can be connected" mqctl connect logger:events sensor:events
	holds "and works" works
	rm "$WORK/packages/broken.yaml" "$WORK/packages/malformed.yaml"
	check "mqctl reload after the repair" mqctl reload
}

reload_refused() {
	mark_log
	malformed_package
	sed -i "s|${Q}events|${Q}other|" "$WORK/packages/sensor.yaml"
	run mqctl reload
	expect_status "reloading a malformed document is refused" 1
	expect_stderr "… with its place" "packages/malformed.yaml:4:[0-9]+: error: "
	holds "the old policy is in force" works
	expect_answer "… for the app that runs" app "open ${Q}events r" ' -> [0-9]+$'
	kill -HUP "$DAEMON"
	expect_log "SIGHUP refuses and says so" "packages/malformed.yaml:4:[0-9]+: error: "
	holds "the old policy is still in force" works
}

reload_accepted() {
	malformed_package "    "
	check "reloading the repaired document" mqctl reload
	expect_answer "the very next call of the app is decided by the new policy" \
		app "open ${Q}events r" ' -> -1 EACCES$'
	sed -i "s|${Q}other|${Q}events|" "$WORK/packages/sensor.yaml"
	kill -HUP "$DAEMON"
	holds "SIGHUP reloads" wait_until 5 works
	expect_answer "… for the app that runs" app "open ${Q}events r" ' -> [0-9]+$'
	rm "$WORK/packages/sensor.yaml"
	check "a package may vanish" mqctl reload
	expect_answer "… and its queues with it" app "receive 0" ' -> -1 EACCES$'
	good_packages
	check "and come back" mqctl reload
	expect_answer "… with its connection" app "open ${Q}events r" ' -> [0-9]+$'
}

second_daemon() {
	run mqgated --config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" \
		--state-dir "$WORK/state" --packages "$WORK/packages" \
		--session-program "$WORK/bin/mqgate-session"
	expect_status "a second daemon does not start" 1
	expect_message "… and says why" "^mqgated: .*state"
	holds "the first is not disturbed" works
}

# bad_start DESCRIPTION REGEX: a daemon that must not start
bad_start() {
	run mqgated --config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" \
		--state-dir "$WORK/state" --packages "$WORK/packages" \
		--session-program "$WORK/bin/mqgate-session"
	expect_status "$1: the daemon does not start" 1
	expect_stderr "$1: it says where" "$2"
}

state_and_configuration() {
	local state="$WORK/state/connections.yaml"

	holds "the state is a readable document" grep -q "sensor:events" "$state"
	holds "a daemon that is stopped ends with status 0" stop_daemon
	cp "$state" "$WORK/state.good"
	echo "version: 99" >"$state"
	cp "$state" "$WORK/state.bad"
	bad_start "a newer state" "connections.yaml:1:"
	holds "a newer state: it is not overwritten" cmp "$state" "$WORK/state.bad"
	printf 'version: 1\nconnections: [\n' >"$state"
	cp "$state" "$WORK/state.bad"
	bad_start "a damaged state" "connections.yaml:"
	holds "a damaged state: it is not overwritten" cmp "$state" "$WORK/state.bad"
	cp "$WORK/state.good" "$state"
	printf 'audit:\n  allowed: no\nnonsense: 1\n' >"$WORK/mqgated.yaml"
	bad_start "an unknown key" "mqgated.yaml:3:1: error: .*nonsense"
	rm "$WORK/mqgated.yaml"
	start_daemon
	holds "with the good state everything is as it was" works
	rm -rf "$WORK/state.old" && mv "$WORK/state" "$WORK/state.old" && : >"$WORK/state"
	run mqctl disconnect logger:events sensor:events
	expect_status "state that cannot be written: refused" 1
	holds "… and nothing has changed" works
	rm "$WORK/state" && mv "$WORK/state.old" "$WORK/state"
	check "then it works again" mqctl disconnect logger:events sensor:events
}

mqtry "open ${Q}events rwc" >"$WORK/stdout"
start_with_bad_documents
start_app app mq-run --plug logger:events mqtry
expect_answer "the app works" app "open ${Q}events r" ' -> 0$'
reload_refused
reload_accepted
second_daemon
stop_app app
state_and_configuration
finish
