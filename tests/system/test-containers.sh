#!/bin/bash
# SPDX-License-Identifier: MIT
# mq-run-static as the entry point of containers that Podman and crun make, of images that know nothing of it: what is granted, denied
# and disconnected is as on the host, whatever the container's settings.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/service-manager.sh"
. "$(dirname "$0")/podman.sh"
[ -x "$BUILD_ROOT/launcher/mq-run-static" ] || skip_all "mq-run-static is not built (-Dstatic_launcher=true)"
begin_with_containers

# --- whatever the settings ------------------------------------------------------------------------

TRY=("open /jobs rwc 0600" "send x" "receive 1" "open /bus rwc 0600" "open /other rwc" "unlink /jobs" "unlink /bus")
# works DESCRIPTION OPTION…: of podman run
works() {
	local description=$1
	shift

	run contain "$@" worker mq-run --plug jobs --plug bus mqtry "${TRY[@]}"
	expect_results "$description" "0;0;x 0;1;-1 EACCES;0;0;"
}
works "as it is"
works "no-new-privileges" --security-opt no-new-privileges
works "without capabilities" --cap-drop all
works "as a user" --user 1000
works "as a user, of everything the least" --user 1000 --security-opt no-new-privileges --cap-drop all --read-only
works "in a user namespace" --uidmap 0:100000:65536
works "… as a user, of everything the least" \
	--uidmap 0:100000:65536 --user 1000 --security-opt no-new-privileges --cap-drop all --read-only
works "with the host's queues" --ipc=host
works "without a profile" --security-opt seccomp=unconfined
works "privileged" --privileged
run contain --privileged worker mq-run --wall=mount --plug jobs --plug bus mqtry "${TRY[@]}"
expect_results "… with the other wall" "0;0;x 0;1;-1 EACCES;0;0;"
run contain empty mq-run --plug jobs mqtry "open /jobs rwc 0600" "open /other rwc" "unlink /jobs"
expect_results "an image with nothing but a program" "0;-1 EACCES;0;"
run contain --entrypoint '["mq-run","--plug","jobs","--"]' worker mqtry "open /jobs rwc 0600" "unlink /jobs"
expect_results "before the image's own command" "0;0;"

# The document's example, as it is there.
shown "podman run --user 1000" >"$WORK/shown.sh"
run sh "$WORK/shown.sh"
expect_results "what doc/containers.md shows" "0;0;-1 EACCES;"

# without_calls CALL…: a profile that does not know them
without_calls() {
	python3 - "$@" <<'PYTHON' >"$WORK/profile.json"
import json, sys
profile = json.load(open("/usr/share/containers/seccomp.json"))
for rule in profile["syscalls"]:
	rule["names"] = [name for name in rule["names"] if name not in sys.argv[1:]]
json.dump(profile, sys.stdout)
PYTHON
}
# refused DESCRIPTION REGEX OPTION…: 125, with this message
refused() {
	local description=$1 message=$2
	shift 2

	run contain "$@" worker mq-run --plug jobs true
	expect_status "$description: 125" 125
	expect_stderr "… says why, and what to do" "$message"
}
without_calls landlock_create_ruleset landlock_add_rule landlock_restrict_self
refused "a profile without Landlock" "^mq-run: .*Landlock.*" --security-opt "seccomp=$WORK/profile.json"
without_calls seccomp
refused "a profile without seccomp" "^mq-run: .*seccomp.*" --security-opt "seccomp=$WORK/profile.json"
run podman run --rm -v "$MQ_RUN_STATIC:/usr/bin/mq-run:ro" worker mq-run --plug jobs true
expect_status "without the sockets: 125" 125
expect_stderr "… says so" "^mq-run: .*/run/mqgate"

# --- several ------------------------------------------------------------------------------------

# container_app NAME OPTION…: starts mqtry in a container of that name
container_app() {
	local name=$1
	shift

	start_app "$name" podman run --name "$name" --rm -i "${MOUNTS[@]}" "$@" worker mq-run --plug jobs --plug bus mqtry
}

container_app one --ipc=shareable
expect_answer "one creates its queue" one "open /jobs rwc 0600" "-> 0$"
container_app two --ipc=container:one
expect_answer "another one in its IPC namespace opens it" two "open /jobs rw" "-> 0$"
expect_answer "… and sends" two "send hello" "-> 0$"
expect_answer "… which arrives" one "receive 1" "hello"
container_app three
expect_answer "a third one has queues of its own" three "open /jobs rw" "ENOENT"
expect_answer "… but for the host's" three "open /bus rwc 0600" "-> 0$"
expect_answer "… which another container has, too" one "open /bus rw" "-> [0-9]"
expect_answer "… sends" one "send across" "-> 0$"
expect_answer "… and receives" three "receive 1" "across"
holds "each is a session" test "$(mqctl sessions --json | grep -o '"pid"' | wc -l)" = 3

# --- live ---------------------------------------------------------------------------------------

check "disconnect" mqctl disconnect worker:bus worker:host
expect_answer "is in force in a container" three "receive 1" "EACCES"
expect_answer "… and in another" one "open /bus rw" "EACCES"
expect_answer "… of that plug only" one "open /jobs rw" "-> [0-9]"
check "connect" mqctl connect worker:bus worker:host
expect_answer "is, too" three "open /bus rw" "-> [0-9]"
take_down 15
bring_up
expect_answer "a new mqgated goes on with them" three "open /bus rw" "-> [0-9]"
expect_answer "… as before" three "open /other rw" "EACCES"
run mqctl disconnect --kill worker:bus worker:host
expect_status "disconnect --kill" 0
holds "… ends who does not let go" wait_until 10 app_gone three
check "connect" mqctl connect worker:bus worker:host
for name in one two three; do stop_app $name 10; done
sessions_gone() {
	[ "$(mqctl sessions --json | grep -c '"pid"')" = 0 ]
}
holds "with the containers the sessions end" wait_until 10 sessions_gone

# A container that is restarted
podman run --name again -d "${MOUNTS[@]}" worker mq-run --plug jobs sh -c 'mqtry "open /jobs rwc 0600" "unlink /jobs" "open /other r"; sleep 60' >/dev/null 2>&1
answers_so_often() {
	[ "$(podman logs again 2>/dev/null | grep -c -- "-> -1 EACCES")" = "$1" ]
}
holds "a container is served" wait_until 10 answers_so_often 1
podman restart -t 0 again >/dev/null 2>&1
holds "… and again when it is restarted" wait_until 20 answers_so_often 2
podman exec again mqtry "open /jobs rwc 0600" >"$WORK/stdout" 2>&1
expect_results "what exec brings into it has the container's queues, not the host's" "0;"
podman rm -f -t 0 again >/dev/null 2>&1

# --- roads --------------------------------------------------------------------------------------

cat >"$WORK/roads.sh" <<'SCRIPT'
#!/bin/sh
# Each road to the queue /other: ROAD BARE CONFINED
mkdir -p /tmp/r/mount /tmp/r/bound
for road in $(mqgate-roads --list); do
	for how in "" "mq-run --plug jobs"; do
		mqtry "open /other rwc 0600 4 64" >/dev/null
		said=$($how mqgate-roads "$road" /other /tmp/r 2>/dev/null)
		echo -n "${road}${how:+-confined}: $said; "
	done
	echo
done
SCRIPT
for options in "" "--user 1000 --security-opt no-new-privileges --cap-drop all" "--privileged"; do
	# shellcheck disable=SC2086 # several
	contain $options -v "$WORK/roads.sh:/roads.sh:ro" --tmpfs /tmp:mode=1777 worker sh /roads.sh >"$WORK/seen" 2>&1
	holds "roads ($options): more than ten lead to a queue bare" test "$(grep -c '^[^:]*: open;' "$WORK/seen")" -gt 10
	# chmod, utimes and, for root, chown: SECURITY.md.
	holds "… confined none does" test -z "$(grep -- '-confined: open' "$WORK/seen" | grep -vE '^(chmod|utimes|chown):')"
done

# --- Compose and Kubernetes -----------------------------------------------------------------------

as_here "$SOURCE_ROOT/doc/containers/pod.yaml" >"$WORK/pod.yaml"
run podman kube play "$WORK/pod.yaml"
expect_status "a pod of the restricted standard is made" 0
has_answered() {
	podman logs worker-worker >"$WORK/stdout" 2>&1
	grep -q "/other" "$WORK/stdout"
}
wait_until 10 has_answered
expect_results "… and served" "0;0;-1 EACCES;"
podman kube down "$WORK/pod.yaml" >/dev/null 2>&1
if command -v podman-compose >/dev/null; then
	mkdir "$WORK/compose"
	as_here "$SOURCE_ROOT/doc/containers/compose.yaml" >"$WORK/compose/compose.yaml"
	(cd "$WORK/compose" && podman-compose -f compose.yaml run --rm -T worker) 2>"$WORK/stderr" </dev/null |
		grep -E '^(open|unlink) ' >"$WORK/stdout"
	expect_results "a service of a Compose file is served" "0;0;-1 EACCES;"
else
	skip "a Compose file" "podman-compose is not installed"
fi
stop_manager
finish
