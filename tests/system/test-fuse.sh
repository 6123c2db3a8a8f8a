#!/bin/bash
# SPDX-License-Identifier: MIT
# A file of a FUSE file system whose server never answers, used as if it were a queue: nobody waits.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

[ -c /dev/fuse ] || mknod /dev/fuse c 10 229 2>/dev/null
dd if=/dev/fuse count=0 status=none 2>/dev/null || skip_all "/dev/fuse cannot be opened"

write_package app.yaml <<'YAML'
name: app
plugs:
  queue: posix-mq
  fast: {interface: posix-mq, posix-mq: queue, mediation: open}
slots:
  kept: {interface: posix-mq, posix-mq: queue, path: "@Q@-kept", permissions: [read, write, create, delete]}
  lost: {interface: posix-mq, posix-mq: queue, path: "@Q@-lost", permissions: [read, write, create, delete]}
YAML
cp "$(dirname "$0")/neighbour.py" "$WORK"
start_daemon
mqctl connect app:queue app:kept
mkdir "$WORK/mount"

process_gone() {
	! grep -q "^State:.[^Z]" "/proc/$1/status" 2>/dev/null
}

nobody_asked() {
	! [ -s "$WORK/fuse.log" ]
}

# Closing a copy is what asks the server.
answers_at_once() {
	local shape=$1 error=$2 when=$3

	expect_answer "$shape, $when: sending on it is refused at once" held "send a" \
		"^send a -> -1 $error\$"
	holds "$shape, $when: nobody has closed a copy of it" nobody_asked
	tell held "open $Q-kept rwc"
	expect_answer "$shape, $when: the next call is served" held "send a" "^send a -> 0\$"
	tell held "receive"
	tell held "use 0"
}

# try_shape SHAPE ERROR [OPTION…]
try_shape() {
	local shape=$1 error=$2
	shift 2

	mqctl connect app:queue app:lost
	rm -f "$WORK/mount.hold" "$WORK/mount.end" "$WORK/fuse.log"
	start_app held fuse-file "$WORK/mount" "$WORK/fuse.log" "$@" -- \
		as_user mq-run --plug app:queue mqtry
	expect_answer "$shape: it is there" held "take 9" "^take 9 -> 0\$"
	touch "$WORK/mount.hold"
	answers_at_once "$shape" "$error" "before a loss"
	tell held "open $Q-lost rwc"
	tell held "use 0"
	holds "$shape: mqctl disconnect returns" timeout 5 mqctl disconnect app:queue app:lost
	answers_at_once "$shape" "$error" "after it"
	touch "$WORK/mount.end"
	stop_app held
}

try_shape "mounted" EBADF
try_shape "unmounted" EBADF detached
try_shape "mounted, without handles" EBADF no-handles
# It cannot be told from a queue.
try_shape "unmounted, without handles" EACCES detached no-handles

# --- who cannot be ended ---------------------------------------------------------------------------

mqctl connect app:fast app:lost
mqtry "open $Q-lost rwc 0666" >/dev/null
chmod 666 "/dev/mqueue$Q-lost"
rm -f "$WORK/mount.hold" "$WORK/mount.end" "$WORK/fuse.log"
start_app held fuse-file "$WORK/mount" "$WORK/fuse.log" -- \
	as_user mq-run --plug app:fast holder "$Q-lost" held
wait_until 10 grep -q holding "$WORK/held.out"
HELD=$(sed -n 's/holding //p' "$WORK/held.out")
touch "$WORK/mount.hold"
echo >&"$(cat "$WORK/held.fd")"
holds "it is held in a call" wait_until 10 test -s "$WORK/fuse.log"
run timeout 15 mqctl disconnect --kill app:fast app:lost
expect_status "a process that the kernel holds: --kill fails" 1
expect_stderr "and names it" "1 process still runs \\($HELD\\): the kernel holds it"
touch "$WORK/mount.end"
holds "once the kernel lets it go --kill ends it" \
	wait_until 10 mqctl disconnect --kill app:fast app:lost
holds "it is dead" wait_until 5 process_gone "$HELD"
stop_app held

# --- who holds up those that receive it -------------------------------------------------------------

FD_RECEIVERS=$(bound FD_RECEIVERS_PER_USER_MAX)
fd_receivers() {
	pgrep -P "$DAEMON" mqgated | wc -l
}

no_fd_receivers() {
	[ "$(fd_receivers)" = "$BEFORE" ]
}

BEFORE=$(fd_receivers)
rm -f "$WORK/mount.hold" "$WORK/mount.end" "$WORK/fuse.log"
touch "$WORK/mount.hold"
start_app held fuse-file "$WORK/mount" "$WORK/fuse.log" -- \
	as_user env MQGATE_RUNTIME_DIR="$WORK/run" python3 "$WORK/neighbour.py" hand_over app:queue
holds "a user can hold up $FD_RECEIVERS fd_receivers" \
	wait_until 20 grep -q "^handed over $FD_RECEIVERS$" "$WORK/held.out"
holds "… and no more" test "$(fd_receivers)" -le $((BEFORE + FD_RECEIVERS))
check "another user launches" as_uid 65533 mq-run --plug app:queue true
check "root launches" mq-run --plug app:queue true
touch "$WORK/mount.end"
stop_app held
holds "once the server answers they end" wait_until 10 no_fd_receivers
check "… and that user launches" as_user mq-run --plug app:queue true

# --- the control bus --------------------------------------------------------------------------------

rm -f "$WORK/mount.hold" "$WORK/mount.end" "$WORK/fuse.log"
touch "$WORK/mount.hold"
start_app held fuse-file "$WORK/mount" "$WORK/fuse.log" -- \
	as_user env MQGATE_RUNTIME_DIR="$WORK/run" python3 "$WORK/neighbour.py" nine
check "whoever sends it on the control bus holds up nobody" timeout 5 mqctl status
holds "… and is done with" wait_until 20 grep -q "^finished" "$WORK/held.out"
holds "… and the manager has closed no copy of it" test -z "$(grep -w "$DAEMON" "$WORK/fuse.log")"
touch "$WORK/mount.end"
stop_app held

# --- a file system below / that does not answer ----------------------------------------------------

# starts_beside DIRECTORY WORD…: the command, there; the file system is a top directory, /srv
starts_beside() {
	local directory=$1

	shift
	rm -f "$WORK/mount.hold" "$WORK/mount.end" "$WORK/fuse.log"
	start_app beside fuse-file "$WORK/mount" "$WORK/fuse.log" silent -- \
		bash -c "mount --bind '$WORK/mount' /srv && cd $directory && exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&- && touch '$WORK/mount.hold' && exec \"\$@\"" sh "$@"
	holds "$* starts in $directory where /srv does not answer" wait_until 5 app_gone beside
	touch "$WORK/mount.end"
	expect_end "… and succeeds" beside 0
}

starts_beside /srv true
starts_beside /srv mq-run --plug app:queue true
# It would ask the file system whether it may go back there.
starts_beside / mq-run --wall=mount --plug app:queue true
finish
