#!/bin/bash
# SPDX-License-Identifier: MIT
# A plug's path: programs with fixed names, wired to other queues, side by side, as root and as a user; and max-mode.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

setup
cat >"$WORK/packages/wiring.yaml" <<YAML
name: wiring
plugs:
  a: {interface: posix-mq, posix-mq: pair, path: [${Q}in, ${Q}out]}
  b: {interface: posix-mq, posix-mq: pair, path: [${Q}in, ${Q}out]}
  fast: {interface: posix-mq, posix-mq: pair, mediation: open, path: [${Q}in, ${Q}out]}
  reader: {interface: posix-mq, posix-mq: read, path: ${Q}in}
  direct: {interface: posix-mq, posix-mq: one}
  tight: {interface: posix-mq, posix-mq: tight}
  swap: {interface: posix-mq, posix-mq: pair, path: [${Q}a-out, ${Q}a-in]}
slots:
  first: {interface: posix-mq, posix-mq: pair, path: [${Q}a-in, ${Q}a-out], permissions: &all [read, write, create, delete]}
  second: {interface: posix-mq, posix-mq: pair, path: [${Q}b-in, ${Q}b-out], permissions: *all}
  readable: {interface: posix-mq, posix-mq: read, path: ${Q}a-in, permissions: [read]}
  itself: {interface: posix-mq, posix-mq: one, path: ${Q}a-in, permissions: [write]}
  tight-one: {interface: posix-mq, posix-mq: tight, path: ${Q}tight, max-mode: 0640, permissions: *all}
  tight-all: {interface: posix-mq, posix-mq: tight, path-pattern: "${Q}tight-*", max-mode: 0606, permissions: *all}
YAML
# shellcheck source=tests/system/service-manager.sh
. "$SOURCE_ROOT/tests/system/service-manager.sh"
start_manager
for pair in a:first b:second fast:first reader:readable direct:itself tight:tight-one tight:tight-all swap:first; do
	mqctl connect "wiring:${pair%:*}" "wiring:${pair#*:}"
done

# expect DESCRIPTION RESULTS PLUG WHO COMMAND…: of mqtry's
expect() {
	local description=$1 results=$2 plug=$3 who=$4
	shift 4
	run as_who "$who" mq-run --plug "wiring:$plug" mqtry "$@"
	expect_results "$description" "$results"
}

queue_exists() {
	[ -e "/dev/mqueue$Q$1" ]
}

no_queue() {
	! queue_exists "$1"
}

for who in root user; do
	# Two instances of one program, each with its own queues, which it calls the same.
	for instance in a b; do
		start_app "$instance" as_who "$who" mq-run --plug "wiring:$instance" mqtry
		expect_answer "$who: $instance creates what it calls in" "$instance" "open ${Q}in rwcx" "-> 0"
		expect_answer "$who: $instance creates what it calls out" "$instance" "open ${Q}out rwcx" "-> 1"
		holds "$who: the queue has its own name" queue_exists "$instance-in"
		holds "$who: and the other, too" queue_exists "$instance-out"
		tell "$instance" "send from-$instance"
	done
	holds "$who: no queue has the program's name" no_queue in
	expect_answer "$who: a hears a" a "receive" "-> from-a 0"
	expect_answer "$who: b hears b" b "receive" "-> from-b 0"
	expect_answer "$who: the queue's own name is not the program's" a "open ${Q}a-in r" EACCES
	expect_answer "$who: nor is another one's" a "open ${Q}b-in r" EACCES
	expect_answer "$who: exclusive creation fails as it would" a "open ${Q}in rwcx" EEXIST
	expect "$who: another program sees the same queue" "0;" reader "$who" "open ${Q}in r"
	expect "$who: with its own permissions" "-1 EACCES;-1 EACCES;" reader "$who" "open ${Q}in rw" \
		"unlink ${Q}in"
	expect_log "$who: the log says both names" \
		"denied mq_unlink ${Q}in \(the queue ${Q}a-in\): delete not granted to wiring:reader"
	tell a "use 0"
	tell a "send swapped"
	expect "$who: another program's names may be exchanged" "0;swapped 0;" swap "$who" "open ${Q}a-out r" receive
	kill -KILL "$(session_processes | head -n1)"
	expect_answer "$who: after a session process was replaced" a "use 0" "-> 0"
	expect_answer "$who: the descriptor" a "send y" "-> 0"
	expect_answer "$who: the name" a "look ${Q}in r" "-> 0"
	take_down 15
	bring_up
	expect_answer "$who: after a restart: the descriptor" a "receive" "-> y 0"
	expect_answer "$who: the name" a "look ${Q}in r" "-> 0"
	check "$who: disconnecting a" mqctl disconnect wiring:a wiring:first
	expect_answer "$who: takes a's descriptor" a "send z" EACCES
	expect_log "$who: the log says both names of it" \
		"denied mq_timedsend ${Q}in \(the queue ${Q}a-in\): write not granted to wiring:a .*to allow: mqctl connect wiring:a wiring:"
	expect_answer "$who: and the name" a "look ${Q}in r" EACCES
	expect_answer "$who: but not b's" b "send z" "-> 0"
	check "$who: wiring it to the other queues" mqctl connect wiring:a wiring:second
	expect_answer "$who: its descriptor of the first is not one of them" a "send z" EACCES
	expect_answer "$who: the name is" a "open ${Q}in rw" "-> 2"
	expect_answer "$who: and means the same as b's" b "use 0" "-> 0"
	tell b "send rewired"
	expect_answer "$who: so they talk" a receive "-> rewired 0"
	mqctl disconnect wiring:a wiring:second
	mqctl connect wiring:a wiring:first
	expect_answer "$who: wired as before, the descriptor is good again" a "use 0" "-> 0"
	expect_answer "$who: indeed" a "send z" "-> 0"
	for name in in out; do
		expect_answer "$who: unlinking $name" a "unlink ${Q}$name" "-> 0"
		expect_answer "$who: b's is there yet" b "look ${Q}$name r" "-> 0"
		holds "$who: a's is not" no_queue "a-$name"
		expect_answer "$who: unlinking b's $name" b "unlink ${Q}$name" "-> 0"
	done
	expect_answer "$who: what is not there" a "open ${Q}in r" ENOENT
	stop_app a
	stop_app b
	expect "$who: open mediation" "0;0;y 0;0;" fast "$who" "open ${Q}in rwcx" "send y" "receive" "unlink ${Q}in"
done

# --- what a disconnect finds ----------------------------------------------------------------------

start_app holder mq-run --plug wiring:fast mqtry
tell holder "open ${Q}in rwcx"
check "disconnecting a program with open mediation" mqctl disconnect wiring:fast wiring:first
expect_stdout "says who holds the queue, whatever it is called" "1 process"
expect_answer "who goes on" holder "send x" "-> 0"
mqctl connect wiring:fast wiring:first
check "or ends it" mqctl disconnect --kill wiring:fast wiring:first
expect_end "it is ended" holder 137
mqctl connect wiring:fast wiring:first
rm -f "/dev/mqueue${Q}a-in"

# --- names that have two meanings -----------------------------------------------------------------

run mq-run --plug wiring:a --plug wiring:b true
expect_status "one name for two queues is refused" 125
expect_message "and both rules are named" \
	"^mq-run: .*${Q}in of wiring:a connected to wiring:first .*${Q}a-in.*${Q}in of wiring:b connected to wiring:second .*${Q}b-in"
run mq-run --plug wiring:a --plug wiring:direct mqtry "open ${Q}in rwcx" "open ${Q}a-in w" "open ${Q}a-in r" "unlink ${Q}in"
expect_results "a queue may have two names, each with its permissions" "0;1;-1 EACCES;0;"
run mq-run --plug wiring:a --plug wiring:swap true
expect_status "names that do not meet are no clash" 0

# --- max-mode -------------------------------------------------------------------------------------

for who in root user; do
	ids="0 0"
	[ "$who" = root ] || ids="65534 65534"
	run as_who "$who" mq-run --plug wiring:tight mqtry "umask 0000" "open ${Q}tight rwcx 07666" stat "unlink ${Q}tight" \
		"open ${Q}tight-x rwcx 0666" stat "unlink ${Q}tight-x" \
		"open ${Q}tight rwc 0400" stat "unlink ${Q}tight" \
		"umask 0022" "open ${Q}tight-y rwc 0777" stat "unlink ${Q}tight-y"
	expect_results "$who: queues get no more bits than max-mode allows" "0;0;$ids 0640;0;1;$ids 0606;0;2;$ids 0400;0;0;3;$ids 0604;0;"
done
run mq-run --slot wiring:tight-one mqtry "umask 0000" "open ${Q}tight rwcx 0666" stat "unlink ${Q}tight"
expect_results "neither do the slot's own" "0;0;0 0 0640;0;"
mqtry "umask 0000" "open ${Q}tight rwcx 0666" >/dev/null
run mq-run --plug wiring:tight mqtry "open ${Q}tight rwc 0600" stat "unlink ${Q}tight"
expect_results "what exists stays as it is" "0;0 0 0666;0;"
stop_manager
finish
