#!/bin/bash
# SPDX-License-Identifier: MIT
# {pid}, {uid} and {instance}: a program has the queues of its own number and nobody else's, whatever it makes of
# itself, as root and as a user.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

setup
LONG=/$(printf 'x%.0s' {1..250})
cat >"$WORK/packages/rpc.yaml" <<YAML
name: rpc
plugs:
  reply: {interface: posix-mq, posix-mq: reply}
  mine: {interface: posix-mq, posix-mq: mine}
  unit: {interface: posix-mq, posix-mq: unit}
  any: {interface: posix-mq, posix-mq: any}
  inbox: {interface: posix-mq, posix-mq: inbox, path: ["$Q{pid}-inbox"]}
  long: {interface: posix-mq, posix-mq: long, path: "$LONG{uid}"}
slots:
  replies:
    posix-mq: reply
    interface: posix-mq
    path-pattern: ["$Q{pid}.reply", "${Q}cfg,clt,reply,app,{pid},*", "${Q}app.{pid}"]
    permissions: [read, write, create, delete]
  users:
    posix-mq: mine
    interface: posix-mq
    path-pattern: "${Q}user-{uid}"
    permissions: [read, write, create, delete]
  units:
    posix-mq: unit
    interface: posix-mq
    path-pattern: "${Q}{instance}-in"
    permissions: [read, write, create, delete]
  all:
    posix-mq: any
    interface: posix-mq
    path-pattern: "${Q}any-*"
    permissions: [read, write, create, delete]
  short: {interface: posix-mq, posix-mq: long, path: "${Q}short", permissions: [read, write, create, delete]}
  common: {interface: posix-mq, posix-mq: inbox, path: "${Q}common", permissions: [read, write, create, delete]}
YAML
# shellcheck source=tests/system/service-manager.sh
. "$SOURCE_ROOT/tests/system/service-manager.sh"
start_manager
for pair in reply:replies mine:users unit:units any:all inbox:common long:short; do
	mqctl connect "rpc:${pair%:*}" "rpc:${pair#*:}"
done

# expect DESCRIPTION RESULTS PLUG WHO COMMAND…: of mqtry's
expect() {
	local description=$1 results=$2 plug=$3 who=$4
	shift 4
	# A leak sanitizer cannot look for leaks in a PID namespace that begins after it.
	run env ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}" as_who "$who" \
		mq-run --plug "rpc:$plug" mqtry "$@"
	expect_results "$description" "$results"
}

MADE="0;0;x 0;0;"
NONE="-1 EACCES;-1 EBADF;-1 EBADF;-1 EACCES;"
for who in root user; do
	for model in "$Q%p.reply" "${Q}cfg,clt,reply,app,%p,7" "${Q}app.%p"; do
		use=("open $model rwcx 0600 4 64" "send x" "receive" "unlink $model")
		expect "$who: a reply queue by its own number: $model" "$MADE" reply "$who" "${use[@]}"
		expect "$who: by a thread" "$MADE" reply "$who" thread "${use[@]}"
		expect "$who: by a child, whose number is another one" "0;$MADE" reply "$who" fork "${use[@]}"
		expect "$who: after exec" "$MADE" reply "$who" exec "${use[@]}"
		expect "$who: in a user namespace of its own" "0;$MADE" reply "$who" "unshare u" "${use[@]}"
		expect "$who: in a PID namespace of its own it has no number" "0;0;$NONE" reply "$who" \
			"unshare up" fork "${use[@]}"
		expect "$who: nor below that" "0;0;0;0;$NONE" reply "$who" \
			"unshare up" fork "unshare p" fork "${use[@]}"
		expect "$who: while its parent, which is in the old one, has" "0;$MADE" reply "$who" \
			"unshare up" "${use[@]}"
	done
	expect "$who: not by others' numbers" "-1 EACCES;-1 EACCES;-1 EACCES;-1 EACCES;" reply "$who" \
		"open ${Q}1.reply rwc" "open ${Q}0.reply r" "unlink $Q%p0.reply" "open $Q.reply rwc"
	expect "$who: a child goes on with its parent's queue, without having its name" \
		"0;0;0;0;y 0;10 64 0;-1 EACCES;" reply "$who" "open $Q%p.reply rwcx 0600 10 64" \
		"unlink $Q%p.reply" fork "send y" "receive" "getattr" "open $Q$$.reply rwc"
done

# --- the same running program -------------------------------------------------------------------------

# others_queue WHO: one by the number of a process of another session, which goes on
for who in root user; do
	start_app one as_who "$who" mq-run --plug rpc:reply mqtry
	start_app two as_who "$who" mq-run --plug rpc:reply mqtry
	tell one pid
	one=${ANSWER##* }
	tell two pid
	two=${ANSWER##* }
	expect_answer "$who: one has its own" one "open $Q%p.reply rwcx 0600 4 64" "-> 0"
	expect_answer "$who: two has its own" two "open $Q%p.reply rwcx 0600 4 64" "-> 0"
	expect_answer "$who: one does not have two's" one "open $Q$two.reply r" "EACCES"
	expect_answer "$who: nor the other way round" two "open $Q$one.reply w" "EACCES"
	expect_answer "$who: nor may it delete it" two "unlink $Q$one.reply" "EACCES"
	expect_log "$who: the log says what, to whom" \
		"denied mq_unlink $Q$one.reply: delete not granted to rpc:reply \\(pid $two, uid [0-9]*, mqtry\\); no slot"
	kill -KILL $(session_processes)
	expect_answer "$who: after its session process was replaced: its descriptor" one "send a" "-> 0"
	expect_answer "$who: its name" one "look $Q%p.reply r" "-> 0"
	expect_answer "$who: and not two's" one "look $Q$two.reply r" "EACCES"
	take_down 15
	bring_up
	expect_answer "$who: after the daemon was restarted: its descriptor" one "receive" "-> a 0"
	expect_answer "$who: its name" one "look $Q%p.reply r" "-> 0"
	expect_answer "$who: and not two's" one "look $Q$two.reply r" "EACCES"
	tell one fork
	expect_answer "$who: a child, later, has its parent's descriptor" one "send b" "-> 0"
	expect_answer "$who: and a queue of its own" one "look $Q%p.reply rwcx 0600 4 64" "-> 0"
	expect_answer "$who: but not its parent's name" one "look $Q$one.reply r" "EACCES"
	check "$who: disconnecting" mqctl disconnect rpc:reply rpc:replies
	expect_answer "$who: takes the descriptor back" one "send c" "EACCES"
	expect_answer "$who: from two, too" two "send c" "EACCES"
	expect_answer "$who: and the names" two "look $Q%p.reply r" "EACCES"
	check "$who: connecting again" mqctl connect rpc:reply rpc:replies
	expect_answer "$who: gives them back" one "send c" "-> 0"
	expect_answer "$who: to two, too" two "send c" "-> 0"
	stop_app one
	stop_app two
done

# A descriptor that comes from outside is its receiver's if the queue has its number.
cat >"$WORK/bin/with-queue" <<'SCRIPT'
#!/usr/bin/python3
"""with-queue NAME %p…: NAME with this process's number, created and inherited as descriptor 9."""
import ctypes, os, sys
librt = ctypes.CDLL("librt.so.1", use_errno=True)
name = sys.argv[1].replace("%p", str(os.getpid())).encode()
fd = librt.mq_open(name, os.O_RDWR | os.O_CREAT, 0o666, None)
os.dup2(fd, 9)
os.execvp(sys.argv[2], sys.argv[2:])
SCRIPT
chmod 755 "$WORK/bin/with-queue"
for who in root user; do
	run as_who "$who" with-queue "$Q%p.reply" mq-run --inherit-queues --plug rpc:reply \
		mqtry "take 9" "send x" "receive" fork "send y" "receive"
	expect_results "$who: an inherited queue of its number is its own, and its child's" "0;0;x 0;0;0;y 0;"
	run as_who "$who" with-queue "${Q}1%p.reply" mq-run --inherit-queues --plug rpc:reply mqtry "take 9" "send x"
	expect_results "$who: one of another number is not" "0;-1 EACCES;"
done

# --- {uid} ----------------------------------------------------------------------------------------

expect "a user's queue" "$MADE" mine root "open ${Q}user-0 rwcx 0600 4 64" "send x" "receive" "unlink ${Q}user-0"
expect "another user's" "-1 EACCES;" mine root "open ${Q}user-1 rwcx 0600 4 64"
expect "the real user id counts" "0;0;-1 EACCES;0;x 0;" mine root "open ${Q}user-0 rwcx 0600 4 64" "setuid 4711" \
	"open ${Q}user-0 r" "send x" "receive"
expect "after a change the new one" "0;$MADE" mine root "setuid 4711" \
	"open ${Q}user-4711 rwcx 0600 4 64" "send x" "receive" "unlink ${Q}user-4711"
run as_uid 4712 mq-run --plug rpc:mine mqtry "unshare u" "open ${Q}user-0 rwcx 0600 4 64" "open ${Q}user-4712 rwcx 0600 4 64" \
	"send x" "receive"
expect_results "in a user namespace it is the number outside" "0;-1 EACCES;0;0;x 0;"
run as_user mq-run --plug rpc:mine mqtry "open ${Q}user-65534 rwcx 0600 4 64"
expect_results "65534 is nobody's number" "-1 EACCES;"

# --- {instance} -----------------------------------------------------------------------------------

for who in root user; do
	for instance in a B.9_x:y- "$(printf 'i%.0s' {1..64})"; do
		run as_who "$who" mq-run --instance "$instance" --plug rpc:unit mqtry "open $Q$instance-in rwcx 0600 4 64" \
			"send x" "receive" "unlink $Q$instance-in" "open ${Q}other-in rwc"
		expect_results "$who: instance $instance has its queue, and no other's" "${MADE}-1 EACCES;"
	done
	run as_who "$who" mq-run --plug rpc:unit mqtry "open ${Q}-in rwc" "open $Q{instance}-in rwc"
	expect_results "$who: without an instance nothing" "-1 EACCES;-1 EACCES;"
	expect_message "$who: which mq-run says" "^mq-run: names with \{instance\} mean nothing to this command: .*--instance NAME"
done
for instance in "" "*" "a b" "a/b" "{pid}" "ä" "$(printf 'i%.0s' {1..65})"; do
	run mq-run --instance "$instance" --plug rpc:unit true
	expect_status "no such instance: '$instance'" 125
	expect_message "and that is said" "^mq-run: --instance '.*': write 1 to 64 of A-Z, a-z, 0-9 and \. _ : -\$"
done
run mq-run --instance a --instance b --plug rpc:unit true
expect_message "one instance only" "given twice"
run mq-run --instance a true
expect_status "an instance alone is not enough" 125
start_app inst mq-run --instance eins --plug rpc:unit mqtry
expect_answer "an instance's queue" inst "open ${Q}eins-in rwcx 0600 4 64" "-> 0"
holds "the sessions are told apart" grep -q eins <(mqctl sessions)
kill -KILL $(session_processes)
expect_answer "after its session process was replaced" inst "look ${Q}eins-in r" "-> 0"
take_down 15
bring_up
expect_answer "after the daemon was restarted" inst "look ${Q}eins-in r" "-> 0"
expect_answer "and no other" inst "look ${Q}zwei-in rwc" "EACCES"
mqctl disconnect rpc:unit rpc:units
expect_answer "its descriptor after a disconnect" inst "send x" "EACCES"
mqctl connect rpc:unit rpc:units
expect_answer "and after a connect" inst "send x" "-> 0"
stop_app inst

# --- a name by number for one queue ---------------------------------------------------------------

start_app one mq-run --plug rpc:inbox mqtry
start_app two mq-run --plug rpc:inbox mqtry
expect_answer "each calls the common queue by its number" one "open $Q%p-inbox rwcx 0600 4 64" "-> 0"
expect_answer "the other, too" two "open $Q%p-inbox rw" "-> 0"
tell one "send hello"
expect_answer "it is one queue" two receive "-> hello 0"
tell one pid
expect_answer "by the other's number it is not called" two "open $Q${ANSWER##* }-inbox r" EACCES
holds "it has its own name" test -e "/dev/mqueue${Q}common"
stop_app one
stop_app two
for uid in 12345 123456; do
	run as_uid "$uid" mq-run --plug rpc:long mqtry "open $LONG$uid rwcx 0600 4 64" "unlink $LONG$uid"
	case $uid in
	12345) expected="0;0;" ;;
	*) expected="-1 ENAMETOOLONG;-1 ENAMETOOLONG;" ;;
	esac
	expect_results "a name of $((250 + ${#uid})) bytes is one for as long as the kernel says so" "$expected"
done
stop_manager
finish
