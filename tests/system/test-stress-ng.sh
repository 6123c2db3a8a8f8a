#!/bin/bash
# SPDX-License-Identifier: MIT
# A program from elsewhere that makes its queue names at run time: stress-ng's mq stressor.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup
command -v stress-ng >/dev/null || skip_all "stress-ng is not installed"

# Its queues are "/mq-PID-INSTANCE".
write_package stress-ng.yaml <<'YAML'
name: stress-ng
plugs:
  queues: posix-mq
slots:
  queues-of-stress-ng:
    interface: posix-mq
    posix-mq: queues
    path-pattern: /mq-*
    permissions: [read, write, create, delete]
YAML
start_daemon
DEADLINE=120

stress_queues() {
	find /dev/mqueue -maxdepth 1 -name 'mq-*'
}

# stress PREFIX…: what it says goes to stdout or stderr, as its version has it
stress() {
	run "$@" stress-ng --mq 2 --mq-ops 20000 --timeout 100 --temp-path "$WORK/open"
	cat "$WORK/stdout" >>"$WORK/stderr"
}

before=$(stress_queues)
for who in root user; do
	prefix=()
	[ "$who" = root ] || prefix=(as_user)
	stress "${prefix[@]+"${prefix[@]}"}"
	expect_status "$who: it works bare" 0
	stress "${prefix[@]+"${prefix[@]}"}" mq-run --plug stress-ng:queues
	holds "$who: unconnected, it fails" test "$STATUS" -ne 0 -a "$STATUS" -lt 124
	stress "${prefix[@]+"${prefix[@]}"}" mq-run --plug stress-ng:queues
	expect_stderr "$who: … with permission errors" "mq_open .*failed, errno=13 "
	holds "$who: … and leaves no queue" test "$(stress_queues)" = "$before"
	mqctl connect stress-ng:queues stress-ng:queues-of-stress-ng
	stress "${prefix[@]+"${prefix[@]}"}" mq-run --plug stress-ng:queues
	expect_status "$who: connected, it succeeds" 0
	expect_stderr "$who: … and says so" "successful run completed"
	holds "$who: … and leaves no queue" test "$(stress_queues)" = "$before"
	mqctl disconnect stress-ng:queues
done
finish
