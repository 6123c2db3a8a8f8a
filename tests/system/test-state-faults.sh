#!/bin/bash
# SPDX-License-Identifier: MIT
# Every step of writing the state fails, or is the last of the process: afterwards the state is the old one or the new one, it is what
# mqctl said, and it is what is in force.
# STATE_FAULTS_ALL=1: every errno and a death at every step of every change, also where it takes seconds each.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

private_ipc
setup
cp "$BUILD_ROOT"/tests/preload/state-fault.so "$WORK/bin/"
mv "$WORK/bin/mqgated" "$WORK/bin/mqgated.whole"
cat >"$WORK/bin/mqgated" <<SCRIPT
#!/bin/bash
export MQGATE_FAULT_DIR="$WORK/state" MQGATE_FAULT_PLAN="$WORK/plan"
export ASAN_OPTIONS=verify_asan_link_order=0
LD_PRELOAD="$WORK/bin/state-fault.so" exec -a mqgated "$WORK/bin/mqgated.whole" "\$@"
SCRIPT
chmod 755 "$WORK/bin/mqgated"
truncate -s 4096 "$WORK/plan"
PLUG=client:queue
SLOT=server:queue
EIO=5 ENOSPC=28 EROFS=30 EDQUOT=122 DEATH=0
STATE=$WORK/state/connections.yaml

write_package server.yaml <<'YAML'
name: server
publisher: somebody
slots:
  queue:
    interface: posix-mq
    path: "@Q@queue"
    permissions: [read, write]
  found:
    interface: posix-mq
    posix-mq: found
    path: "@Q@found"
    permissions: [read, write]
YAML
write_package client.yaml <<'YAML'
name: client
plugs:
  queue: posix-mq
YAML
sed "s|@Q@|$Q|g" >"$WORK/finder.yaml" <<'YAML'
name: finder
publisher: somebody
plugs:
  found:
    interface: posix-mq
    posix-mq: found
YAML
printf 'version: 1\nconnections:\n- {plug: %s, slot: %s}\n' "$PLUG" "$SLOT" >"$WORK/list.yaml"
printf 'version: 1\nconnections: []\n' >"$WORK/empty.yaml"

# --- faults ---------------------------------------------------------------------------------------

number() {
	printf '\\x%02x\\x%02x\\x00\\x00' $(($1 % 256)) $(($1 / 256))
}

# plan CALL ERRNO: the CALL-th from now on
plan() {
	# shellcheck disable=SC2059
	printf "$(number "$1")$(number "$2")$(number 0)$(number 0)" |
		dd of="$WORK/plan" conv=notrunc status=none
}

happened() {
	[ "$(od -An -tu4 -j12 -N4 "$WORK/plan" | tr -d ' ')" = 1 ]
}

# --- old or new -----------------------------------------------------------------------------------

# on_disk, in_force: 1 if PLUG (or what $PLUG is) is connected
on_disk() {
	awk -v plug="$PLUG" '$2 == "plug:" && $3 == plug { found = 1 }
		found && $1 == "state:" { print ($2 == "undesired" ? 0 : 1); exit }
		END { if (!found) print 0 }' "$STATE"
}

in_force() {
	mqctl connections "${PLUG%%:*}" | grep -c "$PLUG *$SLOT"
}

sound() {
	[ "$(find "$WORK/state" -type f -newer "$WORK/empty.yaml" -name '*.yaml' | wc -l)" -le 1 ] &&
		grep -q '^version: 1$' "$STATE"
}

# back: everything is as before the change
back() {
	plan 0 0
	rm -f "$WORK/packages/finder.yaml"
	cp "$WORK/old.yaml" "$STATE"
	restart_daemon
}

# agrees STATUS OLD NEW: what mqctl said, what is on disk and what is in force
agrees() {
	local status=$1 old=$2 new=$3 disk force

	plan 0 0
	if ! daemon_alive; then
		sound || return
		wait "$DAEMON" 2>/dev/null
		start_daemon
		status=dead
	fi
	disk=$(on_disk)
	force=$(in_force)
	echo "status $status, on disk $disk, in force $force, of $old to $new"
	case $status in
	0) [ "$disk" = "$new" ] && [ "$force" = "$new" ] ;;
	1) [ "$disk" = "$old" ] && [ "$force" = "$old" ] ;;
	dead) [ "$disk" = "$force" ] ;;
	*) false ;;
	esac && sound
}

# change DESCRIPTION OLD NEW CMD…: with each of $FAULTS at each step
change() {
	local description=$1 old=$2 new=$3 step error status steps=0 wrong=0
	local faults=${FAULTS:-$EIO}
	shift 3

	cp "$STATE" "$WORK/old.yaml"
	: >"$WORK/faults.txt"
	[ "${STATE_FAULTS_ALL:-0}" = 0 ] || faults="$EIO $ENOSPC $EROFS $EDQUOT $DEATH"
	for error in $faults; do
		for ((step = 1; step < 50; step++)); do
			[ "${PREPARE:-}" = "" ] || cp "$WORK/finder.yaml" "$WORK/packages/"
			plan $step "$error"
			"$@" >"$WORK/stdout" 2>"$WORK/stderr"
			status=$?
			happened || break
			steps=$((steps + 1))
			[ "$error" != $DEATH ] || wait_until 2 daemon_gone
			if ! agrees $status "$old" "$new" >>"$WORK/faults.txt"; then
				wrong=$((wrong + 1))
				echo "at step $step, errno $error" >>"$WORK/faults.txt"
			fi
			if [ $status = 0 ] || [ "$error" = $DEATH ]; then
				back
			elif ! daemon_alive; then
				start_daemon
			fi
		done
		agrees $status "$old" "$new" >>"$WORK/faults.txt" || wrong=$((wrong + 1))
		[ $status = 0 ] || wrong=$((wrong + 1))
		back
	done
	holds "$description: $steps faults, and each time it is the old or the new, as mqctl said" \
		eval "tail -n 20 faults.txt; [ $wrong = 0 ] && [ $steps -ge 8 ]"
}

# --- running out ----------------------------------------------------------------------------------

run_out() {
	local step error all=${STATE_FAULTS_ALL:-0} tried=0 wrong=0

	for error in $EIO $DEATH; do
		for ((step = 1; step < 50; step += all ? 1 : 4)); do
			mqctl connect --for 1s $PLUG $SLOT || wrong=$((wrong + 1))
			plan $step $error
			not_in_force() {
				! daemon_alive || [ "$(in_force)" = 0 ]
			}
			wait_until 5 not_in_force || wrong=$((wrong + 1))
			happened || break
			tried=$((tried + 1))
			plan 0 0
			if ! daemon_alive; then
				wait "$DAEMON" 2>/dev/null
				start_daemon
			fi
			[ "$(in_force)" = 0 ] || wrong=$((wrong + 1))
			restart_daemon
			[ "$(in_force)$(on_disk)" = 00 ] && sound || wrong=$((wrong + 1))
		done
		plan 0 0
	done
	holds "a connection runs out: $tried faults, and each time it is cut, for good" \
		test $wrong = 0 -a $tried -ge 4
}

# --- no room --------------------------------------------------------------------------------------

full_disk() {
	stop_daemon
	mount -t tmpfs -o size=16k,nr_inodes=32 none "$WORK/state"
	start_daemon
	check "on a small file system" mqctl connect $PLUG $SLOT
	cp "$STATE" "$WORK/before.yaml"
	dd if=/dev/zero of="$WORK/state/filler" bs=1k status=none 2>/dev/null
	run mqctl disconnect $PLUG $SLOT
	expect_status "when it is full a change is refused" 1
	expect_message "… and mqctl says why" "No space left on device"
	holds "… the state is the old one" cmp "$STATE" "$WORK/before.yaml"
	holds "… and so is what is in force" test "$(in_force)" = 1
	rm "$WORK/state/filler"
	check "with room again it works" mqctl disconnect $PLUG $SLOT
	holds "… and is on disk" test "$(on_disk)" = 0
	i=0
	while : 2>/dev/null >"$WORK/state/inode$i"; do i=$((i + 1)); done
	run mqctl connect $PLUG $SLOT
	expect_status "without a free inode a change is refused" 1
	holds "… and nothing has changed" test "$(on_disk)$(in_force)" = 00
	rm "$WORK"/state/inode*
	check "and then it works" mqctl connect $PLUG $SLOT
	stop_daemon
	umount "$WORK/state"
}

printf 'version: 1\nconnections: []\n' >"$STATE"
start_daemon
FAULTS="$ENOSPC $DEATH" change "connect" 0 1 mqctl connect $PLUG $SLOT
change "apply" 0 1 mqctl apply "$WORK/list.yaml"
PLUG=finder:found SLOT=server:found
PREPARE=1 FAULTS="$EDQUOT $DEATH" change "reload, which connects automatically" 0 1 mqctl reload
PLUG=client:queue SLOT=server:queue
run_out
mqctl connect $PLUG $SLOT
FAULTS="$EROFS $DEATH" change "disconnect" 1 0 mqctl disconnect $PLUG $SLOT
change "disconnect --forget" 1 0 mqctl disconnect --forget $PLUG $SLOT
change "apply, which disconnects" 1 0 mqctl apply "$WORK/empty.yaml"
full_disk
finish
