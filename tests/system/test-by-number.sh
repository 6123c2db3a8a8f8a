#!/bin/bash
# SPDX-License-Identifier: MIT
# Whoever has connected may have ended before it is accepted, and its number and its connections may be somebody else's: it counts
# for nothing. On this kernel, and as before Linux 6.5, where the kernel tells mqgated only the number.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

cp "$(dirname "$0")/neighbour.py" "$(dirname "$0")/examined.py" "$WORK/bin/"
write_package some.yaml <<'YAML'
name: some
plugs:
  queue: posix-mq
YAML
CONFINED='this process is confined already'
UNKNOWN='it cannot be found out whether this process is confined'

served() {
	check "$1: mq-run runs a command" "${@:2}" mq-run --plug some:queue true
	check "$1: mqctl shows" "${@:2}" mqctl connections
}

who_is_served() {
	local filter net

	for net in "" "unshare --net"; do
		for filter in "" "filtered allow --"; do
			# shellcheck disable=SC2086
			served "root, $net $filter" env $net $filter
			# shellcheck disable=SC2086
			served "a user, $net $filter" env $net as_user $filter
		done
	done
	check "filter: root reloads" filtered allow -- mqctl reload
	check "no filter: root reloads" mqctl reload
}

# refused CONTROL LAUNCH: what the last run of examined.py was told
refused() {
	expect_stdout "$DESCRIPTION: changes nothing" "^control ($1)"
	expect_stdout "$DESCRIPTION: launches nothing" "^launch ($2)"
}

# succeeded WHOSE SUCCESSOR: what a confined process has said at once, which has ended before it is accepted, and who has its number
# and connections then
succeeded() {
	DESCRIPTION="ended, and its number is $1"
	run python3 -S "$WORK/bin/examined.py" succeeded "$DAEMON,$2"
}

UNKNOWN_CHANGE="closed|refused: permission denied: $UNKNOWN"
UNKNOWN_LAUNCH="refused: mqgated cannot tell who is launching|refused: $UNKNOWN"
OTHER_CHANGE='refused: permission denied: only the process that has connected may .* after mqgated has answered it'

who_is_refused() {
	local change=$UNKNOWN_CHANGE launch=$UNKNOWN_LAUNCH who

	if mqctl status | grep -qx 'peer-pidfd: no'; then
		change=$OTHER_CHANGE
		launch='refused: before Linux 6.5 a launcher must wait for the answer'
	fi
	succeeded "another process's" root
	refused "$change" "$launch"
	succeeded "another process's, which ends what it has begun to say" ending
	refused "$change" "$launch"
	succeeded "nobody's" nobody
	refused "$UNKNOWN_CHANGE" "$UNKNOWN_LAUNCH"
	for who in user group member; do
		succeeded "another $who's" $who
		refused "$UNKNOWN_CHANGE" "$UNKNOWN_LAUNCH"
	done
	succeeded "another confined process's" confined
	refused "$UNKNOWN_CHANGE|refused: permission denied: $CONFINED" "$UNKNOWN_LAUNCH|refused: $CONFINED"

	DESCRIPTION="has handed its connections on"
	run python3 -S "$WORK/bin/examined.py" handed
	refused "$OTHER_CHANGE" 'refused: this message is not from the process that has connected'

	run mq-run --plug some:queue mq-run --plug some:queue touch "$WORK/open/started"
	expect_message "confined: launches nothing" "^mq-run: $CONFINED"
	run mq-run --plug some:queue mqctl reload
	expect_message "confined: changes nothing" "^error: permission denied: $CONFINED"
	holds "nothing was started" test ! -e "$WORK/open/started"
}

start_daemon
who_is_served
who_is_refused
stop_daemon

mv "$WORK/bin/mqgated" "$WORK/bin/mqgated.whole"
cat >"$WORK/bin/mqgated" <<EOF
#!/bin/bash
ASAN_OPTIONS=verify_asan_link_order=0 LD_PRELOAD=$BUILD_ROOT/tests/preload/no-peer-pidfd.so \\
	exec -a mqgated "$WORK/bin/mqgated.whole" "\$@"
EOF
chmod 755 "$WORK/bin/mqgated"
start_daemon
run mqctl status
expect_stdout "as before Linux 6.5" "^peer-pidfd: no$"
who_is_served
who_is_refused
finish
