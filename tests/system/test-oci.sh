#!/bin/bash
# SPDX-License-Identifier: MIT
# Containers whose runtime hands over the listener (mqctl oci-profile, mqgated --containers): unmodified images under Podman and crun are
# granted, denied and disconnected; what a container leaves open is refused; runtimes that lie gain nothing and hold up nobody.
#
# CONTAINERS: how many come and go.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/service-manager.sh"
. "$(dirname "$0")/podman.sh"
begin_with_containers --containers
cp "$SOURCE_ROOT/tests/system/hostile-runtime.py" "$WORK/bin/hostile-runtime"
PROFILE=$WORK/profile.json
mqctl oci-profile --plug worker:jobs --plug worker:bus >"$PROFILE"
SETTINGS=(--security-opt no-new-privileges --tmpfs /dev/mqueue)
ALL=("${SETTINGS[@]}" --security-opt "seccomp=$PROFILE")

# logged DESCRIPTION REGEX: since `mark_log`
mark_log() {
	SEEN_LINES=$(wc -l <"$WORK/daemon.log")
}
since_mark() {
	tail -n "+$((SEEN_LINES + 1))" "$WORK/daemon.log"
}
log_has() {
	since_mark | grep -Eq "$1"
}
is_logged() {
	wait_until 5 log_has "$1" && return
	since_mark
	return 1
}
logged() {
	holds "$1" is_logged "$2"
}

# The runtime does not wait for mqgated: where that is late it has ended by then, what it brought in is denied, and the
# log says why. Then the test tries again.
TOO_LATE="had ended before mqgated could look"

TRY=("open /jobs rwc 0600" "send x" "receive 1" "open /bus rwc 0600" "open /other rwc" "unlink /jobs" "unlink /bus")
works() {
	local description=$1
	shift

	for _ in {1..5}; do
		mark_log
		run podman run --rm "$@" worker mqtry "${TRY[@]}"
		log_has "$TOO_LATE" || break
	done
	expect_results "$description" "0;0;x 0;1;-1 EACCES;0;0;"
}
works "as it is" "${ALL[@]}"
works "without capabilities" "${ALL[@]}" --cap-drop all
works "as a user" "${ALL[@]}" --user 1000
works "as a user, of everything the least" "${ALL[@]}" --user 1000 --cap-drop all --read-only
works "in a user namespace" "${ALL[@]}" --uidmap 0:100000:65536
works "with the host's queues" "${ALL[@]}" --ipc=host
shown "podman run --security-opt" >"$WORK/shown.sh"
run sh "$WORK/shown.sh"
expect_results "what doc/containers.md shows, with the image's own command" "0;0;-1 EACCES;"

# --- what a container leaves open -----------------------------------------------------------------

# changed SED: the profile, changed, in $WORK/changed.json
changed() {
	sed "$1" "$PROFILE" >"$WORK/changed.json"
}

# allowing CALL: the profile, but for this
allowing() {
	python3 - "$PROFILE" "$1" <<'PYTHON' >"$WORK/changed.json"
import json, sys
profile = json.load(open(sys.argv[1]))
for rule in profile["syscalls"]:
	rule["names"] = [name for name in rule["names"] if name != sys.argv[2]]
profile["syscalls"] = [rule for rule in profile["syscalls"] if rule["names"]]
profile["syscalls"].append({"names": [sys.argv[2]], "action": "SCMP_ACT_ALLOW"})
json.dump(profile, sys.stdout)
PYTHON
}

# denied DESCRIPTION REGEX OPTION…: each call fails, and the log says why
denied() {
	local description=$1 message=$2
	shift 2

	for _ in {1..5}; do
		mark_log
		run podman run --rm "$@" worker mqtry "open /jobs rwc 0600"
		log_has "$TOO_LATE" || break
	done
	expect_stdout "$description: denied" "-> -1 (EACCES|ENOSYS|EPERM)$"
	logged "… and the log says what to change" "$message"
}
denied "what could gain privileges" "start it with no-new-privileges" --tmpfs /dev/mqueue --security-opt "seccomp=$PROFILE"
denied "a message queue file system inside" "message queue file system; give it another one there" \
	--security-opt no-new-privileges --security-opt "seccomp=$PROFILE"
denied "CAP_SYS_ADMIN" "CAP_SYS_ADMIN.*--cap-drop" "${ALL[@]}" --cap-add SYS_ADMIN
denied "the host's processes" "shares its PID namespace; give it one of its own" "${ALL[@]}" --pid=host
for call in chroot mount fsopen fsmount open_tree move_mount pivot_root setns clone clone3 unshare seccomp mq_timedreceive; do
	allowing "$call"
	denied "a profile that allows $call" "its profile lets .* through; make it with mqctl oci-profile" \
		"${SETTINGS[@]}" --security-opt "seccomp=$WORK/changed.json"
done
changed 's/"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"//'
denied "a profile without the flag" "lacks the flag SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" "${SETTINGS[@]}" --security-opt "seccomp=$WORK/changed.json"
changed 's/plug=worker:jobs/plug=worker:nope/'
denied "a plug that is not there" 'package "worker" has no plug named "nope"' "${SETTINGS[@]}" --security-opt "seccomp=$WORK/changed.json"
changed 's/mqgate:1 id/mqgate:9 id/'
denied "a profile of another release" "not made by mqctl oci-profile of this release" "${SETTINGS[@]}" --security-opt "seccomp=$WORK/changed.json"
start_app wrong podman run --name wrong --rm -i --tmpfs /dev/mqueue --security-opt "seccomp=$PROFILE" worker mqtry
expect_answer "as long as it lives, what is refused is denied" wrong "open /jobs rwc 0600" "EACCES"
run mqctl sessions
expect_stdout "… and listed so" " refused "
run mqctl explain --last
expect_stdout "… with the reason" "start it with no-new-privileges"
take_down 15
bring_up
expect_answer "… also by a new mqgated" wrong "open /jobs rwc 0600" "EACCES"
run mqctl sessions
expect_stdout "… which lists it so" " refused "
run mqctl explain --last
expect_stdout "… and says where the reason is" "the container is not served; the log of mqgated says why"
stop_app wrong 10

# That one is not closed by us: of mq_open nothing comes to us.
mark_log
allowing mq_open
podman run --rm "${SETTINGS[@]}" --security-opt "seccomp=$WORK/changed.json" worker sleep 1
logged "a profile that lets mq_open through is told" "its profile lets mq_open through"
changed 's/ id=[0-9a-f]*/ id=1234/'
denied "a profile with another's id" "not under the profile that it was handed over with" "${SETTINGS[@]}" --security-opt "seccomp=$WORK/changed.json"

# --- live -----------------------------------------------------------------------------------------

has_begun_or_ended() {
	[ "$(podman inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ] || app_gone "$1"
}

# container_app NAME OPTION…: mqtry in a container of that name
container_app() {
	local name=$1
	shift

	for _ in {1..5}; do
		mark_log
		start_app "$name" podman run --name "$name" --rm -i "${ALL[@]}" "$@" worker mqtry
		wait_until 10 has_begun_or_ended "$name"
		log_has "$TOO_LATE" || return 0
		stop_app "$name" 10
	done
}
container_id() {
	podman inspect -f '{{.Id}}' "$1"
}

container_app one
expect_answer "one creates its queue" one "open /jobs rwc 0600" "-> 0$"
expect_answer "… and another one" one "open /bus rwc 0600" "-> 1$"
run mqctl sessions
expect_stdout "its session has the container's id" "  $(container_id one)\$"
run mqctl metrics
expect_stdout "… which is counted for its plug" '^mqgate_plug_sessions\{.*worker:jobs.*\} 1$'
run mqctl sessions --json
expect_stdout "… in JSON, too" "\"container\": \"$(container_id one)\""
mark_log
expect_answer "what is not granted is denied" one "open /other rwc" "EACCES"
logged "… and the record names the container" "denied mq_open /other: .*, container $(container_id one)\)"
check "disconnect" mqctl disconnect worker:jobs worker:queue
expect_answer "… the queue that it has open" one "use 0" "-> 0$"
expect_answer "is in force" one "send x" "EACCES"
expect_answer "… also for another open" one "open /jobs rw" "EACCES"
expect_answer "… and not for the other plug" one "open /bus rw" "-> [0-9]"
check "connect" mqctl connect worker:jobs worker:queue
expect_answer "is, too" one "open /jobs rw" "-> [0-9]"
take_down 15
bring_up
expect_answer "a new mqgated goes on with it" one "open /jobs rw" "-> [0-9]"
expect_answer "… as before" one "open /other rw" "EACCES"
run mqctl sessions
expect_stdout "… and knows its id" "  $(container_id one)\$"
pkill -KILL -f '^mqgate-session'
expect_answer "a new session process goes on with what is open" one "send x" "-> 0$"
expect_answer "… and opens" one "open /jobs rw" "-> [0-9]"

# --- what is put into it ----------------------------------------------------------------------------

run podman exec one mqtry "open /jobs rw" "open /bus rw" "open /other rw"
expect_results "what exec brings into it is served as it is" "0;1;-1 EACCES;"

exec_inside() {
	for _ in {1..5}; do
		mark_log
		start_app inside podman exec -i one mqtry
		tell inside "open /jobs rw"
		log_has "$TOO_LATE" || return 0
		stop_app inside 10
	done
}
exec_inside
holds "… lives beside it" test "$ANSWER" = "open /jobs rw -> 0"
holds "… as a session of the same id" eval '[ "$(mqctl sessions --json | grep -c "\"container\": \"$(container_id one)\"")" = 2 ]'
expect_answer "… and sends" inside "send y" "-> 0$"
mark_log
run podman exec --privileged one mqtry "open /jobs rw"
expect_stdout "what exec brings in with CAP_SYS_ADMIN is denied" "-> -1 EACCES$"
logged "… and the log says why" "has CAP_SYS_ADMIN"
stop_app inside 10
mark_log
for i in {1..5}; do podman exec one true 2>/dev/null; done
sleep 1
holds "who has ended at once is not told of" eval '! since_mark | grep -v "$TOO_LATE" | grep -Eq "is not served|malformed"'
denied "another container's processes" "shares its PID namespace" "${ALL[@]}" --pid=container:one

# --- two of one profile -----------------------------------------------------------------------------

container_app two
expect_answer "another of the same profile" two "open /bus rw" "-> 0$"
check "disconnect --kill" mqctl disconnect --kill worker:jobs worker:queue
holds "… ends the one that has had it" wait_until 10 app_gone one
expect_answer "… and not the other" two "open /bus rw" "-> [0-9]"
stop_app one 10
mqctl connect worker:jobs worker:queue

# --- what comes later -------------------------------------------------------------------------------

# in_mounts_of NAME CMD…: of the busybox of its image
in_mounts_of() {
	nsenter -t "$(podman inspect -f '{{.State.Pid}}' "$1")" --mount "/bin/busybox" "${@:2}"
}
in_mounts_of two mount -t tmpfs none /tmp
expect_answer "another mount changes nothing" two "open /bus rw" "-> [0-9]"
pkill -KILL -f '^mqgate-session'
expect_answer "a new session process, which is asked for nothing but to send," two "send x" "-> 0$"
mark_log
in_mounts_of two mount -t mqueue none /tmp
holds "… watches: a message queue file system that comes later ends it" wait_until 10 app_gone two
logged "… and the log says so" "container [0-9a-f]{64}: a message queue file system was mounted in it"
stop_app two 10
sessions_gone() {
	[ "$(mqctl sessions --json | grep -c '"pid"')" = 0 ]
}
holds "no session is left" wait_until 10 sessions_gone

# --- roads ------------------------------------------------------------------------------------------

cat >"$WORK/roads.sh" <<'SCRIPT'
#!/bin/sh
# Each road to the queue /other, of which nothing is granted
mkdir -p /tmp/r/mount /tmp/r/bound
for road in $(mqgate-roads --list); do
	echo "$road: $(mqgate-roads "$road" /other /tmp/r 2>/dev/null)"
done
SCRIPT
for options in "" "--user 1000 --cap-drop all" "--ipc=host"; do
	[ "$options" != --ipc=host ] || mqtry "open /other rwc 0666 4 64" >/dev/null
	# shellcheck disable=SC2086 # several
	podman run --rm "${ALL[@]}" $options -v "$WORK/roads.sh:/roads.sh:ro" --tmpfs /tmp:mode=1777 worker sh /roads.sh >"$WORK/seen" 2>&1
	holds "roads ($options): all are tried" test "$(grep -c ': ' "$WORK/seen")" -gt 50
	# It creates a file, in the file system that is there instead.
	holds "… none leads to a queue" eval '! grep -E ": open" seen | grep -v ^create:'
done
rm -f /dev/mqueue/other

# --- runtimes that lie ------------------------------------------------------------------------------

# message PID ID [BUNDLE]: as a runtime says it
message() {
	printf '{"ociVersion": "0.2.0", "fds": ["seccompFd"], "pid": %s, "metadata": "mqgate:1 id=%s plug=worker:jobs", "state": {"id": "liar", "status": "creating", "pid": %s, "bundle": "%s"}}' \
		"$1" "$2" "$1" "${3:-$WORK/bundle}"
}
SOCKET=$WORK/run/oci
mkdir -m 755 "$WORK/bundle" "$WORK/theirs"
echo '{"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}' | tee "$WORK/bundle/config.json" >"$WORK/theirs/config.json"
chown 65534 "$WORK/theirs/config.json"

# lies DESCRIPTION REGEX CMD…: it is not served, and the log says why
lies() {
	local description=$1 message=$2
	shift 2

	mark_log
	"$@" >"$WORK/said" 2>&1
	logged "$description" "is not served: .*$message"
}
# hands_over DESCRIPTION REGEX MESSAGE [WHO]: and its process is refused
hands_over() {
	lies "$1" "$2" ${4:-} python3 "$WORK/bin/hostile-runtime" "$SOCKET" hand-over "$3"
	holds "… nothing is opened" grep -Eqx 'errno (1|13|38)' "$WORK/said"
}
lies "no JSON" "it is no JSON" hostile-runtime "$SOCKET" say ']'
lies "something else" "no containerProcessState" hostile-runtime "$SOCKET" say '{"a": 1}'
lies "no listener" "no seccomp listener" hostile-runtime "$SOCKET" say "$(message 1 1)"
lies "… in pieces" "no seccomp listener" hostile-runtime "$SOCKET" say "$(message 1 1)" 40
lies "more descriptors than it says" "other descriptors came" hostile-runtime "$SOCKET" say "$(message 1 1 | sed 's/"seccompFd"/"a", "seccompFd"/')"
lies "a path of its bundle beyond the bound" "CONTAINER_BUNDLE_MAX" hostile-runtime "$SOCKET" say "$(message 1 1 "/$(printf '%0512d' 0)")"
hands_over "a filter that is not the profile's" "not under the profile" "$(message @PID@ 1234)"
hands_over "another process than it is" "not under the profile" "$(message $$ 1234)"
hands_over "none" "its container is not served" "$(message 0 1234 .)"
hands_over "a process that is gone" "its process is gone" "$(message 999999999 1234)"
hands_over "another user's process" "another user's than the runtime" "$(message $$ 1234 "$WORK/theirs")" as_user
lies "confined, it hands over nothing" "confined already" mq-run --plug worker:jobs python3 "$WORK/bin/hostile-runtime" "$SOCKET" say "$(message 1 1)"

# Who wants to fill the log does not.
mark_log
spammers=()
for i in {1..30}; do
	as_user python3 -S "$WORK/bin/hostile-runtime" "$SOCKET" say ']' 2>/dev/null &
	spammers+=($!)
done
wait "${spammers[@]}"
told_in_a_second() {
	sleep 1.1
	count=$(tail -n "+$((SEEN_LINES + 1))" "$WORK/daemon.log" | grep -c 'is not served')
	echo "$count lines"
	[ "$count" -ge 1 ] && [ "$count" -lt 30 ]
}
holds "of a user's that are refused no more than CONTAINER_REFUSALS_MAX are told in a second" told_in_a_second

# With the filter of a real profile.
container_app real
expect_answer "a real container is served" real "open /jobs rwc 0600" "-> 0$"
REAL=$(podman inspect -f '{{.State.Pid}}' real)
ID=$(sed -n 's/.*id=\([0-9a-f]*\).*/\1/p' "$PROFILE")
# with_profile DESCRIPTION REGEX BUNDLE
with_profile() {
	lies "$1" "$2" hostile-runtime "$SOCKET" hand-over "$(message @PID@ "$ID" "$3")" "$REAL"
	holds "… nothing is opened" grep -Eqx 'errno (1|13|38)' "$WORK/said"
}
mkdir "$WORK/linked" "$WORK/pipe" "$WORK/other"
ln -s "$WORK/bundle/config.json" "$WORK/linked/config.json"
mkfifo "$WORK/pipe/config.json"
echo '{}' >"$WORK/other/config.json"
with_profile "a bundle that is gone" "config.json cannot be read" /none
with_profile "another user's bundle" "config.json cannot be read, or is another user's" "$WORK/theirs"
with_profile "a bundle whose file is a link" "config.json cannot be read" "$WORK/linked"
with_profile "… or a pipe" "config.json cannot be read" "$WORK/pipe"
with_profile "… or says nothing of the flag" "lacks the flag" "$WORK/other"
mkdir "$WORK/mount"
# Not only that one of the files closed before is released, which the kernel does later.
is_read() {
	grep -q '^15 ' "$WORK/fuse.log"
}
# It has no file of that file system open itself.
start_app hangs fuse-file "$WORK/mount" "$WORK/fuse.log" -- sh -c "exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
	: >$WORK/mount.hold
	exec python3 $WORK/bin/hostile-runtime $SOCKET hand-over '$(message @PID@ "$ID" "$WORK/mount")' $REAL"
wait_until 5 is_read
for i in 1 2 3; do
	check "beside a bundle that hangs: mqctl, $i" timeout "$(soon mqctl status)e-3" mqctl status
done
expect_answer "… and a container" real "open /jobs rw" "-> [0-9]"
mark_log
logged_late() {
	log_has "is not served: it took too long"
}
holds "a bundle that hangs is let go of after CONTAINER_DEADLINE_USEC" within $(($(bound CONTAINER_DEADLINE_USEC) / 1000000 + 5)) logged_late
holds "… nothing is opened" wait_until 5 grep -Eqx 'errno (1|13|38)' "$WORK/hangs.out"
touch "$WORK/mount.end"
stop_app hangs 10
rm -f "$WORK"/mount.* "$WORK/fuse.log"
start_app hangs fuse-file "$WORK/mount" "$WORK/fuse.log" -- sh -c "exec 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-
	: >$WORK/mount.hold
	exec python3 $WORK/bin/hostile-runtime $SOCKET hand-over '$(message @PID@ "$ID" "$WORK/mount")' $REAL"
wait_until 5 is_read
mark_log
take_down 15
bring_up
logged "what was not judged yet is not kept" ": 1 sessions are taken over"
holds "… nor served by a new mqgated" wait_until 10 grep -Eqx 'errno (1|13|38)' "$WORK/hangs.out"
expect_answer "… but what was" real "open /jobs rw" "-> [0-9]"
touch "$WORK/mount.end"
stop_app hangs 10
hostile-runtime "$SOCKET" hand-over "$(message @PID@ "$ID")" "$REAL" >"$WORK/said" 2>&1
holds "with a bundle of its own it is served" grep -qx 'errno 2' "$WORK/said"
stop_app real 10

# Held up is nobody.
SOON=$(soon mqctl status)
for how in "hang 64" "flood 64"; do
	# shellcheck disable=SC2086 # two
	start_app hostile as_user python3 "$WORK/bin/hostile-runtime" "$SOCKET" $how
	wait_until 10 grep -Eq '^(hanging|flooded)' "$WORK/hostile.out"
	for i in 1 2 3; do
		check "beside a user's $how: root's mqctl, $i" timeout "${SOON}e-3" mqctl status
	done
	works "… and a container of root's" "${ALL[@]}"
	stop_app hostile 1
done
mark_log
start_app hostile python3 "$WORK/bin/hostile-runtime" "$SOCKET" hang 1
holds "who says half of it is let go of after CONTAINER_DEADLINE_USEC" within $(($(bound CONTAINER_DEADLINE_USEC) / 1000000 + 5)) logged_late
stop_app hostile 1

# --- many -------------------------------------------------------------------------------------------

before=$(find "/proc/$DAEMON/fd" -mindepth 1 | wc -l)
is_served() {
	for _ in {1..5}; do
		mark_log
		podman run --rm "${ALL[@]}" worker mqtry "open /jobs rwc 0600" "unlink /jobs" 2>/dev/null | grep -c -- '-> 0' | grep -qx 2 && return
		log_has "$TOO_LATE" || return
	done
	return 1
}
well=0
for ((i = 0; i < ${CONTAINERS:-12}; i++)); do
	is_served && well=$((well + 1))
done
holds "${CONTAINERS:-12} containers come and go, each is served" test $well = "${CONTAINERS:-12}"
holds "… and their sessions go with them" wait_until 10 sessions_gone
holds "… the daemon has no more descriptors than before" eval \
	"wait_until 5 eval '[ \$(find /proc/$DAEMON/fd -mindepth 1 | wc -l) -le $before ]'"
stop_manager
finish
