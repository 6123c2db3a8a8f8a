#!/bin/bash
# SPDX-License-Identifier: MIT
# Memory, descriptors, processes and identities run out, one call at a time, in each of the programs: one request or one launch is
# refused with a word on why, everything else goes on, nothing is half-applied, and no process keeps an identity that is not its own.
# SCARCE_EVERY=1: every call, not only some of them.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

EVERY=${SCARCE_EVERY:-0}
MEMORY=1 DESCRIPTOR=2 PROCESS=4 IDENTITY=8 CONFINEMENT=16
EMFILE=24
STATE=$WORK/state/connections.yaml

cp "$BUILD_ROOT"/tests/preload/{scarce,company}.so "$WORK/bin/"
for program in mqgated mqgate-session mq-run; do
	# If it gives up behind its filter, nobody answers the clone(2) of the leak sanitizer's.
	leaks=$([ $program = mq-run ] && echo :detect_leaks=0)
	mv "$WORK/bin/$program" "$WORK/bin/$program.whole"
	cat >"$WORK/bin/$program" <<SCRIPT
#!/bin/bash
export MQGATE_SCARCE_PLAN=$WORK/$program.plan MQGATE_SCARCE_PROGRAM=$WORK/bin/$program.whole
export ASAN_OPTIONS=verify_asan_link_order=0$leaks LD_PRELOAD=$WORK/bin/scarce.so
exec -a $program $WORK/bin/$program.whole "\$@"
SCRIPT
	chmod 755 "$WORK/bin/$program"
	truncate -s 4096 "$WORK/$program.plan"
	chmod 666 "$WORK/$program.plan"
done

write_package app.yaml <<'YAML'
name: app
plugs: {some: posix-mq, other: posix-mq}
slots:
  any: {interface: posix-mq, posix-mq: some, path-pattern: "@Q@any-*", permissions: [read, write, create, delete]}
  rest: {interface: posix-mq, posix-mq: other, path: "@Q@other", permissions: [read, write, create, delete]}
YAML

# --- what fails -----------------------------------------------------------------------------------

number() {
	printf '\\x%02x\\x%02x\\x%02x\\x%02x' $(($1 % 256)) $(($1 / 256 % 256)) \
		$(($1 / 65536 % 256)) $(($1 / 16777216))
}

# plan PROGRAM KINDS PID CALL: the CALL-th from now on
plan() {
	# shellcheck disable=SC2059
	printf "$(number "$2")$(number "$3")$(number "$4")$(number $EMFILE)$(number 0)$(number 0)" |
		dd of="$WORK/$1.plan" conv=notrunc status=none
}

happened() {
	[ "$(od -An -tu4 -j20 -N4 "$WORK/$1.plan" | tr -d ' ')" = 1 ]
}

# each PROGRAM KINDS EVERY DESCRIPTION DEED: DEED with each call failing, or every EVERY-th, until none is left. DEED ends the plan
# itself as soon as it is over (with "over"), and succeeds if all is as it should be; before_DEED comes before.
each() {
	local program=$1 kinds=$2 every=$3 description=$4 call tried=0 wrong=0 pid=0 begin=$SECONDS
	shift 4

	[ "$EVERY" = 0 ] || every=$EVERY
	: >"$WORK/wrong.txt"
	cp "$STATE" "$WORK/state.kept"
	for ((call = 1; call < 5000; call += every)); do
		[ "$program" != mqgate-session ] || pid=$(session_of_app)
		PROGRAM=$program
		: >"$WORK/deed.txt"
		! declare -F "before_$1" >/dev/null || "before_$1" >>"$WORK/deed.txt" 2>&1
		plan "$program" "$kinds" "$pid" $call
		"$@" >>"$WORK/deed.txt" 2>&1
		if [ $? != 0 ] || ! all_is_well >>"$WORK/deed.txt" 2>&1; then
			wrong=$((wrong + 1))
			echo "call $call:" >>"$WORK/wrong.txt"
			cat "$WORK/deed.txt" >>"$WORK/wrong.txt"
			again
		fi
		[ "$FAILED_ONCE" = 1 ] || break
		tried=$((tried + 1))
	done
	echo "# $((SECONDS - begin)) s"
	holds "$description: $tried failures, and each time one thing is refused at most" \
		eval "head -n 30 wrong.txt; [ $wrong = 0 ] && [ $tried -ge 1 ]"
}

over() {
	FAILED_ONCE=0
	! happened "$PROGRAM" || FAILED_ONCE=1
	plan "$PROGRAM" 0 0 0
}

# deed CMD…: in STATUS what became of it
deed() {
	patiently "$DEADLINE" "$@" </dev/null >"$WORK/stdout" 2>"$WORK/stderr"
	STATUS=$?
	over
	echo "$*: status $STATUS"
	cat "$WORK/stderr"
}

# done_or_refused STATUS: the command has succeeded, or failed with STATUS and a word
done_or_refused() {
	[ "$STATUS" = 0 ] || { [ "$STATUS" = "$1" ] && [ -s "$WORK/stderr" ]; }
}

# --- the app that must not notice -----------------------------------------------------------------

# ask LINE: ANSWER is what the app says to it, in time
ask() {
	echo "$1" >&"${APP[1]}"
	ANSWER="(no answer in time)"
	read -r -t $((10 * TEST_PATIENCE)) ANSWER <&"${APP[0]}"
	echo "app: $ANSWER"
}

answers() {
	ask "$1"
	[[ $ANSWER == *"$2" ]]
}

start_victim() {
	coproc APP { exec "$@" 2>>"$WORK/app.err"; }
	APP_KEPT=$APP_PID
	answers "open ${Q}any-own rwc 0666 4 64" " -> 0" >/dev/null &&
		answers "send one" " -> 0" >/dev/null && answers "receive" " -> one 0" >/dev/null
}

stop_victim() {
	kill -KILL "$APP_KEPT"
	wait "$APP_KEPT"
	rm -f "/dev/mqueue$Q"*
} 2>/dev/null

serving() {
	local pid

	for pid in $(session_processes); do
		! readlink "/proc/$pid/fd/"* 2>/dev/null | grep -q 'seccomp notify' || echo "$pid"
	done
}

is_one() {
	[ "$(serving | wc -l)" = 1 ]
}

# session_of_app: the process that answers it; there is no other session, once that of the one before has ended
session_of_app() {
	wait_until 5 is_one
	serving
}

on_disk() {
	grep -c '^ *state: manual' "$STATE"
}

in_force() {
	mqctl connections app >"$WORK/connections.txt" && grep -c ' manual$' "$WORK/connections.txt"
}

# own_identity: of a session process; the same as long as it acts for nobody. What is permitted
# depends on the session, but then all of it is in effect.
own_identity() {
	awk '/^(Uid|Gid|Groups|CapInh|CapAmb|Umask|NoNewPrivs):/
		/^Cap(Prm|Eff):/ {set[$1] = $2}
		END {print set["CapPrm:"] == set["CapEff:"] ? "all" : "some", "in effect"}' "/proc/$1/status"
	grep 'msgqueue' "/proc/$1/limits"
	readlink "/proc/$1/ns/ipc" "/proc/$1/ns/user"
}

nobody_is_somebody_else() {
	local pid

	for pid in $(session_processes); do
		own_identity "$pid" >"$WORK/identity" 2>/dev/null || continue
		cmp "$WORK/identity" "$WORK/identity.first" || {
			cat "$WORK/identity"
			return 1
		}
	done
}

all_is_well() {
	daemon_alive && answers "send one" " -> 0" && answers "receive" " -> one 0" &&
		[ "$(on_disk)" = "$(in_force)" ] && nobody_is_somebody_else
}

# again: after something went wrong, for the next
again() {
	stop_victim
	stop_daemon
	cp "$WORK/state.kept" "$STATE"
	start_daemon
	"${VICTIM[@]}"
}

# --- the manager ----------------------------------------------------------------------------------

# the app is confined, or it is not started
launch() {
	deed as_user mq-run --plug app:some mqtry "open ${Q}denied rwc" "unlink ${Q}denied"
	if [ "$STATUS" = 1 ]; then
		[ "$(grep -c -- '-1 EACCES$' "$WORK/stdout")" = 2 ]
	else
		[ "$STATUS" = 125 ] && [ -s "$WORK/stderr" ] && [ ! -s "$WORK/stdout" ]
	fi
}

launch_by_root() {
	deed mq-run --plug app:some mqtry "open ${Q}any-new rwcx" "unlink ${Q}any-new"
	done_or_refused 125
}

# changes it there and back; what could not be made is not made
change() {
	local before after

	before=$(in_force)
	deed mqctl "$1" app:other app:rest
	done_or_refused 1 || return
	after=$(in_force)
	if [ "$after" != "$before" ]; then
		# Made, but there was nothing left to say so with, or to look who holds what was taken.
		[ "$STATUS" = 0 ] || grep -Eq 'closed the connection|^error: disconnected, but ' "$WORK/stderr" || return
		mqctl "$2" app:other app:rest
	else
		[ "$STATUS" = 1 ]
	fi
}

reload() {
	deed mqctl reload
	done_or_refused 1
}

show() {
	deed mqctl sessions --json
	done_or_refused 1
}

explain() {
	deed mqctl explain app:other write "${Q}other"
	[ "$STATUS" = 0 ] || [ "$STATUS" = 1 ]
}

session_dies() {
	kill -KILL "$(session_of_app)"
	answers "send one" " -> 0" && answers "receive" " -> one 0"
	STATUS=$?
	over
	return $STATUS
}

recorded() {
	[ "$(wc -l <"$WORK/daemon.log")" -gt "$LINES_BEFORE" ]
}

denied() {
	LINES_BEFORE=$(wc -l <"$WORK/daemon.log")
	answers "look ${Q}denied rw" " -> -1 EACCES"
	STATUS=$?
	# The manager has it later than the app its answer.
	wait_until 2 recorded
	over
	return $STATUS
}

descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 | wc -l
}

as_many_as_before() {
	[ "$(descriptors)" -le "$DESCRIPTORS" ]
}

one_session() {
	[ "$(mqctl sessions | tail -n +2 | wc -l)" = 1 ]
}

victim_of_manager() {
	start_victim mq-run --plug app:some --plug app:other mqtry
}

manager() {
	VICTIM=(victim_of_manager)
	holds "an app works" victim_of_manager
	sleep 0.3
	DESCRIPTORS=$(descriptors)
	each mqgated $MEMORY 13 "mqgated has no memory at a launch" launch
	each mqgated $((DESCRIPTOR | PROCESS)) 2 "… no descriptor or process" launch
	each mqgated $((DESCRIPTOR | PROCESS)) 3 "… at one by root" launch_by_root
	each mqgated $MEMORY 47 "mqgated has no memory at a change" change connect disconnect
	each mqgated $((DESCRIPTOR | PROCESS)) 4 "… no descriptor" change connect disconnect
	mqctl connect app:other app:rest
	each mqgated $MEMORY 47 "… no memory at a disconnect" change disconnect connect
	mqctl disconnect app:other app:rest
	each mqgated $MEMORY 61 "mqgated has no memory at a reload" reload
	each mqgated $((DESCRIPTOR | PROCESS)) 4 "… no descriptor" reload
	each mqgated $MEMORY 43 "mqgated has no memory to answer" show
	each mqgated $MEMORY 43 "… to explain" explain
	each mqgated $MEMORY 5 "mqgated has no memory to replace a session process" session_dies
	each mqgated $((DESCRIPTOR | PROCESS)) 2 "… no descriptor or process" session_dies
	each mqgated $MEMORY 9 "mqgated has no memory for a record" denied
	holds "no session is left" wait_until 5 one_session
	holds "no descriptor is left" wait_until 5 as_many_as_before
	stop_victim
}

# --- the session process --------------------------------------------------------------------------

# made_or_refused LINE: the app's call has worked, or was refused for want of something
made_or_refused() {
	ask "$1"
	over
	[[ $ANSWER =~ \ -\>\ (-1\ (EACCES|ENOMEM|EMFILE|ENFILE|EAGAIN)|[0-9a-z ]+)$ ]]
}

refused() {
	[[ $ANSWER == *" -> -1 "* ]]
}

# a queue that could not be given to the app has not been made
creates() {
	made_or_refused "look ${Q}any-new rwcx" || return
	! refused || [ ! -e "/dev/mqueue${Q}any-new" ] || return
	answers "unlink ${Q}any-new" ""
	[ ! -e "/dev/mqueue${Q}any-new" ]
}

before_deletes() {
	answers "look ${Q}any-new rwc" " -> 0"
}

deletes() {
	made_or_refused "unlink ${Q}any-new" || return
	! refused || answers "unlink ${Q}any-new" " -> 0"
}

opens() {
	made_or_refused "look ${Q}any-own rw"
}

# What the session process holds of earlier calls it needs nothing for.
before_sends() {
	answers "look ${Q}any-own rwc" " -> 0"
}

sends() {
	made_or_refused "send two" || return
	refused || answers "receive" " -> two 0"
}

before_receives() {
	answers "send three" " -> 0" && before_sends
}

receives() {
	made_or_refused "receive" || return
	! refused || answers "receive" " -> three 0"
}

registers() {
	made_or_refused "notify" || return
	refused || answers "unnotify" " -> 0"
}

# Whether it has registered where it must not cannot be told without memory: then it is killed, and that is recorded.
registers_or_is_killed() {
	mark_log
	registers && return
	over
	log_matches 'killed: ' && wait_until 5 app_is_gone || return
	stop_victim
	"${VICTIM[@]}" && loses
}

app_is_gone() {
	! kill -0 "$APP_KEPT"
}

# loses: from here on calls are carried out for it
loses() {
	before_loses_grants && mqctl disconnect app:other app:rest
}

# the next session process does what this one cannot: nothing is refused
takes_grants() {
	deed mqctl connect app:other app:rest
	[ "$STATUS" = 0 ] && answers "look ${Q}other rwc" " -> 0" || return
	mqctl disconnect app:other app:rest
	answers "look ${Q}other rwc" " -> -1 EACCES"
}

before_loses_grants() {
	mqctl connect app:other app:rest
	answers "look ${Q}other rwc" " -> 0"
}

loses_grants() {
	deed mqctl disconnect app:other app:rest
	[ "$STATUS" = 0 ] && answers "look ${Q}other rwc" " -> -1 EACCES"
}

# With a second thread, so that its calls are carried out for it once it has lost something.
victim_of_session() {
	start_victim "${CONFINED[@]}" env LD_PRELOAD="$WORK/bin/company.so" mqtry
}

# session NAME: with each kind of failure
session() {
	local lack

	VICTIM=(victim_of_session)
	holds "$1 works" victim_of_session
	for lack in creates deletes opens; do
		each mqgate-session $((MEMORY | DESCRIPTOR)) 3 "$1 $lack a queue, and its session process lacks something" $lack
		each mqgate-session $IDENTITY 3 "… or cannot take an identity" $lack
	done
	each mqgate-session $((MEMORY | DESCRIPTOR)) 3 "$1 registers, and its session process lacks something" registers
	each mqgate-session $((MEMORY | DESCRIPTOR)) 5 "$1 gets something" takes_grants
	each mqgate-session $((MEMORY | DESCRIPTOR)) 7 "$1 loses something" loses_grants
	for lack in sends receives registers_or_is_killed; do
		each mqgate-session $((MEMORY | DESCRIPTOR)) 3 "$1 $lack, after it has lost something" $lack
	done
	stop_victim
}

sessions() {
	CONFINED=(as_user mq-run --plug app:some --plug app:other)
	session "a user's app"
	CONFINED=(mq-run --plug app:some --plug app:other unshare --ipc)
	session "an app in another IPC namespace"
}

# --- the launcher ---------------------------------------------------------------------------------

launcher() {
	VICTIM=(victim_of_manager)
	holds "an app works beside launches" victim_of_manager
	each mq-run $MEMORY 13 "mq-run has no memory" launch
	each mq-run $((DESCRIPTOR | PROCESS)) 23 "… no descriptor" launch
	each mq-run $CONFINEMENT 29 "… no wall and no filter" launch
	holds "no session is left" wait_until 5 one_session
	stop_victim
}

# --- the start ------------------------------------------------------------------------------------

# starts_or_says: it serves, or has ended and said why; then it serves again
starts_or_says() {
	: >"$WORK/daemon.log"
	launch_daemon
	wait_until 10 daemon_answers_or_is_dead
	over
	if daemon_alive; then
		daemon_answers || return
	else
		wait "$DAEMON" 2>/dev/null
		STATUS=$?
		tail -n 3 "$WORK/daemon.log"
		[ "$STATUS" = 1 ] && [ -s "$WORK/daemon.log" ] || return
	fi
	stop_daemon
	return 0
}

start() {
	stop_daemon
	all_is_well() {
		:
	}
	each mqgated $MEMORY 97 "mqgated has no memory at its start" starts_or_says
	each mqgated $((DESCRIPTOR | PROCESS)) 7 "… no descriptor or process" starts_or_says
}

printf 'version: 1\nconnections: []\n' >"$STATE"
start_daemon
check "connected" mqctl connect app:some app:any
wait_until 5 session_processes
sleep 0.2
own_identity "$(session_processes | head -n 1)" >"$WORK/identity.first"
PARTS=${SCARCE_PARTS:-manager sessions launcher start}
for part in $PARTS; do
	$part
done
finish
