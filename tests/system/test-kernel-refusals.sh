#!/bin/bash
# SPDX-License-Identifier: MIT
# What was granted and the kernel refuses: the program gets the kernel's own error, and an operator the
# reason, with the numbers and a command that helps; once, and not for every retry. To EPERM of
# mq_unlink glibc says EACCES.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

write_package app.yaml <<'YAML'
name: app
plugs:
  all: {interface: posix-mq, posix-mq: all}
  any: {interface: posix-mq, posix-mq: any}
slots:
  each: {interface: posix-mq, posix-mq: any, path-pattern: '/*', permissions: [read, write]}
  offer: {interface: posix-mq, posix-mq: all, path-pattern: '@Q@*', permissions: [read, write, create, delete]}
YAML
echo "audit: {rate: 1000}" >"$WORK/mqgated.yaml"
start_daemon
mqctl connect app:all app:offer
mqctl connect app:any app:each

limit() {
	cat "/proc/sys/fs/mqueue/$1"
}

# explained WHO DESCRIPTION ERROR REGEX COMMAND…: the command of mqtry fails with ERROR, bare and confined; of the confined one is recorded
# what matches, once
explained() {
	local who=$1 description=$2 error=$3 regex=$4 bare
	shift 4

	bare=$(as_who "$who" $WITH mqtry "$@" 2>/dev/null | tail -n 1)
	mark_log
	run as_who "$who" mq-run --plug app:all $WITH mqtry "$@" "${@: -1}" "${@: -1}"
	holds "$who, $description: the error is the kernel's ($bare)" \
		test "$(stdout | tail -n 1)" = "$bare" -a "${bare##* }" = "$error"
	expect_log "$who, $description: and is explained" "refused by the kernel: mq_[a-z]* $Q[a-z]*: E[A-Z]*, $regex"
	holds "$who, $description: once" test "$(new_log | grep -c "refused by the kernel: ")" = 1
	REMEDY=$(new_log | sed -n 's/.*; to allow: //p' | tail -n 1)
}

# helps WHO DESCRIPTION COMMAND…: so it does
helps() {
	local who=$1 description=$2
	shift 2

	run as_who "$who" mq-run --plug app:all mqtry "$@"
	expect_status "$who, $description: what is proposed helps ($REMEDY)" 0
}

echo 20 >/proc/sys/fs/mqueue/msg_max
echo 1024 >/proc/sys/fs/mqueue/msgsize_max
WITH=
explained user "too many messages" EINVAL "it wants room for 21 messages, and fs.mqueue.msg_max is 20 " "look ${Q}a rwc 0600 21 64"
bash -c "$REMEDY" >/dev/null
helps user "too many messages" "look ${Q}a rwc 0600 21 64"
explained user "too large messages" EINVAL \
	"it wants messages of up to 1025 bytes, and fs.mqueue.msgsize_max is 1024 " "look ${Q}b rwc 0600 8 1025"
bash -c "$REMEDY" >/dev/null
helps user "too large messages" "look ${Q}b rwc 0600 8 1025"
explained root "more than any sysctl allows" EINVAL "it wants room for 65537 messages, and fs.mqueue.msg_max is [0-9]*, which cannot be raised to that \\(" \
	"look ${Q}c rwc 0600 65537 1"
holds "root, more than any sysctl allows: and nothing is proposed" test -z "$REMEDY"

for who in user root; do
	WITH="prlimit --msgqueue=20000"
	explained $who "no bytes left" EMFILE \
		"the queue takes about [0-9]+ bytes of the 20000 that all queues of user [0-9]+ may take \(RLIMIT_MSGQUEUE\)" \
		"look ${Q}d rwc 0600 20 1000"
	WITH="prlimit --nofile=6:100"
	explained $who "no descriptor left" EMFILE "it has as many descriptors open as it may \(RLIMIT_NOFILE: 6\)" \
		"open ${Q}a rwc 0666 8 64" "open ${Q}a rwc" "open ${Q}a rwc" "open ${Q}a rwc"
	explained $who "no descriptor left for one that is there" EMFILE \
		"it has as many descriptors open as it may \(RLIMIT_NOFILE: 6\)" \
		"open ${Q}a rw" "open ${Q}a r" "open ${Q}a w" "open ${Q}a w"
	WITH=
	rm -f "/dev/mqueue${Q}"*
done

# Which queues have the bytes.
as_user mqtry "look ${Q}large rwc 0600 10 1000" "look ${Q}small rwc 0600 2 100" >/dev/null
WITH="prlimit --msgqueue=15000"
explained user "no bytes left, and others have them" EMFILE \
	"the queue takes .*; its queues here have [0-9]+: ${Q}large [0-9]+, ${Q}small [0-9]+ " "look ${Q}d rwc 0600 10 1000"
WITH=
rm -f "/dev/mqueue${Q}"*

before=$(limit queues_max)
mqtry "look ${Q}last rwc 0600 8 64" "look ${Q}last-but-one rwc 0600 8 64" "look ${Q}first rwc 0600 8 64" >/dev/null
echo 1 >/proc/sys/fs/mqueue/queues_max
explained user "no further queue" ENOSPC \
	"its IPC namespace may not have more queues \(fs.mqueue.queues_max: 1\)" "look ${Q}e rwc 0600 8 64"
bash -c "$REMEDY" >/dev/null
helps user "no further queue" "look ${Q}e rwc 0600 8 64"
echo "$before" >/proc/sys/fs/mqueue/queues_max

mqtry "umask 0" "look ${Q}f rwc 0640 8 64" >/dev/null
explained user "another one's queue" EACCES "the queue is of user 0 and group 0, and its mode is 0640 " "open ${Q}f r"
explained user "deleting another one's queue" EACCES "the queue is of user 0, who alone may delete it " "unlink ${Q}f"
explained user "another one's queue" EACCES "the queue is of user 0 and group 0, and its mode is 0640 " "open ${Q}f r"
holds "user, another one's queue: others are let in ($REMEDY)" test "$REMEDY" = "chmod o+r /dev/mqueue${Q}f"
$REMEDY
helps user "another one's queue" "look ${Q}f r"
chmod 604 "/dev/mqueue${Q}f"
mark_log
run setpriv --reuid=65534 --regid=65534 --groups=0 mq-run --plug app:all mqtry "look ${Q}f r"
expect_log "a member of the queue's group: its group is let in" 'EACCES.*; to allow: chmod g\+r /dev/mqueue'

# A name that no queue can have: it is no queue's, and nothing is proposed.
start_app odd as_user mq-run --plug app:all mqtry
tell odd "open ${Q}f w"
tell odd "unlink ${Q}f"
before=$(session_processes)
for name in "$Q.." / /. /.. "${Q}a/b" "$Q"; do
	for call in open unlink; do
		tell odd "$call $name r"
	done
done
expect_answer "odd names: the session process lives" odd "look ${Q}f r" 'EACCES$|-> 0$'
holds "odd names: … and is the same" test "$(session_processes)" = "$before"
stop_app odd
mark_log
as_user mq-run --plug app:any mqtry "open /.. rw" "open /. rw" "open /a/b rw" >/dev/null
for name in '/\.\.' '/\.' /a/b; do
	expect_log "odd names: $name" "mq_open $name: EACCES, no queue can have this name \([^)]*\)$"
done

# What a program calls a queue cannot be taken for the rest of the line.
mark_log
FORGED="${Q}x: EINVAL (pid 1, uid 0, init); to allow: reboot #\u202e"
as_user mq-run --plug app:all python3 -c 'import ctypes, sys
print(ctypes.CDLL(None).mq_open(sys.argv[1].encode(), 0o2 | 0o100 | 0o200, 0o600, (ctypes.c_long * 8)(0, 1 << 20, 8)))' "$FORGED"
expect_log "a forged name is one word" \
	"mq_open ${Q}x:\\\\x20EINVAL\\\\x20\(pid\\\\x201,\\\\x20uid\\\\x200,\\\\x20init\);\\\\x20to\\\\x20allow:\\\\x20reboot\\\\x20#.*: EINVAL, it wants"

# Not for every retry, but anew when it had worked meanwhile.
start_app again as_user mq-run --plug app:all mqtry
mark_log
for _ in 1 2 3; do
	tell again "look ${Q}f w"
done
chmod 666 "/dev/mqueue${Q}f"
expect_answer "it works" again "look ${Q}f w" ' -> 0$'
chmod 644 "/dev/mqueue${Q}f"
expect_answer "and again it does not" again "look ${Q}f w" 'EACCES$'
expect_log "told anew" "refused by the kernel"
holds "told twice in all" eval 'sleep 0.3; [ "$(new_log | grep -c "refused by the kernel")" = 2 ]'

# Of REFUSALS_TOLD_MAX calls it is remembered that they were told.
for ((i = 0; i < $(bound REFUSALS_TOLD_MAX) - 1; i++)); do
	tell again "open ${Q}f$i rwc 0600 100 64"
done
mark_log
tell again "look ${Q}f w"
tell again "open ${Q}another rwc 0600 100 64"
expect_log "one of as many as are remembered is not told anew …" "${Q}another"
holds "… one of as many as are remembered is not told anew" eval '! new_log | grep "${Q}f:"'
tell again "look ${Q}f w"
expect_log "one more, and the oldest is told anew" "refused by the kernel: mq_open ${Q}f:"
stop_app again

# Afterwards.
see as_user mqctl explain --last
expect_stdout "explain --last: the user sees its own" "refused by the kernel: mq_open ${Q}f: EACCES"
refute "explain --last: … and no other's" grep -q 65537 seen
see mqctl explain --last --json
holds "explain --last --json: root sees all" eval 'grep -q 65537 seen && python3 -m json.tool <seen'
finish
