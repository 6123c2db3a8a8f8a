#!/bin/bash
# SPDX-License-Identifier: MIT
# The installed service under a real systemd, with its restrictions: running programs and a restart, a crash, an upgrade, a stop.
# SYSTEMD_KILLS: how many daemons and session processes are killed under load.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/boot.sh
. "$(dirname "$0")/boot.sh"

KILLS=${SYSTEMD_KILLS:-8}
setup_boot
Q=/q-
BY_NUMBER=/etc/systemd/system/mqgated.service.d/zz-by-number.conf

# --- a machine of its own -------------------------------------------------------------------------

# A service that is started when a message comes. It tells what it was given and then does what the test tells it, as any app, of the
# name boot/listened.
prepare_socket_unit() {
	cat >"$D/bin/listened" <<'SCRIPT'
#!/bin/sh
[ "$LISTEN_PID" = $$ ] && echo "given $LISTEN_FDS $LISTEN_FDNAMES $(readlink /proc/$$/fd/3)"
exec mqtry
SCRIPT
	chmod 755 "$D/bin/listened"
	mkfifo "$D/listened.in"
	cat >"$TREE/etc/systemd/system/listened.socket" <<UNIT
[Socket]
ListenMessageQueue=${Q}listened
MessageQueueMaxMessages=4
MessageQueueMessageSize=64
FileDescriptorName=the-queue
RemoveOnStop=yes
UNIT
	cat >"$TREE/etc/systemd/system/listened.service" <<UNIT
[Unit]
Wants=mqgated.service
After=mqgated.service

[Service]
Environment=PATH=$D/bin:/usr/bin:/bin
ExecStart=/usr/bin/mq-run --plug traffic:listened listened
User=nobody
SuccessExitStatus=1
StandardInput=file:$D/listened.in
StandardOutput=append:$D/listened.out
StandardError=append:$D/listened.err
UNIT
}

# Services in network namespaces of their own.
prepare_apart() {
	local user unit

	for user in root nobody; do
		for unit in apart-$user{,-filtered}; do
			printf '%s\n' '[Service]' Type=oneshot User=$user PrivateNetwork=yes \
				'ExecStart=/usr/bin/mq-run --slot traffic:all true' 'ExecStart=/usr/bin/mqctl connections' \
				>"$TREE/etc/systemd/system/$unit.service"
		done
		printf '%s\n' NoNewPrivileges=yes SystemCallFilter=~reboot >>"$TREE/etc/systemd/system/$unit.service"
	done
}

prepare_tree() {
	install_build && mkdir "$TREE/etc/systemd/system/mqgated.service.d" || return
	cp "$WORK"/bin/{mqtry,traffic,holder} "$D/bin/"
	cp "$SOURCE_ROOT/tests/system/hostile-runtime.py" "$D/bin/hostile-runtime"
	install -D "$BUILD_ROOT/tests/preload/no-peer-pidfd.so" "$TREE/usr/lib/no-peer-pidfd.so"
	prepare_socket_unit
	prepare_apart
	chmod -R a+rX "$D"
	sed "s|@Q@|$Q|g" >"$TREE/etc/mqgate/packages.d/traffic.yaml" <<'YAML'
name: traffic
plugs:
  nothing: posix-mq
  queue: posix-mq
  listened: posix-mq
  fast:
    interface: posix-mq
    posix-mq: queue
    mediation: open
slots:
  all:
    interface: posix-mq
    path-pattern: "@Q@*"
  one:
    interface: posix-mq
    posix-mq: queue
    path: "@Q@queue"
    permissions: [read, write, create]
  listened-queue:
    interface: posix-mq
    posix-mq: listened
    path: "@Q@listened"
    permissions: [read]
YAML
	# Earlier versions ran as root.
	install -d -m 700 "$TREE/var/lib/mqgate"
	install -m 600 /dev/null "$TREE/var/lib/mqgate/lock"
	printf 'version: 1\nconnections:\n- {plug: "traffic:nothing", slot: "traffic:one", state: manual}\n' \
		>"$TREE/var/lib/mqgate/connections.yaml"
	# The search for leaks needs ptrace.
	printf '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n' \
		>"$TREE/etc/systemd/system/mqgated.service.d/test.conf"
}

main_pid() {
	inside systemctl show -P MainPID mqgated
}

# stored COUNT: so many descriptors, besides the counters
stored() {
	[ "$(inside systemctl show -P NFileDescriptorStore mqgated)" = $(($1 + 1)) ]
}

# is_other PID: another daemon runs and is ready
is_other() {
	local pid

	pid=$(main_pid)
	[ "$pid" != 0 ] && [ "$pid" != "$1" ] && inside systemctl -q is-active mqgated
}

descriptors() {
	inside sh -c 'ls "/proc/$1/fd" | wc -l' sh "$1"
}

session_processes_inside() {
	inside pgrep -f '^mqgate-session'
}

one_session_process_inside() {
	[ "$(session_processes_inside | wc -l)" = 1 ]
}

# --- what programs see ----------------------------------------------------------------------------

# In the unit's restrictions: everything that they could stand in the way of.
restricted() {
	local who=$1 app=$2
	shift 2

	check "$who: connected" inside mqctl connect traffic:queue traffic:one
	start_app "$app" "$@" mqtry
	expect_answer "$who: creates" "$app" "open ${Q}queue rwcx 0600 4 64" ' -> 0$'
	expect_answer "$who: sends" "$app" "send one 3" ' -> 0$'
	expect_answer "$who: is refused what is not granted" "$app" "open /elsewhere r" ' EACCES$'
	expect_answer "$who: is refused to delete" "$app" "unlink ${Q}queue" ' EACCES$'
	expect_answer "$who: goes on with what it has" "$app" "use 0" ' -> 0$'
	expect_answer "$who: receives" "$app" "receive" ' -> one 3$'
	expect_answer "$who: registers for notification" "$app" "notify" ' -> 0$'
	check "$who: disconnected" inside mqctl disconnect traffic:queue traffic:one
	expect_stdout "$who: who is registered is told" "^1 session \(1 process\) is still registered for notification "
	holds "$who: the registration stays" \
		inside grep -Eq 'NOTIFY_PID:[1-9]' "/dev/mqueue${Q}queue"
	expect_answer "$who: no message gets through" "$app" "send two" ' EACCES$'
	run inside journalctl -u mqgated -o cat --no-pager
	expect_stdout "$who: the denial is on record" "denied mq_timedsend ${Q}queue: .*to allow: mqctl connect"
	stop_app "$app"
	inside rm "/dev/mqueue${Q}queue"
}

# Both need to read the filters of other processes.
held_and_killed() {
	check "open mediation: connected" inside mqctl connect traffic:fast traffic:one
	inside mqtry "open ${Q}queue rwc 0666 4 64" >/dev/null
	inside chmod 666 "/dev/mqueue${Q}queue"
	start_app app inside_as_user mq-run --plug traffic:fast mqtry
	expect_answer "open mediation: opens" app "open ${Q}queue rw" ' -> 0$'
	start_app other inside_as_user mq-run --plug traffic:fast holder "${Q}queue" daemon
	holds "open mediation: another has it open" wait_until 10 grep -q holding "$WORK/other.out"
	run inside mqctl disconnect traffic:fast traffic:one
	expect_stdout "open mediation: disconnecting tells who holds" "^2 sessions \([23] processes\) still hold "
	expect_answer "open mediation: what is open works until it is closed" app "send one" ' -> 0$'
	expect_answer "open mediation: nothing new is opened" app "open ${Q}queue rw" ' EACCES$'
	check "disconnect --kill" inside mqctl disconnect --kill traffic:fast traffic:one
	expect_stdout "disconnect --kill: kills" "^[23] processes killed$"
	stop_app app
	stop_app other
	inside rm "/dev/mqueue${Q}queue"
}

another_ipc_namespace() {
	start_app app inside unshare --ipc mq-run --slot traffic:all mqtry
	expect_answer "an IPC namespace: creates there" app "open ${Q}there rwcx 0600 4 64" ' -> 0$'
	holds "an IPC namespace: and not here" inside test ! -e "/dev/mqueue${Q}there"
	expect_answer "an IPC namespace: deletes" app "unlink ${Q}there" ' -> 0$'
	stop_app app
}

listened_is() {
	[ "$(inside systemctl is-active "listened.$1")" = "$2" ]
}

# is_given: the service has been started, and has what systemd has opened
is_given() {
	grep -qx "given 1 the-queue ${Q}listened" "$D/listened.out"
}

# open_listened, close_listened: what the service reads, which ends with it
open_listened() {
	local fd

	: >"$D/listened.out"
	exec {fd}<>"$D/listened.in"
	echo "$fd" >"$D/listened.fd"
}

close_listened() {
	local fd

	fd=$(cat "$D/listened.fd")
	exec {fd}>&-
	rm "$D/listened.fd"
}

# is_waiting: the service, for a message
is_waiting() {
	inside sh -c 'read -r call rest <"/proc/$1/syscall" && [ "$call" = "$2" ]' sh \
		"$(inside systemctl show -P MainPID listened)" "$RECEIVES"
}

# is_another_service PID: that one has ended
is_another_service() {
	[ "$(inside systemctl show -P MainPID listened)" != "$1" ]
}

# message_to_service TEXT: by somebody whom nobody confines
message_to_service() {
	inside mqtry "open ${Q}listened w" "send $1 1" >/dev/null
}

socket_unit() {
	local what="a socket unit" app=boot/listened pid

	RECEIVES=$(printf '#include <sys/syscall.h>\n=SYS_mq_timedreceive\n' | cc -E -P -xc - | sed -n 's/^=//p')

	open_listened
	check "$what listens on a queue" inside systemctl start listened.socket
	holds "$what: … and nothing runs" listened_is service inactive
	message_to_service first
	holds "$what: a message starts the service, which has the queue" wait_until 10 is_given
	tell $app "take 3"
	expect_answer "$what: denied: it receives nothing" $app "receive 0" ' -> -1 EACCES$'
	expect_answer "$what: … and is told nothing" $app "getattr" ' -> -1 EACCES$'
	check "$what: granted while it runs" inside mqctl connect traffic:listened traffic:listened-queue
	expect_answer "$what: … it receives what has come" $app "receive" ' -> first 1$'
	expect_answer "$what: … it cannot send, though systemd has opened the queue for both" $app "send mine" ' -> -1 EACCES$'
	expect_answer "$what: … it waits for the next one" $app "setattr -" ' -> 0$'
	echo "receive 60" >&"$(cat "$D/listened.fd")"
	holds "$what: … and does so" wait_until 5 is_waiting
	check "$what: disconnected while it waits" inside mqctl disconnect traffic:listened traffic:listened-queue
	holds "$what: … it is refused" wait_until 5 grep -qx 'receive 60 -> -1 EACCES' "$D/listened.out"
	message_to_service second
	expect_answer "$what: … and receives nothing any more" $app "receive 0" ' -> -1 EACCES$'
	check "$what: connected for the next one" inside mqctl connect traffic:listened traffic:listened-queue
	pid=$(inside systemctl show -P MainPID listened)
	close_listened
	holds "$what: the service ends" wait_until 10 is_another_service "$pid"
	open_listened
	holds "$what: the message that is left starts another" wait_until 10 is_given
	tell $app "take 3"
	expect_answer "$what: … which receives it" $app "receive" ' -> second 1$'
	close_listened
	holds "$what: … and when it has ended, the socket listens again" wait_until 10 listened_is service inactive
	open_listened
	message_to_service third
	holds "$what: … for the next message" wait_until 10 is_given
	tell $app "take 3"
	expect_answer "$what: … which is received" $app "receive" ' -> third 1$'
	check "$what: stopped" inside systemctl stop listened.socket listened.service
	close_listened
	inside mqctl disconnect traffic:listened traffic:listened-queue
}

# status_of PID KEY…: from its /proc/PID/status
status_of() {
	local pid=$1 key
	shift

	for key in "$@"; do
		inside sed -n "s/^$key:\t\([^\t]*\).*/$key \1/p" "/proc/$pid/status"
	done
}

# manager_is_shut_in: its user, SYS_PTRACE at most, a filter
manager_is_shut_in() {
	local ours=$((16#$(sed -n 's/^CapPrm:\t//p' /proc/self/status))) set user none=0000000000000000

	printf -v set '%016x' $((16#80000 & ours))
	user=$(inside id -u mqgated)
	status_of "$(main_pid)" Uid CapInh CapPrm CapEff CapBnd CapAmb Seccomp NoNewPrivs |
		diff - <(printf '%s\n' "Uid $user" "CapInh $none" "CapPrm $set" "CapEff $set" "CapBnd $set" \
			"CapAmb $none" "Seccomp 2" "NoNewPrivs 1")
}

# kernel_features CMD…: what this mqctl tells of the kernel
kernel_features() {
	"$@" status | grep -E '^ *(landlock|seccomp|peer)'
}

only_the_manager_may_ask() {
	inside setpriv --reuid=65534 --regid=65534 --clear-groups -- python3 -c '
import socket, sys
try:
	socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).connect("/run/mqgate/sessions")
except PermissionError:
	sys.exit(0)
sys.exit("it can connect")'
}

# Root may connect whatever the socket's mode, and a confined program may be root.
root_is_turned_away() {
	inside mq-run --plug traffic:nothing python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
s.connect("/run/mqgate/sessions")
sys.exit(s.recv(1) != b"")'
}

under_restrictions() {
	holds "the memory of mqgated is limited" \
		test "$(inside systemctl show -P MemoryMax mqgated)" = $((1024 * 1024 * 1024))
	holds "the daemon has a user of its own, one capability and a filter" manager_is_shut_in
	start_daemon
	kernel_features mqctl >"$WORK/features"
	holds "the filter hides nothing of the kernel" \
		eval 'kernel_features inside mqctl | diff features - && grep -q seccomp features'
	stop_daemon
	holds "nobody else can ask for session processes" only_the_manager_may_ask
	holds "… and who can connect because it is root is turned away" root_is_turned_away
	restricted user app inside_as_user mq-run --plug traffic:queue
	restricted root app inside mq-run --plug traffic:queue
	restricted "root, mount wall" app inside mq-run --wall=mount --plug traffic:queue
	held_and_killed
	run inside systemctl show -p LimitRTPRIO -p LimitNICE 'mqgate-sessions@*'
	expect_stdout "session processes may have any real-time priority" '^LimitRTPRIO=99$'
	expect_stdout "… and niceness" '^LimitNICE=40$'
	socket_unit
	another_ipc_namespace
	run inside mqctl sessions --json
	expect_output "no session is left" "[]"
}

# As before Linux 6.5: the restricted manager finds out for itself who has the number of a peer, wherever that is.
peers_by_number() {
	local unit

	inside sh -c 'printf "[Service]\nEnvironment=LD_PRELOAD=/usr/lib/no-peer-pidfd.so" >"$1" &&
		printf " ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0\n" >>"$1"' sh "$BY_NUMBER"
	check "as before Linux 6.5" inside sh -c "systemctl daemon-reload && systemctl restart mqgated"
	run inside mqctl status
	expect_stdout "… the kernel names no peer" "^peer-pidfd: no$"
	for unit in apart-{root,nobody}{,-filtered}; do
		check "… $unit.service is served" inside systemctl start $unit
	done
	inside rm "$BY_NUMBER"
	check "as it was" inside sh -c "systemctl daemon-reload && systemctl restart mqgated"
}

# sets_inside: permitted and bounding sets of all session processes
sets_inside() {
	local pid

	for pid in $(session_processes_inside); do
		inside sed -n 's/^CapPrm:\t//p;s/^CapBnd:\t//p' "/proc/$pid/status" | paste -s -d ' '
	done | sort
}

# Of the spare one, of the one of root's session and of the one of the user's.
expected_sets() {
	local ours=$((16#$(sed -n 's/^CapPrm:\t//p' /proc/self/status))) set

	for set in a800e2 1a800ee 1a801ee; do
		printf '%016x %016x\n' $((16#$set & ours)) $((16#$set & ours))
	done | sort
}

have_expected_sets() {
	sets_inside
	[ "$(sets_inside)" = "$(expected_sets)" ]
}

# goes_on WHAT CMD…: two programs, and CMD, after which another daemon runs
goes_on() {
	local what=$1 pid
	shift

	pid=$(main_pid)
	start_app app inside_as_user mq-run --slot traffic:all mqtry
	start_app other inside mq-run --slot traffic:all mqtry
	expect_answer "$what: a program of a user works before" app "open ${Q}app rwcx 0600 4 64" ' -> 0$'
	expect_answer "$what: and one of root" other "open ${Q}other rwcx 0600 4 64" ' -> 0$'
	holds "$what: no session process may more than it needs" wait_until 5 have_expected_sets
	check "$what" "$@"
	echo "send one" >&"$(cat "$WORK/app.fd")"
	holds "$what: another daemon is ready" wait_until 10 is_other "$pid"
	answered() {
		grep -q '^send one -> 0' "$WORK/app.out"
	}
	holds "$what: a call made meanwhile is answered" wait_until 5 answered
	holds "$what: nor the next ones" wait_until 5 have_expected_sets
	expect_answer "$what: the program goes on" app "receive" ' -> one 0$'
	expect_answer "$what: what was not granted is refused" app "open /elsewhere r" EACCES
	expect_answer "$what: it can unlink" app "unlink ${Q}app" ' -> 0$'
	expect_answer "$what: so can the other" other "unlink ${Q}other" ' -> 0$'
	stop_app app
	stop_app other
	holds "$what: what has ended leaves systemd's store" wait_until 5 stored 0
}

# The socket of container runtimes, which is not enabled by itself.
containers() {
	holds "containers: no socket by itself" inside test ! -e /run/mqgate/oci
	check "containers: the socket is enabled" inside systemctl enable mqgated-oci.socket
	check "… which mqgated gets when it begins anew" inside systemctl restart mqgated
	inside python3 "$D/bin/hostile-runtime" /run/mqgate/oci say ']'
	told() {
		inside journalctl -u mqgated -o cat --no-pager | grep -q 'is not served: it is no JSON'
	}
	holds "… and serves" wait_until 5 told
	check "containers: it is disabled again" inside systemctl disable --now mqgated-oci.socket
	check "… and mqgated goes on" inside systemctl restart mqgated
}

reloaded() {
	local pid

	pid=$(main_pid)
	check "systemctl reload" inside systemctl reload mqgated
	packages_are_read() {
		inside journalctl -u mqgated -o cat --no-pager | grep -Eq '^reloaded: [0-9]+ packages'
	}
	holds "… reads the packages again" wait_until 5 packages_are_read
	holds "… and the daemon is the same" test "$(main_pid)" = "$pid"
}

stopped() {
	start_app app inside_as_user mq-run --slot traffic:all mqtry
	expect_answer "a program works before a stop" app "open ${Q}stop rwcx 0600 4 64" ' -> 0$'
	check "systemctl stop" inside systemctl stop mqgated
	expect_answer "… closes the door" app "open ${Q}stop r" ' -> -1 ENOSYS$'
	holds "… leaves nothing in the store" test "$(inside systemctl show -P NFileDescriptorStore mqgated)" = 0
	run inside pgrep -f '^mqgate'
	expect_status "… and no process" 1
	check "systemctl start" inside systemctl start mqgated
	expect_answer "… does not open it again" app "open ${Q}stop r" ' -> -1 ENOSYS$'
	check "… but a new session works" inside_as_user mq-run --slot traffic:all mqtry "unlink ${Q}stop"
	stop_app app
}

restarts() {
	inside systemctl show -P NRestarts mqgated
}

has_been_tried_often() {
	[ "$(restarts)" -ge 10 ]
}

# Whoever gave up would close the door of all running programs.
until_corrected() {
	local lines

	start_app app inside_as_user mq-run --slot traffic:all mqtry
	expect_answer "a program works before the configuration is broken" app "open ${Q}crash rwcx 0600 4 64" ' -> 0$'
	inside sh -c 'cd /etc/mqgate && cp mqgated.yaml good && echo "no such: [setting" >>mqgated.yaml'
	inside systemctl restart mqgated
	holds "systemd goes on to start mqgated, more often than it does by default" wait_until 20 has_been_tried_often
	lines=$(wc -l <"$WORK/app.out")
	echo "open ${Q}crash r" 1>&"$(cat "$WORK/app.fd")"
	sleep 1
	holds "… the program's call waits" test "$(wc -l <"$WORK/app.out")" = "$lines"
	inside mv /etc/mqgate/good /etc/mqgate/mqgated.yaml
	holds "… until the configuration is corrected" wait_until 10 more_lines "$WORK/app.out" "$lines"
	holds "… and is carried out" eval "tail -n 1 '$WORK/app.out' | grep -q ' -> 1\$'"
	stop_app app
	inside sh -c "rm -f /dev/mqueue${Q}crash"
}

# --- under load -----------------------------------------------------------------------------------

LOAD="receiver sender creator denied user-receiver user-sender user-creator user-denied"

load_has_started() {
	[ "$(inside mqctl sessions --json | grep -o '"pid"' | wc -l)" = 8 ] || ! running $LOAD
}

# Until end_load: what so many messages take says nothing of how long so many kills take.
start_load() {
	local who prefix

	for who in "" user-; do
		prefix=inside${who:+_as_user}
		start_app "${who}receiver" $prefix mq-run --slot traffic:all traffic receive "$Q${who}flow"
		start_app "${who}sender" $prefix mq-run --slot traffic:all traffic send "$Q${who}flow"
		start_app "${who}creator" $prefix mq-run --slot traffic:all traffic create "$Q${who}new"
		start_app "${who}denied" $prefix mq-run --plug traffic:nothing traffic denied "${Q}denied"
	done
	wait_until 10 load_has_started
}

# Who receives ends when who sends has.
end_load() {
	inside pkill -TERM -f '^traffic (send|create|denied)'
}

load_is_well() {
	local name well=0

	for name in $LOAD; do
		wait_until 120 app_gone "$name"
		stop_app "$name" || {
			echo "$name: $(cat "$WORK/$name.err")"
			well=1
		}
	done
	inside sh -c "rm -f /dev/mqueue$Q*flow"
	return $well
}

# one_kill: a restart, a SIGKILL of the daemon or of the session processes; counted if it has hit
one_kill() {
	case $((RANDOM % 4)) in
	0) inside systemctl restart mqgated ;;
	1) inside pkill -KILL -f '^mqgate-session' ;;
	*) inside systemctl kill --kill-whom=main -s KILL mqgated 2>/dev/null ;;
	esac && kills=$((kills + 1))
	sleep "0.$((RANDOM % 4))"
}

is_ready() {
	inside systemctl -q is-active mqgated
}

# warm_up: the daemon has had a session, and has none
warm_up() {
	inside mq-run --slot traffic:all true
	wait_until 5 one_session_process_inside
}

under_load() {
	local kills=0 well=0 before before_init

	warm_up
	inside mqtry "open ${Q}denied rwc 0600 4 64" >/dev/null
	before=$(descriptors "$(main_pid)")
	before_init=$(descriptors 1)
	start_load
	# shellcheck disable=SC2086
	while running $LOAD && [ $kills -lt "$KILLS" ]; do
		one_kill
	done
	wait_until 10 is_ready
	end_load
	load_is_well >"$WORK/load.txt" || well=1
	holds "all kills have come under load" test $kills = "$KILLS"
	holds "$kills kills: nothing was lost, doubled, out of order or wrongly allowed" \
		eval "cat load.txt; [ $well = 0 ]"
	holds "… systemd's store is empty" wait_until 5 stored 0
	holds "… no session process is left" wait_until 5 one_session_process_inside
	warm_up
	wait_until 5 eval "[ \$(descriptors \$(main_pid)) -le $before ]"
	holds "… the daemon has no more descriptors than at the start" \
		eval "echo $before \$(descriptors \$(main_pid)); [ \$(descriptors \$(main_pid)) -le $before ]"
	holds "… and so has systemd" wait_until 5 eval "[ \$(descriptors 1) -le $before_init ]"
}

holds "everything is installed" prepare_tree
boot
check "what an earlier one, which was root, has kept is there" inside mqctl disconnect traffic:nothing traffic:one
under_restrictions
peers_by_number
containers
reloaded
goes_on "systemctl restart" inside systemctl restart mqgated
goes_on "SIGKILL" inside systemctl kill --kill-whom=main -s KILL mqgated
goes_on "SIGABRT to all of the service" inside systemctl kill -s ABRT mqgated
goes_on "SIGKILL to the spawner of session processes" inside systemctl kill -s KILL 'mqgate-sessions@*'
goes_on "an upgrade" inside sh -c 'cp /usr/sbin/mqgated /usr/sbin/mqgated.new &&
	mv /usr/sbin/mqgated.new /usr/sbin/mqgated && systemctl restart mqgated'
under_load
stopped
until_corrected
if [ "$TAP_FAILED" != 0 ]; then
	inside journalctl -b -u mqgated -n 60 --no-pager | diagnose >&2
fi
finish
