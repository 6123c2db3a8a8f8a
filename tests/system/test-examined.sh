#!/bin/bash
# SPDX-License-Identifier: MIT
# Who has a filter is not taken for a confined process: it is examined. What a hardened service runs works, and notices nothing;
# a confined process of any kind launches and changes nothing, and holds up nobody.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

cp "$(dirname "$0")/neighbour.py" "$(dirname "$0")/examined.py" "$WORK/bin/"
write_package some.yaml <<'YAML'
name: some
plugs:
  queue: {interface: posix-mq, posix-mq: all}
  other: {interface: posix-mq, posix-mq: all}
  granted: posix-mq
slots:
  all:
    interface: posix-mq
    path-pattern: "@Q@*"
    permissions: [read, write, create, delete]
YAML
start_daemon
check "connected" mqctl connect some:queue some:all
AT_ONCE=$(bound EXAMINATIONS_PER_USER_MAX)
FILTERS=$(bound EXAMINED_FILTERS_MAX)
DEADLINE_SECONDS=$(($(bound EXAMINATION_DEADLINE_USEC) / 1000000))
CONFINED='this process is confined already'
UNKNOWN='it cannot be found out whether this process is confined'

# --- who is not confined ----------------------------------------------------------------------------

# honest WHO CMD…: under filters of its own
honest() {
	local who=$1 kinds
	shift

	for kinds in allow 3 denying listing "listing denying allow" $((FILTERS - 1)); do
		# shellcheck disable=SC2086
		run "$@" filtered $kinds -- mq-run --plug some:queue mqtry "open ${Q}honest rwcx 0600" "unlink ${Q}honest"
		expect_status "$who, filters: $kinds: mq-run runs a command" 0
		expect_stdout "$who, filters: $kinds: … with its queues" "open ${Q}honest.* -> [0-9]"
		# shellcheck disable=SC2086
		check "$who, filters: $kinds: mqctl shows" "$@" filtered $kinds -- mqctl connections
	done
}

honest root env
honest "a user" as_user
# As in a container that may gain no privileges.
for who in env as_user; do
	for namespaces in "--net" "--pid --fork" "--ipc --pid --fork --net --uts --mount-proc"; do
		# shellcheck disable=SC2086
		run $who unshare --user --map-root-user $namespaces filtered allow denying -- \
			mq-run --plug some:queue mqtry "open ${Q}honest rwcx 0600" "unlink ${Q}honest"
		expect_status "$who, in namespaces of its own: $namespaces: mq-run runs a command" 0
		expect_stdout "$who, …: … with its queues" "open ${Q}honest.* -> [0-9]"
	done
done
for kinds in allow denying listing; do
	check "filters: $kinds: root connects" filtered $kinds -- mqctl connect some:other some:all
	run mqctl connections
	expect_stdout "… which is done" "some:other +some:all"
	check "filters: $kinds: root disconnects" filtered $kinds -- mqctl disconnect some:other some:all
	check "filters: $kinds: root reloads" filtered $kinds -- mqctl reload
done
run as_user filtered allow -- mqctl reload
expect_status "a user with a filter changes nothing" 1
expect_message "… and is told who may" "only root"

run filtered hiding -- mq-run --plug some:queue true
expect_status "a container's filter that does not know Landlock: mq-run runs nothing" 125
expect_message "… and says what is missing" "^mq-run: .*landlock_create_ruleset: .*seccomp profile of the container"

run filtered allow -- undisturbed "$WORK/run/launch" 200
expect_output "who is examined notices nothing" "accepted 200 interrupted 0"

# --- who is ------------------------------------------------------------------------------------------

# refused WHO CMD…: mq-run and mqctl, started by it
refused() {
	local who=$1 program
	shift

	run "$@" mq-run --plug some:queue touch "$WORK/open/started"
	expect_status "$who: launches nothing" 125
	expect_message "$who: … and is told why" "^mq-run: ($CONFINED|$UNKNOWN)"
	for program in "connect some:other some:all" "disconnect some:queue some:all" reload connections status; do
		# shellcheck disable=SC2086
		run "$@" mqctl $program
		expect_status "$who: mqctl $program: refused" 1
		expect_message "$who: … and is told why" "^error: permission denied: ($CONFINED|$UNKNOWN)"
	done
}

inside() {
	local who=$1
	shift

	refused "$who" "$@" mq-run --plug some:queue
	refused "$who, with filters of its own" "$@" mq-run --plug some:queue filtered allow denying 3 --
	refused "$who, with more than are read" "$@" mq-run --plug some:queue filtered "$FILTERS" --
	refused "$who, started under filters" "$@" filtered listing allow -- mq-run --plug some:queue
	refused "$who, in namespaces of its own" "$@" mq-run --plug some:queue unshare --user --map-root-user --pid --fork
	run "$@" mq-run --plug some:queue python3 -S "$WORK/bin/examined.py" headless
	expect_stdout "$who, its first thread is dead: launches nothing" "^launch refused: $CONFINED"
	run "$@" mq-run --plug some:queue python3 -S "$WORK/bin/examined.py" executing
	expect_stdout "$who, executing all the time: launches nothing" "^launch refused: ($CONFINED|$UNKNOWN)"
}

run filtered allow -- python3 -S "$WORK/bin/examined.py" describing
expect_stdout "root with a filter may send descriptors to the control bus" "^descriptors .*AGREE_UNIX_FD"
run mq-run --plug some:queue python3 -S "$WORK/bin/examined.py" describing
expect_stdout "confined root may not" "^descriptors .*ERROR"

inside "a confined user" as_user
inside "confined root" env
refused "confined root, mount wall" mq-run --wall=mount --plug some:queue
refused "of a session that is gone" filtered session --
refused "under a supervisor of mq_open" filtered notify --
refused "more filters than are read" filtered $((FILTERS + 1)) --
run filtered "$FILTERS" -- mq-run --plug some:queue touch "$WORK/open/started"
expect_status "as many as are read: mq-run would add one: 125" 125
expect_message "… and says why" "^mq-run: $UNKNOWN"

run python3 -S "$WORK/bin/examined.py" earlier
expect_stdout "not confined yet: reloads" "^control accepted"
expect_stdout "connected first, confined later: changes nothing" "^control refused: permission denied: $CONFINED"
expect_stdout "… and launches nothing" "^launch refused: $CONFINED"
run filtered allow -- python3 -S "$WORK/bin/examined.py" racing 400
expect_stdout "confined while it is examined: launches nothing" "^launch refused: $CONFINED"
holds "… at whatever time" test "$(grep -c "^launch refused: $CONFINED" "$WORK/stdout")" = 400
run python3 -S "$WORK/bin/examined.py" handed
expect_stdout "given a connection: changes nothing" \
	"^control refused: permission denied: only the process that has connected"
expect_stdout "… and launches nothing" "^launch refused: this message is not from the process that has connected"

# handed_over STATUS-MESSAGE WHAT WHO KIND: somebody else's listener is handed over
handed_over() {
	start_app giver $3 rogue-launcher give "$WORK/open/give" /none /none
	wait_until 5 grep -q ready "$WORK/giver.out"
	run $3 rogue-launcher relay "$WORK/open/give" $4
	expect_stdout "$3: $2" "^$1"
	stop_app giver 0 # it keeps the listener, so its app waits for ever
	rm -f "$WORK/open/give"
}

for who in env as_user; do
	handed_over "refused EPERM: this process is not under the filter" "a listener of another process" $who unconfined
	handed_over "refused EPERM: $CONFINED" "confined by another session since it said hello" $who twice
done

# LeakSanitizer does not work there.
# However soon the session process has seen it.
for _ in {1..20}; do
	run env ASAN_OPTIONS=detect_leaks=0 strace -o /dev/null mq-run --plug some:queue touch "$WORK/open/started"
	[[ $STATUS = 125 && $(stderr) == *"without a debugger"* ]] || break
done
expect_status "who is traced at the handover launches nothing: 125" 125
expect_message "… and is told why" "^mq-run: $UNKNOWN.*without a debugger"
check "the command may be" mq-run --plug some:queue strace -o /dev/null true

# shellcheck disable=SC2016
INHERITED='import os, sys, neighbour
both = neighbour.control(), neighbour.launch()
for one in both:
    os.set_inheritable(one.fileno(), True)
os.execvp(sys.argv[1], sys.argv[1:])'
run env PYTHONPATH="$WORK/bin" python3 -c "$INHERITED" sh -c 'ls -l /proc/self/fd | grep -c socket'
expect_output "a command inherits connections" 2
run env PYTHONPATH="$WORK/bin" python3 -c "$INHERITED" mq-run --plug some:queue sh -c \
	'ls -l /proc/self/fd | grep -c socket'
expect_output "… but not through mq-run" 0
holds "nothing was started" test ! -e "$WORK/open/started"

# --- who holds up the examination --------------------------------------------------------------------

QUICK=$(soon mq-run --plug some:queue true)

# They are accepted when they are held already, in this order: the others come behind them.
kill -STOP "$DAEMON"
start_app held env TMPDIR="$WORK/open" filtered allow -- python3 -S "$WORK/bin/examined.py" held "$AT_ONCE"
holds "$AT_ONCE that are held in execve" wait_until 5 grep -q held "$WORK/held.out"
connected() {
	[ "$(grep -c "$WORK/run/launch" /proc/net/unix)" -ge "$1" ]
}
start_app more sh -c 'filtered allow -- mq-run --plug some:queue true && date +%s%N'
wait_until 5 connected $((AT_ONCE + 2))
start_app another as_user filtered allow -- mq-run --plug some:queue true
wait_until 5 connected $((AT_ONCE + 3))
start_app unfiltered mq-run --plug some:queue true
wait_until 5 connected $((AT_ONCE + 4))
BEGUN=$(date +%s%N)
kill -CONT "$DAEMON"
echo >&"$(cat "$WORK/held.fd")"
wait_until 10 app_gone unfiltered
TOOK=$((($(date +%s%N) - BEGUN) / 1000000))
expect_end "… hold up nobody without a filter" unfiltered 0
holds "… who is served in time" test "$TOOK" -lt "$QUICK"
expect_end "… another user's is served" another 0
expect_end "they are answered" held 0
expect_end "… then one more of the same user is served" more 0
holds "… which has waited for that" test $((($(cat "$WORK/more.out") - BEGUN) / 1000000)) -ge $((DEADLINE_SECONDS * 1000))
holds "… that it cannot be told" test "$(grep -c "launch refused: $UNKNOWN" "$WORK/held.out")" = "$AT_ONCE"
holds "… after $DEADLINE_SECONDS s" test $((($(date +%s%N) - BEGUN) / 1000000)) -ge $((DEADLINE_SECONDS * 1000))
check "then one is served" filtered allow -- mq-run --plug some:queue true

# --- a mqgated that can read no filters --------------------------------------------------------------

stop_daemon
{
	close_apps
	exec setpriv --inh-caps=-sys_admin --bounding-set=-sys_admin mqgated --config "$WORK/mqgated.yaml" \
		--runtime-dir "$WORK/run" --state-dir "$WORK/state" --packages "$WORK/packages" \
		--session-program "$WORK/bin/mqgate-session"
} </dev/null >>"$WORK/daemon.log" 2>&1 &
DAEMON=$!
holds "a mqgated without CAP_SYS_ADMIN" wait_until 5 daemon_answers
check "… serves who has no filter" mq-run --plug some:queue true
run filtered allow -- mq-run --plug some:queue touch "$WORK/open/started"
expect_status "… and refuses who has one" 125
expect_message "… and says why" "^mq-run: $UNKNOWN.*without CAP_SYS_ADMIN"
run filtered allow -- mqctl reload
expect_status "… at the control bus, too" 1
expect_message "… and says why" "$UNKNOWN"
finish
