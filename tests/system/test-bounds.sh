#!/bin/bash
# SPDX-License-Identifier: MIT
# Bounds that need whole programs, and peers that say nothing or read nothing: at the bound it works, past it there is the error that is
# documented, everything else goes on, and when the load is gone it works again.
# BOUNDS_ALL=1: also those that take long.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

CONTROLS_OF_USER=$(bound CONTROL_CONNECTIONS_PER_USER_MAX)
USERS=$(bound ACCOUNTS_FULL_MAX)
CONTROLS_REFUSED=$(bound CONTROL_REFUSED_MAX)
RECORDS=$(bound CONTROL_RECORDS_PER_USER_MAX)
MESSAGE=$(bound CONTROL_MESSAGE_MAX)
GREETING=$(bound CONTROL_GREETING_MAX)
SILENCE_SECONDS=$(($(bound CONTROL_SILENCE_USEC) / 1000000))
AFTER_SILENCE="[$SILENCE_SECONDS-9]$" # or a little later
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
  any: {interface: posix-mq, posix-mq: some, path-pattern: "@Q@*", permissions: [read, write, create, delete]}
YAML
# What sockets hold of their list is little of it.
{
	printf 'name: big\nslots:\n'
	for i in {1..6}; do
		printf '  many-%d:\n    interface: posix-mq\n    path:\n' "$i"
		printf -- '    - /a-queue-with-a-rather-long-name-%d\n' {1..1000}
	done
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
        more = peer.recv(1024)
        if not more:
            raise ConnectionResetError
        answer += more
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

def read(peer):
    """A message; nothing at the end of the connection."""
    try:
        head = peer.recv(16, socket.MSG_WAITALL)
        body, _, fields = struct.unpack('<4xIII', head)
        return head + peer.recv((fields + 7) // 8 * 8 + body, socket.MSG_WAITALL)
    except (OSError, struct.error):
        return b''

def say(text):
    os.write(1, (str(text) + '\n').encode())

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
	peer holder <<-CODE
		import signal
		def hold(uid):
		    os.setgid(uid)
		    os.setuid(uid)
		    peers = [bus() for _ in range($CONTROLS_OF_USER)]
		    say('kept %d' % len(peers))
		    signal.pause()
		children = []
		for uid in range(65500, 65500 + $USERS):
		    children.append(os.fork())
		    if children[-1] == 0:
		        hold(uid)
		sys.stdin.read()
		for child in children:
		    os.kill(child, signal.SIGKILL)
	CODE
	all_kept() {
		cat "$WORK/holder.err"
		[ "$(grep -c "^kept $CONTROLS_OF_USER\$" "$WORK/holder.out")" = "$USERS" ]
	}
	holds "$USERS users keep $CONTROLS_OF_USER connections each" wait_until 20 all_kept
	run as_uid 65530 mqctl status
	expect_status "one more user is refused" 1
	expect_stderr "… and told why" "too many connections to mqgated of user 65530, or of all together"
	check "root is answered" mqctl status
	stop_app holder
	holds "when they are gone, users are answered" wait_until 5 as_uid 65530 mqctl status
}

# They have nothing, and cannot use up what is their user's, not even as root.
confined() {
	peer confined mq-run --plug app:some <<-CODE
		import select
		served = told = closed = 0
		peers = []
		for _ in range($CONTROLS_OF_USER):
		    answer = b''
		    try:
		        peers.append(bus())
		        peers[-1].sendall(call(1, 'Status'))
		        answer = read(peers[-1])
		    except OSError:
		        pass
		    served += b'version' in answer
		    told += b'permission denied: this process is confined already' in answer
		    closed += not answer
		say('served %d told %d closed %d' % (served, told, closed))
		peers = [connect('launch', socket.SOCK_SEQPACKET) for _ in range($CONTROLS_OF_USER)]
		texts = (b'this process is confined already', b'too many launches')
		answers = [one.recv(65536) for one in peers]
		say('launches told %d' % sum(any(text in one for text in texts) for one in answers))
		sys.stdin.read()
	CODE
	expect_said "confined root has no control connection" confined \
		"^served 0 told $CONTROLS_REFUSED closed $((CONTROLS_OF_USER - CONTROLS_REFUSED))$"
	expect_said "… and no launch" confined "^launches told $CONTROLS_OF_USER$"
	check "root is answered" mqctl status
	check "root launches" mq-run --plug app:some true
	stop_app confined
}

# silence NAME CODE DESCRIPTION: a connection that python makes and leaves alone
silence() {
	peer "$1" as_user <<-CODE
		import select
		begin = time.monotonic()
		$2
		select.select([one], [], [], 30)
		say('after %d' % (time.monotonic() - begin))
	CODE
	expect_said "$3" "$1" "^after $AFTER_SILENCE" 20
	stop_app "$1"
}

silences() {
	local pids=()

	peer patient as_user <<-CODE
		one = bus()
		time.sleep($SILENCE_SECONDS + 1)
		one.sendall(call(1, 'Status'))
		say(one.recv(4096).count(b'version'))
	CODE
	silence mute "one = connect('control', socket.SOCK_STREAM)" \
		"who does not greet is dropped after $SILENCE_SECONDS s"
	silence halting "one = bus(); one.sendall(call(1, 'Status')[:-1])" \
		"so is who does not end a message"
	expect_said "who has greeted and owes nothing is not" patient "^1$"
	stop_app patient
}

# It greets in time, and mqgated does not get to run.
late_manager() {
	peer prompt as_user <<-CODE
		one = connect('control', socket.SOCK_STREAM)
		say('connected')
		sys.stdin.readline()
		one.sendall(b'\\0AUTH EXTERNAL\\r\\nDATA\\r\\nBEGIN\\r\\n' + call(1, 'Status'))
		answer = b'more'
		while answer and b'version' not in answer:
		    answer = one.recv(4096)
		say('answered %r' % bool(answer))
	CODE
	expect_said "somebody connects" prompt "^connected"
	check "… and is accepted" mqctl status
	kill -STOP "$DAEMON"
	echo >&"$(cat "$WORK/prompt.fd")"
	sleep $((SILENCE_SECONDS + 1))
	kill -CONT "$DAEMON"
	expect_said "who has greeted while mqgated did not run is not dropped" prompt "^answered True"
	stop_app prompt
}

messages() {
	peer messenger as_user <<-CODE
		one = bus()
		spare = $MESSAGE - len(call(1, 'List', ''))
		one.sendall(call(1, 'List', 'x' * spare))
		say('answered %r' % (b'there is no list of' in read(one)))
		one.sendall(call(2, 'List', 'x' * (spare + 1)))
		answer = read(one)
		say('refused %r' % (b'the message has more than $MESSAGE bytes' in answer))
		one.sendall(call(3, 'Status'))
		one.settimeout(30)
		say('end %r' % read(one))
		one = connect('control', socket.SOCK_STREAM)
		one.sendall(b'\\0' + b'x' * ($GREETING - 1))
		say('long line %r' % read(one))
		one = connect('control', socket.SOCK_STREAM)
		lines = $GREETING // 6 - 2
		one.sendall((b'\\0AUTH\\r\\n' + b'AUTH\\r\\n' * lines).ljust($GREETING - 2, b' ') + b'\\r\\n')
		one.settimeout(1)
		answer = b''
		try:
		    while True:
		        answer += one.recv(65536)
		except TimeoutError:
		    say('greeting %d' % (answer.count(b'REJECTED') - lines - 1))
		one.sendall(b'AUTH\\r\\n')
		say('longer %r' % read(one))
	CODE
	expect_said "a message of $MESSAGE bytes is answered" messenger "^answered True"
	expect_said "a longer one is refused" messenger "^refused True"
	expect_said "… and nothing more is read" messenger "^end b''" 20
	expect_said "a line of $GREETING bytes is none" messenger "^long line b''"
	expect_said "a greeting may have as many" messenger "^greeting 0"
	expect_said "… and not more" messenger "^longer b''"
	stop_app messenger
}

# CONTROL_UNREAD_PER_USER_MAX, CONTROL_UNREAD_OF_ROOT_MAX
unread() {
	mark_log
	peer lister as_user <<-'CODE'
		import select
		lists = b''.join(call(serial, 'List', 'slots') for serial in range(1, 31))
		peers = [bus() for _ in range(60)]
		for peer in peers:
		    peer.sendall(lists)
		one = bus()
		answer = b''
		serial = 0
		while b'too many unread answers' not in answer:
		    serial += 1
		    one.sendall(call(serial, 'List', 'slots'))
		    answer = read(one)
		say('refused %r' % (b'Limit' in answer))
		one.sendall(call(serial + 1, 'Status'))
		say('status %r' % (b'version' in read(one)))
		for peer in peers:
		    peer.close()
		while b'a-queue-with' not in answer:
		    serial += 1
		    one.sendall(call(serial + 1, 'List', 'slots'))
		    answer = read(one)
		say('listed')
		peer = bus()
		peer.sendall(lists)
		begin = time.monotonic()
		poll = select.poll()
		poll.register(peer, select.POLLRDHUP)
		poll.poll(30000)
		say('dropped after %d' % (time.monotonic() - begin))
	CODE
	expect_said "a user who does not read lists is refused further ones" lister "^refused True" 20
	expect_said "… and nothing else" lister "^status True"
	expect_said "… and they are given again when the others are gone" lister "^listed"
	expect_said "who never reads is dropped after $SILENCE_SECONDS s" lister "^dropped after $AFTER_SILENCE" 20
	expect_log "… and the log says so" "does not read its messages; dropped"
	check "others are answered" mqctl status
	stop_app lister
}

# A record reader that never reads.
reader() {
	mark_log
	start_app reader records "$WORK/run/control"
	wait_until 5 said reader listening
	kill -STOP "$(app_pid reader)"
	start_app noisy as_user mq-run --plug app:some flood 4 "${Q}granted" /denied
	missed() {
		mqctl metrics | grep '^mqgate_records_dropped_total [1-9]'
	}
	holds "who never reads the records misses some" wait_until 30 missed
	check "others are answered" mqctl status
	kill -KILL "$(app_pid noisy)"
	stop_app noisy
	kill -CONT "$(app_pid reader)"
	told_again() {
		mq-run --plug app:some mqtry "open /after-that r" >/dev/null
		grep -q after-that "$WORK/reader.out"
	}
	holds "… and is told of later ones" wait_until 10 told_again
	stop_app reader
}

# CONTROL_RECORDS_PER_USER_MAX a second, however many sessions and connections
told() {
	start_app noisy as_user mq-run --plug app:some flood 4 "${Q}granted" /denied
	peer counter as_user <<-CODE
		import select
		peers = [bus() for _ in range(10)]
		begin = time.monotonic()
		count = 0
		while time.monotonic() - begin < 3 * $TEST_PATIENCE:
		    for one in select.select(peers, [], [], 0.1)[0]:
		        count += one.recv(1 << 20).count(b'Record\\0')
		say('%d records, in bounds %r' % (count, $RECORDS < count <= (3 * $TEST_PATIENCE + 1) * $RECORDS))
	CODE
	mqctl monitor >"$WORK/roots" &
	local monitor=$! i
	wait_until 5 grep -q denied "$WORK/roots"
	for i in 1 2 3 4 5; do
		mq-run --plug app:some mqtry "open /of-root-$i r" >/dev/null
	done
	holds "… and nobody's records crowd out another's" wait_until 10 eval '[ "$(grep -c of-root "$WORK/roots")" = 5 ]'
	kill $monitor
	expect_said "a user with many connections is sent $RECORDS records a second" counter "in bounds True" 20
	kill -KILL "$(app_pid noisy)"
	stop_app noisy
	stop_app counter
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
confined
messages
silences
late_manager
unread
reader
told
burst
silent_launchers_are_let_go
[ "${BOUNDS_ALL:-0}" = 0 ] || user_sessions
finish
