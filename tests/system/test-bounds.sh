#!/bin/bash
# SPDX-License-Identifier: MIT
# Bounds that need whole programs, and peers that say nothing or read nothing: at the bound it works, past it there is the error that is
# documented, everything else goes on, and when the load is gone it works again.
# BOUNDS_ALL=1: also those that take long.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

# bound NAME: its value
bound() {
	printf '#include "include/limits.h"\n=%s\n' "$1" | cc -E -P -iquote "$SOURCE_ROOT" -xc - |
		sed -n 's/^=//p' | sed 's/ULL//g'
}

CONTROLS=$(bound CONTROL_CONNECTIONS_MAX)
CONTROLS_OF_USER=$(bound CONTROL_CONNECTIONS_PER_USER_MAX)
GROUPS_MAX=$(bound TARGET_GROUPS_MAX) # the kernel's own; STATUS_FILE_MAX and LIMITS_FILE_MAX are enough for them
WAIT_MAX=$(bound DISCONNECT_WAIT_MAX)
DEADLINE_SECONDS=$(($(bound LAUNCH_DEADLINE_USEC) / 1000000))
BURST=$(bound ACCEPT_BURST)
INTERVAL_MS=$(($(bound ACCEPT_INTERVAL_USEC) / 1000))
USER_SESSIONS=$(bound SESSIONS_PER_USER_MAX)

write_package app.yaml <<'YAML'
name: app
plugs: {some: posix-mq}
slots:
  any: {interface: posix-mq, path-pattern: "@Q@*", permissions: [read, write, create, delete]}
YAML
{
	printf 'name: big\nslots:\n  many:\n    interface: posix-mq\n    path:\n'
	printf -- '    - /a-queue-with-a-rather-long-name-%d\n' {1..1000}
} >"$WORK/packages/big.yaml"
echo 'audit: {rate: 10000}' >"$WORK/mqgated.yaml" # at most RECORD_RATE_MAX
start_daemon
check "connected" mqctl connect app:some app:any

# peers COMMAND…: python with connect(name, type), on stdin of the app NAME
cat >"$WORK/open/peers" <<'SCRIPT'
import os, socket, struct, sys, time
RUN = sys.argv[1]

def connect(name, kind):
    peer = socket.socket(socket.AF_UNIX, kind)
    peer.connect(RUN + '/' + name)
    return peer

def bus():
    """An authenticated connection."""
    peer = connect('control', socket.SOCK_STREAM)
    uid = str(os.getuid()).encode().hex().encode()
    peer.sendall(b'\0AUTH EXTERNAL ' + uid + b'\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n')
    answer = b''
    while answer.count(b'\r\n') < 2:
        answer += peer.recv(1024)
    return peer

def field(code, signature, value):
    data = struct.pack('<B', code) + bytes([len(signature)]) + signature.encode() + b'\0'
    if signature == 'g':
        return data + bytes([len(value)]) + value.encode() + b'\0'
    data += b'\0' * (-len(data) % 4)
    return data + struct.pack('<I', len(value)) + value.encode() + b'\0'

def call(serial, member, argument=None):
    """A D-Bus method call, marshalled."""
    fields = [field(1, 'o', '/org/mqgate'), field(2, 's', 'org.mqgate.Manager1'),
              field(3, 's', member)]
    body = b''
    if argument is not None:
        body = struct.pack('<I', len(argument)) + argument.encode() + b'\0'
        fields.append(field(8, 'g', 's'))
    array = b''
    for one in fields:
        array += b'\0' * (-len(array) % 8) + one
    head = struct.pack('<BBBBIII', ord('l'), 1, 0, 1, len(body), serial, len(array)) + array
    return head + b'\0' * (-len(head) % 8) + body

def say(text):
    print(text, flush=True)

exec(open(sys.argv[2]).read())
SCRIPT

# peer NAME [AS…] <<CODE: an app in python
peer() {
	local name=$1
	shift
	cat >"$WORK/open/$name.py"
	start_app "$name" "$@" python3 "$WORK/open/peers" "$WORK/run" "$WORK/open/$name.py"
}

said() {
	grep -q "$2" "$WORK/$1.out"
}

expect_said() {
	holds "$1" wait_until "${4:-10}" said "$2" "$3"
}

# They wait for the deadline while the rest is tested.
silent_launchers() {
	SILENT_SINCE=$SECONDS
	peer silent as_user <<-'CODE'
		import select
		begin = time.monotonic()
		peers = [connect('launch', socket.SOCK_SEQPACKET) for _ in range(3)]
		for one in peers:
		    readable, _, _ = select.select([one], [], [], 30)
		    data = one.recv(65536) if readable else None
		    say('closed after %d: %r' % (time.monotonic() - begin, data and b'took too long' in data))
	CODE
}

silent_launchers_are_let_go() {
	expect_said "launchers that say nothing are let go of in $DEADLINE_SECONDS s" silent \
		"^closed after $DEADLINE_SECONDS: True\|^closed after $((DEADLINE_SECONDS + 1)): True" 20
	check "launching works" as_user mq-run --plug app:some true
	stop_app silent
}

groups() {
	check "a program in $GROUPS_MAX groups is served" python3 -c "
import os
os.setgroups(range($GROUPS_MAX))
os.execvp('mq-run', ['mq-run', '--plug', 'app:some', 'mqtry', 'open ${Q}many rwcx', 'unlink ${Q}many'])"
}

waiting() {
	check "the longest wait is one" timeout 5 mqctl disconnect --wait $WAIT_MAX app:some app:any
	check "connected again" mqctl connect app:some app:any
	run mqctl disconnect --wait $((WAIT_MAX + 1)) app:some app:any
	expect_message "a longer one is refused" "from 0 to $WAIT_MAX"
}

controls() {
	local user name=0

	for user in 65531 65532 65533 65534; do
		peer "holder$user" as_uid $user <<-CODE
			import select
			peers = [connect('control', socket.SOCK_STREAM) for _ in range($CONTROLS_OF_USER)]
			time.sleep(0.5)
			closed = len(select.select(peers, [], [], 0)[0])
			say('kept %d' % ($CONTROLS_OF_USER - closed))
			sys.stdin.read()
		CODE
		wait_until 10 said "holder$user" kept
	done
	holds "users keep $CONTROLS connections, but those that are for root" test \
		"$(cat "$WORK"/holder*.out | awk '{ n += $2 } END { print n }')" = $((CONTROLS - CONTROLS_OF_USER))
	run as_uid 65530 mqctl status
	expect_status "one more user is refused" 1
	expect_stderr "… and told why" "serves too many at once"
	check "root is answered" mqctl status
	for user in 65531 65532 65533 65534; do
		stop_app "holder$user"
	done
	holds "when they are gone, users are answered" wait_until 5 as_uid 65530 mqctl status
}

# CONTROL_UNREAD_MAX, CONTROL_LIST_UNREAD_MAX
unread() {
	mark_log
	peer deaf as_user <<-'CODE'
		peer = bus()
		serial = 0
		try:
		    while True:
		        serial += 1
		        peer.sendall(call(serial, 'Status'))
		        if serial % 100 == 0:
		            time.sleep(0.01)
		except OSError:
		    say('dropped')
	CODE
	expect_said "who never reads the answers is dropped" deaf dropped 15
	expect_log "… and the log says so" "does not read its messages; dropped"
	check "others are answered" mqctl status
	stop_app deaf
	peer lister as_user <<-'CODE'
		peer = bus()
		import array, fcntl, termios
		def unread():
		    size = array.array('i', [0])
		    fcntl.ioctl(peer, termios.FIONREAD, size)
		    return size[0]
		before = -1
		while before != unread():
		    before = unread()
		    for serial in range(1, 11):
		        peer.sendall(call(serial, 'List', 'slots'))
		    time.sleep(0.3)
		for serial in range(1, 21):
		    peer.sendall(call(serial, 'List', 'slots'))
		time.sleep(0.3)
		peer.settimeout(2)
		data = b''
		try:
		    while b'too much is unread' not in data:
		        data = data[-100:] + peer.recv(65536)
		    say('refused')
		    while True:
		        peer.recv(65536)
		except TimeoutError:
		    pass
		peer.sendall(call(4000, 'List', 'slots'))
		data = b''
		while b'a-queue-with' not in data:
		    data = data[-100:] + peer.recv(65536)
		say('listed')
	CODE
	expect_said "lists are refused to who has not read the earlier ones" lister refused 15
	expect_said "… and given again when they are read" lister listed
	stop_app lister
}

# A record reader that never reads.
reader() {
	mark_log
	start_app reader records "$WORK/run/control"
	wait_until 5 said reader listening
	kill -STOP "$(app_pid reader)"
	start_app noisy as_user mq-run --plug app:some flood 4 "${Q}granted" /denied
	dropped() {
		log_matches 'does not read its messages; dropped'
	}
	holds "who never reads the records is dropped" wait_until 30 dropped
	check "others are answered" mqctl status
	kill -KILL "$(app_pid noisy)"
	stop_app noisy
	kill -CONT "$(app_pid reader)"
	stop_app reader
}

burst() {
	peer burst as_user <<-CODE
		begin = time.monotonic()
		for _ in range(3 * $BURST):
		    connect('control', socket.SOCK_STREAM).close()
		say('connected')
		connect('control', socket.SOCK_STREAM).recv(1)
	CODE
	expect_said "$((3 * BURST)) connections come, more than $BURST in $INTERVAL_MS ms" burst connected 20
	check "the control bus is answered" timeout 5 mqctl status
	check "launching works" mq-run --plug app:some true
	stop_app burst
}

count_sessions() {
	mqctl status | sed -n 's/^sessions: //p'
}

# A launch that takes too long on a busy machine is made again.
user_sessions() {
	start_app many as_user bash -c '
		sessions() {
			mqctl status | sed -n "s/^sessions: //p"
		}
		while n=$(sessions) && [ "$n" -lt '$USER_SESSIONS' ]; do
			for ((i = n; i < '$USER_SESSIONS' && i < n + 8; i++)); do
				mq-run --plug app:some sleep 1200 &
			done
			for ((t = 0; t < 100 && $(sessions) < i; t++)); do
				sleep 0.05
			done
		done
		read -r line
		kill $(jobs -p)'
	full() {
		[ "$(count_sessions)" = "$USER_SESSIONS" ]
	}
	holds "a user has $USER_SESSIONS sessions" wait_until 300 full
	run as_user mq-run --plug app:some true
	expect_status "one more is refused" 125
	expect_stderr "… and told why" "too many sessions; end some of them"
	check "another user launches" as_uid 65533 mq-run --plug app:some true
	check "and root" mq-run --plug app:some true
	tell many end
	none_left() {
		[ "$(count_sessions)" = 0 ]
	}
	holds "when they are gone none is left" wait_until 60 none_left
	check "and the user launches" as_user mq-run --plug app:some true
	stop_app many
}

silent_launchers
groups
waiting
controls
unread
reader
burst
silent_launchers_are_let_go
[ "${BOUNDS_ALL:-0}" = 0 ] || user_sessions
finish
