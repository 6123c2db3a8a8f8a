#!/bin/bash
# SPDX-License-Identifier: MIT
# A session that has lost a queue gets nothing to it by exchanging descriptors, in any of the ways that tests/apps/exchange.c knows; what
# it sends meanwhile to the queue that it has kept arrives.
#
# EXCHANGE_SECONDS: how long each attack; EXCHANGE_ATTACKS: these alone; EXCHANGE_USERS: as_user or env (root) alone. Figures in lines
# that begin with "#".
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

SECONDS_EACH=${EXCHANGE_SECONDS:-0.5}
USERS=${EXCHANGE_USERS:-as_user env}

private_ipc
setup
ATTACKS=${EXCHANGE_ATTACKS:-$(exchange list)}

# leave_out_unless WHAT PATTERN: what this machine cannot have
leave_out_unless() {
	local attack attacks=""

	for attack in $ATTACKS; do
		# shellcheck disable=SC2254 # a pattern
		case $attack in
		$2) machine_can "$1" "nothing gets through by $attack" || continue ;;
		esac
		attacks+=" $attack"
	done
	ATTACKS=$attacks
}

leave_out_unless int-0x80 '*-32-bit'
leave_out_unless ring-install 'ring-*'
leave_out_unless ring-install 'fault-[wp]o*'
leave_out_unless userfaultfd 'fault-*'

write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq}
slots:
  lost: {interface: posix-mq, posix-mq: work, path: @Q@lost, permissions: [read, write]}
  kept: {interface: posix-mq, posix-mq: work, path: @Q@kept, permissions: [read, write]}
YAML
start_daemon
mqctl connect app:work app:kept
mqtry "umask 0" "open ${Q}lost rwc 0666 8 64" "open ${Q}kept rwc 0666 8 64" >/dev/null

# attacks_of WHO: the kernel tells of its own faults only whoever has privileges
attacks_of() {
	case $1 in
	as_user) tr ' ' '\n' <<<"$ATTACKS" | grep -v '^fault-' ;;
	*) echo "$ATTACKS" ;;
	esac
}

# only_honest_sends_arrive ATTACK
only_honest_sends_arrive() {
	local calls arrived stolen

	grep "^$1: " exchange.out
	read -r calls arrived stolen < <(sed -nE "s/^$1: ([0-9]+) calls, ([0-9]+) arrived, ([0-9]+) on .*/\1 \2 \3/p" exchange.out)
	[ "${calls:-0}" -gt 0 ] && [ "${arrived:-0}" -gt 0 ] && [ "${stolen:-1}" = 0 ]
}

# nothing_came: to the queue that is emptied all the time, so that there is room for whatever comes
nothing_came() {
	wc -l taker.out
	! app_gone taker && [ ! -s taker.out ] && grep -q '^QSIZE:0 ' "/dev/mqueue${Q}lost"
}

# attack WHO HOW ATTACK…: in one session
attack() {
	local who=$1 how=$2 attacks
	shift 2
	attacks=$*
	mqctl connect app:work app:lost
	# shellcheck disable=SC2086 # names
	start_app exchange "$who" mq-run --plug app:work exchange "${Q}lost" "${Q}kept" "$SECONDS_EACH" $attacks
	holds "$who, $how: it has both queues" wait_until 10 grep -q ready exchange.out
	check "$who, $how: one is taken from it" mqctl disconnect app:work app:lost
	echo go >&"$(cat exchange.fd)"
	holds "$who, $how: it ends of itself" wait_until $((30 + $(wc -w <<<"$attacks") * (${SECONDS_EACH%.*} + 1))) app_gone exchange
	stop_app exchange
	STATUS=$?
	COMMAND=exchange
	diagnose <exchange.out
	expect_status "$who, $how: … and has seen nothing get through" 0
	holds "$who, $how: nothing has come to the queue that it has lost" nothing_came
	for attack in $attacks; do
		holds "$who, $how: by $attack only what it may send arrives" only_honest_sends_arrive "$attack"
	done
	for what in fork vfork thread posix_spawn system; do
		holds "$who, $how: $what works there" grep -qx "$what: yes" exchange.out
	done
}

# shares_tables WHO
shares_tables() {
	check "$1: a process can share its descriptors with another, but not by clone3" "$1" mq-run --plug app:work exchange shares
	! machine_can int-0x80 "$1: … nor by a call of 32-bit programs" ||
		check "$1: … nor by a call of 32-bit programs" "$1" mq-run --plug app:work exchange shares-32-bit
}

# Once a process has shared its table, nobody in its session is alone any more: these come last.
SHARING='^(sharer.*|filters|fault-child)$'

# stdbuf is preloaded before the address sanitizer.
start_app taker env ASAN_OPTIONS=verify_asan_link_order=0 stdbuf -oL mqrecv "${Q}lost" 1000000 1000
for who in $USERS; do
	# shellcheck disable=SC2046 # names
	attack "$who" "alone" $(attacks_of "$who" | tr ' ' '\n' | grep -vE "$SHARING")
	# shellcheck disable=SC2046 # names
	attack "$who" "sharing" $(attacks_of "$who" | tr ' ' '\n' | grep -E "$SHARING")
	shares_tables "$who"
done
finish
