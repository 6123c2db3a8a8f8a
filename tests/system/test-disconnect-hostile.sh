#!/bin/bash
# SPDX-License-Identifier: MIT
# A program that does everything to go on using a queue that was taken from it: HOSTILE_SECONDS long, as user and as root. Its owner,
# unconfined, watches: not one message comes or goes.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

SECONDS_EACH=${HOSTILE_SECONDS:-5}

private_ipc
setup
write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq}
slots:
  lost: {interface: posix-mq, posix-mq: work, path: @Q@lost, permissions: [read, write]}
  kept: {interface: posix-mq, posix-mq: work, path: @Q@kept, permissions: [read, write]}
YAML
start_daemon
mqctl connect app:work app:kept
mqtry "open ${Q}lost rwc 0666 8 128" "open ${Q}kept rwc 0666 8 64" >/dev/null
chmod 666 "/dev/mqueue${Q}lost" "/dev/mqueue${Q}kept"

# tells NAME: how often the processes of this kind were let, and got through
tells() {
	sed -nE "s/^$1: ([0-9]+) calls, ([0-9]+) on the one that it has, ([0-9]+) on .*/\1 \2 \3/p" "$WORK/hostile.out"
}

calls_and_works() {
	read -r calls kept lost < <(tells "$1")
	[ "${calls:-0}" -gt 0 ] && [ "${kept:-0}" -gt 0 ] && [ "${lost:-1}" = 0 ]
}

for who in as_user env; do
	mqctl connect app:work app:lost
	start_app hostile $who mq-run --plug app:work hostile "${Q}lost" "${Q}kept" "$SECONDS_EACH"
	holds "a hostile program has both queues ($who)" wait_until 10 grep -q ready "$WORK/hostile.out"
	check "one is taken from it ($who)" mqctl disconnect app:work app:lost
	echo go >&"$(cat "$WORK/hostile.fd")"
	DEADLINE=$((SECONDS_EACH + 30)) check "for $SECONDS_EACH s nothing comes to that queue, and nothing goes ($who)" \
		observer "${Q}lost" "$SECONDS_EACH"
	diagnose <"$WORK/stdout"
	expect_end "it has ended of itself, and has seen nothing ($who)" hostile 0
	diagnose <"$WORK/stdout"
	for kind in threads socket ring sharer traced vfork registering; do
		holds "by $kind it uses what it has, and nothing else ($who)" calls_and_works $kind
	done
done

# The kernel counts for each user the descriptors that are on their way between processes, and a program of mqgated's user has
# sent as many as there may be.
cat >"$WORK/bin/fill" <<'PYTHON'
#!/usr/bin/env python3
import array, resource, socket, sys
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
kept = []
try:
    while True:
        kept.append(socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))
        kept[-1][0].setblocking(False)
        fds = array.array('i', [kept[-1][1].fileno()] * 253)
        try:
            while True:
                kept[-1][0].sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        except BlockingIOError:
            pass
except OSError as e:
    print('full:', e, flush=True)
sys.stdin.read()
PYTHON
chmod 755 "$WORK/bin/fill"
mqctl connect app:work app:lost
start_app taking mq-run --plug app:work mqtry
expect_answer "a program of root's" taking "open ${Q}lost rw" "-> [0-9]"
start_app filler setpriv --bounding-set=-sys_admin,-sys_resource mq-run --plug app:work fill
holds "another one leaves root no descriptor to send" wait_until 20 grep -q '^full: .*references' "$WORK/filler.out"
check "what is taken then is taken" mqctl disconnect app:work app:lost
expect_answer "… at once" taking "send x" "EACCES"
stop_app filler
stop_app taking
finish
