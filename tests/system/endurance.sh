# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced, after lib.sh, by test-endurance.sh: what goes on there at the same time. Each loop is a shell of its own, as long as there
# is a storm ($WORK/storm), makes its choices from SEED, and says what it does in $WORK/story and what is wrong in $WORK/complaints.

# shellcheck disable=SC2030,SC2031 # each loop has its own RANDOM

LOOPS=()

# say TEXT: with the time, as witnesses say it
say() {
	echo "${EPOCHREALTIME/./} $LOOP: $1" >>"$WORK/story"
}

complain() {
	echo "${EPOCHREALTIME/./} era $ERA, $LOOP: $1" >>"$WORK/complaints"
}

in_storm() {
	[ -e "$WORK/storm" ]
}

# loop NAME FUNCTION [ARG…]: again and again, each with other choices
loop() {
	LOOP=$1
	shift
	{
		RANDOM=$((SEED + 100 * ERA + ${#LOOPS[@]}))
		[ "$1" = daemon_trouble ] || close_apps
		while in_storm; do
			"$@"
		done
		! declare -F "${1}_end" >/dev/null || "${1}_end" "${@:2}"
	} </dev/null >"$WORK/loop.$LOOP" 2>&1 &
	echo "$LOOP" >"$WORK/loop.$!"
	LOOPS+=($!)
}

# pick WORD…: sets PICKED; not in another shell, whose choice would be no choice of this one
pick() {
	local at=$((RANDOM % $# + 1))

	PICKED=${!at}
}

# pause LEAST MOST: milliseconds
pause() {
	sleep "$(($1 + RANDOM % ($2 - $1)))e-3"
}

# --- what may fail, and when ----------------------------------------------------------------------

# troubles: how often something has begun, or ceased, to come in the way of launches and requests
troubles() {
	wc -l <"$WORK/trouble"
}

trouble_begins() {
	: >"$WORK/in-trouble.$LOOP"
	echo >>"$WORK/trouble"
}

trouble_ends() {
	rm -f "$WORK/in-trouble.$LOOP"
	echo >>"$WORK/trouble"
}

is_in_trouble() {
	compgen -G "$WORK/in-trouble.*" >/dev/null
}

# attempt CMD…: sets STATUS, CHILD, and EXCUSED if this was killed by us, or there was trouble. What it says is in files of the loop.
attempt() {
	local before

	EXCUSED=no
	before=$(troubles)
	! is_in_trouble || EXCUSED=yes
	"$@" </dev/null >"$WORK/$LOOP.out" 2>"$WORK/$LOOP.err" &
	CHILD=$!
	wait $CHILD
	STATUS=$?
	[ "$(troubles)" = "$before" ] && ! is_killed_by_us "$CHILD" && ! is_told_to_try_again || EXCUSED=yes
}

# is_told_to_try_again: a launcher that could not be examined in time, as on a busy machine
is_told_to_try_again() {
	[ "$STATUS" = 125 ] && grep -q "\(could not be read\|has just been killed\); try again" "$WORK/$LOOP.err" && say "a launch is told to try again"
}

is_killed_by_us() {
	grep -q " kills .* $1\$" "$WORK/story"
}

what_it_said() {
	echo "status $STATUS, $(head -n 3 "$WORK/$LOOP.out" "$WORK/$LOOP.err" | tr '\n' '|')"
}

# expect STATUS REGEX CMD…: REGEX is what it says, on either output
expect() {
	local status=$1 regex=$2
	shift 2
	attempt "$@"
	[ $EXCUSED = no ] || return
	if [ "$STATUS" != "$status" ] || { [ -n "$regex" ] && ! cat "$WORK/$LOOP.out" "$WORK/$LOOP.err" | grep -Eq -- "$regex"; }; then
		complain "expected status $status and \"$regex\" of $*: $(what_it_said)"
	fi
}

# persist CMD…: until it succeeds; it fails for a reason
persist() {
	local end=$((SECONDS + 60 * TEST_PATIENCE))

	while attempt "$@" && [ "$STATUS" != 0 ]; do
		[ $EXCUSED = yes ] || complain "expected success of $*: $(what_it_said)"
		if [ $SECONDS -gt $end ]; then
			complain "no success within a minute of $*: $(what_it_said)"
			return 1
		fi
		sleep 0.1
	done
}

# disconnect PLUG SLOT [OPTION…]: until it is surely in force. Of one that was cut off nobody knows; with --wait it may be asked again,
# or it is done again.
disconnect() {
	local pair=("$1" "$2")
	shift 2

	while attempt mqctl disconnect "$@" "${pair[@]}" && [ "$STATUS" != 0 ]; do
		[ $EXCUSED = yes ] || complain "expected success of disconnect $* ${pair[*]}: $(what_it_said)"
		if [ $((RANDOM % 2)) = 0 ]; then
			attempt mqctl disconnect --wait 5 "${pair[@]}"
			[ "$STATUS" != 0 ] || return 0
		fi
		persist mqctl connect "${pair[@]}" || return
	done
}

# --- who is killed --------------------------------------------------------------------------------

# pids_of PROGRAM: processes of this program of ours
pids_of() {
	find /proc/[0-9]*/exe -maxdepth 0 -lname "$WORK/bin/$1*" -printf '%h\n' 2>/dev/null | sed 's|/proc/||'
}

# hit SIGNAL WHAT PID…: one of them at random
hit() {
	local signal=$1 what=$2
	shift 2
	[ $# -gt 0 ] || return
	pick "$@"
	say "kills $what with $signal: $PICKED"
	kill "-$signal" "$PICKED" 2>/dev/null
}

fd_receivers() {
	local daemon

	for daemon in $(pgrep -x mqgated); do
		pgrep -P "$daemon" -x mqgated
	done
}

# shellcheck disable=SC2046 # pids
process_trouble() {
	pause 100 1500
	pick session session session all stopped receiver witness witness witness mq-run mqctl alone
	case $PICKED in
	session) hit KILL "a session process" $(pids_of mqgate-session) ;;
	stopped) [ $((RANDOM % 4)) != 0 ] || hit STOP "a session process" $(pids_of mqgate-session) ;;
	all)
		say "kills all session processes"
		pids_of mqgate-session | xargs -r kill -KILL
		;;
	receiver)
		trouble_begins
		hit KILL "an fd receiver" $(fd_receivers)
		trouble_ends
		;;
	witness) hit KILL "a witness" $(pids_of witness) ;;
	mq-run) hit KILL "a launcher" $(pids_of mq-run) ;;
	mqctl) hit KILL "an mqctl" $(pids_of mqctl) ;;
	alone) hit KILL "a supervisor" $(pids_of mqgate-alone) ;;
	esac 2>/dev/null
}

# --- the daemon -----------------------------------------------------------------------------------

upgrade() {
	cp "$WORK/bin/mqgate-session" "$WORK/new-session" && mv "$WORK/new-session" "$WORK/bin/mqgate-session"
	cp "$WORK/bin/mqgated" "$WORK/new-daemon" && mv "$WORK/new-daemon" "$WORK/bin/mqgated"
	manager "signal 15"
}

# is_another PID: the daemon is no longer that one
is_another() {
	manager main
	[ "$ANSWER" != "$1" ]
}

is_ready() {
	manager ready
	[[ $ANSWER == ready* ]]
}

daemon_trouble() {
	pause 300 $((1000 + 200 * ERA_SECONDS))
	pick 9 15 spawner upgrade absent twice
	say "the daemon: $PICKED"
	trouble_begins
	case $PICKED in
	9 | 15) manager "signal $PICKED" ;;
	spawner) pkill -KILL -x mqgate-spawner && wait_until 10 is_another "$DAEMON" ;;
	upgrade) upgrade ;;
	absent)
		manager hold
		manager "signal $((RANDOM % 2 ? 9 : 15))"
		pause 0 1000
		manager release
		;;
	twice)
		manager "signal 9"
		pause 0 300
		manager "signal 9"
		;;
	esac
	wait_until 40 is_ready || complain "the daemon is not ready after $PICKED: $ANSWER"
	manager main
	DAEMON=$ANSWER
	say "the daemon is ready: $DAEMON"
	trouble_ends
}

# --- witnesses ------------------------------------------------------------------------------------

# keep QUEUE send|receive EVERY PACE CMD…: a witness, and when it has ended another one
keep() {
	local queue=$1 role=$2 every=$3 pace=$4 file
	shift 4
	ID=$((${ID:-0} + 1))
	file=$WORK/log/$queue/$role.$ID
	: >"$file"
	attempt begin_witness "$file" "$@" witness "$role" "$Q$queue" "$ID" "$every" "$pace"
	rm -f "$WORK/log/$queue/$role.pid"
	case $STATUS in
	0 | 143) ;;
	137) [ $EXCUSED = yes ] || may_be_killed "$queue" || complain "$role.$ID of $queue was killed, and not by us" ;;
	125) [ $EXCUSED = yes ] || complain "$role.$ID of $queue: $(what_it_said)" ;;
	*) complain "$role.$ID of $queue: $(what_it_said)" ;;
	esac
}

# begin_witness FILE CMD…: in a child of the loop's
begin_witness() {
	local file=$1
	shift
	echo "$BASHPID" >"${file%.*}.pid"
	exec "$@" >"$file"
}

# Who is given and loses: by disconnect --kill, and if it does not come back in time, which is recorded.
may_be_killed() {
	[ -e "$WORK/log/$1/spans" ]
}

# end_witnesses ROLE
end_witnesses() {
	local file

	for file in "$WORK"/log/*/"$1".pid; do
		kill "$(cat "$file")"
	done 2>/dev/null
}

# nudge: a message of nobody, for who waits for one
nudge() {
	local file queue

	for file in "$WORK"/log/*/receive.pid; do
		[ -e "$file" ] || continue
		queue=$(basename "$(dirname "$file")")
		mqtry "open $Q$queue wn" "send 0.0.0" >/dev/null
	done
}

# drain QUEUE ID: what nobody has received
drain() {
	# shellcheck disable=SC2016 # of the other shell
	env --block-signal=TERM sh -c 'kill $$; exec "$@"' sh witness receive "$Q$1" "$2" 1000 0 >"$WORK/log/$1/receive.$2"
}

# --- connections that come and go -----------------------------------------------------------------

# provider NAME PERMISSIONS: with the slot, unless they are "none"
provider() {
	local path="[\"$Q$1-up\", \"$Q$1-down\"]" permissions=$2

	[ "$2" != none ] || path="\"$Q$1-other\"" permissions="[read]"
	printf 'name: %s-provider\nslots:\n  all:\n    interface: posix-mq\n    posix-mq: %s\n    path: %s\n    permissions: %s\n' \
		"$1" "$1" "$path" "$permissions" >"$WORK/provider.$1"
	mv "$WORK/provider.$1" "$WORK/packages/$1-provider.yaml"
}

# mark NAME MARK
mark() {
	echo "${EPOCHREALTIME/./} $2" | tee -a "$WORK/log/$1-up/spans" >>"$WORK/log/$1-down/spans"
	say "$1: $2"
}

# give NAME [OPTION…]
give() {
	local name=$1
	shift
	mark "$name" giving
	provider "$name" "[read, write]"
	persist mqctl reload
	persist mqctl connect "$@" "endurance:$name" "$name-provider:all"
	[ $# -gt 0 ] || mark "$name" given
}

# take NAME
take() {
	local pair=("endurance:$1" "$1-provider:all")

	pick plain plain forget wait kill shrink vanish remove
	say "$1: is taken by $PICKED"
	mark "$1" taking
	case $PICKED in
	plain) disconnect "${pair[@]}" ;;
	forget) disconnect "${pair[@]}" --forget ;;
	wait) disconnect "${pair[@]}" --wait 5 ;;
	kill) disconnect "${pair[@]}" --kill ;;
	shrink) provider "$1" "[create]" && persist mqctl reload ;;
	vanish) provider "$1" none && persist mqctl reload ;;
	remove) rm "$WORK/packages/$1-provider.yaml" && persist mqctl reload ;;
	esac && mark "$1" taken
}

runs_out() {
	persist mqctl connections
	! grep -q "endurance:$1 " "$WORK/$LOOP.out"
}

# give_for_a_while NAME: the connection runs out
give_for_a_while() {
	give "$1" --for 1s
	if wait_until 15 runs_out "$1"; then
		sleep 0.1
		mark "$1" taken
	else
		complain "a connection for a second does not end: $(what_it_said)"
	fi
}

give_and_take() {
	if [ $((RANDOM % 5)) = 0 ]; then
		give_for_a_while "$1"
	else
		give "$1"
		pause 50 1000
		take "$1"
	fi
	pause 50 600
}

give_and_take_end() {
	give "$1"
}

# --- launches and requests ------------------------------------------------------------------------

launch() {
	pick as_user env
	local who=$PICKED

	pause 0 300
	pick create denied status unknown within connects listener
	case $PICKED in
	create) expect 0 "^20 done" "$who" mq-run --slot endurance:all traffic create "${Q}launch-$who" 20 ;;
	denied) expect 0 "^20 done" "$who" mq-run --plug endurance:nothing traffic denied "${Q}denied" 20 ;;
	status) expect 7 "" "$who" mq-run --plug endurance:nothing sh -c 'exit 7' ;;
	unknown) expect 125 "unknown" "$who" mq-run --plug endurance:unknown true ;;
	within) expect 125 "confined" "$who" mq-run --plug endurance:nothing mq-run --plug endurance:flow true ;;
	connects) expect 1 "confined" "$who" mq-run --plug endurance:nothing mqctl connect endurance:trifle endurance:trifles ;;
	listener) expect 125 "supervisor" "$who" busy-listener mq-run --plug endurance:nothing true ;;
	esac
	rm -f "/dev/mqueue${Q}launch-$who"
}

# Cut off at a random moment.
cut_off() {
	"$@" </dev/null >/dev/null 2>&1 &
	CHILD=$!
	pause 0 120
	say "kills what is cut off: $CHILD"
	kill -KILL $CHILD
	wait $CHILD
}

launch_cut_off() {
	pick as_user env
	pause 0 500
	if [ $((RANDOM % 3)) = 0 ]; then
		cut_off "$PICKED" mq-run --policy "$WORK/packages/endurance.yaml" --slot endurance:all traffic create "${Q}cut" 1000
	else
		cut_off "$PICKED" mq-run --slot endurance:all traffic create "${Q}cut" 1000
	fi
	rm -f "/dev/mqueue${Q}cut"
}

# Without a daemon nothing comes in the way but the end of its supervisor, or of what becomes the command.
alone() {
	local who what killed ours="kills a (supervisor|launcher)"

	pause 0 800
	pick as_user env
	who=$PICKED
	for what in "--slot endurance:all traffic create ${Q}alone" "--plug endurance:nothing traffic denied ${Q}denied"; do
		killed=$(grep -Ec "$ours" "$WORK/story")
		# shellcheck disable=SC2086 # words
		attempt "$who" mq-run --policy "$WORK/packages/endurance.yaml" $what 20
		[ "$STATUS" = 0 ] || is_killed_by_us "$CHILD" || [ "$(grep -Ec "$ours" "$WORK/story")" != "$killed" ] ||
			complain "without a daemon, $what: $(what_it_said)"
	done
	rm -f "/dev/mqueue${Q}alone"
}

trifle() {
	local pair=(endurance:trifle endurance:trifles)

	pause 0 500
	pick "connect ${pair[*]}" "connect --for 1s ${pair[*]}" "disconnect ${pair[*]}" "disconnect --wait 1 ${pair[*]}" reload "sessions --json"
	# shellcheck disable=SC2086 # words
	cut_off mqctl $PICKED
	persist mqctl connect "${pair[@]}"
	expect 0 "endurance:trifle +endurance:trifles" mqctl connections
	disconnect "${pair[@]}"
	attempt mqctl connections
	! grep -q "endurance:trifle " "$WORK/$LOOP.out" || complain "a connection was cut, and is there: $(what_it_said)"
}

request() {
	pause 0 400
	pick status "sessions --json" connections "queues" "explain endurance:nothing read ${Q}denied" "top --once" plugs slots reload
	# shellcheck disable=SC2086 # words
	case $PICKED in
	explain*) expect 1 "may not" mqctl $PICKED ;;
	*) expect 0 "" mqctl $PICKED ;;
	esac
}

monitor() {
	cut_off mqctl monitor
	pause 0 1000
}

package() {
	pause 0 1500
	printf 'name: passing\nplugs: {flow: posix-mq, nothing: posix-mq}\nslots:\n  some: {interface: posix-mq, path: "%spassing-%d"}\n' \
		"$Q" $RANDOM >"$WORK/passing"
	mv "$WORK/passing" "$WORK/packages/passing.yaml"
	persist mqctl reload
	expect 0 "passing:some" mqctl slots
	rm "$WORK/packages/passing.yaml"
	persist mqctl reload
}
