# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced, after lib.sh, by tests that besiege a socket: 64 connections of each of four users and of confined root are in one state
# (neighbour.py), and whoever is let go of comes again. Root and another user are served meanwhile.

BESIEGERS=(65001 65002 65003 65004 root)
MEMORY_MAX=65536 # KiB

# prepare_siege PLUG: before the daemon is started, PLUG is one that is there
prepare_siege() {
	SIEGE_PLUG=$1
	# Which meson sets, writes into all that is allocated. libsystemd 257 allocates 256 KiB for each connection, for
	# groups, and writes into few of them.
	export MALLOC_PERTURB_=0
	cp "$(dirname "$0")/neighbour.py" "$WORK/bin/"
}

# measure_peace: SOON, from what the commands take now
measure_peace() {
	local launch

	SOON=$(soon as_uid 65100 mqctl status)
	launch=$(soon as_uid 65100 mq-run --plug "$SIEGE_PLUG" true)
	[ "$launch" -le "$SOON" ] || SOON=$launch
	# Sanitized, a second is not enough beside other tests.
	[ -z "${SANITIZED:-}" ] || [ "$SOON" -ge 8000 ] || SOON=8000
}

besiege() {
	local who as

	for who in "${BESIEGERS[@]}"; do
		as=(as_uid "$who")
		[ "$who" != root ] || as=(setpriv --bounding-set -all --inh-caps -all mq-run --plug "$SIEGE_PLUG")
		start_app "besieger-$who" "${as[@]}" python3 "$WORK/bin/neighbour.py" besiege "$1"
	done
}

besieged() {
	local who

	for who in "${BESIEGERS[@]}"; do
		grep -q '^half [1-9]' "$WORK/besieger-$who.out" || return 1
	done
}

lift_siege() {
	local who

	for who in "${BESIEGERS[@]}"; do
		kill -KILL "$(app_pid "besieger-$who")" 2>/dev/null
		stop_app "besieger-$who"
	done
}

# Of sanitized programs it says nothing.
is_small() {
	local size

	size=$(awk '/^Pss:/ { print $2 }' "/proc/$DAEMON/smaps_rollup")
	echo "$size KiB"
	[ -n "${SANITIZED:-}" ] || [ "$size" -lt "$MEMORY_MAX" ]
}

# in_time DESCRIPTION CMD…: a few times
in_time() {
	local i

	for i in 1 2 3; do
		check "$1, $i" timeout "${SOON}e-3" "${@:2}"
	done
}

# withstand STATE
withstand() {
	besiege "$1"
	holds "$1: the siege has begun" wait_until 20 besieged
	in_time "$1: root's mqctl" mqctl status
	in_time "$1: root's mq-run" mq-run --plug "$SIEGE_PLUG" true
	in_time "$1: another user's mqctl" as_uid 65100 mqctl status
	in_time "$1: another user's mq-run" as_uid 65100 mq-run --plug "$SIEGE_PLUG" true
	holds "$1: mqgated is below $MEMORY_MAX KiB" is_small
	lift_siege
}
