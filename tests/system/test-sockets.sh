#!/bin/bash
# SPDX-License-Identifier: MIT
# Neighbours: whatever a user, a confined user or confined root sends to either socket changes nothing, reveals nothing of others
# and holds up nobody; launch-group says who may launch.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

cp "$(dirname "$0")/neighbour.py" "$WORK/bin/"
cp "$WORK/bin/mqtry" "$WORK/bin/secretive"
write_package some.yaml <<'YAML'
name: some
plugs:
  queue: posix-mq
  other: {interface: posix-mq, posix-mq: queue}
slots:
  all:
    interface: posix-mq
    posix-mq: queue
    path-pattern: "@Q@*"
    permissions: [read, write, create]
YAML
start_daemon
check "connected" mqctl connect some:other some:all
check "root's queue" mqtry "open ${Q}x rwc 0600 4 64"

# --- what must not change -------------------------------------------------------------------------

# facts: of the policy, the state and the sessions
facts() {
	mqctl connections --all
	mqctl plugs
	mqctl slots
	mqctl sessions
	cat "$WORK"/state/connections.yaml
	ls -l "$WORK/run" | sed 1d
	stat -c '%n %s %Y' "/dev/mqueue${Q}x"
}

descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 -maxdepth 1 | wc -l
}

processes() {
	daemon_children | wc -l
}

as_before() {
	facts >"$WORK/after"
	echo "descriptors: $(descriptors) of $DESCRIPTORS, processes: $(processes) of $PROCESSES"
	diff "$WORK/before" "$WORK/after" && [ "$(descriptors)" -le "$DESCRIPTORS" ] &&
		[ "$(processes)" = "$PROCESSES" ]
}

# settled: the bystander's and the spare session process are there, and what else comes has come
settled() {
	local before

	[ "$(session_processes | wc -l)" = 2 ] || return 1
	before="$(descriptors) $(processes)"
	sleep 0.3
	[ "$(descriptors) $(processes)" = "$before" ]
}

# becomes_as_before: soon; or else it is shown what is not
becomes_as_before() {
	wait_until 5 as_before || as_before
}

# served: everybody else, each in time
served() {
	timeout "${SOON}e-3" as_uid 65532 mq-run --plug some:queue true &&
		timeout "${SOON}e-3" mqctl status && timeout "${SOON}e-3" as_uid 65532 mqctl plugs
}

# attack WHO KIND ARGUMENT CMD…: that neighbour sends it
attack() {
	local who=$1 kind=$2 argument=$3
	shift 3

	start_app neighbour "$@" python3 "$WORK/bin/neighbour.py" "$kind" "$argument"
	case $kind in half | pending | flood)
		wait_until 10 grep -q half "$WORK/neighbour.out"
		sleep 0.2
		holds "$who, $kind: others are served meanwhile" served
		;;
	esac
	wait_until 40 app_gone neighbour
	stop_app neighbour
	holds "$who, $kind: it gets to the end" grep -q '^finished' "$WORK/neighbour.out"
	holds "$who, $kind: nothing has changed, nothing is left" becomes_as_before
	holds "$who, $kind: nothing of root's session is revealed" \
		eval "! grep -o 'secretive\|${Q}hidden' neighbour.out"
	holds "$who, $kind: root's session goes on" answers
}

answers() {
	tell bystander "receive"
	echo "$ANSWER" | grep -q 'EAGAIN'
}

# --- verbs ----------------------------------------------------------------------------------------

CONNECTIONS="version: 1
connections: []"

# verbs WHO CMD…: each that changes is refused, each that shows shows nothing of others
verbs() {
	local who=$1 verb
	shift

	printf '%s\n' "$CONNECTIONS" >"$WORK/open/apply.yaml"
	while read -r verb; do
		# shellcheck disable=SC2086
		run "$@" mqctl $verb
		expect_status "$who: mqctl $verb: refused" 1
		holds "$who: mqctl $verb: changes nothing" as_before
	done <<-VERBS
		connect some:queue some:all
		connect some:queue
		connect --for 1h some:queue some:all
		disconnect some:other some:all
		disconnect --forget some:other some:all
		disconnect --kill some:other some:all
		disconnect --wait 1 some:other
		apply $WORK/open/apply.yaml
		reload
	VERBS
	run "$@" mqctl sessions --json
	holds "$who: root's session is not shown" eval "! grep -q secretive stdout"
}

# --- the neighbours -------------------------------------------------------------------------------

start_app bystander mq-run --plug some:other secretive
tell bystander "open ${Q}x rwn"
expect_answer "root's session works" bystander "receive" 'EAGAIN$'
tell bystander "unlink ${Q}hidden"
# One round before what is counted, so that what is kept for good is there.
as_uid 65533 python3 "$WORK/bin/neighbour.py" garbage >/dev/null
SOON=$(soon as_uid 65532 mq-run --plug some:queue true)
# Sanitized programs are slow to start.
[ -z "${SANITIZED:-}" ] || [ "$SOON" -ge 8000 ] || SOON=8000
wait_until 10 settled
facts >"$WORK/before"
DESCRIPTORS=$(descriptors)
PROCESSES=$(processes)

for kind in garbage forged calls half pending descriptors launches; do
	attack "a user" "$kind" "" as_uid 65533
done
# Of each socket LISTEN_BACKLOG wait; beyond it the flood and the others stand in one line.
attack "a user" flood 3 as_uid 65533
holds "a flood is no flood of the log" test "$(wc -l <"$WORK/daemon.log")" -lt 100

verbs "a user" as_uid 65533

# The session of the neighbour itself comes and goes.
for kind in forged calls descriptors launches; do
	attack "a confined user" "$kind" "" as_uid 65533 mq-run --plug some:queue
done
attack "a confined user" flood 2 as_uid 65533 mq-run --plug some:queue
attack "confined root" forged "" mq-run --plug some:queue
attack "confined root" launches "" mq-run --plug some:queue
attack "confined root, mount wall" forged "" mq-run --wall=mount --plug some:queue

# Records go to root and to the session's own user.
listener() {
	start_app "$1" "${@:2}" python3 "$WORK/bin/neighbour.py" listen 3
}
listener ears_of_root env
listener ears_of_other as_uid 65533
wait_until 5 grep -q listening "$WORK/ears_of_root.out"
wait_until 5 grep -q listening "$WORK/ears_of_other.out"
tell bystander "unlink ${Q}hidden"
wait_until 10 app_gone ears_of_root
wait_until 10 app_gone ears_of_other
holds "root is told of a denial" grep -q "${Q}hidden" "$WORK/ears_of_root.out"
holds "another user is not" eval "! grep -q '${Q}hidden\|secretive' ears_of_other.out"
stop_app ears_of_root
stop_app ears_of_other

# --- from inside a session ------------------------------------------------------------------------

confined_verbs() {
	local who=$1 verb
	shift

	for verb in "connect some:queue some:all" "disconnect some:other some:all" \
		"disconnect --kill some:other" "apply $WORK/open/apply.yaml" reload; do
		# shellcheck disable=SC2086
		run "$@" mqctl $verb
		expect_status "$who: mqctl $verb: refused" 1
		holds "$who: mqctl $verb: changes nothing" becomes_as_before
	done
	run "$@" mq-run --plug some:queue true
	expect_status "$who: launches nothing" 125
}

confined_verbs "a confined user" as_uid 65533 mq-run --plug some:queue
confined_verbs "confined root" mq-run --plug some:queue
confined_verbs "confined root, mount wall" mq-run --wall=mount --plug some:queue
stop_app bystander

# What was forged is the right message, from the right peer.
python3 "$WORK/bin/neighbour.py" forged >"$WORK/forged.out"
run mqctl connections
expect_stdout "what was refused to others is done for root" "some:queue +some:all"
mqctl disconnect some:queue some:all

# --- launch-group ---------------------------------------------------------------------------------

GID=65531
cp /etc/group "$WORK/group"
echo "mqgate-test:x:$GID:" >>"$WORK/group"

# The daemon sees a group file of this test's own.
stop_daemon
echo "launch-group: mqgate-test" >"$WORK/mqgated.yaml"
cat >"$WORK/bin/with_group" <<SCRIPT
#!/bin/sh
mount --bind "$WORK/group" /etc/group && exec "\$@"
SCRIPT
chmod 755 "$WORK/bin/with_group"
{
	close_apps
	exec unshare --mount --propagation private with_group mqgated --config "$WORK/mqgated.yaml" \
		--runtime-dir "$WORK/run" --state-dir "$WORK/state" --packages "$WORK/packages" \
		--session-program "$WORK/bin/mqgate-session"
} </dev/null >>"$WORK/daemon.log" 2>&1 &
DAEMON=$!
holds "a daemon with a launch-group" wait_until 5 daemon_answers
check "launch-group: a member launches" as_uid "65533:$GID" mq-run --plug some:queue true
check "launch-group: one by a supplementary group" setpriv --reuid=65533 --regid=65533 --groups="$GID" \
	mq-run --plug some:queue true
check "launch-group: root launches" mq-run --plug some:queue true
run as_uid 65533 mq-run --plug some:queue touch "$WORK/open/started"
expect_status "launch-group: another user is refused" 125
expect_message "launch-group: … and told whom to ask" \
	"^mq-run: .*only root and members of launch-group \(mqgated.yaml\) may start confined programs; ask the administrator"
holds "launch-group: … and nothing was started" test ! -e "$WORK/open/started"
check "launch-group: it can look" as_uid 65533 mqctl plugs

cp /etc/group "$WORK/group.new"
cat "$WORK/group.new" >"$WORK/group"
check "a group that has vanished: its members launch" as_uid "65533:$GID" mq-run --plug some:queue true
run mqctl reload
expect_status "a group that has vanished: reload is refused" 1
expect_stderr "a group that has vanished: … and says why" \
	'launch-group: there is no group "mqgate-test"; create it, or name another one'
check "a group that has vanished: what was in force is" as_uid "65533:$GID" mq-run --plug some:queue true
run as_uid 65533 mq-run --plug some:queue true
expect_status "a group that has vanished: others are refused as before" 125
rm "$WORK/mqgated.yaml"
check "without launch-group" mqctl reload
check "… everybody launches" as_uid 65533 mq-run --plug some:queue true
finish
