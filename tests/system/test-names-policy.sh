#!/bin/bash
# SPDX-License-Identifier: MIT
# What packages say about names: faults are named exactly, what does not fit is not connected, what
# clashes is refused with both rules named, and explain says which rule with which value.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

# reader NAMES…: of its plug io
reader() {
	write_package reader.yaml <<YAML
name: reader
plugs:
  io: {interface: posix-mq, path: [$1]}
  also: {interface: posix-mq, posix-mq: io, path: ${2:-/other}}
  plain: {interface: posix-mq, posix-mq: io}
apps:
  both: {plugs: [io, also]}
  first: {plugs: [io${3:-}]}
YAML
}

# server NAMESPACE MAX-MODE
server() {
	write_package server.yaml <<YAML
name: server
slots:
  left: {interface: posix-mq, posix-mq: io, path: @Q@left}
  right: {interface: posix-mq, posix-mq: io, path: @Q@right}
  two: {interface: posix-mq, posix-mq: io, path: [@Q@a, @Q@b]}
  pattern: {interface: posix-mq, posix-mq: io, path-pattern: "@Q@pid-{pid}"}
  shared: {interface: posix-mq, posix-mq: io, path: @Q@left, namespace: ${1:-host}, max-mode: ${2:-0640}, permissions: [read, create]}
YAML
}

connections() {
	mqctl connections --no-legend | tr -s ' '
}

expect_connections() {
	local description=$1

	shift
	holds "$description" test "$(connections)" = "$(printf '%s\n' "$@")"
}

# --- faults in documents --------------------------------------------------------------------------

write_package bad.yaml <<'YAML'
name: bad
plugs:
  unknown: {interface: posix-mq, path: "/a-{gid}"}
  twice: {interface: posix-mq, path: [/a, /a]}
slots:
  side: {interface: posix-mq, path-pattern: "/{pid}{uid}"}
  mode: {interface: posix-mq, path: /a, max-mode: 1777}
  word: {interface: posix-mq, path: /a, namespace: global}
YAML
run mqctl check "$WORK/packages/bad.yaml"
expect_status "mqctl check refuses faults of names" 1
expect_stderr "… an unknown variable, its place and the remedy" \
	'bad.yaml:3:40: .*unknown variable \{gid\}; use \{pid\}, \{uid\} or \{instance\}'
expect_stderr "… a name twice" 'bad.yaml:4:38: .*"/a" is there twice.*remove one'
expect_stderr "… variables side by side" 'bad.yaml:6:45: .*side by side; put a character between'
expect_stderr "… a mode" 'bad.yaml:7:51: .*"1777" is not 0 and three octal digits'
expect_stderr "… a namespace" 'bad.yaml:8:52: .*unknown word "global"; use caller or host'
rm "$WORK/packages/bad.yaml"

# --- what fits ------------------------------------------------------------------------------------

reader /in
server
mqtry "open ${Q}left rwc 0666" "open ${Q}right rwc 0666" >/dev/null
start_daemon
refute "one name and two queues are not connected" mqctl connect reader:io server:two
expect_message "… both numbers are said" \
	"path of reader:io: 1, .*path of server:two: 2; .*list as many, or remove path"
refute "names and a pattern are not connected" mqctl connect reader:io server:pattern
expect_message "… the pattern is said" "server:pattern has the path-pattern ${Q}pid-\{pid\}, .*without path-pattern"
refute "a package of several slots: none is proposed that does not fit" mqctl connect reader:io server
expect_message "… but one that does" "name one: mqctl connect reader:io server:left"
check "one name and one queue are connected" mqctl connect reader:io server:left
check "lists show the names" mqctl plugs
expect_stdout "… of the plug" "^reader:io +io +call +server:left +/in"
run mqctl plugs --json
expect_stdout "… as JSON" '"plug": "reader:io", .*"path": \["/in"\]'
run mqctl slots
expect_stdout "… namespace and mode of the slot" "^server:shared +io +open,read,create +${Q}left +host +0640"
run mqctl slots --json
expect_stdout "… as JSON" '"slot": "server:shared", .*"namespace": "host", "max-mode": "0640"'
expect_stdout "… or that there are none" '"slot": "server:left", .*"namespace": "", "max-mode": ""'

reader "/in, /out"
mark_log
check "a reload after which they no longer fit" mqctl reload
expect_stderr "… warns" "reader.yaml:3:3: warning: the connection of reader:io to server:left gives nothing: "
expect_log "… in the log, too" "the connection of reader:io to server:left gives nothing: names in the path of reader:io: 2"
expect_connections "… it stays recorded" "posix-mq reader:io server:left manual,misfit"
run mqctl explain reader:io read /in
expect_status "… and gives nothing" 1
expect_stdout "… which explain says" "it is connected to server:left, but that gives nothing: names in the path of reader:io: 2"
refute "… connecting again says it" mqctl connect reader:io server:left
reader "/in, /out, /other"
mqctl reload
mqctl disconnect reader:io server:left
run mqctl explain reader:io read /in
expect_stdout "one that fits no slot of its id: explain says why" \
	"^names in the path of reader:io: 3, queues in the path of server:"
reader /in
mqctl reload
mqctl connect reader:io server:left
check "a reload after which they fit again" mqctl reload
check "… it gives as before" mqctl explain reader:io read /in

# --- what clashes ---------------------------------------------------------------------------------

BOTH="these clash: /in of reader:io connected to server:left \(the queue ${Q}left\), and /in of reader:io connected to server:right \(the queue ${Q}right\)"
start_app app mq-run --plug reader:io mqtry
expect_answer "a program has the queue by its own name" app "open /in rw" ' -> 0$'
refute "one name for two queues is not connected" mqctl connect reader:io server:right
expect_message "… both rules are named" "$BOTH; .*; nothing has changed"
expect_connections "… nothing has changed" "posix-mq reader:io server:left manual"
cat >"$WORK/list.yaml" <<'YAML'
version: 1
connections:
- {plug: reader:plain, slot: server:right}
- {plug: reader:io, slot: server:left}
- {plug: reader:io, slot: server:right}
YAML
refute "it is not applied" mqctl apply --dry-run "$WORK/list.yaml"
expect_stderr "… as a dry run says" "$BOTH"
refute "… in earnest neither" mqctl apply "$WORK/list.yaml"
expect_stderr "… both rules are named" "$BOTH"
expect_connections "… nothing is half-applied" "posix-mq reader:io server:left manual"

check "two plugs may differ" mqctl connect reader:also server:right
reader /in /in
mark_log
check "… and no session has both: so a reload may give both one name" mqctl reload
run mq-run --app reader.both true
expect_status "… no session begins with both" 125
expect_message "… both rules are named" "/in of reader:also .*/in of reader:io "
reader /in
check "back" mqctl reload
start_app first mq-run --app reader.first mqtry
expect_answer "an app that has one of them runs" first pid "-> [0-9]"
reader /in /in ", also"
mark_log
refute "a reload that binds both to a running app is refused" mqctl reload
expect_stderr "… both rules are named" "/in of reader:also .*/in of reader:io .*nothing has changed"
expect_log "… in the log, too" "not reloaded, the old policy stays in force: .*these clash"
expect_answer "… the app goes on" first "open /in r" ' -> 0$'
reader /in
check "back" mqctl reload
stop_app first
start_app both mq-run --app reader.both mqtry
expect_answer "an app that has both runs" both pid "-> [0-9]"
check "a session with both, by two names" mqctl disconnect reader:also server:right
reader /in /in
check "a reload without the connection" mqctl reload
refute "… which cannot be made for the running session" mqctl connect reader:also server:right
expect_message "… both rules are named" "/in of reader:also .*/in of reader:io "
stop_app both
check "… but without it" mqctl connect reader:also server:right
check "cut again" mqctl disconnect reader:also server:right
reader /in
check "back" mqctl reload

check "plain names need no plug that says them" mqctl connect reader:plain server:left
refute "one queue in two namespaces is refused" mqctl connect reader:plain server:shared
expect_message "… both rules are named" \
	"${Q}left of reader:plain connected to server:left .*${Q}left of reader:plain connected to server:shared \(the queue ${Q}left in the host's IPC namespace\)"
check "one alone is not" mqctl disconnect reader:plain server:left
check "… indeed" mqctl connect reader:plain server:shared
run mqctl explain reader:plain create "${Q}left"
expect_stdout "explain says namespace and mode" \
	"gives open,read,create, in the host's IPC namespace, with at most mode 0640\$"
run mqctl explain reader:io read /in
expect_stdout "… and both names" "may read /in, which is the queue ${Q}left: it is connected to server:left, "
check "… and values" mqctl connect reader:plain server:pattern
run mqctl explain reader:plain write "${Q}pid-42"
expect_stdout "… of variables" "gives open,read,write to ${Q}pid-\{pid\}, with \{pid\} = 42\$"
check "cut again" mqctl disconnect reader:plain server:pattern

# --- what is there when the daemon starts ---------------------------------------------------------

stop_daemon
sed -i 's/^connections:$/&\n- {plug: "reader:io", slot: "server:right", state: manual}/' "$WORK/state/connections.yaml"
mark_log
start_daemon
expect_log "a clash that is there at a start is logged" "$BOTH; .*; such names give nothing"
run mqctl explain reader:io read /in
expect_status "… the name gives nothing" 1
expect_stdout "… which explain says" "$BOTH"
check "… a reload is made all the same" mqctl reload
check "… another connection, too" mqctl connect reader:also server:right
check "… and it can be cut" mqctl disconnect reader:io server:right
check "… then the name gives again" mqctl explain reader:io read /in

# --- a daemon in an IPC namespace of its own ------------------------------------------------------

mqctl disconnect reader:plain server:shared
stop_daemon
mv "$WORK/bin/mqgated" "$WORK/bin/mqgated-within"
printf '#!/bin/sh\nexec unshare --ipc mqgated-within "$@"\n' >"$WORK/bin/mqgated"
chmod 755 "$WORK/bin/mqgated"
start_daemon
refute "without the host's queues they are not connected" mqctl connect reader:plain server:shared
expect_message "… it is said why" \
	"server:shared has \"namespace: host\", and mqgated runs in an IPC namespace of its own, .*remove the attribute"
check "others are" mqctl connect reader:plain server:left
finish
