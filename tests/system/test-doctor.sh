#!/bin/bash
# SPDX-License-Identifier: MIT
# mqctl doctor: what is fit is ok, and of everything that is broken it says what to do; a road that is open
# fails. Nothing is left behind.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

PACKAGES="$WORK/packages"
STATE="$WORK/state/connections.yaml"
write_package app.yaml <<'YAML'
name: app
plugs:
  in: posix-mq
YAML
write_package hub.yaml <<'YAML'
name: hub
slots:
  in: {interface: posix-mq, path: @Q@in}
YAML
# Another test's doctor may be at work in /tmp.
export TMPDIR="$WORK/open"
DOCTOR=(mqctl doctor --packages "$PACKAGES" --state "$STATE")

# says DESCRIPTION LINE: among the lines of the last run, which stay
says() {
	grep -Eq -- "^$2" "$WORK/seen"
	verdict "$1" $? "expected a line: $2
$(cat "$WORK/seen")"
}

# doctor WHO STATUS DESCRIPTION [CMD…]: runs it, by CMD
doctor() {
	local who=$1 status=$2 description=$3
	shift 3

	see as_who "$who" "$@" "${DOCTOR[@]}"
	cp "$WORK/stderr" "$WORK/seen.err"
	expect_status "$description: $status" "$status"
}

# broken WHO DESCRIPTION LINE [CMD…]: a warning, and status 1
broken() {
	local who=$1 description=$2 line=$3
	shift 3

	doctor "$who" 1 "$description" "$@"
	says "… says so, and what to do" "$line"
}

nothing_left() {
	[ -z "$(find "$TMPDIR" -maxdepth 1 -name 'mqgate-doctor-*')$(find /dev/mqueue -name 'mqgate-doctor-*')" ]
}

# --- a machine that is fit -----------------------------------------------------------------------

start_daemon
mqctl connect app:in hub:in
for who in root user; do
	see as_who $who "${DOCTOR[@]}"
	expect_status "$who: all is well, but perhaps for queues of its own" "$(grep -c '^warning *namespaces:' "$WORK/seen")"
	[ $who = user ] || FIT=$(grep -c "^warning *namespaces:" "$WORK/seen")
	says "$who: kernel" "ok +kernel: Linux "
	says "$who: Landlock" "ok +Landlock: ABI [2-9]"
	says "$who: seccomp" "ok +seccomp: "
	says "$who: mounts" "ok +mounts: message queues are on /dev/mqueue$"
	says "$who: queues" "ok +queues: 0 of [0-9]+ "
	says "$who: labels" "ok +labels: "
	says "$who: namespaces" "(ok +namespaces: queues are the machine|warning +namespaces: this is a container)"
	says "$who: daemon" "ok +daemon: version [0-9]"
	says "$who: packages" "ok +packages: 2 in $PACKAGES, without a fault$"
	says "$who: state" "ok +state: $WORK/state$"
	says "$who: roads" "ok +roads: [0-9]+ ways to reach a queue past mqgate are closed to a confined program"
	holds "$who: … each of them ok, or with what to do" \
		test -z "$(grep -vE '^(ok|warning|FAILED) +[^:]*: .' "$WORK/seen")$(grep -E '^warning' "$WORK/seen" | grep -v ';')"
	holds "$who: … more than twenty" test "$(sed -n 's/^ok *roads: \([0-9]*\) .*/\1/p' "$WORK/seen")" -gt 20
	holds "$who: … and nothing is left behind" nothing_left
done
says "connections, which a user sees that may" "ok +connections: 1$"
see mqctl doctor --json --packages "$PACKAGES" --state "$STATE"
holds "as JSON" python3 -c 'import json, sys
rows = json.load(open(sys.argv[1]))
assert len(rows) > 9 and all(row["result"] in ("ok", "warning") and row["subject"] and row["text"] for row in rows)
assert all(row["remedy"] for row in rows if row["result"] == "warning")' "$WORK/seen"
see mqctl doctor
says "a daemon that answers says where to look" "ok +packages: 2 in $PACKAGES, without a fault$"
says "… at connections" "ok +connections: 1$"
says "… and at its state" "ok +state: $WORK/state$"
run mqctl doctor now
expect_status "wrong usage: 2" 2
broken root "queues of its own, as in a container" "warning +namespaces: this is a container.*; to share queues" unshare --ipc
run mq-run --policy "$PACKAGES/app.yaml" --plug in "${DOCTOR[@]}"
expect_stdout "within a sandbox it says that nothing can be confined" "^FAILED +seccomp: this is a sandbox with a seccomp supervisor"
expect_status "… and that is no open road" 1

for signal in INT TERM HUP; do
	start_app doctor as_user "${DOCTOR[@]}"
	wait_until 5 grep -q "ok *state" "$WORK/doctor.out"
	sleep 0.2
	kill -$signal "$(app_pid doctor)"
	wait_until 10 app_gone doctor
	stop_app doctor
	holds "ended by $signal, it leaves nothing behind" nothing_left
done

# --- what is broken ------------------------------------------------------------------------------

OTHER=(env ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}verify_asan_link_order=0" LD_PRELOAD="$BUILD_ROOT/tests/preload/other-machine.so")
broken root "no Landlock" "FAILED +Landlock: this kernel has none.*; use Linux 5.19.*lsm=" old-kernel landlock
says "… nor can anything be confined" "FAILED +mq-run: .*Landlock is disabled.*lsm="
broken root "an old Landlock" "FAILED +Landlock: too old \(ABI 1, needed: 2\).*; use Linux 5.19" "${OTHER[@]}" OTHER_ABI=1
broken root "one that does not know truncating" "warning +Landlock: ABI 2: .*truncate.*; Linux 6.2" "${OTHER[@]}" OTHER_ABI=2
broken root "no seccomp" "FAILED +seccomp: no user notification.*; .*CONFIG_SECCOMP_FILTER" "${OTHER[@]}" OTHER_SECCOMP=none
broken root "an old seccomp" "FAILED +seccomp: no WAIT_KILLABLE_RECV.*; use Linux 5.19" old-kernel wait-killable

mkdir "$WORK/files"
echo "docker-default (enforce)" >"$WORK/files/current"
echo "lockdown,capability,landlock,yama,apparmor" >"$WORK/files/lsm"
broken root "an AppArmor label" "warning +labels: this process has the label docker-default \(enforce\);.*; .*launch-group" "${OTHER[@]}" OTHER_FILES="$WORK/files"
echo "unconfined" >"$WORK/files/current"
doctor root "$FIT" "AppArmor, and no label" "${OTHER[@]}" OTHER_FILES="$WORK/files"
says "… is said" "ok +labels: this process has none \(other programs may\)$"
printf 'system_u:system_r:container_t:s0\0' >"$WORK/files/current"
broken root "an SELinux label" "warning +labels: this process has the label system_u:system_r:container_t:s0" "${OTHER[@]}" OTHER_FILES="$WORK/files"

mkdir "$WORK/more"
cat >"$WORK/bin/with-mount" <<'SCRIPT'
#!/bin/sh
# with-mount TYPE DIR CMD…: with that mounted
type=$1 dir=$2
shift 2
exec unshare -m sh -c 'mount $0 "$1" && shift && exec "$@"' "$type" "$dir" "$@"
SCRIPT
chmod 755 "$WORK/bin/with-mount"
broken root "a second message queue file system" "warning +mounts: .* mounted on $WORK/more; unmount it" with-mount "-t mqueue none" "$WORK/more"
broken root "none on /dev/mqueue" "warning +mounts: no message queue file system.*; .*mount -t mqueue" unshare -m sh -c 'umount -l /dev/mqueue; exec "$@"' sh
echo 10 >/proc/sys/fs/mqueue/queues_max
for i in 1 2 3 4 5 6 7 8 9; do mqtry "open $Q$i rwc 0666 1 16" >/dev/null; done
broken user "nearly as many queues as there may be" "warning +queues: 9 of 10 .*; sysctl -w fs.mqueue.queues_max=20"
says "… so that the roads cannot be tried" "warning +roads?.*: .*(cannot be tried|cannot create)"
holds "… and nothing is left behind" nothing_left
mqtry "open ${Q}10 rwc 0666 1 16" >/dev/null
broken user "as many queues as there may be" "warning +queues: 10 of 10 .*nobody but root.*; sysctl -w"
rm -f "/dev/mqueue$Q"*
echo 256 >/proc/sys/fs/mqueue/queues_max

# Documents, connections, state
printf 'name: bad\nplugs: [\n' >"$PACKAGES/bad.yaml"
broken user "a malformed package" "warning +packages: $PACKAGES/bad.yaml:[0-9]+:[0-9]+: error: .*; mqctl check"
rm "$PACKAGES/bad.yaml"
see mqctl doctor --packages "$WORK/nowhere" --state "$STATE"
expect_status "packages that are nowhere: 1" 1
says "… are named" "warning +packages: $WORK/nowhere: No such file"
chmod 700 "$PACKAGES"
broken user "packages that may not be read" "warning +packages: $PACKAGES: error: cannot be read: Permission denied"
chmod 755 "$PACKAGES"
rm "$PACKAGES/hub.yaml"
broken root "a connection to what is gone" "warning +connections: 1 of 1 name .* the first app:in hub:in; mqctl disconnect --forget app:in hub:in"
cp "$STATE" "$WORK/list.yaml"
echo '{' >"$STATE"
broken root "a malformed list of connections" "warning +connections: $STATE:[0-9]+:[0-9]+: error: .*; mqgated does not start"
cp "$WORK/list.yaml" "$STATE"
chmod 777 "$WORK/state"
broken root "a state that others may write" "warning +state: others can write into $WORK/state.*; chmod go-w"
chmod 755 "$WORK/state"
chown 12345 "$WORK/state"
broken root "a state of somebody else's" "warning +state: $WORK/state belongs to user 12345.*; .*chown"
chown 0 "$WORK/state"
broken root "a full disk" "warning +state: $WORK/state is full.*; free some space" with-mount "-t tmpfs -o size=64k,mode=755 none" "$WORK/state"

# The daemon
chown 12345 "$WORK/run/control"
broken root "a socket of somebody else's" "warning +daemon: $WORK/run/control belongs to user 12345.*; find out"
chown 0 "$WORK/run/control"
chmod 777 "$WORK/run"
broken root "a directory of sockets that everybody may write" "warning +daemon: everybody can put sockets into $WORK/run; chmod"
chmod 755 "$WORK/run"
stop_daemon
broken user "no daemon" "warning +daemon: it is not running: .*; start it: systemctl start mqgated"
touch "$WORK/run/launch" "$WORK/run/control"
broken user "no socket" "warning +daemon: $WORK/run/launch is no socket; remove it"
rm -f "$WORK/run/launch" "$WORK/run/control"
rmdir "$WORK/run"
broken user "no directory of sockets" "warning +daemon: it is not running: $WORK/run: No such file.*; start it"

# --- others' doing -------------------------------------------------------------------------------

# Takes each name that is seen, as soon as it is free, and those that begin with it.
cat >"$WORK/bin/squatter.py" <<'PYTHON'
#!/usr/bin/env python3
import os, sys

seen = set()
print("ready", flush=True)
while True:
	seen.update(name for name in os.listdir("/dev/mqueue") if "squatted" not in name)
	for name in list(seen):
		for taken in (name, name + "-created", name + "-granted"):
			try:
				os.close(os.open("/dev/mqueue/" + taken, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0))
			except OSError:
				pass
PYTHON
chmod 755 "$WORK/bin/squatter.py"
roads_closed() {
	sed -n 's/^ok *roads: \([0-9]*\) .*/\1/p' "$WORK/seen"
}
see as_user mqctl doctor --packages "$PACKAGES" --state "$STATE"
CLOSED=$(roads_closed)
start_app squatter as_uid 65533 "$WORK/bin/squatter.py"
wait_until 5 grep -q ready "$WORK/squatter.out"
see as_user mqctl doctor --packages "$PACKAGES" --state "$STATE"
stop_app squatter 0
holds "who takes the names of queues keeps no road from being tried: $(roads_closed) of $CLOSED" \
	test -n "$CLOSED" -a "$(roads_closed)" = "$CLOSED"
find /dev/mqueue -user 65533 -delete

# --- a road that is open -------------------------------------------------------------------------

mkdir "$WORK/leaky"
cp "$WORK/bin/mqctl" "$WORK/bin/mqgate-roads" "$WORK/leaky"
cat >"$WORK/leaky/mq-run" <<'SCRIPT'
#!/bin/sh
# It confines nothing.
while [ "$1" != -- ]; do shift; done
shift
exec "$@"
SCRIPT
chmod 755 "$WORK/leaky/mq-run"
see as_user "$WORK/leaky/mqctl" doctor --packages "$PACKAGES" --state "$STATE"
expect_status "an open road: 3" 3
says "… is named" "FAILED +road open: a confined program gets to a queue by it; do not trust"
holds "… each of them" test "$(grep -c '^FAILED *road' "$WORK/seen")" -gt 20
holds "… and nothing is left behind" nothing_left

finish
