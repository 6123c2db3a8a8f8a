#!/bin/bash
# SPDX-License-Identifier: MIT
# How connections come and go: automatic, timed, applied as a list; apps; and reload, which may give
# and take of what running apps have.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

# turbine PERMISSIONS [PUBLISHER] [ID-OF-WATCH]
turbine() {
	write_package turbine.yaml <<YAML
name: turbine
publisher: ${2:-us}
slots:
  watch: {interface: posix-mq, posix-mq: ${3:-watch}, path: @Q@watch, permissions: $1}
  steer: {interface: posix-mq, path: @Q@steer, permissions: [write]}
  free: {interface: posix-mq, posix-mq: nobody, path: @Q@watch, permissions: [read]}
YAML
}

panel() {
	write_package panel.yaml <<YAML
name: panel
publisher: us
plugs:
  watch: posix-mq
  steer: posix-mq
apps:
  screen: {plugs: [${1:-watch}]}
  wheel: {plugs: [steer]}
  lamp: ${2:-}
YAML
}

connections() {
	mqctl connections | sed 1d | tr -s ' '
}

# expect_connections DESCRIPTION LINE…
expect_connections() {
	local description=$1

	shift
	holds "$description" test "$(connections)" = "$(printf '%s\n' "$@")"
}

WATCH="posix-mq panel:watch turbine:watch"
FREE="posix-mq panel:watch turbine:free"
STEER="posix-mq panel:steer turbine:steer"

mqtry "open ${Q}watch rwc" "open ${Q}steer rwc" >/dev/null
turbine "[read]"
panel
mark_log
start_daemon

# --- automatic ------------------------------------------------------------------------------------

expect_connections "at start packages of one publisher are connected" "$STEER -" "$WATCH -"
expect_log "… and it is recorded" "connect panel:watch turbine:watch: by start"
holds "… on disk too" grep -q "state: auto" "$WORK/state/connections.yaml"
start_app app mq-run --plug panel:watch mqtry
expect_answer "an app can use it" app "open ${Q}watch r" ' -> 0$'
mark_log
turbine "[read]" them
check "a reload with another publisher" mqctl reload
expect_connections "… takes it back"
expect_log "… and it is recorded" "disconnect panel:watch turbine:watch: by reload"
expect_answer "… from the running app" app "receive 0" ' -> -1 EACCES$'
mark_log
turbine "[read]"
check "a reload with the same publisher" mqctl reload
expect_connections "… connects again" "$STEER -" "$WATCH -"
expect_log "… and it is recorded" "connect panel:watch turbine:watch: by reload"
expect_answer "… the running app" app "open ${Q}watch r" ' -> 1$'
check "cut by hand" mqctl disconnect panel:watch turbine:watch
check "… it stays cut over a reload" mqctl reload
expect_connections "… indeed" "$STEER -"
restart_daemon
expect_connections "… and over a restart" "$STEER -"
refute "what was not connected cannot be forgotten" \
	mqctl disconnect --forget panel:watch turbine:free
expect_message "… and says so" \
	"cannot forget connection panel:watch from turbine:free, it was not connected"
check "forgotten" mqctl disconnect --forget panel:watch turbine:watch
expect_connections "… it is not connected yet" "$STEER -"
check "… but at the next reload" mqctl reload
expect_connections "… indeed" "$STEER -" "$WATCH -"
check "forgetting cuts at once" mqctl disconnect --forget panel:watch turbine:watch
expect_connections "… indeed" "$STEER -"
mqctl reload
stop_app app

# --- reload: more and less for an app that runs -----------------------------------------------------

start_app app mq-run --plug panel:watch mqtry
expect_answer "permissions of the document: read" app "open ${Q}watch r" ' -> 0$'
expect_answer "… no more" app "open ${Q}watch w" ' -> -1 EACCES$'
turbine "[read, write]"
check "reload: permissions grow" mqctl reload
expect_answer "… the running app may write" app "open ${Q}watch rw" ' -> 1$'
expect_answer "… and does" app "send grown" ' -> 0$'
turbine "[write]"
check "reload: permissions shrink" mqctl reload
expect_answer "… the running app may not read" app "receive 0" ' -> -1 EACCES$'
expect_answer "… nor open for reading" app "open ${Q}watch r" ' -> -1 EACCES$'
expect_answer "… but write" app "send shrunk" ' -> 0$'
turbine "[]"
check "reload: nothing but open" mqctl reload
expect_answer "… no writing" app "send more" ' -> -1 EACCES$'
expect_answer "… attributes still" app "getattr" ' -> 10 8192 2$'
turbine "[read]"
mqctl reload
stop_app app

# --- apps -----------------------------------------------------------------------------------------

start_app screen mq-run --app panel.screen mqtry
start_app wheel mq-run --app panel.wheel mqtry
start_app lamp mq-run --app panel.lamp mqtry
expect_answer "an app has the plug that it names" screen "open ${Q}watch r" ' -> 0$'
expect_answer "… and no other's" screen "open ${Q}steer w" ' -> -1 EACCES$'
expect_answer "another has its own" wheel "open ${Q}steer w" ' -> 0$'
expect_answer "… only" wheel "open ${Q}watch r" ' -> -1 EACCES$'
mark_log
expect_answer "an app that names none has none" lamp "open ${Q}watch r" ' -> -1 EACCES$'
expect_log "… and its record says so" "read not granted to the session, to which nothing is bound"
run mqctl sessions
expect_stdout "sessions shows what is bound" " panel:steer +- "
panel "watch, steer"
check "reload: an app names another plug" mqctl reload
expect_answer "… it has it at once" screen "open ${Q}steer w" ' -> 1$'
panel "steer" "{plugs: [watch]}"
check "reload: and the first no longer" mqctl reload
expect_answer "… it is gone at once" screen "open ${Q}watch r" ' -> -1 EACCES$'
expect_answer "… and another's at once" lamp "open ${Q}watch r" ' -> 0$'
run mq-run --app panel.scren true
expect_status "an unknown app is refused" 125
expect_message "… and the nearest named" 'has no app named "scren"; did you mean "screen"'
run mq-run --app panel true
expect_status "a package alone is no app" 125
panel
mqctl reload
stop_app screen
stop_app wheel
stop_app lamp

# --- timed ----------------------------------------------------------------------------------------

start_app app mq-run --plug panel:watch mqtry
mqctl disconnect panel:watch turbine:watch
mark_log
check "connect for 3 seconds" mqctl connect --any-id --for 3s panel:watch turbine:free
run mqctl connections
expect_stdout "… its end is in the notes" \
	"panel:watch +turbine:free +manual,until=20[0-9-]*T[0-9:]*Z,any-id$"
expect_log "… and is recorded" "connect panel:watch turbine:free any-id until 20.*: by pid"
holds "… and on disk" grep -Eq "until: 20[0-9-]*T[0-9:]*Z$" "$WORK/state/connections.yaml"
expect_answer "the app uses it" app "open ${Q}watch r" ' -> 0$'
expect_answer "… and receives" app "receive 0" ' -> grown 0$'
expect_log "it runs out, and that is recorded" "disconnect panel:watch turbine:free.*: by timer"
expect_answer "… for the open descriptor" app "receive 0" ' -> -1 EACCES$'
expect_answer "… and for new ones" app "open ${Q}watch r" ' -> -1 EACCES$'
holds "… and on disk" test -z "$(grep free "$WORK/state/connections.yaml")"
check "connect for 2 seconds" mqctl connect --any-id --for 2s panel:watch turbine:free
check "… and connect again without an end" mqctl connect panel:watch turbine:free
sleep 3.2
expect_answer "… it does not run out" app "open ${Q}watch r" ' -> 1$'
check "… and with an end" mqctl connect --for "1h 30m" panel:watch turbine:free
check "… and with an earlier one" mqctl connect --for 2s panel:watch turbine:free
restart_daemon
run mqctl connections
expect_stdout "the end survives a restart" "turbine:free +manual,until="
stop_daemon
sleep 3.2
mark_log
start_daemon
expect_connections "what ran out without a daemon is not connected at its start" "$STEER -"
expect_log "… and it is recorded" "disconnect panel:watch turbine:free.*: by timer"
holds "… and on disk" test -z "$(grep free "$WORK/state/connections.yaml")"
run mqctl connect --for 10 panel:watch turbine:free
expect_status "a number without a unit is wrong usage" 2
expect_message "… and says what is right" "as 90s, 10m, 2h or 1d"
run mqctl connect --for 99999d panel:watch turbine:free
expect_status "so is too long a time" 2
run mqctl disconnect --for 10m panel:watch turbine:free
expect_status "disconnect takes no time" 2
stop_app app

# The state cannot be written: what has run out is cut all the same.
start_app app mq-run --plug panel:watch mqtry
mqctl connect --any-id --for 2s panel:watch turbine:free
expect_answer "before its end it works" app "open ${Q}watch r" ' -> 0$'
mark_log
mv "$WORK/state" "$WORK/state.away" && : >"$WORK/state"
expect_log "the state cannot be written" "cannot write the connections.*nevertheless"
expect_answer "… the end has come nevertheless" app "receive 0" ' -> -1 EACCES$'
rm "$WORK/state" && mv "$WORK/state.away" "$WORK/state"
restart_daemon
expect_connections "… and stays" "$STEER -"
stop_app app

# --- apply ----------------------------------------------------------------------------------------

cat >"$WORK/list.yaml" <<'YAML'
version: 1
connections:
- {plug: panel:watch, slot: turbine:watch}
- {plug: panel:watch, slot: turbine:free, any-id: true}
YAML
start_app app mq-run --plug panel:watch mqtry
start_app other mq-run --plug panel:steer mqtry
expect_answer "before apply: one" other "open ${Q}steer w" ' -> 0$'
expect_answer "before apply: not the other" app "open ${Q}watch r" ' -> -1 EACCES$'
check "apply --dry-run" mqctl apply --dry-run "$WORK/list.yaml"
expect_output "… shows the difference" "+ panel:watch turbine:free
+ panel:watch turbine:watch
- panel:steer turbine:steer"
expect_connections "… and changes nothing" "$STEER -"
mark_log
check "apply" mqctl apply "$WORK/list.yaml"
expect_connections "… makes the list true" "$FREE manual,any-id" "$WATCH manual"
expect_log "… and records who" "apply .*list.yaml: by pid"
expect_log "… and what" "disconnect panel:steer turbine:steer: by pid"
expect_answer "… for running apps: given" app "open ${Q}watch r" ' -> 0$'
expect_answer "… and taken" other "send no" ' -> -1 EACCES$'
check "apply again" mqctl apply "$WORK/list.yaml"
expect_output "… is nothing" ""
check "after a reload too" mqctl reload
check "apply again" mqctl apply "$WORK/list.yaml"
expect_output "… is nothing" ""
sed -i 's/turbine:free/turbine:fre/' "$WORK/list.yaml"
run mqctl apply "$WORK/list.yaml"
expect_status "a list with one unknown slot is refused" 1
expect_stderr "… with its place" 'list.yaml:4:29: error: .*"fre"; did you mean "free"'
expect_connections "… and nothing has changed" "$FREE manual,any-id" "$WATCH manual"
printf 'version: 1\nconnections: []\n' >"$WORK/list.yaml"
run as_user mqctl apply --dry-run "$WORK/list.yaml"
expect_status "a user cannot apply" 1
expect_stderr "… and is told who can" "permission denied: .*root and the members of admin-group"
check "an empty list" mqctl apply "$WORK/list.yaml"
expect_connections "… disconnects everything"
printf 'version: 1\nconnections:\n- {plug: panel:watch, slot: turbine:watch}\n' >"$WORK/list.yaml"
check "a list as mqctl 0.1.0 sends it" python3 "$(dirname "$0")/neighbour.py" apply "$WORK/list.yaml"
expect_stdout "… and if it is too long, that is said" \
	"^answer .*Limit.*the message has more than 65536 bytes" # CONTROL_MESSAGE_MAX
expect_connections "… is applied" "$WATCH manual"
{
	cat "$WORK/list.yaml"
	head -c 1000000 /dev/zero | tr '\0' '#'
} >"$WORK/long.yaml"
check "this mqctl sends a longer one" mqctl apply "$WORK/long.yaml"
expect_connections "… and it is applied" "$WATCH manual"
run mqctl apply "$WORK/nowhere.yaml"
expect_status "a list that is not there" 1
stop_app app
stop_app other

# --- ids ------------------------------------------------------------------------------------------

refute "two of differing ids are not connected" mqctl connect panel:watch turbine:free
expect_message "… and it is said how" 'panel:watch \(id "watch"\) to turbine:free \(id "nobody"\)'"\
: the ids must be the same \\(posix-mq: nobody in the plug\\); to connect them nevertheless: mqctl connect --any-id panel:watch turbine:free"
refute "… nor for a time" mqctl connect --for 1h panel:watch turbine:free
expect_connections "… indeed" "$WATCH manual"
check "--any-id connects them" mqctl connect --any-id panel:watch turbine:free
check "… once is enough" mqctl connect panel:watch turbine:free
expect_connections "… indeed" "$FREE manual,any-id" "$WATCH manual"
turbine "[read]" us other
check "a slot gets another id" mqctl reload
restart_daemon
expect_connections "… the connection stays" "$FREE manual,any-id" "$WATCH manual,any-id"
check "… and is cut" mqctl disconnect panel:watch turbine:free
start_app app mq-run --plug panel:watch mqtry
expect_answer "… the other works" app "open ${Q}watch r" ' -> 0$'
run mqctl apply "$WORK/list.yaml"
expect_status "a list must say so" 1
expect_stderr "… and is told how" \
	'list.yaml:3:3: error: the id of panel:watch is "watch".*"other".* add "any-id: true"$'
sed -i 's/}/, any-id: true}/' "$WORK/list.yaml"
check "a list that does is applied" mqctl apply "$WORK/list.yaml"
expect_output "… and changes nothing" ""
check "now both are cut" mqctl disconnect panel:watch
mark_log
expect_answer "a record has the whole command" app "open ${Q}watch r" ' -> -1 EACCES$'
expect_log "… indeed" "to allow: mqctl connect --any-id panel:watch turbine:free"
run mqctl explain panel:watch read "${Q}watch"
expect_stdout "… so has explain" "^To allow it: mqctl connect --any-id panel:watch turbine:free$"
eval "$(stdout | sed -n 's/^To allow it: //p')"
expect_connections "… and it works" "$FREE manual,any-id"
stop_app app
finish
