#!/bin/bash
# SPDX-License-Identifier: MIT
# Each situation in which mqctl has something to say: its exit code and its text, to the letter.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package logger.yaml <<'YAML'
name: logger
plugs:
  events: posix-mq
  spare: posix-mq
  camera: {interface: camera}
YAML
write_package sensor.yaml <<'YAML'
name: sensor
slots:
  events: {interface: posix-mq, path: @Q@events, permissions: [read]}
YAML
write_package multi.yaml <<'YAML'
name: multi
slots:
  can-read: {interface: posix-mq, path: [@Q@test, @Q@rest], permissions: [read]}
  can-write: {interface: posix-mq, path: @Q@test, permissions: [write]}
YAML
write_package pump.yaml <<'YAML'
name: pump
publisher: us
plugs:
  water: posix-mq
YAML
write_package tank.yaml <<'YAML'
name: tank
publisher: us
slots:
  water: {interface: posix-mq, path: @Q@water}
YAML

# situation DESCRIPTION STATUS TEXT ARGUMENT…: "mqctl ARGUMENT…" ends with STATUS and prints TEXT,
# on stdout if STATUS is 0, else on stderr after "error: ", and nothing on the other
situation() {
	local description=$1 status=$2 text=$3 stdout= stderr=

	shift 3
	run mqctl "$@"
	if [ "$status" = 0 ]; then
		stdout=$text
	else
		stderr="error: $text"
	fi
	[ "$STATUS" = "$status" ] && [ "$(stdout)" = "$stdout" ] && [ "$(stderr)" = "$stderr" ]
	verdict "$description" $? "expected status $status and: $text"
}

absent() {
	situation "no daemon: $*" 1 "mqgated is not running: nothing listens at $WORK/run/control; start\
 it, for example with \"systemctl start mqgated\", or give its --runtime-dir" "$@"
}

LOGGER_PLUGS='the plugs of package "logger" are: events, spare'

connecting() {
	situation "connect: the package of the plug is missing" 1 \
		'package "loger" is not known; did you mean "logger"?' connect loger:events sensor:events
	situation "connect: … and none is near" 1 \
		"package \"xyz\" is not known; packages are read from $WORK/packages, then mqctl reload" \
		connect xyz:nothing sensor:events
	situation "connect: the package of the slot is missing" 1 \
		'package "sensr" is not known; did you mean "sensor"?' connect logger:events sensr
	situation "connect: no such plug" 1 \
		'package "logger" has no plug named "evnts"; did you mean "events"?' \
		connect logger:evnts sensor:events
	situation "connect: … and none is near" 1 \
		'package "logger" has no plug named "x"; its plugs are: events, spare' \
		connect logger:x sensor:events
	situation "connect: … and there are none" 1 \
		'package "sensor" has no plug named "x"; it has no plugs' connect sensor:x sensor:events
	situation "connect: no such slot" 1 \
		'package "sensor" has no slot named "event"; did you mean "events"?' \
		connect logger:events sensor:event
	situation "connect: … and none is near" 1 \
		'package "multi" has no slot named "x"; its slots are: can-read, can-write' \
		connect logger:events multi:x
	situation "connect: a plug of another interface is none" 1 \
		'package "logger" has no plug named "camera"; its plugs are: events, spare' \
		connect logger:camera sensor:events
	situation "connect: slot first" 1 'sensor:events is a slot and logger:events a plug, and the plug'"\
 comes first: mqctl connect logger:events sensor:events" connect sensor:events logger:events
	situation "connect: the plug's name left out" 1 \
		"invalid value: \"logger\" (want package:name); $LOGGER_PLUGS" connect logger sensor
	situation "connect: the plug's package left out" 1 \
		'invalid value: ":events" (want package:name)' connect :events sensor
	situation "connect: too many colons" 1 \
		'invalid value: "a:b:c" (want package:name)' connect a:b:c sensor
	situation "connect: a package without slots" 1 \
		'package "logger" has no "posix-mq" interface slots; see mqctl slots' \
		connect logger:events logger
	situation "connect: a package of several slots" 1 \
		'package "multi" has multiple "posix-mq" interface slots: can-read, can-write; name one: '"\
mqctl connect --any-id logger:events multi:can-read" connect logger:events multi
	situation "connect: the slot left out" 1 \
		"the slot is missing; name one: mqctl connect logger:events sensor:events" connect logger:events
	situation "connect: the slot left out, and none of its id" 1 \
		'the slot is missing; name one, "mqctl slots" lists them' connect logger:spare
	situation "connect" 0 "" connect logger:events sensor:events
	situation "connect: already connected" 0 "" connect logger:events sensor:events
	situation "connect: other ids" 1 'cannot connect logger:spare (id "spare") to sensor:events (id "events")'"\
: the ids must be the same (posix-mq: events in the plug); to connect them nevertheless: mqctl connect --any-id logger:spare sensor:events" \
		connect logger:spare sensor
	situation "connect: other ids, and an end" 1 'cannot connect logger:spare (id "spare") to sensor:events'"\
 (id \"events\"): the ids must be the same (posix-mq: events in the plug); to connect them nevertheless: mqctl connect --any-id --for SPAN \
logger:spare sensor:events" connect --for 10m logger:spare sensor:events
	situation "connect: slot first, and other ids" 1 'sensor:events is a slot and logger:spare a plug, and '"\
the plug comes first: mqctl connect --any-id logger:spare sensor:events" connect sensor:events logger:spare
	situation "connect: the only slot of a package" 0 "" connect --any-id logger:spare sensor
	situation "connect: any id will do" 0 "" connect --any-id logger:spare multi:can-write
}

disconnecting() {
	situation "disconnect: not connected, but something else is" 1 \
		'cannot disconnect logger:events from multi:can-read, it is not connected; logger:events '"\
is connected to sensor:events" disconnect logger:events multi:can-read
	situation "disconnect: slot first" 1 'sensor:events is a slot and logger:events a plug, and the plug'"\
 comes first: mqctl disconnect logger:events sensor:events" disconnect sensor:events logger:events
	situation "disconnect" 0 "" disconnect logger:events sensor:events
	situation "disconnect: not connected, nothing is" 1 \
		'cannot disconnect logger:events from sensor:events, it is not connected; logger:events '"\
is connected to nothing" disconnect logger:events sensor:events
	situation "disconnect --wait: not connected" 0 "No connections to disconnect" \
		disconnect --wait 0 logger:events sensor:events
	situation "disconnect PLUG: nothing connected" 0 "No connections to disconnect" \
		disconnect logger:events
	situation "disconnect SLOT: nothing connected" 0 "No connections to disconnect" \
		disconnect multi:can-read
	situation "disconnect PLUG" 0 "" disconnect logger:spare
	situation "disconnect PLUG: … all of it" 0 "No connections to disconnect" disconnect logger:spare
	situation "disconnect: missing package" 1 'package "senso" is not known; did you mean "sensor"?' \
		disconnect senso:events
	situation "disconnect: no such plug or slot" 1 \
		'package "sensor" has no plug or slot named "x"; see mqctl connections --all' \
		disconnect sensor:x
	situation "disconnect: no such plug" 1 \
		'package "logger" has no plug named "spar"; did you mean "spare"?' \
		disconnect logger:spar sensor:events
	situation "disconnect: no such slot" 1 \
		'package "multi" has no slot named "can-wrte"; did you mean "can-write"?' \
		disconnect logger:spare multi:can-wrte
	situation "disconnect: a package alone" 1 'invalid value: "logger"; allowed forms are PACKAGE:PLUG '"\
PACKAGE:SLOT or PACKAGE:PLUG-OR-SLOT; see mqctl connections" disconnect logger
	situation "disconnect: a package alone as slot" 1 \
		'invalid value: "sensor" (want package:name); the slots of package "sensor" are: events' \
		disconnect logger:events sensor
	situation "disconnect --forget: no record" 1 \
		'cannot forget connection logger:events from sensor:events, it was not connected' \
		disconnect --forget logger:events sensor:events
}

automatic() {
	situation "automatic: listed without a note" 0 "Interface  Plug        Slot        Notes
posix-mq   pump:water  tank:water  -" connections
	situation "automatic: disconnect" 0 "" disconnect pump:water tank:water
	situation "automatic: … is remembered, and not made again" 0 "" reload
	situation "automatic: … nothing connected, no output" 0 "" connections
	situation "automatic: … shown as not connected" 0 "Interface  Plug        Slot  Notes
posix-mq   pump:water  -     -" connections pump
	situation "automatic: --forget what is only remembered" 0 "" \
		disconnect --forget pump:water tank:water
	situation "automatic: … and it comes back" 0 "" reload
	situation "automatic: connected again" 0 "Interface  Plug        Slot        Notes
posix-mq   pump:water  tank:water  -" connections pump
	situation "automatic: connect makes it manual" 0 "" connect pump:water tank:water
	situation "manual: listed with its note" 0 "Interface  Plug        Slot        Notes
posix-mq   pump:water  tank:water  manual" connections tank
	situation "manual: disconnect leaves nothing" 0 "" disconnect tank:water
}

listing() {
	situation "connections: unknown package" 1 \
		'package "loggr" not found; did you mean "logger"?' connections loggr
	situation "connections: … and none is near" 1 \
		'package "xyz" not found; "mqctl connections --all" lists every plug and slot' connections xyz
	situation "connections: one package" 0 "Interface  Plug           Slot  Notes
posix-mq   logger:events  -     -
posix-mq   logger:spare   -     -" connections logger
	situation "connections --all with a package" 2 \
		'cannot use --all with a package name; leave one of them out' \
		connections --all logger
}

usage() {
	situation "no such verb" 2 'unknown verb "conect"; did you mean "connect"?' conect a b
	situation "no such verb, none near" 2 'unknown verb "frobnicate"; "mqctl --help" lists them' \
		frobnicate
	situation "connect without anything" 2 'too few arguments for connect
Usage: mqctl connect [--any-id] [--for SPAN] PKG:PLUG PKG[:SLOT]' connect
	situation "connect with three" 2 'too many arguments for connect: "c:c"
Usage: mqctl connect [--any-id] [--for SPAN] PKG:PLUG PKG[:SLOT]' connect a:a b:b c:c
	situation "disconnect without anything" 2 'too few arguments for disconnect
Usage: mqctl disconnect [--forget] [--kill] [--wait S] PKG:NAME [PKG:SLOT]' disconnect
	situation "disconnect: --wait has taken the plug for its number" 2 "--wait needs a number of seconds, \
such as 10, before \"logger:events\"
Usage: mqctl disconnect [--forget] [--kill] [--wait S] PKG:NAME [PKG:SLOT]" disconnect --wait logger:events
	situation "connect: --for has taken the plug for its span" 2 "--for needs a time span, such as 10m, \
before \"logger:events\"
Usage: mqctl connect [--any-id] [--for SPAN] PKG:PLUG PKG[:SLOT]" connect --for logger:events
	situation "an option that does not belong" 2 'connect does not take --json
Usage: mqctl connect [--any-id] [--for SPAN] PKG:PLUG PKG[:SLOT]' connect --json a:a b:b
	situation "disconnect: ids do not matter" 2 'disconnect does not take --any-id
Usage: mqctl disconnect [--forget] [--kill] [--wait S] PKG:NAME [PKG:SLOT]' disconnect --any-id a:a b:b
	situation "no such option" 2 'unknown option --jsn; "mqctl --help" lists them' plugs --jsn
}

# Without the daemon: what it would have in force if it started now.
offline() {
	local state="$WORK/other.yaml"

	run mqctl explain --packages packages logger:events read "${Q}events"
	expect_status "explain offline: not connected" 1
	holds "explain offline: … says what would give it" test "$(stdout)" = \
		"logger:events may not read ${Q}events: it lacks read
sensor:events gives it, but is not connected
To allow it: mqctl connect logger:events sensor:events"
	situation "explain offline: an automatic connection" 0 "pump:water may write ${Q}water: it is \
connected to tank:water, which gives open,read,write" \
		explain --packages packages pump:water write "${Q}water"
	printf 'version: 1\nconnections:\n- {plug: "%s", slot: "%s", state: manual}\n' \
		logger:events sensor:events >"$state"
	situation "explain offline: a state file" 0 "logger:events may read ${Q}events: it is connected \
to sensor:events, which gives open,read" \
		explain --packages packages --state "$state" logger:events read "${Q}events"
	situation "explain offline: an unknown plug" 1 \
		'package "logger" has no plug named "evnts"; did you mean "events"?' \
		explain --packages packages logger:evnts read "${Q}events"
	situation "explain offline: no such state file" 1 \
		"nowhere: no such file; the daemon keeps connections.yaml in its --state-dir" \
		explain --packages packages --state nowhere logger:events read "${Q}events"
	situation "explain: a state file without packages" 2 "--state works only without the daemon; \
add --packages DIR" explain --state "$state" logger:events read /x
	echo "version: 9" >"$state"
	run mqctl explain --packages packages --state "$state" logger:events read "${Q}events"
	expect_status "explain offline: a bad state file" 1
	expect_message "explain offline: … is named with its place" "other.yaml:1:[0-9]+: error: "
}

# narrow DESCRIPTION: no line of the last output has more than 80 columns
narrow() {
	[ "$(wc -L <"$WORK/stdout")" -le 80 ]
	verdict "$1" $? "expected at most 80 columns"
}

helps() {
	local verb verbs

	run mqctl
	expect_status "mqctl alone" 0
	expect_stdout "mqctl alone: verbs are grouped by task" "^Connections:$"
	narrow "mqctl alone: 80 columns"
	verbs=$(stdout | sed -n 's/^  \([a-z]\{1,\}\) .*/\1/p')
	holds "mqctl alone names the verbs" test "$(echo "$verbs" | wc -l)" = 18
	for verb in $verbs; do
		run mqctl "$verb" --help
		expect_stdout "$verb --help has an example" "^Example: mqctl $verb"
		narrow "$verb --help: 80 columns"
	done
}

# in_terminal COLUMNS COMMAND…: what it prints there
in_terminal() {
	script -qec "stty cols $1; ${*:2}" /dev/null | tr -d '\r'
}

tables() {
	situation "--no-legend" 0 "logger:events  events  call       -
logger:spare   spare   call       -
pump:water     water   call       -" plugs --no-legend
	situation "--no-legend, nothing" 0 "" sessions --no-legend
	holds "a table that is too wide …" test "$(mqctl slots | wc -L)" -gt 80
	holds "… fits into a terminal" test "$(in_terminal 80 mqctl slots | wc -L)" -le 80
	holds "a table has no colours in a terminal" test -z "$(in_terminal 80 mqctl slots | grep $'\e')"
}

# polite_end DESCRIPTION REGEX: of the mqctl that waits
polite_end() {
	local status

	wait "$WAITING"
	status=$?
	COMMAND="mqctl"
	STATUS=$status
	: >"$WORK/stdout"
	expect_status "$1" 1
	expect_message "$1: … and is told" "$2"
}

slow_daemon() {
	kill -STOP "$DAEMON"
	situation "a daemon that does not answer" 1 "no answer from mqgated at $WORK/run/control within \
5 seconds; a change may still take effect: check with \"mqctl connections\"" status
	mqctl connect logger:events sensor:events 2>"$WORK/stderr" &
	WAITING=$!
	sleep 0.5
	kill -KILL "$DAEMON"
	wait "$DAEMON" 2>/dev/null
	DAEMON=
	polite_end "a daemon that ends meanwhile" "^error: mqgated at .* closed the connection: it is stopping"
	start_daemon
	situation "… and the next one answers" 0 "" sessions
} 2>/dev/null # the shell tells of the daemon that was killed

no_controls() {
	! LC_ALL=C grep -q $'[\x01-\x08\x0b-\x1f\x7f]' "$@"
}

# profile EXPRESSION: of the JSON that it has printed, which is j
profile() {
	python3 -c "import json
j = json.load(open('made'))
names = lambda action: {n for r in j['syscalls'] if r['action'] == 'SCMP_ACT_' + action for n in r['names']}
assert $1, j"
}

oci_profile() {
	local base=$WORK/base.json

	echo '{"defaultAction": "SCMP_ACT_ERRNO", "x": [1, {"y": null}], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
		"syscalls": [{"names": ["read", "mount", "mq_open"], "action": "SCMP_ACT_ALLOW"}, {"names": ["setns"], "action": "SCMP_ACT_ALLOW"}]}' >"$base"
	run mqctl oci-profile --base "$base" --plug logger:events --plug logger:spare
	expect_status "oci-profile" 0
	expect_stderr "… warns that nobody serves containers" "warning: there is no $WORK/run/oci; .*--containers"
	cp "$WORK/stdout" "$WORK/made"
	holds "… what it does not change stays" profile "j['defaultAction'] == 'SCMP_ACT_ERRNO' and j['x'] == [1, {'y': None}]"
	holds "… takes out of its rules what it has rules for" profile "j['syscalls'][0] == {'names': ['read'], 'action': 'SCMP_ACT_ALLOW'}"
	holds "… hands over the calls of queues" profile "names('NOTIFY') >= {'mq_open', 'mq_unlink', 'mq_timedsend', 'mq_timedreceive', 'mq_notify', 'mq_getsetattr'}"
	holds "… lets nothing be mounted" profile "names('ERRNO') >= {'mount', 'chroot', 'open_tree_attr', 'fsopen', 'open_tree', 'move_mount', 'setns', 'pivot_root'} and not names('ALLOW') & {'mount', 'setns'}"
	holds "… adds its flag" profile "set(j['flags']) == {'SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'}"
	holds "… names socket and plugs" profile "j['listenerPath'] == '$WORK/run/oci' and j['listenerMetadata'].endswith(' plug=logger:events plug=logger:spare')"
	cp "$WORK/made" "$WORK/first"
	run mqctl oci-profile --base "$base" --plug logger:events --plug logger:spare
	refute "… each has a mark of its own" cmp -s first "$WORK/stdout"
	situation "a base that is a profile of ours" 1 "$WORK/first has a \"listenerPath\" already, and the kernel allows one listener only; take it out of a copy, and name that with --base" \
		oci-profile --base "$WORK/first" --plug logger:events
	situation "a base that is not there" 1 "/none: No such file or directory; name the default profile of your runtime with --base" \
		oci-profile --base /none --plug logger:events
	echo '{"syscalls": []}' >"$base"
	situation "a base that is none" 1 "$base is no seccomp profile: it has no \"defaultAction\" or no \"syscalls\"; name the default profile of your runtime with --base" \
		oci-profile --base "$base" --plug logger:events
	echo '{"syscalls"' >"$base"
	run mqctl oci-profile --base "$base" --plug logger:events
	expect_status "a base that is no JSON" 1
	expect_stderr "… names the place" "$base:[0-9]+"
	run mqctl oci-profile --plug logger
	expect_status "a plug without a package" 2
	expect_stderr "… says how it is named" 'PKG:PLUG'
	run mqctl oci-profile
	expect_status "no plug" 2
	expect_stderr "… says what is missing" 'no plug is named; use --plug PKG:PLUG'
	# shellcheck disable=SC2046 # many
	run mqctl oci-profile $(printf ' --plug logger:p%d' {0..32})
	expect_status "more plugs than LAUNCH_REFS_MAX" 2
	expect_stderr "… says so" 'more than 32 plugs'
	run mqctl sessions --plug logger:events
	expect_status "a verb without profiles takes no --plug" 2
}

# What comes from an app: its command, the names of queues.
control_characters() {
	local evil=$'e\e[31m\nvil'

	ln -s "$WORK/bin/mqtry" "$WORK/bin/$evil"
	start_app evil mq-run --plug logger:spare "$evil"
	tell evil "open ${Q}ev"$'\e'"[2Jil r"
	run mqctl sessions
	expect_stdout "an app's name is escaped in the table" 'e\\x1b\[31m\\x0avil'
	holds "… nothing is left" no_controls "$WORK/stdout"
	run mqctl sessions --json
	expect_stdout "… as JSON" '"command": "e\\\\x1b\[31m\\\\x0avil"'
	wait_until 5 grep -q "denied mq_open" "$WORK/daemon.log"
	holds "… in the log, with the queue's name" grep -q 'ev\\x1b\[2Jil' "$WORK/daemon.log"
	holds "… nothing is left" no_controls "$WORK/daemon.log"
	stop_app evil
	situation "a name with control characters" 1 \
		'package "x\x1b[31my" is not known; packages are read from '"$WORK/packages, then mqctl reload" \
		connect $'x\e[31my:z' sensor:events
}

as_others() {
	run as_user mqctl connect logger:events sensor:events
	expect_status "a user cannot connect" 1
	holds "… and reads why" test "$(stderr)" = \
		"error: permission denied: only root may do this; try sudo"
}

helps
offline
absent connect logger:events sensor:events
absent disconnect logger:events
absent connections
absent status
start_daemon
automatic
connecting
disconnecting
listing
tables
usage
oci_profile
as_others
control_characters
slow_daemon
finish
