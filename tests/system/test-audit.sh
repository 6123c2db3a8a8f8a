#!/bin/bash
# SPDX-License-Identifier: MIT
# What the wall refuses is told by the kernel's audit. Only where that is on, and in the first PID namespace: tests/kernel/run.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup
write_package seen.yaml <<'YAML'
name: seen
plugs:
  nothing: posix-mq
YAML
start_daemon
machine_can audit "the wall's refusals are in the kernel's audit" || finish

cat >"$WORK/listen" <<'PYTHON'
import socket
NETLINK_AUDIT, READLOG = 9, 1
audit = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_AUDIT)
audit.bind((0, READLOG))
print("listening", flush=True)
while True:
    print(audit.recv(65536)[16:].decode(errors="replace"), flush=True)
PYTHON

# told REGEX: by the audit
told() {
	grep -Eq -- "$1" "$WORK/listener.out"
}

start_app listener python3 "$WORK/listen"
holds "the audit is listened to" wait_until 5 told listening
check "the program starts" mq-run --plug seen:nothing true
mqtry "open ${Q}secret rwc 600 4 64" >/dev/null
run mq-run --plug seen:nothing cat "/dev/mqueue${Q}secret"
expect_stderr "the queue cannot be read as a file" "Permission denied"
holds "the audit tells of it, with the path" wait_until 5 told "blockers=fs.read_file path=\"?/dev/mqueue${Q}secret"
run mq-run --plug seen:nothing sh -c ': >/new-file'
expect_stderr "no file can be made in /" "Permission denied"
holds "… and of that" wait_until 5 told 'blockers=fs.make_reg path="?/'
holds "the program that has built the wall is named" told 'mode=enforcing .*comm="mq-run"'
holds "of what mq-run itself tried, to prove the wall, nothing is told" test "$(grep -c 'blockers=fs.read_dir' "$WORK/listener.out")" = 0
kill "$(app_pid listener)"
stop_app listener
mqtry "unlink ${Q}secret" >/dev/null
finish
