# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced, after endurance.sh: attacks in sessions of their own, one after the other, of which each gets nothing.

# attack: in a session of its own, which gets nothing
attack() {
	local who

	make_attacked
	pick as_user env
	who=$PICKED
	pick hostile exchange hammer adversary adversary flood rogue door
	say "attack by $PICKED as $who"
	case $PICKED in
	flood) attack_by_flood "$who" ;;
	rogue) attack_by_rogue ;;
	door) attack_by_door "$who" ;;
	hostile) attack_what_is_lost "$who" hostile "${Q}lost" "${Q}lost-kept" 2 ;;
	hammer) attack_what_is_lost "$who" hammer "${Q}lost,${Q}lost-kept" 2 3 ;;
	exchange)
		# shellcheck disable=SC2046 # words
		pick $(exchange list | grep -Ev "32-bit|^fault|^ring")
		attack_what_is_lost "$who" exchange "${Q}lost" "${Q}lost-kept" 1 "$PICKED"
		;;
	adversary)
		pick execlease traced stopped dead-first register listener chain spent exchange execs flood idle filters
		rm -rf "$WORK/open/attack"
		"$who" mkdir "$WORK/open/attack"
		attack_what_is_lost "$who" adversary "$PICKED" "${Q}lost" "$WORK/open/attack"
		;;
	esac
	pause 100 1000
}

# What others have left in them would be taken for stolen.
make_attacked() {
	rm -f "/dev/mqueue${Q}lost" "/dev/mqueue${Q}lost-kept"
	(umask 0 && mqtry "open ${Q}lost rwc 666 8 128" "open ${Q}lost-kept rwc 666 8 64") >/dev/null
}

has_begun_or_ended() {
	app_gone attacker || grep -Eq "ready|hammering|flooding" "$WORK/attacker.out"
}

# attack_begins CMD…: false if it has been prevented
attack_begins() {
	local before

	before=$(troubles)
	start_app attacker "$@"
	CHILD=$(app_pid attacker)
	wait_until 20 has_begun_or_ended || complain "an attack does not begin: $*"
	! app_gone attacker || [ "$(troubles)" != "$before" ] || is_in_trouble || is_killed_by_us "$CHILD" ||
		complain "an attack has ended too early: $*: $(cat "$WORK/attacker.err")"
	! app_gone attacker || stop_app attacker || return
}

# attack_what_is_lost WHO CMD…
attack_what_is_lost() {
	local who=$1 status
	shift

	persist mqctl connect endurance:attack endurance:lost
	if attack_begins "$who" mq-run --plug endurance:attack "$@"; then
		: >"$WORK/open/attack/hold"
		sleep 0.1
		if disconnect endurance:attack endurance:lost; then
			: >"$WORK/open/attack/go"
			echo go 2>/dev/null 1>&"$(cat "$WORK/attacker.fd")"
			expect 0 "looks" observer "${Q}lost" 2
			[ "$STATUS" = 0 ] || complain "it came from $who: $*"
		fi
		case $1 in hostile | exchange) wait_until 30 app_gone attacker ;; esac
		! app_gone attacker || wait "$(app_pid attacker)"
		status=$?
		case "$1 $status" in *" 0" | *" 137" | "adversary "*) ;; *) complain "exit status $status of $*: $(tail -n 9 "$WORK/attacker.out")" ;; esac
		adversary end
		stop_app attacker
	fi
}

attack_by_flood() {
	attack_begins "$1" mq-run --plug endurance:attack flood 2 "${Q}lost-kept" "${Q}denied" || return
	sleep 1
	stop_app attacker 10
	grep -q "wrong 0$" "$WORK/attacker.out" || is_killed_by_us "$CHILD" || complain "a flood: $(cat "$WORK/attacker.out")"
}

attack_by_rogue() {
	pick connect hello answer filter handover word
	attempt as_user rogue-launcher die "$PICKED"
	pick short magic none too-many trailing
	expect 0 "^refused|^answer" as_user rogue-launcher hello "$PICKED"
	pick file socket pipe eventfd memfd
	expect 0 "^refused|^answer" as_user rogue-launcher descriptor "$PICKED"
}

# A door that lives: no listener, by any way.
attack_by_door() {
	rm -f "$WORK/open/socket"
	start_app outsider rogue-launcher give-input "$WORK/open/socket" # any descriptor
	wait_until 5 test -S "$WORK/open/socket"
	chmod 666 "$WORK/open/socket"
	start_app attacker "$1" mq-run --plug endurance:attack dead-door native "${Q}lost-kept" "${Q}lost" "$WORK/open/socket"
	CHILD=$(app_pid attacker)
	sleep 0.3
	app_gone attacker || tell attacker hold
	ANSWER=
	app_gone attacker || tell attacker listeners
	[[ ! $ANSWER =~ =0( |$) ]] || complain "a listener: $ANSWER"
	stop_app attacker
	stop_app outsider
}
