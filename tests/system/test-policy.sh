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

# Read all the same, with a plug less.
odd_package() {
	write_package odd.yaml <<'YAML'
name: odd
environment: {A: 1}
environment: {B: 2}
plugs:
  events: posix-mq
  tRee: camera
YAML
}

works() {
	mq-run --plug logger:events mqtry "open ${Q}events r"
}

start_with_bad_documents() {
	good_packages
	broken_package
	malformed_package
	odd_package
	echo "name: [not read]" >"$WORK/packages/old.yml"
	mark_log
	start_daemon
	expect_log "a malformed document is named with line and column" \
		"packages/malformed.yaml:4:[0-9]+: error: "
	expect_log "a bad slot is named with line and column" \
		"packages/broken.yaml:6:25: warning: .*raed.*read.*write.*create.*delete"
	expect_log "a bad name is named with line and column" \
		'packages/odd.yaml:6:3: warning: plug "odd:tRee" dropped: '
	expect_log "a key that is twice and not read is only noted" \
		'packages/odd.yaml:3:1: note: key "environment" is already on line 2; '
	expect_log "a .yml file is not read, which is told" \
		'packages/old.yml: note: not read, .*rename it to "old.yaml"'
	run mqctl check packages/malformed.yaml packages/broken.yaml packages/logger.yaml
	expect_status "mqctl check refuses them" 1
	expect_stderr "mqctl check says the same of the one" "packages/malformed.yaml:4:[0-9]+: error: "
	expect_stderr "… and of the other" "packages/broken.yaml:6:25: .*raed"
	check "mqctl check accepts what is good" mqctl check packages/logger.yaml packages/sensor.yaml
	run mqctl slots
	expect_stdout "the rest of a package with a bad slot works" "^broken:fine "
	expect_stdout "the other packages work" "^sensor:events "
	run mqctl plugs
	expect_stdout "the rest of a package with a bad plug works" "^odd:events "
	run mqctl connect logger:events broken:events
	expect_status "the bad slot is not there" 1
	check "the rest can be connected" mqctl connect logger:events sensor:events
	holds "and works" works
	rm "$WORK/packages"/{broken,malformed,odd}.yaml "$WORK/packages/old.yml"
	check "mqctl reload after the repair" mqctl reload
}

# In a directory as in packages.d, and from a pipe.
check_whole_directories() {
	local directory="$WORK/to-check"

	mkdir "$directory"
	echo "name: one" >"$directory/b.yaml"
	echo "name: two" >"$directory/a.yaml"
	run sh -c "mqctl check $directory 2>&1"
	expect_status "a good directory is accepted" 0
	expect_output "… silently" ""
	echo "name: [not read]" >"$directory/c.yml"
	run mqctl check "$directory/"
	expect_status "with a .yml file beside them too" 0
	expect_stderr "… which is told" "^$directory/c.yml: note: not read, .*\"c.yaml\""
	echo "name: one" >"$directory/d.yaml"
	run mqctl check "$directory"
	expect_status "one name twice is refused" 1
	expect_stderr "… naming both files" \
		"^$directory/d.yaml: error: package \"one\" is also in $directory/b.yaml; "
	run sh -c "echo name: two | mqctl check $directory -"
	expect_stderr "… also against a pipe" \
		"^<stdin>: error: package \"two\" is also in $directory/a.yaml; "
	run sh -c "printf 'name: three\nplugs:\n\ta: posix-mq\n' | mqctl check -"
	expect_status "a bad document in a pipe is refused" 1
	expect_stderr "… with its place" "^<stdin>:3:1: error: a tab, "
	check "a good one is accepted" sh -c "echo name: three | mqctl check -"
	rm "$directory"/*
	run mqctl check "$directory"
	expect_stderr "a directory without documents is told" "^$directory: note: no .yaml file"
	rmdir "$directory"
}

# What only a component's hook names no app has.
component_scope() {
	write_package demo.yaml <<'YAML'
name: demo
plugs:
  secrets: {interface: posix-mq}
apps:
  viewer: {command: bin/viewer}
components:
  models:
    type: standard
    hooks:
      install:
        plugs: [secrets]
YAML
	check "a package with a component's hook" mqctl reload
	check "its plug is connected" mqctl connect --any-id demo:secrets sensor:events
	run mq-run --app demo.viewer mqtry "open ${Q}events r"
	expect_stdout "an app has nothing of the hook's" ' -> -1 EACCES$'
	run mq-run --app demo+models.hook.install mqtry "open ${Q}events r"
	expect_stdout "the hook has it" ' -> [0-9]+$'
	rm "$WORK/packages/demo.yaml"
	check "the package is gone" mqctl reload
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
check_whole_directories
component_scope
reload_refused
reload_accepted
second_daemon
stop_app app
state_and_configuration
finish
