#!/bin/bash
# SPDX-License-Identifier: MIT
# Everything at once that apps do to keep what is taken from them, as user and as root (tests/apps/adversary.c). mqctl disconnect returns
# in time and is in force, whoever resists; bystanders are served meanwhile; nothing but session processes and who resisted has died, and
# nothing is left.
#
# ADVERSARIES: these modes alone; ADVERSARY_USERS: as_user or env (root) alone. Figures in lines that begin with "#".
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# It says which numbers processes get next, and looks at all that there are.
if [ "$(id -u)" = 0 ] && [ "$(readlink /proc/self/ns/pid)" = "pid:[4026531836]" ]; then
	exec "$(dirname "$0")/../private" bash "$0"
fi
# How fast a disk writes the state is not what is asked here.
export TMPDIR=/dev/shm

USERS=${ADVERSARY_USERS:-as_user env}
ALL="execlease traced stopped dead-first register listener fuse-exec fuse-exit fuse-send fuse-name fuse-receive
	chain spent recycle exchange register-writer"
LOUDEST="execs flood idle"
# mqgate's own bound for a disconnect, whatever an app does. But here twenty of them want the processors at once, and so many mqctl.
IN_FORCE_MS=$((5000 * TEST_PATIENCE))
# How many times as long as undisturbed bystanders may take, and what is no matter how fast they are undisturbed.
TIMES=10
NO_MATTER_MS=$((5000 * TEST_PATIENCE))
NO_MATTER_US=$((20000 * TEST_PATIENCE))
ALLOWED_KIB=512
# mqgate kills a session that it cannot hear of for so long. Where the kernel does not let ordinary programs run for as long, it is not
# told how mqgate serves bystanders.
STARVED_MS=3000
# Root does the same things. On a slow machine it is left to the long suite, as are those three that want the processors most.
if [ -z "${ADVERSARY_USERS:-}" ] && { [ "$TEST_PATIENCE" -gt 3 ] || grep -qa __asan_init "$MQGATED"; }; then
	USERS=as_user
	LOUDEST=
fi
ADVERSARIES=${ADVERSARIES:-$ALL $LOUDEST}
if grep -qa __asan_init "$MQGATED"; then
	NO_MATTER_MS=$((4 * NO_MATTER_MS)) # who is served, and not how soon
	ALLOWED_KIB=16384                   # what a sanitizer keeps of its own
fi

setup
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=0:thread_local_quarantine_size_kb=0"

# --- which of them this machine can have ----------------------------------------------------------

can_fuse() {
	[ -c /dev/fuse ] || mknod /dev/fuse c 10 229
	dd if=/dev/fuse count=0 status=none
}

# leave_out PATTERN REASON
leave_out() {
	local kind kinds=""

	for kind in $ADVERSARIES; do
		# shellcheck disable=SC2254 # a pattern
		case $kind in
		$1) skip "$kind" "$2" ;;
		*) kinds+=" $kind" ;;
		esac
	done
	ADVERSARIES=$kinds
}

can_fuse 2>/dev/null || leave_out 'fuse-*' "/dev/fuse cannot be opened"
[ -w /proc/sys/kernel/ns_last_pid ] || leave_out recycle "this kernel does not let anybody say what number comes next"

# --- the world ------------------------------------------------------------------------------------

permission_of() {
	case $1 in
	fuse-send | register-writer) echo write ;;
	*) echo read ;;
	esac
}

{
	echo "name: adv"
	echo "plugs:"
	printf '  %s: posix-mq\n' $ADVERSARIES pair asks nothing
	printf '  %s: {interface: posix-mq, mediation: open}\n' opens
	echo "slots:"
	for kind in $ADVERSARIES; do
		echo "  lost-$kind: {interface: posix-mq, posix-mq: $kind, path: \"@Q@$kind\", permissions: [$(permission_of "$kind")]}"
		echo "  kept-$kind: {interface: posix-mq, posix-mq: $kind, path: \"@Q@$kind-kept\", permissions: [read, write]}"
	done
	for name in pair asks opens; do
		echo "  lost-$name: {interface: posix-mq, posix-mq: $name, path: \"@Q@$name\", permissions: [read, write]}"
	done
} | write_package adv.yaml

# make_queues NAME…: that everybody may use
make_queues() {
	local name

	for name in "$@"; do
		mqtry "umask 0" "look $Q$name rwc 0666 10 64" >/dev/null || echo "Bail out! no queue $Q$name"
	done
}

# Of a clock that nobody sets.
now_ms() {
	local time

	read -r time _ </proc/uptime
	echo $((10#${time/./} * 10))
}

# --- bystanders -----------------------------------------------------------------------------------

# timed WHAT CMD…: notes it in $WORK/served: WHAT STATUS MILLISECONDS
timed() {
	local what=$1 begin status
	shift

	begin=$(now_ms)
	patiently 20 "$@" >"$WORK/timed.out" 2>&1
	status=$?
	echo "$what $status $(($(now_ms) - begin))" >>"$WORK/served"
}

# The launches of another user, and what root does with a session that does not resist.
serve_once() {
	timed launch as_uid 65532 mq-run --plug adv:nothing true
	timed status mqctl status
	timed disconnect mqctl disconnect adv:asks adv:lost-asks
	timed connect mqctl connect adv:asks adv:lost-asks
}

serve() {
	while [ -e "$WORK/serving" ]; do
		serve_once
		sleep 0.1
	done
}

# longest WHAT: in $WORK/served
longest() {
	awk -v what="$1" '$1 == what && $3 > most { most = $3 } END { print most + 0 }' "$WORK/served"
}

STARVED=0

# stop_watching: sets STARVED: for how many milliseconds somebody who has nothing to do with mqgate was kept from running, so far
stop_watching() {
	local starved

	stop_app watch
	starved=$(cat "$WORK/watch.out")
	echo "# $1: a process on no queue was kept waiting for $starved ms"
	[ "${starved:-0}" -le "$STARVED" ] || STARVED=$starved
}

# unless_starved DESCRIPTION CMD…: as holds
unless_starved() {
	if [ "$STARVED" -ge $STARVED_MS ] && ! "${@:2}" >/dev/null 2>&1; then
		TAP_COUNT=$((TAP_COUNT + 1))
		echo "ok $TAP_COUNT - $1 # SKIP this machine keeps ordinary programs from running for seconds"
	else
		holds "$@"
	fi
}

start_pair() {
	start_app receiver as_uid 65532 mq-run --plug adv:pair bystander receive "${Q}pair"
	start_app sender as_uid 65532 mq-run --plug adv:pair bystander send "${Q}pair"
}

# stop_pair: sets PAIR, and MEDIAN and LONGEST in microseconds
stop_pair() {
	stop_app sender 10
	wait_until 10 app_gone receiver
	stop_app receiver
	PAIR=$(cat "$WORK/receiver.out" "$WORK/receiver.err" "$WORK/sender.err")
	MEDIAN=0
	LONGEST=0
	read -r MEDIAN LONGEST < <(sed -nE 's/^.* messages, median ([0-9]+), .* longest ([0-9]+)$/\1 \2/p' "$WORK/receiver.out")
}

# times MEASURED NO_MATTER: what is tolerated
times() {
	echo $(($1 * TIMES > $2 ? $1 * TIMES : $2))
}

measure_undisturbed() {
	start_pair
	: >"$WORK/served"
	for _ in 1 2 3 4 5; do
		serve_once
	done
	stop_pair
	PAIR_MEDIAN_MAX=$(times "$MEDIAN" $NO_MATTER_US)
	PAIR_LONGEST_MAX=$(times "$LONGEST" $((NO_MATTER_MS * 1000)))
	declare -gA SERVED_MAX
	for what in launch status disconnect connect; do
		SERVED_MAX[$what]=$(times "$(longest $what)" $NO_MATTER_MS)
		echo "# undisturbed: $what: longest $(longest $what) ms"
	done
	echo "# undisturbed: the pair: $PAIR"
}

# were_served WHO
were_served() {
	local what

	for what in launch status disconnect connect; do
		echo "# $1: $what: $(grep -c "^$what " "$WORK/served") times, longest $(longest $what) ms of ${SERVED_MAX[$what]}"
		unless_starved "$1, bystanders: each $what has succeeded" \
			eval "grep '^$what ' served >$what; ! grep -v '^$what 0 ' $what && [ \$(wc -l <$what) -ge 5 ]"
		unless_starved "$1, bystanders: each $what in time" test "$(longest $what)" -le "${SERVED_MAX[$what]}"
	done
	echo "# $1: the pair: $PAIR"
	holds "$1, bystanders: each message of an honest pair arrives once, in order" test "$MEDIAN" != 0
	unless_starved "$1, bystanders: … half of them in time" test "$MEDIAN" -le "$PAIR_MEDIAN_MAX"
	unless_starved "$1, bystanders: … and the longest" test "$LONGEST" -le "$PAIR_LONGEST_MAX"
}

# --- adversaries ----------------------------------------------------------------------------------

# start_adversary WHO KIND
start_adversary() {
	local who=$1 kind=$2 command

	rm -rf "$WORK/open/$kind" "$WORK/mount-$kind."* "/dev/mqueue$Q$kind" "/dev/mqueue$Q$kind-kept"
	make_queues "$kind" "$kind-kept"
	mqctl connect "adv:$kind" "adv:lost-$kind"
	mqctl connect "adv:$kind" "adv:kept-$kind"
	$who mkdir "$WORK/open/$kind"
	command=("$who" mq-run --plug "adv:$kind" adversary "$kind" "$Q$kind" "$WORK/open/$kind")
	case $kind in fuse-*)
		mkdir -p "$WORK/mount-$kind"
		command=(fuse-file "$WORK/mount-$kind" "$WORK/fuse.log" -- "${command[@]}")
		;;
	esac
	start_app "$kind" "${command[@]}"
	[ "$(permission_of "$kind")" = write ] || : >"$WORK/feed/${Q#/}$kind"
}

says() {
	grep -Eq "^[0-9]+ $2" "$WORK/$1.out"
}

# tell_all WORD
tell_all() {
	local kind

	for kind in $ADVERSARIES; do
		: >"$WORK/open/$kind/$1"
	done
}

# tell_file_systems WORD: to those of fuse-…
tell_file_systems() {
	local kind

	for kind in $ADVERSARIES; do
		case $kind in fuse-*) : >"$WORK/mount-$kind.$1" ;; esac
	done
}

# bring_numbers_round: so that the number that "recycle" asks for is the next one, until it has it
bring_numbers_round() {
	local number

	while ! says recycle ready; do
		number=$(sed -n 's/.* wanted //p' "$WORK/recycle.out" | tail -n 1)
		[ -z "$number" ] || echo $((number - 1)) >/proc/sys/kernel/ns_last_pid
		sleep 0.02
	done
}

# wants_processor KIND: from the beginning
wants_processor() {
	case $1 in
	recycle | execs | exchange | register-writer | flood | idle) return 0 ;;
	*) return 1 ;;
	esac
}

# start_adversaries WHO KIND…
start_adversaries() {
	local who=$1 kind
	shift

	for kind; do
		start_adversary "$who" "$kind"
	done
	case " $* " in *" recycle "*)
		bring_numbers_round &
		;;
	esac
	for kind; do
		holds "$who, $kind: begins" wait_until 20 says "$kind" ready
	done
}

# start_all WHO
start_all() {
	local kind numbers quiet=() loud=()

	for kind in $ADVERSARIES; do
		if wants_processor "$kind"; then loud+=("$kind"); else quiet+=("$kind"); fi
	done
	start_adversaries "$1" "${quiet[@]}"
	# Processes of others, with the numbers of threads that have called.
	numbers=$(sed -n 's/.* spent //p' "$WORK/spent.out" 2>/dev/null)
	# shellcheck disable=SC2086 # numbers
	[ -z "$numbers" ] || start_innocent numbered env $numbers
	start_innocent plain "$1"
	start_app decoys as_uid 65531 adversary decoys 40
	mkdir -p "$WORK/open/stuck"
	chown 65531 "$WORK/open/stuck"
	start_app stuck as_uid 65531 adversary stuck "$WORK/open/stuck"
	holds "$1: strangers in execve and with many filters are there" eval \
		"wait_until 20 says stuck ready && wait_until 20 says decoys ready"
	start_adversaries "$1" "${loud[@]}"
}

INNOCENTS=()

start_innocent() {
	start_app "innocent-$1" "${@:2:1}" innocent innocent "${@:3}"
	INNOCENTS+=("innocent-$1")
	holds "innocent processes ($1) are there" wait_until 10 says "innocent-$1" ready
}

innocents_are_well() {
	local name

	for name in "${INNOCENTS[@]}"; do
		! app_gone "$name" || return 1
		grep -v ready "$WORK/$name.out" && return 1
	done
	return 0
}

# --- taking it away -------------------------------------------------------------------------------

# drain NAME, fill NAME: from now on nothing, or only these three, is in the queue
drain() {
	mqtry "open $Q$1 rn" $(printf 'receive %.0s' {1..11}) >/dev/null
}

fill() {
	rm -f "$WORK/feed/${Q#/}$1"
	drain "$1"
	[ "$(permission_of "$1")" = write ] ||
		mqtry "open $Q$1 wn" "send after-1" "send after-2" "send after-3" >/dev/null
}

# stop_feeding: who receives waits in the kernel then, but for one that is to get a message now
stop_feeding() {
	local kind

	for kind in $ADVERSARIES; do
		[ "$kind" != fuse-receive ] || continue
		rm -f "$WORK/feed/${Q#/}$kind"
		drain "$kind"
	done
}

# take_away KIND [OPTION…]: notes STATUS MILLISECONDS
take_away() {
	local kind=$1 begin status
	shift

	begin=$(now_ms)
	timeout 20 mqctl disconnect "$@" "adv:$kind" "adv:lost-$kind" >"$WORK/taken/$kind.out" 2>"$WORK/taken/$kind.err"
	status=$?
	echo "$status $(($(now_ms) - begin))" >"$WORK/taken/$kind"
	fill "$kind"
}

take_all_away() {
	local kind pids=()

	rm -rf "$WORK/taken"
	mkdir "$WORK/taken"
	for kind in $ADVERSARIES; do
		take_away "$kind" $([ "$kind" != filters ] || echo --kill) &
		pids+=($!)
	done
	wait "${pids[@]}"
}

# is_named KIND: who could not be stopped, since the kernel holds it in somebody else's file system
is_named() {
	case $1 in
	fuse-*) grep -Eq 'process [0-9]+ .*but still runs' "$WORK/taken/$1.err" ;;
	*) return 1 ;;
	esac
}

is_in_force() {
	local status milliseconds

	cat "$WORK/taken/$1" "$WORK/taken/$1.out" "$WORK/taken/$1.err"
	read -r status milliseconds <"$WORK/taken/$1"
	[ "$milliseconds" -lt $IN_FORCE_MS ] && { [ "$status" = 0 ] || { [ "$status" = 1 ] && is_named "$1"; }; }
}

# nothing_came_through KIND: after it was in force
nothing_came_through() {
	local left

	! is_named "$1" || return 0
	left=$(mqtry "open $Q$1 rn" $(printf 'receive %.0s' {1..11}) | sed -n 's/^receive -> \(.*\) 0$/\1/p' | grep -v '^before$')
	echo "left: $left"
	tail -n 5 "$WORK/$1.out"
	! grep -q 'got after' "$WORK/$1.out" && case $(permission_of "$1") in
	write) [ -z "$left" ] ;;
	*) [ "$left" = "$(printf 'after-%d\n' 1 2 3)" ] ;;
	esac
}

check_adversary() {
	local who=$1 kind=$2

	holds "$who, $kind: it could attack" eval "! grep 'cannot attack' $kind.out"
	echo "# $who, $kind: mqctl disconnect: status and ms: $(cat "$WORK/taken/$kind") $(cat "$WORK/taken/$kind.err")"
	unless_starved "$who, $kind: mqctl disconnect is in force in time" is_in_force "$kind"
	holds "$who, $kind: nothing gets through after it" nothing_came_through "$kind"
	case $kind in
	listener) holds "$who, $kind: there was no listener" eval "! grep -q listener listener.out" ;;
	esac
}

# An honest session under open mediation, whatever strangers and neighbours do.
take_from_open_session() {
	start_app opens $1 mq-run --plug adv:opens bystander ask "${Q}opens"
	wait_until 20 grep -q ready "$WORK/opens.out"
	run mqctl disconnect adv:opens adv:lost-opens
	expect_status "$1, an open session that does not resist: mqctl disconnect succeeds" 0
	mqctl connect adv:opens adv:lost-opens
	run timeout $((IN_FORCE_MS / 1000)) mqctl disconnect --kill adv:opens adv:lost-opens
	expect_status "$1, an open session that does not resist: … with --kill, in time" 0
	holds "$1, an open session that does not resist: … and it is ended" wait_until 1 app_gone opens
	stop_app opens
	mqctl connect adv:opens adv:lost-opens
}

# --- one round ------------------------------------------------------------------------------------

round() {
	local who=$1 kind

	: >"$WORK/served"
	: >"$WORK/serving"
	start_app watch bystander watch 4
	start_pair
	{
		close_apps # so that each ends when it is told to
		serve
	} &
	SERVER=$!
	start_all "$who"
	for kind in $ADVERSARIES; do
		[ "$(permission_of "$kind")" = write ] ||
			holds "$who, $kind: gets messages" wait_until 10 says "$kind" 'got before'
	done
	tell_file_systems hold
	tell_all hold
	stop_feeding
	sleep 1
	take_all_away
	tell_file_systems release
	tell_all go
	take_from_open_session "$who"
	sleep 2
	tell_all end
	sleep 0.3
	stop_watching "$who"
	for kind in $ADVERSARIES; do
		check_adversary "$who" "$kind"
	done
	holds "$who: no innocent process was killed or disturbed" innocents_are_well
	rm -f "$WORK/serving"
	wait "$SERVER"
	stop_pair
	were_served "$who"
	end_round "$who"
}

# What is left of a session process, but for the bystander's and the spare one.
is_at_rest() {
	[ "$(session_processes | wc -l)" = 2 ] && [ "$(daemon_children | wc -l)" = 3 ] &&
		[ "$(mqctl sessions --json | grep -o '"pid"' | wc -l)" = 1 ]
}

end_round() {
	local name

	tell_file_systems end
	for name in "${INNOCENTS[@]}"; do
		stop_app "$name" 0
	done
	INNOCENTS=()
	check "$1: all adversaries are ended" adversary end
	for name in $ADVERSARIES decoys stuck; do
		stop_app "$name"
	done
	unless_starved "$1: of their sessions nothing is left" wait_until 10 is_at_rest
	holds "$1: the daemon is the same" daemon_alive
	holds "$1: … and its spawner" test "$(spawner)" = "$SPAWNER"
	look "$1"
}

# --- what is left ---------------------------------------------------------------------------------

memory() {
	sed -n 's/^Anonymous: *\([0-9]*\) kB/\1/p' "/proc/$DAEMON/smaps_rollup"
}

descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 -maxdepth 1 | wc -l
}

look() {
	MEMORY[$1]=$(memory)
	DESCRIPTORS[$1]=$(descriptors)
	echo "# at rest ($1): the daemon has ${MEMORY[$1]} KiB of its own, ${DESCRIPTORS[$1]} descriptors"
}

declare -A MEMORY DESCRIPTORS
cp "$WORK/bin/adversary" "$WORK/bin/innocent"
mkdir "$WORK/feed"
start_daemon
SPAWNER=$(spawner)
make_queues pair asks opens
for name in pair asks opens; do
	mqctl connect adv:$name adv:lost-$name
done
start_app asks as_uid 65532 mq-run --plug adv:asks bystander ask "${Q}asks"
start_app feeder bystander feed "$WORK/feed"
measure_undisturbed
holds "at rest" wait_until 10 is_at_rest
look first
for who in $USERS; do
	round "$who"
	LAST=$who
done
holds "descriptors of the daemon: ${DESCRIPTORS[first]} at first, ${DESCRIPTORS[$LAST]} at the end" \
	test "${DESCRIPTORS[$LAST]}" -le "${DESCRIPTORS[first]}"
holds "memory of the daemon: ${MEMORY[${USERS%% *}]} KiB after the first round, ${MEMORY[$LAST]} at the end" \
	test "${MEMORY[$LAST]}" -le $((MEMORY[${USERS%% *}] + ALLOWED_KIB))
stop_app asks
unless_starved "who was disconnected and connected again and again was only refused" test $? = 0
stop_app feeder
finish
