#!/bin/bash
# SPDX-License-Identifier: MIT
# What happens at the bounds that whole programs can reach, and just past them.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

REFS_MAX=32         # LAUNCH_REFS_MAX
SESSION_QUEUES=4096 # SESSION_QUEUES_MAX
LAUNCHES=16         # LAUNCHES_PER_USER_MAX
CONTROLS=64         # CONTROL_CONNECTIONS_PER_USER_MAX

write_package all.yaml <<'YAML'
name: all
plugs:
  some: posix-mq
slots:
  any:
    interface: posix-mq
    posix-mq: some
    path-pattern: "@Q@*"
    permissions: [read, write, create, delete]
YAML
start_daemon
check "everything is granted" mqctl connect all:some all:any

# with_plugs COUNT: launches with so many
with_plugs() {
	local options=() i

	for ((i = 0; i < $1; i++)); do
		options+=(--plug all:some)
	done
	run as_user mq-run "${options[@]}" true
}

plugs_of_one_launch() {
	with_plugs "$REFS_MAX"
	expect_status "$REFS_MAX plugs of one launch work" 0
	with_plugs $((REFS_MAX + 1))
	expect_status "one more is refused" 125
	expect_message "… and the limit is named" "^mq-run: .*$REFS_MAX"
}

# A queue that the session has forgotten is named by its link, no more and no less.
queues_of_one_session() {
	start_app app as_user mq-run --plug all:some mqtry
	expect_answer "a queue is opened" app "open ${Q}first rwcx" ' -> 0$'
	tell app "churn ${Q}other $((SESSION_QUEUES + 10))"
	wait_until 30 churned
	expect_answer "after $SESSION_QUEUES others it can still be sent to" app "send one" ' -> 0$'
	expect_answer "… and received from" app "receive" ' -> one 0$'
	check "it is taken away" mqctl disconnect all:some all:any
	expect_answer "… and is" app "send two" ' -> -1 EACCES$'
	check "it is given back" mqctl connect all:some all:any
	expect_answer "… and is there" app "unlink ${Q}first" ' -> 0$'
	stop_app app
}

churned() {
	grep -q '^churn .* -> 0$' "$WORK/app.out"
}

# hold SOCKET TYPE COUNT: so many connections that say nothing
hold() {
	cat >"$WORK/open/hold" <<'SCRIPT'
import socket, sys
kept = []
for _ in range(int(sys.argv[3])):
    connection = socket.socket(socket.AF_UNIX, getattr(socket, sys.argv[2]))
    connection.connect(sys.argv[1])
    kept.append(connection)
print('held', flush=True)
sys.stdin.read()
SCRIPT
	start_app holder as_user python3 "$WORK/open/hold" "$WORK/run/$1" "$2" "$3"
	wait_until 5 grep -q held "$WORK/holder.out"
}

launches_of_one_user() {
	hold launch SOCK_SEQPACKET $((LAUNCHES + 4))
	holds "a user holds $LAUNCHES launches and more" grep -q held "$WORK/holder.out"
	run as_user mq-run --plug all:some true
	expect_status "one more of that user is refused" 125
	expect_stderr "… with a message" "^mq-run: "
	check "another user's launch works" as_uid 65533 mq-run --plug all:some true
	check "root's works" mq-run --plug all:some true
	stop_app holder
	launches_again() {
		as_user mq-run --plug all:some true
	}
	holds "when they are gone, the user can launch again" wait_until 5 launches_again
}

control_connections_of_one_user() {
	hold control SOCK_STREAM "$CONTROLS"
	holds "a user holds $CONTROLS control connections" grep -q held "$WORK/holder.out"
	run as_user mqctl status
	expect_status "one more of that user is refused" 1
	expect_stderr "… and told why" "too many connections to mqgated of user 65534"
	check "another user's works" as_uid 65533 mqctl status
	check "root's works" mqctl status
	stop_app holder
	answers_again() {
		as_user mqctl status
	}
	holds "when they are gone, the user is answered again" wait_until 5 answers_again
}

plugs_of_one_launch
queues_of_one_session
launches_of_one_user
control_connections_of_one_user
finish
