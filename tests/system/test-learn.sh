#!/bin/bash
# SPDX-License-Identifier: MIT
# mq-run --learn: the file that it writes gives the command what it needed, and no more; it is written
# whatever becomes of the command, or it is said before the command starts that it cannot be.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

F="$WORK/open/app.yaml"

# learns DESCRIPTION STATUS CMD…: as a user, into $F
learns() {
	local description=$1 status=$2
	shift 2

	run as_user mq-run --learn "$F" -- "$@"
	expect_status "$description: ends as ever" "$status"
	expect_stderr "… and is learned from" "^mq-run: [0-9]+ queues? learned(, nothing new)?: mq-run --policy $F --plug app -- COMMAND"
}

has_denials() {
	grep -q 'mq-run: denied' "$WORK/stderr"
}

# suffices DESCRIPTION CMD…: with what was learned nothing is denied; without any one of its permissions
# something is
suffices() {
	local description=$1 line word needless=
	shift

	run as_user mq-run --policy "$F" --plug app -- "$@"
	! has_denials
	verdict "$description: with what was learned nothing is denied" $? "no denial"
	while IFS=: read -r line words; do
		for word in $(tr -d '[],' <<<"${words#*permissions: }"); do
			sed "${line}s/\b$word\b,\? \?//" "$F" >"$WORK/less.yaml"
			run as_user mq-run --policy "$WORK/less.yaml" --plug app -- "$@"
			has_denials || needless+=" $line:$word"
		done
	done < <(grep -n 'permissions: \[.' "$F")
	holds "… without any one of its permissions something is" test -z "$needless"
	check "… it is a package without a fault" mqctl check "$F"
}

# --- what is learned ------------------------------------------------------------------------------

TRY=("open ${Q}one rwc 0600 4 64" "send x" "open ${Q}two wc 0600 4 64" "open ${Q}two r" "unlink ${Q}two" "open ${Q}none r" "unlink ${Q}one")
learns "a program" 1 mqtry "${TRY[@]}"
expect_results "… every call is allowed" "0;0;1;2;0;-1 ENOENT;0;"
suffices "a program" mqtry "${TRY[@]}"
holds "… by exact names" test -z "$(grep -E '^ *path-pattern' "$F")"
cp "$F" "$WORK/before.yaml"
learns "the same again" 1 mqtry "${TRY[@]}"
expect_stderr "… is nothing new" "learned, nothing new: "
holds "… adds nothing" cmp "$F" "$WORK/before.yaml"
learns "one that forks" 0 mqtry "open ${Q}one rwc 0600" "fork" "open ${Q}three rwc 0600" "unlink ${Q}three" "unlink ${Q}one"
holds "… adds what is new, and takes nothing away" \
	test -z "$(diff "$WORK/before.yaml" "$F" | grep '^<')" -a -n "$(grep "${Q}three" "$F")"
suffices "… with what was there" mqtry "${TRY[@]}" "open ${Q}one rwc 0600" "fork" "open ${Q}three rwc 0600" "unlink ${Q}three" "unlink ${Q}one"

# What its own rights do not reach a user does not need.
rm -f "$F"
check "a queue of root's" mqtry "open ${Q}root rwc 0600"
learns "a program without the right" 1 mqtry "open ${Q}root rw" "open ${Q}one rc 0600" "unlink ${Q}one"
expect_results "… is refused as ever" "-1 EACCES;0;0;"
holds "… which is no need" test -z "$(grep -v '^#' "$F" | grep "${Q}root")"
mqtry "unlink ${Q}root" >/dev/null

# A name that no queue can have is no need.
rm -f "$F"
learns "a program that asks for a name that is too long" 1 mqtry "open /$(printf 'x%.0s' {1..256}) rwc 0600" "open ${Q}one rc 0600" "unlink ${Q}one"
expect_results "… is refused as ever" "-1 ENAMETOOLONG;0;0;"
holds "… which is no need" test -z "$(grep -v '^#' "$F" | grep xxxx)"

# Names of a process's own number
rm -f "$F"
OWN=("open ${Q}%p rwc 0600" "unlink ${Q}%p")
learns "a program with its own number in a name" 0 mqtry "${OWN[@]}"
holds "… has that pointed out" grep -q "#     path-pattern: \"$Q{pid}\"" "$F"
sed -i 's/^ *path:$/    path-pattern: "'"${Q//\//\\/}"'{pid}"/; /^ *- /d' "$F"
suffices "… which a person can take" mqtry "${OWN[@]}"
learns "… after which another number" 0 mqtry "${OWN[@]}"
holds "… is nothing new" test "$(grep -c interface: "$F")" = 1

rm -f "$F"
learns "stress-ng" 0 stress-ng --temp-path "$WORK/open" --mq 2 --mq-ops 200 --quiet
holds "… its numbered names are pointed out" grep -q '#     path-pattern: "/mq-.*\*"' "$F"
sed -i 's/^ *path:$/    path-pattern: "\/mq-*"/; /^ *- /d' "$F"
suffices "stress-ng" stress-ng --temp-path "$WORK/open" --mq 2 --mq-ops 200 --quiet

rm -f "$F"
cat >"$WORK/bin/queue.py" <<'PYTHON'
#!/usr/bin/env python3
"""A queue by the C library: O_CREAT, a message there and back."""
import ctypes, os, sys

libc = ctypes.CDLL(None, use_errno=True)
name = sys.argv[1].encode()
queue = libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
assert queue >= 0 and libc.mq_send(queue, b"hello", 5, 0) == 0
buffer = ctypes.create_string_buffer(65536)
assert libc.mq_receive(queue, buffer, 65536, None) == 5 and buffer.value == b"hello"
libc.mq_unlink(name)
PYTHON
learns "a Python program" 0 python3 "$WORK/bin/queue.py" "${Q}python"
suffices "a Python program" python3 "$WORK/bin/queue.py" "${Q}python"
holds "… which is named" grep -q "calls by python3; first 2" "$F"

# --- whatever becomes of it -----------------------------------------------------------------------

knows() {
	grep -q "$1\b" "$F"
}
for signal in TERM KILL; do
	rm -f "$F"
	start_app learning as_user mq-run --learn "$F" -- mqtry
	tell learning "open ${Q}killed rwc 0600"
	kill -$signal "$(app_pid learning)"
	stop_app learning
	holds "killed by $signal: what was seen until then is written" wait_until 5 knows "${Q}killed"
done
rm -f "$F"
start_app learning as_user setsid mq-run --learn "$F" -- mqtry
tell learning "open ${Q}killed rwc 0600"
tell learning "open ${Q}late rwc 0600"
sleep 1.5
kill -KILL -- "-$(app_pid learning)"
stop_app learning
holds "killed with all that belongs to it: but for the last second" knows "${Q}late"
rm -f "/dev/mqueue${Q}killed" "/dev/mqueue${Q}late"
rm -f "$F"
learns "what a command leaves behind" 0 sh -c 'setsid sh -c "sleep 1; mqtry \"open $0 rwc 0600\" \"unlink $0\"" "$0" >/dev/null 2>&1 &' "${Q}left"
holds "… is learned from as well" wait_until 5 knows "${Q}left"
holds "nothing else is left" test -z "$(find "$WORK/open" -name '.mqgate*')"

# --- the file -------------------------------------------------------------------------------------

# refused DESCRIPTION REGEX FILE OPTION…: said before the command starts, and the file stays
refused() {
	local description=$1 message=$2 file=$3
	shift 3

	run as_user mq-run --learn "$file" "$@" -- touch "$WORK/open/started"
	expect_status "$description: 125" 125
	expect_stderr "… says why, and what to do" "$message"
	[ "$message" != "${message#^mq-run}" ] || expect_stderr "… and that nothing is started" "^mq-run: --learn: nothing is started"
	holds "… nothing is started" test ! -e "$WORK/open/started"
	rm -f "$WORK/open/started"
}
D="$WORK/open/d"
as_user mkdir "$D"
refused "a directory that is missing" "^$D/no/app.yaml: error: cannot be written: No such file.*make the directory" "$D/no/app.yaml"
refused "one that may not be written to" "^$WORK/app.yaml: error: cannot be written: Permission denied; choose another directory" "$WORK/app.yaml"
refused "a directory" "^$D/: error: cannot be written: Is a directory" "$D/"
ln -s "$F" "$D/link.yaml"
refused "a symbolic link" "^$D/link.yaml: error: cannot be written: .*symbolic link" "$D/link.yaml"
mkfifo "$D/fifo"
refused "no regular file" "^$D/fifo: error: cannot be written: .*name a regular file" "$D/fifo"
as_user sh -c "echo 'name: app' >'$D/read.yaml'; chmod 444 '$D/read.yaml'"
refused "a file that may not be written" "^$D/read.yaml: error: cannot be written: Permission denied; make it writable" "$D/read.yaml"
as_user sh -c ": >'$D/empty.yaml'"
run as_user mq-run --learn "$D/empty.yaml" -- true
expect_status "one that is empty is taken" 0
holds "… and written" grep -q '^name: empty$' "$D/empty.yaml"
printf 'name: app\nplugs: [\n' >"$D/bad.yaml"
chown 65534 "$D/bad.yaml"
cp "$D/bad.yaml" "$WORK/bad.yaml"
refused "a malformed one" "^$D/bad.yaml:[0-9]+:[0-9]+: error: " "$D/bad.yaml"
holds "… stays as it is" cmp "$D/bad.yaml" "$WORK/bad.yaml"
printf 'name: app\nslots: {}\n' >"$D/brackets.yaml"
chown 65534 "$D/brackets.yaml"
refused "one that cannot be added to" "^$D/brackets.yaml:2:8: error: nothing can be added between brackets" "$D/brackets.yaml"
printf 'name: app\nplugs: {a: posix-mq, b: posix-mq}\n' >"$D/two.yaml"
chown 65534 "$D/two.yaml"
refused "more than one plug" "^$D/two.yaml: error: there is more than one plug" "$D/two.yaml"
run as_user mq-run --learn "$D/two.yaml" --plug b -- mqtry "open ${Q}b rc 0600" "unlink ${Q}b"
expect_stderr "… of which one is named" "--policy $D/two.yaml --plug b -- COMMAND"
run as_user mq-run --policy "$D/two.yaml" --plug b -- mqtry "open ${Q}b rc 0600" "unlink ${Q}b"
expect_results "… which has it then" "0;0;"
refused "a slot" "^mq-run: --learn: name at most one plug" "$F" --slot app:x
refused "a policy" "^mq-run: --learn and --policy: use one of the two" "$F" --policy "$F"
refused "two files" "^mq-run: --learn .*: it is given twice" "$F" --learn "$F"
refused "the other wall" "^mq-run: --wall=mount is not to be had" "$F" --wall=mount

# What a person has written stays, also if it is written while the command runs; so do mode and owner.
cat >"$D/mine.yaml" <<YAML
# of a person
name: mine
plugs:
  in: posix-mq     # here
slots:
  # and here
  one: {interface: posix-mq, posix-mq: in, path: ${Q}one, permissions: [read]}
YAML
chown 65534 "$D/mine.yaml"
chmod 640 "$D/mine.yaml"
cp "$D/mine.yaml" "$WORK/mine.yaml"
start_app learning as_user mq-run --learn "$D/mine.yaml" -- mqtry
tell learning "open ${Q}one rc 0600"
as_user sh -c "printf '# and later\n' >>'$D/mine.yaml'"
tell learning "unlink ${Q}one"
stop_app learning
holds "what a person has written stays" \
	test -z "$(diff "$WORK/mine.yaml" "$D/mine.yaml" | grep '^<')" -a -n "$(grep 'and later' "$D/mine.yaml")"
holds "… with its mode and owner" test "$(stat -c '%a %u' "$D/mine.yaml")" = "640 65534"
run as_user mq-run --policy "$D/mine.yaml" --plug in -- mqtry "open ${Q}one rc 0600" "unlink ${Q}one"
expect_results "… and what was missing is there" "0;0;"
rm -f "$F"
start_app learning as_user mq-run --learn "$F" -- mqtry
tell learning "open ${Q}one rc 0600"
knows_one() {
	grep -q "${Q}one" "$F" 2>/dev/null
}
wait_until 5 knows_one
chmod 600 "$F"
tell learning "unlink ${Q}one"
# While it is written for the last time, which takes a second then.
{
	close_apps
	exec strace -qq -o /dev/null -e trace=fsync -e inject=fsync:delay_enter=1000000 -p "$(pgrep -x mqgate-alone)"
} &
STRACE=$!
is_traced() {
	[ "$(awk '/^TracerPid/ { print $2 }' "/proc/$(pgrep -x mqgate-alone)/status")" != 0 ]
}
wait_until 5 is_traced
(close_apps && sleep 0.5 && echo "# written meanwhile" >>"$F") &
stop_app learning 10
wait $STRACE
wait
holds "the mode of a new file stays, too" test "$(stat -c %a "$F")" = 600
holds "… and what is written into it while it is written" grep -q "written meanwhile" "$F"
printf 'name: app\nplugs:\n  app: posix-mq\n' >"$D/theirs.yaml"
chown 65533 "$D/theirs.yaml"
run mq-run --learn "$D/theirs.yaml" -- touch "$WORK/open/started"
expect_status "root, and a file of somebody else's: 125" 125
expect_stderr "… says why, and what to do" "^$D/theirs.yaml: error: cannot be written: .*it belongs to another user; name a file of your own"
holds "… nothing is started" test ! -e "$WORK/open/started"
learns "a file name that is no package's" 0 true
run as_user mq-run --learn "$D/My App (2).yaml" -- true
expect_stderr "… and told as a shell takes it" "mq-run --policy '$D/My App \(2\).yaml' --plug my-app-2 -- COMMAND"
holds "… is made one" grep -q '^name: my-app-2$' "$D/My App (2).yaml"

# --- from what was denied: mqctl learn ------------------------------------------------------------

write_package job.yaml <<'YAML'
name: job
plugs:
  work: {interface: posix-mq, posix-mq: "of work"}
  other: posix-mq
  alias: {interface: posix-mq, path: @Q@one}
YAML
start_daemon
TRY=("open ${Q}one rwc 0600" "send x" "open ${Q}two r" "unlink ${Q}one")
run mqctl learn job:work
expect_status "before anything was denied: 1" 1
expect_message "… says so" "^error: job:work was denied nothing that mqgated remembers"
run as_user mq-run --plug job:work mqtry "${TRY[@]}"
expect_results "a program that is denied" "-1 EACCES;-1 EBADF;-1 EACCES;-1 EACCES;"
start_app job as_user mq-run --plug job:work mqtry
expect_answer "one that runs still" job "open ${Q}three r" "EACCES"
see as_user mqctl learn job:work
expect_status "mqctl learn, of a program that has ended and one that runs" 0
stop_app job
holds "… nothing is changed by it" test -z "$(mqctl connections | grep job)"
cp "$WORK/seen" "$WORK/packages/job-learned.yaml"
check "… what it prints is a package without a fault" mqctl check "$WORK/packages/job-learned.yaml"
check "… that mqgated takes" mqctl reload
while read -r line; do
	# shellcheck disable=SC2086
	check "… with this command" $line
done < <(sed -n 's/^# *\(mqctl connect .*\)/\1/p' "$WORK/seen")
run as_user mq-run --plug job:work mqtry "${TRY[@]}" "open ${Q}three w"
expect_results "… after which that is allowed, and no more" "0;0;-1 ENOENT;0;-1 EACCES;"
run as_uid 65533 mqctl learn job:work
expect_status "another user has not seen it" 1
see mqctl learn job:work
holds "root sees all" grep -q "${Q}three" "$WORK/seen"
run mqctl learn job:wrk
expect_message "an unknown plug: the nearest is named" "job.*wrk.*work"
run mqctl learn job:alias
expect_message "one with names of its own: what to do" '^error: job:alias has a "path".* by hand'
run mqctl learn
expect_status "no plug: 2" 2

# So many are remembered, whatever the rate of records.
MOST=$(bound SESSION_DENIALS_MAX)
NAMES=()
for i in $(seq 1 $((MOST + 10))); do NAMES+=("open ${Q}n$i r"); done
start_app many as_user mq-run --plug job:other mqtry "${NAMES[@]}"
remembered() {
	mqctl learn job:other | grep -c "^      - ${Q}n"
}
has_most() {
	[ "$(remembered)" = "$MOST" ]
}
holds "the last SESSION_DENIALS_MAX are remembered" wait_until 5 has_most
holds "… the first ones are not" test -z "$(mqctl learn job:other | grep -w "${Q}n1")"
wait_until 5 app_gone many
stop_app many
holds "… also when the session has ended" wait_until 5 has_most
for round in 1 2 3; do
	NAMES=()
	for i in $(seq 1 $((MOST - 10))); do NAMES+=("open ${Q}r$round-$i r"); done
	run as_user mq-run --plug job:other mqtry "${NAMES[@]}"
done
ENDED=$(bound ENDED_DENIALS_PER_USER_MAX)
all_remembered() {
	[ "$(mqctl learn job:other | grep -c "^      - $Q")" = "$ENDED" ]
}
holds "of sessions of a user that have ended, ENDED_DENIALS_PER_USER_MAX" wait_until 5 all_remembered

# explain --last: also what the rate of records has held back.
NAMES=()
for i in $(seq 1 60); do NAMES+=("open ${Q}e$i r"); done
start_app many as_user mq-run --plug job:other sh -c 'mqtry "$@"; cat' sh "${NAMES[@]}"
wait_until 5 grep -q "${Q}e60" "$WORK/many.out"
see mqctl explain --last --json
holds "explain --last has each, whatever the rate of records" \
	test "$(grep -o "\"queue\": *\"${Q}e[0-9]*\"" "$WORK/seen" | sort -u | wc -l)" = 60
stop_app many

# Each of those that are asked for again at once counts, though who asks is not looked at each time.
write_package loop.yaml <<'YAML'
name: loop
plugs: {reader: posix-mq}
slots: {readable: {interface: posix-mq, posix-mq: reader, path: @Q@loop, permissions: [read]}}
YAML
check "a queue for reading" mqctl reload
check "… is connected" mqctl connect loop:reader loop:readable
as_user mqtry "open ${Q}loop rwc 0600 4 16" >/dev/null
mapfile -t SENDS < <(for i in {1..300}; do echo "send x"; done)
run as_user mq-run --plug loop:reader mqtry "open ${Q}loop r" "${SENDS[@]}"
holds "each send to it is denied" test "$(grep -c "^send.*EACCES" "$WORK/stdout")" = 300
holds "… and counted" wait_until 5 eval 'mqctl learn loop:reader | grep -q "300 calls"'
stop_daemon

finish
