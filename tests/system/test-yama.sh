#!/bin/bash
# SPDX-License-Identifier: MIT
# mq-run --policy where a process may look at its descendants only (Yama, kernel.yama.ptrace_scope=1): the
# supervisor is above all that it looks at, whatever the command starts and leaves behind.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup
SCOPE=/proc/sys/kernel/yama/ptrace_scope
machine_can yama "a run without a daemon where tracing is restricted" || finish

BEFORE=$(cat "$SCOPE")
# shellcheck disable=SC2317 # by the trap
restore() {
	[ "$BEFORE" = "$(cat "$SCOPE")" ] || echo "$BEFORE" >"$SCOPE"
	sweep
}
trap restore EXIT

cat >"$WORK/app.yaml" <<YAML
name: app
plugs:
  app: posix-mq
  open: {interface: posix-mq, posix-mq: app, mediation: open}
  readable: posix-mq
slots:
  one: {interface: posix-mq, posix-mq: app, path: ${Q}one, permissions: [read, write, create, delete]}
  two: {interface: posix-mq, posix-mq: app, path: ${Q}two, permissions: [read]}
  three: {interface: posix-mq, posix-mq: app, path: ${Q}three, permissions: [write]}
  alone: {interface: posix-mq, posix-mq: readable, path: ${Q}one, permissions: [read, write, create, delete]}
YAML

# looks DEED PID: as Yama would have it, looks at another process, or at a child of its own (PID "child")
cat >"$WORK/looks.py" <<'PYTHON'
import ctypes
import errno
import os
import sys
import time

PTRACE_SEIZE = 0x4206
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def looks(deed, pid):
    if deed == 'seize':
        return 0 if libc.ptrace(PTRACE_SEIZE, pid, None, None) == 0 else ctypes.get_errno()
    try:
        os.close(os.open(f'/proc/{pid}/mem', os.O_RDWR))
    except OSError as error:
        return error.errno
    return 0


deed, pid = sys.argv[1:]
if pid == 'child':
    pid = os.fork()
    if pid == 0:
        time.sleep(5)
        os._exit(0)
result = looks(deed, int(pid))
print(errno.errorcode.get(result, result))
PYTHON

# waits: with a queue as descriptor 3 and a second thread: a signal comes while it waits for a message
cat >"$WORK/waits.py" <<'PYTHON'
import ctypes
import errno
import signal
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
end = threading.Event()
came = []
signal.signal(signal.SIGALRM, lambda *_: came.append(1))
signal.siginterrupt(signal.SIGALRM, False)
threading.Thread(target=end.wait).start()
deadline = (ctypes.c_long * 2)(int(time.time()) + 4, 0)
signal.setitimer(signal.ITIMER_REAL, 1)
result = libc.mq_timedreceive(3, ctypes.create_string_buffer(65536), 65536, None, deadline)
error = errno.errorcode[ctypes.get_errno()]
end.set()
print(result, error, len(came))
PYTHON

# --- what there is to overcome ----------------------------------------------------------------------

start_app other as_user sleep 600
OTHER=$(app_pid other)
for scope in 0 1; do
	[ "$(cat "$SCOPE")" = "$scope" ] || echo "$scope" >"$SCOPE" 2>/dev/null
	if [ "$(cat "$SCOPE")" != "$scope" ]; then
		skip "ptrace_scope=$scope" "kernel.yama.ptrace_scope cannot be set to $scope"
		[ "$scope" = 0 ] && continue
		finish
	fi
	[ "$scope" = 0 ] && SEIZED=0 OPENED=0 || SEIZED=EPERM OPENED=EACCES
	run as_user python3 "$WORK/looks.py" seize "$OTHER"
	expect_output "ptrace_scope=$scope: tracing another process of the same user: $SEIZED" "$SEIZED"
	run as_user python3 "$WORK/looks.py" mem "$OTHER"
	expect_output "… its memory: $OPENED" "$OPENED"
	run as_user python3 "$WORK/looks.py" seize child
	expect_output "… a child of one's own: 0" 0
done
stop_app other 0

# --- what works all the same ------------------------------------------------------------------------

NO="-1 EACCES"
ALL=("open ${Q}one rwcx 0600 4 8192" "send hello 3" "getattr" "receive 1" "notify" "unnotify" "notify" "send told" "receive"
	"setattr n" "receive" "look ${Q}one r" "unlink ${Q}one")
DONE="0;0;4 8192 1;hello 3;0;0;0;0;told 0;0;-1 EAGAIN;0;0;"
for plug in readable app open; do
	ALONE=(mq-run --policy "$WORK/app.yaml" --plug "app:$plug" --)
	run as_user "${ALONE[@]}" mqtry "${ALL[@]}"
	expect_results "$plug: all calls" "$DONE"
	run as_user "${ALONE[@]}" mqtry fork fork "${ALL[@]}"
	expect_results "$plug: of a child's child" "0;0;$DONE"
	run as_user "${ALONE[@]}" mqtry thread "${ALL[@]}"
	expect_results "$plug: of a thread" "$DONE"
	run as_user "${ALONE[@]}" mqtry fork thread exec "${ALL[@]}"
	expect_results "$plug: of a child whose second thread has executed a program" "0;$DONE"
	run as_user "${ALONE[@]}" mqtry "open ${Q}one rwc" thread "send x" fork "receive" thread "notify" "unlink ${Q}one"
	expect_results "$plug: with a queue that has passed through all of them" "0;0;0;x 0;0;0;"
done
ALONE=(mq-run --policy "$WORK/app.yaml" --plug app:app --)

# shellcheck disable=SC2016
run as_user "${ALONE[@]}" sh -c 'mqtry "open $0 rwc 0600" "receive 10" & mqtry "open $0 rwc 0600" "send woken" && wait $! && mqtry "unlink $0"' "${Q}one"
expect_stdout "one waits for what another sends" "^receive 10 -> woken 0"
expect_status "… and all ends well" 0
run as_user "${ALONE[@]}" mqtry "unshare u" "${ALL[@]}"
expect_results "a program in a user namespace of its own" "0;$DONE"
run as_user mq-run --learn "$WORK/open/learned.yaml" -- mqtry fork thread "${ALL[@]}"
expect_results "--learn" "0;$DONE"
holds "… has learned" grep -q "${Q}one" "$WORK/open/learned.yaml"

# A call that waits in the supervisor: of a program of two threads that was given more than it may.
check "a queue" as_user mqtry "open ${Q}two rwc 0600"
GIVEN=(as_user hand-on 3 rw "${Q}two")
run "${GIVEN[@]}" python3 "$WORK/waits.py"
expect_output "a signal while a call waits: bare it goes on waiting" "-1 ETIMEDOUT 1"
run "${GIVEN[@]}" mq-run --inherit-queues "${ALONE[@]:1}" python3 "$WORK/waits.py"
expect_output "… and confined" "-1 ETIMEDOUT 1"
check "… the queue is gone" as_user mqtry "unlink ${Q}two"

# After its parent and the command have ended.
cat >"$WORK/bin/leaves" <<'SCRIPT'
#!/bin/sh
# leaves FIFO CMD…: ends; CMD, whose parent has ended, too, begins when somebody writes to FIFO
fifo=$1
shift
((read -r line <"$fifo" && exec "$@" >"$fifo.out") &) </dev/null >/dev/null 2>&1
exit 3
SCRIPT
chmod 755 "$WORK/bin/leaves"
mkfifo -m 666 "$WORK/open/go"
# shellcheck disable=SC2317 # by holds
no_alone_left() {
	local pid

	for pid in $(pgrep -x mqgate-alone); do
		[[ $(readlink "/proc/$pid/exe") != "$WORK"/* ]] || return
	done
}
run as_user "${ALONE[@]}" leaves "$WORK/open/go" mqtry "open ${Q}other r" "open ${Q}three r" fork thread "${ALL[@]}"
expect_status "an orphan: mq-run ends with the command" 3
echo go >"$WORK/open/go"
holds "… it comes to its end" wait_until 10 no_alone_left
cp "$WORK/open/go.out" "$WORK/stdout"
expect_results "… and had all that it may, and no more" "$NO;$NO;0;$DONE"

# --- what it may not --------------------------------------------------------------------------------

DENIED=("open ${Q}two w" "open ${Q}three r" "open ${Q}other rwc 0600" "unlink ${Q}two" "unlink ${Q}three" "unlink ${Q}other")
for way in "" fork thread; do
	run as_user "${ALONE[@]}" mqtry ${way:+"$way"} "${DENIED[@]}"
	[ "$way" = fork ] && FIRST="0;" || FIRST=
	expect_results "${way:-itself}: denied" "$FIRST$NO;$NO;$NO;$NO;$NO;$NO;"
	expect_stderr "… and told" "^mq-run: denied: mq_open of ${Q}other by mqtry \(pid [0-9]+\)"
done
check "… none was created" test -z "$(own_queues)"
holds "nothing is left" wait_until 5 no_alone_left

finish
