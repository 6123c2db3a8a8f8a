#!/bin/bash
# SPDX-License-Identifier: MIT
# mqgated in the foreground: it finds its session program by itself, and gives confined programs the
# limit on queues that they have.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

write_package all.yaml <<'YAML'
name: app
plugs:
  all: posix-mq
slots:
  any:
    interface: posix-mq
    posix-mq: all
    path-pattern: "@Q@*"
    permissions: [read, write, create, delete]
YAML

# start_by CMD…: a daemon without --session-program, started by this command
start_by() {
	mark_log
	"$@" --config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" --state-dir "$WORK/state" \
		--packages "$WORK/packages" </dev/null >>"$WORK/daemon.log" 2>&1 &
	DAEMON=$!
	wait_until 5 daemon_answers_or_is_dead
}

# --- the session program --------------------------------------------------------------------------

# runs_with FILE: the session processes are of this program
runs_with() {
	local pid

	wait_until 5 session_processes
	for pid in $(session_processes); do
		[ "/proc/$pid/exe" -ef "$1" ] || return 1
	done
}

# finds DESCRIPTION MQGATED SESSION-PROGRAM
finds() {
	start_by "$2"
	holds "$1: it is found" runs_with "$3"
	check "$1: and serves" mq-run --plug app:all true
	stop_daemon
}

# laid_out DIRECTORY: programs in the places in which they are built
laid_out() {
	mkdir -p "$1/manager" "$1/session"
	cp "$WORK/bin/mqgated" "$1/manager/"
	cp "$WORK/bin/mqgate-session" "$1/session/"
}

# passed_over DESCRIPTION DIRECTORY [BELOW]: what lies there is not run, and that is said
passed_over() {
	run "$2/manager/mqgated" --state-dir "$WORK/no-such-directory" --packages "$WORK/packages" \
		--runtime-dir "$WORK/run"
	expect_stderr "$1: it is not used" \
		"^mqgated: $2/${3:-session/mqgate-session} is not used, .*--session-program"
}

finds "in the build directory" "$MQGATED" "$MQGATE_SESSION"
finds "in one directory" "$WORK/bin/mqgated" "$WORK/bin/mqgate-session"
ln -s "$MQGATED" "$WORK/open/mqgated"
finds "through a link" "$WORK/open/mqgated" "$MQGATE_SESSION"
laid_out "$WORK/good"
finds "where it is copied with its directories" \
	"$WORK/good/manager/mqgated" "$WORK/good/session/mqgate-session"
chown -R 65534:65534 "$WORK/good"
finds "where all belongs to one user" \
	"$WORK/good/manager/mqgated" "$WORK/good/session/mqgate-session"
chown 65533 "$WORK/good/session/mqgate-session"
passed_over "a third user's program" "$WORK/good"
mkdir "$WORK/above"
laid_out "$WORK/above/tree"
finds "below a directory that is root's" \
	"$WORK/above/tree/manager/mqgated" "$WORK/above/tree/session/mqgate-session"
chown 65534 "$WORK/above"
passed_over "below another user's directory" "$WORK/above/tree"
chown 0 "$WORK/above"
chmod 777 "$WORK/above"
passed_over "below a directory for everybody" "$WORK/above/tree"
laid_out "$WORK/shared"
chmod 1777 "$WORK/shared"
passed_over "a directory above for everybody" "$WORK/shared"
chmod 755 "$WORK/shared"
chmod 777 "$WORK/shared/session"
passed_over "a directory for everybody" "$WORK/shared"
chmod 755 "$WORK/shared/session"
chmod 775 "$WORK/shared/session/mqgate-session"
passed_over "a program for a group" "$WORK/shared"
chmod 775 "$WORK/shared/manager/mqgated"
finds "where the same group may write both" \
	"$WORK/shared/manager/mqgated" "$WORK/shared/session/mqgate-session"
chgrp 65534 "$WORK/shared/session/mqgate-session"
passed_over "a program for another group" "$WORK/shared"
chgrp 0 "$WORK/shared/session/mqgate-session"
chmod 755 "$WORK/shared/manager/mqgated"
chmod 755 "$WORK/shared/session/mqgate-session"
chown 65534 "$WORK/shared/session"
passed_over "another user's directory" "$WORK/shared"
mv "$WORK/shared/session" "$WORK/shared/elsewhere"
ln -s elsewhere "$WORK/shared/session"
passed_over "a link" "$WORK/shared"
chmod 1777 "$WORK/shared/manager"
cp "$WORK/bin/mqgate-session" "$WORK/shared/manager/"
passed_over "beside it in a directory for everybody" "$WORK/shared" manager/mqgate-session

# --- RLIMIT_MSGQUEUE ------------------------------------------------------------------------------

# A user of its own: what a user has in queues is one sum.
QUEUE_USER=64317

# many COUNT CMD…: how many queues of the usual size the command mqtry makes
many() {
	local opens=() i

	for ((i = 0; i < $1; i++)); do
		opens+=("open ${Q}many-$i rwcx")
	done
	shift
	"$@" mqtry "${opens[@]}" | grep -c ' -> [0-9]'
	rm -f "/dev/mqueue${Q}many-"*
}

# bare_and_confined BYTES: how many each, under this limit
bare_and_confined() {
	many 20 prlimit --msgqueue="$1:$1" as_uid "$QUEUE_USER"
	many 20 prlimit --msgqueue="$1:$1" as_uid "$QUEUE_USER" mq-run --plug app:all
}

HARD=$(ulimit -Hq)
BELOW=200000

# Its soft limit is lower than what it may have.
start_by prlimit --msgqueue="$BELOW:$HARD" mqgated
check "everything is granted" mqctl connect app:all app:any
read -rd '' bare confined < <(bare_and_confined "$HARD")
holds "a program makes more queues than fit into $BELOW bytes ($bare)" test "$bare" -gt 2
holds "and as many confined ($confined)" test "$confined" = "$bare"
read -rd '' bare confined < <(bare_and_confined "$BELOW")
holds "its own limit holds bare ($bare)" test "$bare" = 2
holds "and confined ($confined)" test "$confined" = 2
stop_daemon

# Its hard limit is lower, and it may not raise that.
start_by prlimit --msgqueue="$BELOW:$BELOW" setpriv --bounding-set=-sys_resource mqgated
expect_log "what cannot be raised is said" \
	"^mqgated: .*$BELOW bytes.*RLIMIT_MSGQUEUE.*CAP_SYS_RESOURCE.*ulimit -Hq"
read -rd '' bare confined < <(bare_and_confined "$HARD")
holds "it is the limit then ($confined)" test "$confined" = 2
stop_daemon

# It may raise it, on machines that give their root this capability.
if setpriv --dump | grep -q 'bounding set:.*sys_resource'; then
	start_by prlimit --msgqueue="$BELOW:$BELOW" mqgated
	read -rd '' bare confined < <(bare_and_confined "$HARD")
	holds "with CAP_SYS_RESOURCE no limit of its own counts ($confined)" \
		test "$confined" = "$bare"
	holds "and nothing is said" test -z "$(grep RLIMIT_MSGQUEUE <(new_log))"
	stop_daemon
fi
finish
