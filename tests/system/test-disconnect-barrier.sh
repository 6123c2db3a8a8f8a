#!/bin/bash
# SPDX-License-Identifier: MIT
# A session process is held between a verdict and its answer, while the right is taken away: mqctl disconnect does not return before, and
# nothing of what was allowed gets through after.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

HOLD=$WORK/hold
mkdir "$HOLD"
write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq}
slots:
  all: {interface: posix-mq, posix-mq: work, path: @Q@held, permissions: [read, write, create]}
YAML
mv "$WORK/bin/mqgate-session" "$WORK/bin/mqgate-session.real"
cat >"$WORK/bin/mqgate-session" <<SCRIPT
#!/bin/sh
ASAN_OPTIONS=verify_asan_link_order=0 HOLD_DIR=$HOLD LD_PRELOAD=$BUILD_ROOT/tests/preload/hold.so exec $WORK/bin/mqgate-session.real
SCRIPT
chmod 755 "$WORK/bin/mqgate-session"
start_daemon

# begin: an app that has the queue open
begin() {
	rm -f "$HOLD"/* "$WORK"/cut.*
	check "connected" mqctl connect app:work app:all
	start_app app as_user mq-run --plug app:work mqtry
	expect_answer "an app opens the queue" app "open ${Q}held rwc 0666 4 64" ' -> 0$'
}

# in_background LINE: gives the app a command and does not wait
in_background() {
	BEFORE=$(wc -l <"$WORK/app.out")
	echo "$1" >&"$(cat "$WORK/app.fd")"
}

# cut: disconnects, and sends a message the moment that has returned
cut_off() {
	{
		close_apps
		mqctl disconnect app:work app:all 2>"$WORK/cut.err"
		echo $? >"$WORK/cut.status.new"
		mqtry "open ${Q}held w" "send late" >/dev/null
		mv "$WORK/cut.status.new" "$WORK/cut.status"
	} </dev/null &
	CUT=$!
}

# has_returned: of mqctl
has_returned() {
	test -e "$WORK/cut.status.new" -o -e "$WORK/cut.status"
}

does_not_return() {
	sleep 0.3 # less than bring-back.c waits before it kills
	! has_returned
}

# expect_cut DESCRIPTION SECONDS STATUS
expect_cut() {
	within "$2" test -e "$WORK/cut.status"
	wait $CUT
	holds "$1" grep -qx "$3" "$WORK/cut.status"
}

# expect_later DESCRIPTION REGEX: what the app's command in the background has given
expect_later() {
	wait_until 10 more_lines "$WORK/app.out" "$BEFORE"
	holds "$1" grep -Eq -- "$2" <(sed -n "$((BEFORE + 1))p" "$WORK/app.out")
}

# expect_untouched: the message that was sent afterwards is the only one
expect_untouched() {
	run mqtry "open ${Q}held r" "getattr" "receive"
	expect_stdout "$1: the message that was sent afterwards is there" 'receive -> late 0$'
	expect_stdout "$1: and no other" 'getattr -> 4 64 1$'
}

end() {
	stop_app app
	rm -f "/dev/mqueue${Q}held"
}

# --- released in time -----------------------------------------------------------------------------

begin
touch "$HOLD/answer"
in_background "receive 5"
holds "held with a receive that was allowed, not answered yet" wait_until 5 test -e "$HOLD/held"
cut_off
holds "… disconnect does not return meanwhile" does_not_return
touch "$HOLD/release"
expect_cut "… but when that is over" 5 0
expect_later "… and the receive gets nothing" ' -> -1 EACCES$'
expect_untouched "receive"
end

begin
touch "$HOLD/inject"
in_background "open ${Q}held rw"
holds "held with a descriptor that is not in the app yet" wait_until 5 test -e "$HOLD/held"
cut_off
holds "… disconnect does not return meanwhile" does_not_return
touch "$HOLD/release"
expect_cut "… but when that is over" 5 0
expect_later "… the descriptor has arrived before" ' -> 1$'
expect_answer "… and is of no use" app "send stolen" ' -> -1 EACCES$'
expect_answer "… nor can it be opened again" app "open ${Q}held rw" ' -> -1 EACCES$'
expect_untouched "open"
end

begin
in_background "receive 10"
sleep 0.3
touch "$HOLD/trace"
cut_off
expect_cut "held before a blocked receiver is brought back: a child is, and another one does it" 2 0
expect_later "… and the receiver gets nothing" ' -> -1 EACCES$'
expect_untouched "trace"
touch "$HOLD/release"
end

# --- never released -------------------------------------------------------------------------------

begin
mark_log
touch "$HOLD/answer"
in_background "receive 10"
holds "held for ever" wait_until 5 test -e "$HOLD/held"
cut_off
holds "… disconnect does not return meanwhile" does_not_return
TEST_PATIENCE=1 expect_log "… the session process is killed" 'session process [0-9]+: (had one request in hand for too long|did not acknowledge in time); killed'
expect_cut "… disconnect returns when another one has taken over" 8 0
expect_later "… which refuses what was held" ' -> -1 EACCES$'
expect_untouched "for ever"
end

# expect_killed DESCRIPTION: the app
expect_killed() {
	holds "$1" wait_until 5 app_gone app
	stop_app app
	rm -f "/dev/mqueue${Q}held"
}


begin
mark_log
in_background "receive 10"
sleep 0.3
touch "$HOLD/trace" "$HOLD/always"
cut_off
expect_cut "every child is held before it brings a receiver back: disconnect is in force" 5 0
TEST_PATIENCE=1 expect_log "… the app is killed" 'killed: what it had could not be taken back otherwise'
expect_untouched "every child"
touch "$HOLD/release"
expect_killed "… and gone"

begin
mark_log
touch "$HOLD/answer" "$HOLD/always"
in_background "receive 20"
holds "held for ever, and so is every other one" wait_until 5 test -e "$HOLD/held"
cut_off
expect_cut "… disconnect is in force" 5 0
TEST_PATIENCE=1 expect_log "… since the app is killed" 'the 1 processes of the session of pid [0-9]+ are killed: '
expect_untouched "every one"
touch "$HOLD/release"
expect_killed "… and gone"
finish
