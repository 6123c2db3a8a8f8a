# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# mqgated under a small service manager that keeps its descriptors (tests/apps/service-manager.c). After lib.sh.

cat >"$WORK/bin/logged" <<'SCRIPT'
#!/bin/sh
exec "$@" 2>>daemon.log
SCRIPT
chmod 755 "$WORK/bin/logged"

# manager LINE: tells it to the service manager; ANSWER is what it says
manager() {
	tell manager "$1"
}

MANAGER_PROGRAM=(mqgated)
# Further ones of it.
MANAGER_OPTIONS=()

start_manager() {
	start_app manager logged service-manager "$WORK/run" "${MANAGER_PROGRAM[@]}" \
		--config "$WORK/mqgated.yaml" --runtime-dir "$WORK/run" --state-dir "$WORK/state" \
		--packages "$WORK/packages" --session-program "${1:-$WORK/bin/mqgate-session}" "${MANAGER_OPTIONS[@]}"
	wait_until_ready
}

wait_until_ready() {
	manager ready
	[[ $ANSWER == ready* ]] || not_ok "the daemon is ready" <<<"$ANSWER"
	manager main
	DAEMON=$ANSWER
}

stop_manager() {
	DAEMON=
	stop_app manager
	rm -f "$WORK/run/launch" "$WORK/run/control" "$WORK/run/notify"
}

# stored COUNT: so many descriptors, besides the counters
stored() {
	manager stored
	[ "$ANSWER" = $(($1 + 1)) ]
}

nothing_stored() {
	stored 0
}

# take_down [SIGNAL]: ends the daemon; nobody is there until bring_up
take_down() {
	local daemon=$DAEMON

	manager hold
	manager "signal ${1:-9}"
	gone() {
		manager main
		[ "$ANSWER" = 0 ]
	}
	wait_until 10 gone || not_ok "the daemon ends" <<<"$daemon"
}

bring_up() {
	manager release
	wait_until_ready
}
