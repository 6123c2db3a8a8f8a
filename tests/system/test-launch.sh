#!/bin/bash
# SPDX-License-Identifier: MIT
# mq-run becomes the command, or says in one message why not and starts nothing.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package one.yaml <<'YAML'
name: one
plugs:
  shared: posix-mq
  events: posix-mq
slots:
  own:
    interface: posix-mq
    path: @Q@own
YAML
write_package two.yaml <<'YAML'
name: two
plugs:
  shared: posix-mq
YAML

# started_nothing WHO: the command below was not run
COMMAND_MARK="$WORK/open/started"
started_nothing() {
	holds "$1: the command was not started" test ! -e "$COMMAND_MARK"
}

# Before there is a daemon.
for who in "" as_user; do
	run $who mq-run --plug one:events touch "$COMMAND_MARK"
	expect_status "no daemon${who:+, user}: 125" 125
	expect_message "no daemon${who:+, user}: says so" "^mq-run: .*mqgated.*$WORK/run/launch"
	started_nothing "no daemon${who:+, user}"
done

start_daemon

names() {
	check "$1: PACKAGE:PLUG" "${@:2}" mq-run --plug one:events true
	check "$1: --plug=" "${@:2}" mq-run --plug=one:events true
	check "$1: a bare name that is unique" "${@:2}" mq-run --plug events true
	check "$1: several plugs and a slot" \
		"${@:2}" mq-run --plug one:shared --plug two:shared --slot own true
	run "${@:2}" mq-run --plug shared touch "$COMMAND_MARK"
	expect_status "$1: an ambiguous name: 125" 125
	expect_message "$1: … with the candidates" '"shared": one, two'
	run "${@:2}" mq-run --plug evnts touch "$COMMAND_MARK"
	expect_status "$1: an unknown name: 125" 125
	expect_stderr "$1: … with the nearest" "events"
	run "${@:2}" mq-run --plug nobody:events touch "$COMMAND_MARK"
	expect_status "$1: an unknown package: 125" 125
	expect_stderr "$1: … says so" "nobody"
	run "${@:2}" mq-run --slot nothing touch "$COMMAND_MARK"
	expect_status "$1: an unknown slot: 125" 125
	run "${@:2}" mq-run touch "$COMMAND_MARK"
	expect_status "$1: neither plug nor slot: 125" 125
	run "${@:2}" mq-run --plug one:events
	expect_status "$1: no command: 125" 125
	run "${@:2}" mq-run --nonsense --plug one:events touch "$COMMAND_MARK"
	expect_status "$1: an unknown option: 125" 125
	started_nothing "$1"
}

becomes_the_command() {
	local who=$1 pid
	shift

	run "$@" mq-run --plug one:events sh -c 'exit 37'
	expect_status "$who: its exit status" 37
	run "$@" mq-run --plug one:events sh -c 'kill -KILL $$'
	expect_status "$who: its signal" 137
	run "$@" mq-run --plug one:events printf '<%s>' a 'b c' '' --plug '*'
	expect_output "$who: its arguments, options among them" "<a><b c><><--plug><*>"
	run "$@" mq-run --plug one:events -- printf '%s' --help
	expect_output "$who: -- ends the options" "--help"
	run "$@" sh -c 'echo through | mq-run --plug one:events cat'
	expect_output "$who: its stdin and stdout" "through"
	expect_status "$who: … and status" 0
	start_app app "$@" mq-run --plug one:events mqtry
	pid=$(app_pid app)
	expect_answer "$who: its pid is mq-run's" app "pid" " -> $pid\$"
	holds "$who: no process in between" test -z "$(pgrep -P "$pid")"
	kill -TERM "$pid"
	wait "$pid"
	holds "$who: a signal to that pid is the command's" test $? = 143
	stop_app app
	run "$@" mq-run --plug one:events ls /proc/self/fd
	expect_output "$who: no descriptor is added to the command" \
		"$("$@" ls /proc/self/fd </dev/null)"
	run "$@" mq-run --plug one:events grep -E '^(NoNewPrivs|Seccomp):' /proc/self/status
	expect_output "$who: it is confined" "$(printf 'NoNewPrivs:\t1\nSeccomp:\t2')"
}

not_runnable() {
	local who=$1
	shift

	run "$@" mq-run --plug one:events "$WORK/nowhere"
	expect_status "$who: a command that is not there: 127" 127
	expect_message "$who: … says which" "^mq-run: .*$WORK/nowhere.*No such file"
	run "$@" mq-run --plug one:events no-such-program-anywhere
	expect_status "$who: nor on PATH: 127" 127
	run "$@" mq-run --plug one:events "$WORK/packages/one.yaml"
	expect_status "$who: a command that is not executable: 126" 126
	expect_message "$who: … says which" "^mq-run: .*$WORK/packages/one.yaml.*Permission denied"
}

# simulated WHO SIMULATOR REGEX
simulated() {
	local who=$1 simulator=$2 expected=$3
	shift 3

	run "$@" "$simulator" mq-run --plug one:events touch "$COMMAND_MARK"
	expect_status "$who: $simulator: 125" 125
	expect_message "$who: $simulator: says so" "$expected"
	started_nothing "$who: $simulator"
}

inherited() {
	local who=$1 fd
	shift

	mqtry "open ${Q}inherited rwc 666" >/dev/null
	chmod 666 "/dev/mqueue${Q}inherited"
	for fd in 0 7; do
		run "$@" sh -c "exec mq-run --plug one:events touch $COMMAND_MARK \
			$fd</dev/mqueue${Q}inherited"
		expect_status "$who: a queue inherited as descriptor $fd: 125" 125
		expect_message "$who: … names the descriptor" "^mq-run: .*$fd"
	done
	started_nothing "$who: inherited queue"
	rm -f "/dev/mqueue${Q}inherited"
}

# with_mqueue DIRECTORY CMD…: where a message queue file system is mounted there, on a /srv of our own
with_mqueue() {
	# shellcheck disable=SC2016
	run unshare -m sh -c 'mount -t tmpfs -o mode=1777 none /srv && mkdir -p "$1" &&
		mount -t mqueue none "$1" && shift && exec "$@"' sh "$@"
}

# 8 directories are named: WALL_COSTS_MAX
wall_of_rules_tells_its_costs() {
	local who=$1 remedy='; unmount that mqueue, or as root use --wall=mount, which has no such limit$'
	shift

	with_mqueue /srv/look "$@" mktemp -p /srv
	expect_status "$who: mqueue below /srv: bare, a file can be created in /srv" 0
	with_mqueue /srv/look "$@" mq-run --plug one:events mktemp -p /srv
	expect_stderr "$who: … and confined not" "^mktemp: .*Permission denied"
	with_mqueue /srv/look "$@" mq-run --plug one:events mktemp -p /tmp
	expect_status "$who: … in another directory it can" 0
	expect_message "$who: … and mq-run says where not, why, and what to do" \
		"^mq-run: the command cannot create files directly in /srv \(mqueue on /srv/look\)$remedy"
	with_mqueue /srv/a/b "$@" mq-run --plug one:events true
	expect_message "$who: mqueue further below: it names each directory" \
		": the command cannot create files directly in /srv \(.*\), /srv/a \(mqueue on /srv/a/b\);"
	with_mqueue "/srv/$(printf 'new\nline')/x" "$@" mq-run --plug one:events true
	expect_message "$who: … on one line, whatever they are called" ', /srv/new\\x0aline \('
	with_mqueue /srv/2/3/4/5/6/7/8/x "$@" mq-run --plug one:events true
	expect_message "$who: … all of 8" '/7/8 \(mqueue on [^ ]*\); unmount'
	with_mqueue /srv/2/3/4/5/6/7/8/9/10/x "$@" mq-run --plug one:events true
	expect_message "$who: … but not all of many" '/7/8 \(mqueue on [^ ]*\) and 2 more; unmount'
	for directory in /srv /dev/look; do
		with_mqueue "$directory" "$@" mq-run --plug one:events true
		holds "$who: mqueue on $directory costs no more than ever: nothing is said" \
			test ! -s "$WORK/stderr"
	done
	rmdir /dev/look
}

all() {
	wall_of_rules_tells_its_costs "$@"
	names "$@"
	becomes_the_command "$@"
	not_runnable "$@"
	simulated "$1" no-landlock '^mq-run: .*Landlock' "${@:2}"
	simulated "$1" busy-listener '^mq-run: .*(listener|supervis)' "${@:2}"
	simulated "$1" many-domains '^mq-run: .*Landlock domains' "${@:2}"
	inherited "$@"
}

# A queue that comes to lie in the tree after mq-run has read the mounts, and before it looks at the file.
mount_meanwhile() {
	run unshare -m sh -c ': >/dev/meanwhile && exec env ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD="$0" MQGATE_MEANWHILE="$1 /dev/meanwhile" "$2" mq-run \
		--plug one:events sh -c "grep -c meanwhile /proc/self/mountinfo; cat /dev/meanwhile"' \
		"$BUILD_ROOT/tests/preload/mount-meanwhile.so" "/dev/mqueue${Q}meanwhile" env
	rm -f /dev/meanwhile
}

all root
all user as_user
mqtry "open ${Q}meanwhile rwc 600" >/dev/null
mount_meanwhile
expect_stdout "a queue that is mounted while the wall is made is there" '^1$'
expect_stderr "… and out of reach" "^cat: /dev/meanwhile: Permission denied"
rm -f "/dev/mqueue${Q}meanwhile"
with_mqueue /srv/look mq-run --wall=mount --plug one:events mktemp -p /srv
expect_status "mqueue below /srv: with --wall=mount a file can be created" 0
holds "… and nothing is said" test ! -s "$WORK/stderr"
check "--help succeeds" mq-run --help
check "--version succeeds" mq-run --version
run mq-run --wall=nonsense --plug one:events touch "$COMMAND_MARK"
expect_status "an unknown wall: 125" 125
expect_stderr "… says which" nonsense
started_nothing "--wall"
finish
