#!/bin/bash
# SPDX-License-Identifier: MIT
# Launchers made by hand, by an ordinary user: none gives anything, stops anybody else, holds up the
# manager or leaves anything behind.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package rogue.yaml <<'YAML'
name: rogue
plugs:
  granted: posix-mq
slots:
  granted-queues:
    interface: posix-mq
    path: "@Q@granted"
    permissions: [read, write, create]
YAML
start_daemon
check "connected" mqctl connect rogue:granted rogue:granted-queues
TARGET=${Q}target
GRANTED=${Q}granted
check "root's queue" mqtry "open $TARGET rwc 600 4 64"
check "a queue of everybody's" sh -c "umask 0; mqtry 'open $GRANTED rwc 666 4 64'"
others_are_served() { :; }; nothing_left() { :; }
rogue_app() {
	start_app "rogue-$1" as_user rogue-launcher app "$1" "$TARGET" "$GRANTED" "${@:2}"
	sleep 0.3
	others_are_served "$1"
	wait_until 20 app_gone "rogue-$1"
	stop_app "rogue-$1"
	cp "$WORK/rogue-$1.out" "$WORK/stdout"
	cp "$WORK/rogue-$1.err" "$WORK/stderr"
	STATUS=- COMMAND="rogue-launcher app $*"
}
expect_queues() {
	expect_stdout "$1: opening" "^open-target EACCES"
	expect_stdout "$1: creating" "^create-target EACCES"
	expect_stdout "$1: deleting" "^unlink-target EACCES"
	expect_stdout "$1: a granted one opens" "^open-granted positive"
	expect_stdout "$1: a granted one is not deleted" "^unlink-granted EACCES"
	nothing_left "$1"
}
for i in $(seq ${N:-12}); do rogue_app vanish; grep -q "^open-granted positive" "$WORK/stdout" || { echo "BAD $i"; cat $WORK/stdout;  grep DBG $WORK/daemon.log | grep -v "inject -2" | tail -5; grep granted $WORK/daemon.log | grep -v target | tail -5; }; done; grep -v denied $WORK/daemon.log
finish
