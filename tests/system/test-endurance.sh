#!/bin/bash
# SPDX-License-Identifier: MIT
# Everything at once, for ENDURANCE_SECONDS: launches, connections that come and go, reloads, attacks, upgrades, and kills of every kind of
# process, while witnesses send and receive numbered messages. No message is lost, doubled or out of order; nobody is refused who surely
# may, or allowed who surely may not; and memory, descriptors, processes, files and queues are what they were.
#
# It goes in eras: a storm, and a moment of rest at which is judged. In the first half of them the daemon is killed, too.
# SEED: what the random choices begin with. ENDURANCE_KEEP: a directory for what witnesses said, the story and the log.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

# It looks at every process that there is.
if [ "$(id -u)" = 0 ] && [ "$(readlink /proc/self/ns/pid)" = "pid:[4026531836]" ]; then
	exec "$(dirname "$0")/../private" bash "$0"
fi

TOTAL=${ENDURANCE_SECONDS:-12}
ERA_SECONDS=$((TOTAL / 3 < 240 ? TOTAL / 3 : 240))
ERAS=$((TOTAL / ERA_SECONDS))
SEED=${SEED:-$RANDOM}
# By which two moments of rest may differ. What the daemon has allocated is the same, but for timers and the lengths of some texts.
ALLOWED_BLOCKS=8
ALLOWED_BYTES=4096
# So its memory grows only by what it begins to use of what it had allocated, which is 256 KiB of denials for each of two users, and by
# what malloc keeps: a cache of up to 240 KiB in small pieces, and holes between them. These fill within an hour, by 400 KiB after the
# first minutes; with glibc.malloc.tcache_count=0 nothing does.
ALLOWED_KIB=1024
# Three session processes keep memory, and descriptors, of callers of late.
ALLOWED_SESSIONS_KIB=512
ALLOWED_DESCRIPTORS=12

private_ipc
setup
# What a sanitizer keeps of freed memory is no growth of ours.
export ASAN_OPTIONS="${ASAN_OPTIONS:+$ASAN_OPTIONS:}quarantine_size_mb=0:thread_local_quarantine_size_kb=0"
cp "$BUILD_ROOT"/tests/preload/{company,heap}.so "$WORK/bin/"
mkdir "$WORK/heap"
COUNTED=yes
if grep -qa __asan_init "$MQGATED"; then
	# It keeps memory of its own, and would have to come before what counts.
	ALLOWED_KIB=16384 ALLOWED_SESSIONS_KIB=16384 COUNTED=no
fi
# shellcheck source=tests/system/service-manager.sh
. "$SOURCE_ROOT/tests/system/service-manager.sh"
# shellcheck source=tests/system/endurance.sh
. "$SOURCE_ROOT/tests/system/endurance.sh"
# shellcheck source=tests/system/attacks.sh
. "$SOURCE_ROOT/tests/system/attacks.sh"

# Pairs that come and go: of one thread, of several (whose calls are carried out for them), and under open mediation.
WATCHED="single several opens"

write_package endurance.yaml <<'YAML'
name: endurance
plugs:
  nothing: posix-mq
  granted: posix-mq # what rogue-launcher asks for
  flow: posix-mq
  fast: {interface: posix-mq, posix-mq: flow, mediation: open}
  single: posix-mq
  several: posix-mq
  opens: {interface: posix-mq, mediation: open}
  trifle: posix-mq
  attack: posix-mq
  stays: posix-mq
  stays-open: {interface: posix-mq, posix-mq: stays, mediation: open}
slots:
  all: {interface: posix-mq, path-pattern: "@Q@*"}
  flows: {interface: posix-mq, posix-mq: flow, path-pattern: "@Q@flow-*", permissions: [read, write]}
  trifles: {interface: posix-mq, posix-mq: trifle, path: "@Q@trifle", permissions: [read]}
  lost: {interface: posix-mq, posix-mq: attack, path: "@Q@lost", permissions: [read, write, create]}
  kept: {interface: posix-mq, posix-mq: attack, path: "@Q@lost-kept", permissions: [read, write, create]}
  one: {interface: posix-mq, posix-mq: stays, path: "@Q@one", permissions: [read, write, create]}
YAML
for name in $WATCHED; do
	provider "$name" "[read, write]"
done
FLOWS="root user open slot"
QUEUES="$(printf 'flow-%s ' $FLOWS) $(printf '%s-up ' $WATCHED) $(printf '%s-down ' $WATCHED)"
: >"$WORK/story"
: >"$WORK/complaints"
: >"$WORK/trouble"
ERA=0
LOOP=main

# --- a storm --------------------------------------------------------------------------------------

# witnesses_of NAME CMD…: of a pair that comes and goes, with its owner's at the other ends
witnesses_of() {
	local name=$1 every=20 mediation=call
	shift

	[ "$name" != opens ] || every=1 mediation=open
	mkdir "$WORK/log/$name-up" "$WORK/log/$name-down"
	echo "send $mediation" >"$WORK/log/$name-up/spans"
	echo "receive $mediation" >"$WORK/log/$name-down/spans"
	loop "$name-sends" keep "$name-up" send $every 6000 "$@"
	loop "$name-receives" keep "$name-down" receive $every 6000 "$@"
	loop "$name-owner-receives" keep "$name-up" receive 1000 0 env
	# So seldom that who receives mostly waits when the queue is taken.
	loop "$name-owner-sends" keep "$name-down" send 1000 150000 env
	loop "$name" give_and_take "$name"
}

# flow NAME CMD…: who may all the time
flow() {
	local name=$1
	shift

	mkdir "$WORK/log/flow-$name"
	loop "$name-sends" keep "flow-$name" send 30 4000 "$@"
	loop "$name-receives" keep "flow-$name" receive 30 0 "$@"
}

begin_storm() {
	LOOPS=()
	rm -rf "$WORK/log"
	mkdir "$WORK/log"
	: >"$WORK/storm"
	flow root mq-run --plug endurance:flow
	flow user as_user mq-run --plug endurance:flow
	flow open as_user mq-run --plug endurance:fast
	flow slot as_user mq-run --slot endurance:all
	witnesses_of single mq-run --plug endurance:single
	witnesses_of several as_user mq-run --plug endurance:several env LD_PRELOAD="$WORK/bin/company.so"
	witnesses_of opens as_user mq-run --plug endurance:opens
	for what in launch launch_cut_off alone trifle request monitor package attack process_trouble; do
		loop "$what" "$what"
	done
	[ "$1" = calm ] || loop daemon_trouble daemon_trouble
}

witnesses_have_begun() {
	local queue

	for queue in $QUEUES; do
		[ -s "$WORK/log/$queue/send.1" ] && [ -s "$WORK/log/$queue/receive.1" ] || compgen -G "$WORK/log/$queue/*.2" >/dev/null || return
	done
}

loop_ended() {
	! kill -0 "$1" 2>/dev/null
}

# end_loops PATTERN: those whose names match
end_loops() {
	local pid name

	for pid in "${LOOPS[@]}"; do
		name=$(cat "$WORK/loop.$pid")
		[[ $name =~ $1 ]] || continue
		wait_until 60 loop_ended "$pid" || {
			complain "$name does not end: $(pgrep -a -P "$pid")"
			pkill -KILL -P "$pid"
			kill -KILL "$pid"
		}
	done
}

witnesses_ended() {
	end_witnesses "$1"
	[ "$1" = send ] || [ $((SECONDS % 3)) != 0 ] || nudge
	! compgen -G "$WORK/log/*/$1.pid" >/dev/null
}

# witnesses_end ROLE
witnesses_end() {
	wait_until 20 witnesses_ended "$1" || complain "witnesses do not end: $(tail -n 1 "$WORK"/log/*/"$1".pid)"
}

# drain_all ID: by one for each queue
drain_all() {
	local queue drains=()

	for queue in $QUEUES; do
		drain "$queue" "$1" &
		drains+=($!)
	done
	wait "${drains[@]}"
}

# First whoever disturbs, then whoever gives, then witnesses: who receives ends when nothing comes any more.
end_storm() {
	LOOP=main
	rm "$WORK/storm"
	end_loops "^(process_trouble|daemon_trouble)$"
	wait_until 20 is_ready || complain "the daemon is not ready: $ANSWER"
	manager main
	DAEMON=$ANSWER
	end_loops "^[a-z_]*$"
	end_witnesses receive
	sleep 0.2
	wait_until 2 witnesses_ended send # or it waits for one who has ended
	witnesses_end receive
	drain_all 100001
	witnesses_end send
	end_loops .
	drain_all 100002
}

# What the programs that stay see of a connection that comes and goes.
told() {
	tell "$2" "$3"
	echo "$ANSWER" | grep -Eq -- "$4" || complain "$1: told $3, answer $ANSWER, expected $4"
}

change() {
	persist mqctl connect endurance:stays endurance:one
	persist mqctl connect endurance:stays-open endurance:one
	told "call, connected" call "open ${Q}one rwc 0666 4 64" ' -> [0-9]+$'
	told "call, connected" call "send one" ' -> 0$'
	told "call, connected" call "receive" ' -> one 0$'
	told "open, connected" open "open ${Q}one rw" ' -> [0-9]+$'
	told "open, connected" open "send two" ' -> 0$'
	told "open, connected" open "receive" ' -> two 0$'
	expect 0 '^1 session \(1 process\) still holds descriptors ' mqctl disconnect endurance:one
	told "call, disconnected" call "send three" ' EACCES$'
	told "call, disconnected" call "open ${Q}one r" ' EACCES$'
	told "open, disconnected" open "send three" ' -> 0$'
	told "open, disconnected" open "open ${Q}one r" ' EACCES$'
	told "call, closes" call "forget" ' -> 0$'
	told "open, closes" open "forget" ' -> 0$'
	rm -f "/dev/mqueue${Q}one"
}

# remember_the_same: the last records of each user are the same ones at each rest
remember_the_same() {
	local who

	for who in env as_user; do
		for _ in 1 2; do
			persist "$who" mq-run --plug endurance:nothing traffic denied "${Q}denied" 20
		done
	done
}

# --- at rest --------------------------------------------------------------------------------------

# Two sessions, the two programs that stay, and the spare one.
is_at_rest() {
	[ "$(session_processes | wc -l)" = 3 ] && [ "$(daemon_children | wc -l)" = 4 ] &&
		[ "$(mqctl sessions --json | grep -o '"pid"' | wc -l)" = 2 ] && stored 6 && no_zombie
}

# no_zombie: but for who has looked for holders, which its session process reaps when it has another one look
no_zombie() {
	! ps -eo stat=,ppid=,comm= | grep '^Z' | grep -v ' mqgate-session$'
}

# memory PID…, descriptors PID…: of all of them; memory that is shared with nobody, in KiB
memory() {
	local pid sum=0

	for pid in "$@"; do
		sum=$((sum + $(sed -n 's/^Anonymous: *\([0-9]*\) kB/\1/p' "/proc/$pid/smaps_rollup")))
	done
	echo "$sum"
}

descriptors() {
	local pid sum=0

	for pid in "$@"; do
		sum=$((sum + $(find "/proc/$pid/fd" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l)))
	done
	echo "$sum"
}

# allocated PID: blocks and bytes, as tests/preload/heap.c counts them
allocated() {
	od -An -td8 "$WORK/heap/$1"
}

# look NAME: notes what there is at a moment of rest
look() {
	local sessions blocks=0 bytes=0

	holds "$1: all that is left are the programs that stay" eval 'wait_until 20 is_at_rest || { ps -ef; mqctl sessions; false; }'
	sessions=$(session_processes)
	[ $COUNTED = no ] || read -r blocks bytes < <(allocated "$DAEMON")
	# shellcheck disable=SC2086 # pids
	declare -gA "$1=([manager]=$(memory "$DAEMON") [sessions]=$(memory $sessions)
		[blocks]=$blocks [bytes]=$bytes [mappings]=$(wc -l <"/proc/$DAEMON/maps")
		[descriptors]=$(descriptors "$DAEMON") [kept]=$(descriptors "$(app_pid manager)")
		[in_sessions]=$(descriptors $sessions)
		[processes]=$(pids_of '' | wc -l) [queues]=$(own_queues | wc -l) [files]=$(find state run | wc -l))"
}

# flat WHAT KEY FROM TO ALLOWED
flat() {
	local -n from=$3 to=$4

	echo "# $1: ${from[$2]} → ${to[$2]}"
	holds "$1: ${from[$2]} at first, ${to[$2]} at the end" test "${to[$2]}" -le $((${from[$2]} + $5))
}

# What may be in the log.
EXPECTED='^mqgated: (denied |connect |disconnect |reload: |reloaded: [0-9]+ packages$|ready: |[0-9]+ sessions are taken over$'
EXPECTED+='|all queues of one user.s confined programs together get at most '
EXPECTED+='|session process [0-9]+(: (does not take its grants|did not (exit|acknowledge|take back the queues) in time|was stopped by a signal|Broken pipe|Connection reset by peer); killed| was killed by signal 9)$)'
EXPECTED+='|^mqgated: (killed: what it had could not be taken back otherwise |the spawner of session processes has ended, and they with it$'
EXPECTED+='|session process [0-9]+ is lost$|cannot start (session process .*|a session for pid [0-9]+, uid [0-9]+): (Broken pipe|Connection reset by peer)$|the event loop failed: Connection reset by peer$)'
EXPECTED+='|^mqgated: (the [0-9]+ processes of the session of pid [0-9]+ are killed: |[0-9]+ sessions did not take over a change of the policy in time)'
EXPECTED+='|^mqgate-session: (session ended: (Connection reset by peer|Broken pipe)$|uncertain mq_timed(send|receive) /)'

log_is_expected() {
	! grep -Ev "$EXPECTED" daemon.log | head -n 20 | grep .
}

bash_is_well() {
	! grep -hEv '^$|Killed|Terminated|line [0-9]+: kill: ' "$WORK"/loop.[a-z]* | grep .
}

# doubt_is_logged: who was told EIO was that of which the log is in doubt
doubt_is_logged() {
	local told logged

	told=$(sed -n 's/.* refused, \([0-9]*\) in doubt.*/\1/p' "$WORK/judgement" | awk '{ sum += $1 } END { print sum + 0 }')
	logged=$(grep -Ec "uncertain mq_timed(send|receive) ${Q}[a-z]+-(up|down) " "$WORK/daemon.log")
	[ "$told" -le "$logged" ] || complain "$told calls failed with EIO, and the log has $logged"
}

judge() {
	"$SOURCE_ROOT/tests/system/endurance.py" "$WORK/log" >"$WORK/judgement" 2>&1 || complain "no judgement"
	grep '^#' "$WORK/judgement"
	! grep -v '^#' "$WORK/judgement" | sed "s/^/era $ERA: /" >>"$WORK/complaints"
	doubt_is_logged
}

keep_what_was_said() {
	[ -n "${ENDURANCE_KEEP:-}" ] || return
	mkdir -p "$ENDURANCE_KEEP/$ERA"
	cp -r log story complaints daemon.log judgement "$ENDURANCE_KEEP/$ERA/"
}

# era calm|crashes SECONDS
era() {
	ERA=$((ERA + 1))
	echo "# era $ERA: $1, $2 s"
	begin_storm "$1"
	wait_until 20 witnesses_have_begun || complain "witnesses do not begin: $(find log -size 0)"
	sleep "$2"
	end_storm
	change
	remember_the_same
	judge
	keep_what_was_said
	holds "era $ERA: nothing is lost, doubled, wrongly allowed or refused, and all does what it should" \
		eval "head -n 40 complaints; [ ! -s complaints ]"
	holds "era $ERA: the log has nothing unexpected" log_is_expected
	holds "era $ERA: no loop has failed of itself" bash_is_well
	: >"$WORK/complaints"
	: >"$WORK/daemon.log"
	: >"$WORK/story"
	look "rest$ERA"
}

make_queues() {
	local name

	umask 0
	mqtry "open ${Q}denied rwc 666 4 64"
	for name in $QUEUES; do
		mqtry "open $Q$name rwc 666 8 64"
	done
	umask 022
} >/dev/null

echo "# SEED=$SEED"
[ $COUNTED = no ] || MANAGER_PROGRAM=(env HEAP_DIR="$WORK/heap" LD_PRELOAD="$WORK/bin/heap.so" mqgated)
start_manager
make_queues
for pair in "flow endurance:flows" "fast endurance:flows" "attack endurance:kept"; do
	# shellcheck disable=SC2086 # words
	persist mqctl connect endurance:$pair
done
mkdir "$WORK/open/attack"
start_app call mq-run --plug endurance:stays mqtry
start_app open mq-run --plug endurance:stays-open mqtry
make_attacked
change
remember_the_same
look rest0
for ((i = 0; i < ERAS; i++)); do
	if [ $i -lt $((ERAS / 2)) ]; then era crashes $ERA_SECONDS; else era calm $ERA_SECONDS; fi
done
FIRST=rest0 CRASHED=rest$((ERAS / 2)) WARM=rest$((ERAS / 2 + 1)) LAST=rest$ERA
flat "descriptors that the service manager keeps, with crashes" kept $FIRST $CRASHED 0
flat "processes, with crashes" processes $FIRST $CRASHED 0
flat "descriptors of the daemon, with crashes" descriptors $FIRST $CRASHED 1
flat "descriptors of session processes, with crashes" in_sessions $FIRST $CRASHED $ALLOWED_DESCRIPTORS
flat "processes" processes $WARM $LAST 0
flat "descriptors of the daemon" descriptors $WARM $LAST 0
flat "descriptors of session processes" in_sessions $WARM $LAST $ALLOWED_DESCRIPTORS
if [ $COUNTED = yes ]; then
	flat "blocks that the daemon has allocated" blocks $WARM $LAST $ALLOWED_BLOCKS
	flat "bytes that the daemon has allocated" bytes $WARM $LAST $ALLOWED_BYTES
	flat "mappings of the daemon" mappings $WARM $LAST 0
fi
flat "memory of the daemon, KiB of its own" manager $WARM $LAST $ALLOWED_KIB
flat "memory of three session processes, KiB of their own" sessions $WARM $LAST $ALLOWED_SESSIONS_KIB
flat "queues" queues $FIRST $LAST 0
flat "files of the daemon" files $FIRST $LAST 0
stop_app call
stop_app open
holds "nothing is kept of sessions that have ended" wait_until 5 stored 0
stop_manager
finish
