#!/bin/bash
# SPDX-License-Identifier: MIT
# namespace: host: a program in an IPC namespace of its own shares one queue with the host, and nothing else: as root, as a user in a user
# namespace, and in a real container.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

setup
cat >"$WORK/packages/shared.yaml" <<YAML
name: shared
plugs:
  bus: {interface: posix-mq}
  reader: {interface: posix-mq, posix-mq: bus}
  called: {interface: posix-mq, posix-mq: one, path: ${Q}in}
  many: {interface: posix-mq}
  plain: {interface: posix-mq}
  fast: {interface: posix-mq, posix-mq: bus, mediation: open}
slots:
  host: {interface: posix-mq, posix-mq: bus, namespace: host, path: ${Q}bus, permissions: &all [read, write, create, delete]}
  readable: {interface: posix-mq, posix-mq: bus, namespace: host, path: ${Q}bus, permissions: [read]}
  one: {interface: posix-mq, namespace: host, path: ${Q}called, permissions: *all, max-mode: 0600}
  lots: {interface: posix-mq, posix-mq: many, namespace: host, path-pattern: "${Q}many-*", permissions: *all}
  here: {interface: posix-mq, posix-mq: plain, path: [${Q}bus, ${Q}own], permissions: *all}
YAML
# shellcheck source=tests/system/service-manager.sh
. "$SOURCE_ROOT/tests/system/service-manager.sh"
start_manager
for pair in bus:host reader:readable called:one many:lots plain:here fast:host; do
	mqctl connect "shared:${pair%:*}" "shared:${pair#*:}"
done

# in_own WHO CMD…: in an IPC namespace of its own; a user's in a user namespace where it is root
cat >"$WORK/bin/in_own" <<'SCRIPT'
#!/bin/sh
who=$1
shift
case $who in
root) exec unshare --ipc "$@" ;;
user) exec as_uid 4711 unshare --user --map-root-user --ipc "$@" ;;
esac
SCRIPT
chmod 755 "$WORK/bin/in_own"
declare -A ID=([root]=0 [user]=4711)

# expect DESCRIPTION RESULTS CMD…
expect() {
	local description=$1 results=$2
	shift 2
	run "$@"
	expect_results "$description" "$results"
}

# owner NAME: ids and mode of a queue of the host's
owner() {
	stat -c '%u %g %a' "/dev/mqueue$Q$1"
}

queue_exists() {
	[ -e "/dev/mqueue$Q$1" ]
}

no_queue() {
	! queue_exists "$1"
}

for who in root user; do
	id=${ID[$who]}
	start_app app in_own "$who" mq-run --plug shared:bus mqtry
	holds "$who: mq-run does not warn: it shares a queue" test ! -s "$WORK/app.err"
	expect_answer "$who: creates the host's queue" app "open ${Q}bus rwcx 0640 5 64" "-> 0"
	holds "$who: the host has it, as the caller's" test "$(owner bus)" = "$id $id 640"
	expect "$who: the host's programs see it" "0;5 64 0;0;" mqtry "open ${Q}bus rw" getattr "send hello 3"
	expect_answer "$who: poll sees the message" app poll "-> 1"
	expect_answer "$who: so does epoll" app epoll "-> 1"
	expect_answer "$who: it comes" app receive "-> hello 3"
	expect_answer "$who: and back" app "send world" "-> 0"
	expect "$who: to the host" "0;world 0;" mqtry "open ${Q}bus r" receive
	expect_answer "$who: it exists already" app "open ${Q}bus rwcx" EEXIST
	expect_answer "$who: no other of the host's" app "open ${Q}other r" EACCES
	expect "$who: another container hears it" "0;0;" in_own "$who" mq-run --plug shared:bus mqtry "open ${Q}bus rw" "send again"
	expect_answer "$who: the first one, too" app receive "-> again 0"
	expect "$who: with what its slot gives" "0;-1 EACCES;-1 EACCES;" in_own "$who" mq-run --plug shared:reader \
		mqtry "open ${Q}bus r" "open ${Q}bus rw" "unlink ${Q}bus"
	expect "$who: without the plug it has its own queues, of any name" "0;0;x 0;0;-1 ENOENT;" in_own "$who" mq-run \
		--plug shared:plain mqtry "open ${Q}bus rwcx" "send x" receive "unlink ${Q}bus" "open ${Q}own r"
	holds "$who: which are not the host's" queue_exists bus
	expect "$who: open mediation" "0;0;z 0;" in_own "$who" mq-run --plug shared:fast mqtry "open ${Q}bus rw" "send z" receive
	kill -KILL $(session_processes)
	expect_answer "$who: after its session process was replaced: the descriptor" app "send y" "-> 0"
	expect_answer "$who: the name" app "look ${Q}bus r" "-> 0"
	take_down 15
	bring_up
	expect_answer "$who: after a restart of the daemon: the descriptor" app receive "-> y 0"
	expect_answer "$who: the name" app "look ${Q}bus r" "-> 0"
	tell app fork
	expect_answer "$who: a child has both" app "send child" "-> 0"
	expect_answer "$who: indeed" app "look ${Q}bus r" "-> 0"
	expect_answer "$who: also in a further IPC namespace" app "unshare $([ "$who" = root ] && echo i || echo ui)" "-> 0"
	expect_answer "$who: the name" app "look ${Q}bus rw" "-> 0"
	expect_answer "$who: the descriptor" app receive "-> child 0"
	check "$who: disconnecting" mqctl disconnect shared:bus shared:host
	expect_answer "$who: takes the descriptor" app "send x" EACCES
	expect_answer "$who: and the name" app "look ${Q}bus r" EACCES
	expect_answer "$who: and unlinking" app "unlink ${Q}bus" EACCES
	check "$who: connecting" mqctl connect shared:bus shared:host
	expect_answer "$who: gives it back" app "send x" "-> 0"
	expect_answer "$who: unlinks it" app "unlink ${Q}bus" "-> 0"
	holds "$who: it is gone" no_queue bus
	stop_app app

	run in_own "$who" mq-run --plug shared:called mqtry "umask 0" "open ${Q}in rwcx 0666"
	holds "$who: an alias, and max-mode" test "$(owner called)" = "$id $id 600"
	expect "$who: it unlinks by it" "0;" in_own "$who" mq-run --plug shared:called mqtry "unlink ${Q}in"
	holds "$who: the queue" no_queue called
done

# --- whose permissions and limits hold --------------------------------------------------------------

mqtry "umask 0" "open ${Q}bus rwcx 0600" >/dev/null
expect "the host's root has the host's queue" "0;" in_own root mq-run --plug shared:bus mqtry "look ${Q}bus rw"
expect "a container's root is its user on the host" "0;-1 EACCES;-1 EACCES;" in_own user mq-run --plug shared:bus \
	mqtry "unshare i" "look ${Q}bus r" "unlink ${Q}bus"
rm "/dev/mqueue${Q}bus"
as_uid 4711 mqtry "open ${Q}bus rwcx 0600" >/dev/null
expect "a container of that user may" "0;" in_own user mq-run --plug shared:bus mqtry "look ${Q}bus rw"
expect "root in a container is lent no capability on the host" "-1 EACCES;" in_own root mq-run --plug shared:bus \
	mqtry "look ${Q}bus r"
expect "root on the host is" "0;0;" mq-run --plug shared:bus mqtry "look ${Q}bus r" "unlink ${Q}bus"
messages=$(($(cat /proc/sys/fs/mqueue/msg_max) + 1))
beyond=("look ${Q}bus rwcx 0600 $messages 64" "unlink ${Q}bus")
mqtry "${beyond[@]}" >"$WORK/bare" # a machine may leave its root without
expect "nor one beyond the host's limits" "-1 EINVAL;0;0;" in_own root mq-run --plug shared:bus \
	mqtry "look ${Q}bus rwcx 0600 $messages 64" "look ${Q}bus rwcx" "unlink ${Q}bus"
run mq-run --plug shared:bus mqtry "${beyond[@]}"
cp "$WORK/stdout" "$WORK/confined"
holds "which root on the host has as ever" diff "$WORK/bare" "$WORK/confined"
expect "the bytes count against the host's user" "-1 EMFILE;0;" as_uid 4711 prlimit --msgqueue=1000 \
	unshare --user --map-root-user --ipc mq-run --plug shared:bus mqtry "look ${Q}bus rwc 0600 10 128" "look ${Q}bus rwc 0600 1 64"
rm -f "/dev/mqueue${Q}bus"

# --- how many -----------------------------------------------------------------------------------------

max=$(bound HOST_QUEUES_MAX)
start_app app in_own root mq-run --plug shared:many mqtry
filled=0
for i in $(seq "$max"); do
	tell app "look ${Q}many-$i rwcx 0600 1 64"
	[[ $ANSWER != *"-> 0" ]] || filled=$((filled + 1))
done
holds "a session creates $max of the host's queues" test "$filled" = "$max"
expect_answer "and no more" app "look ${Q}many-x rwcx" ENOSPC
expect_log "and no more: the record says why" "ENOSPC, the session has created as many queues on the host as it may \\(HOST_QUEUES_MAX: $max\\)"
expect_answer "in whatever way" app "look ${Q}many-x rwc" ENOSPC
expect_answer "what exists may be opened" app "look ${Q}many-1 rwc" "-> 0"
expect_answer "but not be created" app "look ${Q}many-1 rwcx" EEXIST
kill -KILL $(session_processes)
expect_answer "another session process counts them, too" app "look ${Q}many-x rwcx" ENOSPC
expect_answer "one less" app "unlink ${Q}many-1" "-> 0"
expect_answer "and there is room" app "look ${Q}many-x rwcx 0600 1 64" "-> 0"
expect_answer "for one" app "look ${Q}many-y rwcx" ENOSPC
rm "/dev/mqueue${Q}many-2"
expect_answer "whoever deletes them" app "look ${Q}many-y rwcx 0600 1 64" "-> 0"
stop_app app
rm -f "/dev/mqueue${Q}many-"*
start_app app in_own root mq-run --plug shared:many mqtry
filled=0
for i in $(seq "$max"); do
	tell app "open ${Q}many-same rwcx 0600 1 64"
	tell app "unlink ${Q}many-same"
	[[ $ANSWER != *"-> 0" ]] || filled=$((filled + 1))
done
holds "those count that are deleted and open" test "$filled" = "$max"
expect_answer "of whatever name" app "look ${Q}many-same rwcx 0600 1 64" ENOSPC
expect_answer "closing one" app close "-> 0"
expect_answer "makes room" app "open ${Q}many-same rwcx 0600 1 64" "-> $max"
expect_answer "it may be opened once more" app "open ${Q}many-same r" "-> $((max + 1))"
expect_answer "closed once" app close "-> 0"
expect_answer "and deleted" app "unlink ${Q}many-same" "-> 0"
expect_answer "it counts as long as anybody has it open" app "look ${Q}many-other rwcx 0600 1 64" ENOSPC
tell app forget
expect_answer "all closed, there is room for all" app "churn ${Q}many-same $((3 * max))" "-> 0"
expect "who is on the host may create more" "0;" mq-run --plug shared:many mqtry "look ${Q}many-z rwcx 0600 1 64"
stop_app app
rm -f "/dev/mqueue${Q}many-"*

# --- two meanings -------------------------------------------------------------------------------------

run in_own root mq-run --plug shared:plain true
expect_message "where no queue is shared, mq-run warns" "namespace: host"
run in_own root mq-run --plug shared:bus --plug shared:plain true
expect_status "a name in both namespaces is refused" 125
expect_message "both rules are named" "^mq-run: .*${Q}bus of shared:bus connected to shared:host.* host.*${Q}bus of shared:plain connected to shared:here"

# --- a descriptor from outside --------------------------------------------------------------------------

mqtry "umask 0" "open ${Q}bus rwcx 0666" "open ${Q}own rwcx 0666" >/dev/null
cat >"$WORK/bin/with-queue" <<'SCRIPT'
#!/usr/bin/python3
"""with-queue NAME CMD…: in an IPC namespace of its own, with the host's queue as descriptor 9."""
import ctypes, os, sys
librt, libc = ctypes.CDLL("librt.so.1", use_errno=True), ctypes.CDLL(None)
os.dup2(librt.mq_open(sys.argv[1].encode(), os.O_RDWR, 0, None), 9)
if libc.unshare(0x08000000) != 0:
    sys.exit("unshare")
os.execvp(sys.argv[2], sys.argv[2:])
SCRIPT
chmod 755 "$WORK/bin/with-queue"
expect "an inherited queue of the host's is recognised" "0;0;x 0;" with-queue "${Q}bus" mq-run --inherit-queues --plug shared:bus \
	mqtry "take 9" "send x" receive
run with-queue "${Q}bus" mq-run --inherit-queues --plug shared:plain mqtry "take 9" "send x"
expect_results "one of the same name in the caller's namespace is another queue" "0;-1 EACCES;"
run with-queue "${Q}own" mq-run --inherit-queues --plug shared:plain --plug shared:called mqtry "take 9" "send x"
expect_results "also where the host's are looked at" "0;-1 EACCES;"
rm -f "/dev/mqueue${Q}bus" "/dev/mqueue${Q}own"

# --- a container --------------------------------------------------------------------------------------

# container CMD…: in a container that crun makes, with PID, IPC, mount and UTS namespaces of its own
container() {
	mkdir -p "$WORK/bundle/rootfs"
	python3 - "$WORK" "$@" >"$WORK/bundle/config.json" <<'PYTHON'
import json, os, sys
work, command = sys.argv[1], sys.argv[2:]
mounts = [{"destination": "/proc", "type": "proc", "source": "proc"},
	{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
	{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue"},
	{"destination": work, "type": "bind", "source": work, "options": ["rbind", "rw"]}]
mounts += [{"destination": d, "type": "bind", "source": d, "options": ["rbind", "ro"]}
	for d in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc") if os.path.exists(d)]
json.dump({"ociVersion": "1.0.2",
	"process": {"user": {"uid": 0, "gid": 0}, "args": command, "cwd": "/", "noNewPrivileges": True,
		"env": ["PATH=" + os.environ["PATH"], "MQGATE_RUNTIME_DIR=" + work + "/run"]},
	"root": {"path": "rootfs"}, "mounts": mounts,
	"linux": {"namespaces": [{"type": t} for t in ("pid", "ipc", "mount", "uts")]}}, sys.stdout)
PYTHON
	(cd "$WORK/bundle" && exec crun --root "$WORK/crun" --cgroup-manager=disabled run "c$RANDOM")
}

has_cgroups() {
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup
}

# machine_makes_containers DESCRIPTION: it is tried, as machine_can does
machine_makes_containers() {
	{ has_cgroups && container true; } </dev/null >"$WORK/stdout" 2>"$WORK/stderr" && return
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - $1 # SKIP this machine makes no containers: $(tail -n 1 "$WORK/stderr" | tr -d '#')"
	return 1
}

if ! command -v crun >/dev/null; then
	skip "a container" "crun is not installed"
elif machine_makes_containers "a container"; then
	mqtry "open ${Q}bus rwcx 0600" "send to-container" >/dev/null
	container mq-run --plug shared:bus mqtry "open ${Q}bus rw" receive "send from-container" "open ${Q}own r" pid \
		>"$WORK/stdout" 2>"$WORK/stderr" </dev/null
	expect_results "a container shares one queue with the host, and nothing else" "0;to-container 0;0;-1 EACCES;1;"
	expect "the host hears it" "0;from-container 0;0;" mqtry "open ${Q}bus r" receive "unlink ${Q}bus"
	container mqtry "open ${Q}bus rw" >"$WORK/stdout" 2>"$WORK/stderr" </dev/null
	expect_results "which without mqgate has none of the host's" "-1 ENOENT;"
fi
stop_manager

# --- a daemon that is not the host's ------------------------------------------------------------------

start_daemon
stop_daemon
unshare --ipc mqgated --config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" --state-dir "$WORK/state" \
	--packages "$WORK/packages" --session-program "$WORK/bin/mqgate-session" </dev/null >>"$WORK/daemon.log" 2>&1 &
DAEMON=$!
wait_until 5 daemon_answers
run mq-run --plug shared:bus true
expect_status "an mqgated with an IPC namespace of its own serves no host's queues" 125
expect_message "and says so" 'shared:host has "namespace: host", and mqgated runs in an IPC namespace of its own'
run mq-run --plug shared:plain mqtry "look ${Q}own r"
expect_stdout "others it serves" "ENOENT"
stop_daemon

# Only its session processes are elsewhere.
cat >"$WORK/bin/apart" <<SCRIPT
#!/bin/sh
exec unshare --ipc $WORK/bin/mqgate-session
SCRIPT
chmod 755 "$WORK/bin/apart"
start_daemon --session-program "$WORK/bin/apart"
run mq-run --plug shared:bus --plug shared:called mqtry "look ${Q}bus rwc" "look ${Q}in rwc" "unlink ${Q}bus"
expect_results "a session process that is not the host's opens none of its queues" "-1 EACCES;-1 EACCES;-1 EACCES;"
finish
