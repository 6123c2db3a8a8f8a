#!/bin/bash
# SPDX-License-Identifier: MIT
# With everything granted, calls give exactly what they give bare: the kernel is the reference.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package all.yaml <<'YAML'
name: all
plugs:
  own: posix-mq
slots:
  any:
    interface: posix-mq
    posix-mq: own
    path-pattern: "@Q@*"
    permissions: [read, write, create, delete]
YAML
start_daemon
check "everything is granted" mqctl connect all:own all:any

# same DESCRIPTION PREFIX… -- COMMAND…: mqtry under PREFIX, bare and confined
same() {
	local description=$1 prefix=()
	shift

	while [ "$1" != -- ]; do
		prefix+=("$1")
		shift
	done
	shift
	run "${prefix[@]}" mqtry "$@"
	rm -f "/dev/mqueue${Q}new"
	stdout >"$WORK/bare"
	run "${prefix[@]}" mq-run --plug all:own mqtry "$@"
	rm -f "/dev/mqueue${Q}new"
	expect_output "$description: as bare" "$(cat "$WORK/bare")"
}

creation() {
	local who=$1 mask mode
	shift

	for mask in 000 022 077; do
		for mode in 600 666 1777; do
			same "$who: owner and mode of $mode under umask $mask" "$@" -- \
				"umask $mask" "open ${Q}new rwcx $mode" stat getattr "unlink ${Q}new"
		done
	done
	same "$who: attributes" "$@" -- "open ${Q}new rwcx 600 3 100" getattr
	same "$who: no messages" "$@" -- "open ${Q}new rwcx 600 -1 100" getattr
	same "$who: more messages than the system's limit" "$@" -- "open ${Q}new rwcx 600 5000 16" getattr
	same "$who: messages past every limit" "$@" -- "open ${Q}new rwcx 600 9999999 9999999" getattr
	same "$who: more bytes than its limit" "$@" prlimit --msgqueue=1000 -- \
		"open ${Q}new rwcx 600 10 100" "open ${Q}new rwcx 600 1 10" getattr
	same "$who: no queue at all" "$@" prlimit --msgqueue=0 -- "open ${Q}new rwcx 600 1 10" \
		"open ${Q}new r"
}

errors() {
	local who=$1 long
	shift

	long=$(printf 'x%.0s' {1..300})
	same "$who: a queue that is not there" "$@" -- "open ${Q}new rw" "unlink ${Q}new"
	same "$who: one that is" "$@" -- "open ${Q}new rwc" "open ${Q}new rwcx" "open ${Q}new rwc"
	same "$who: a name that is too long" "$@" -- "open $Q$long rwc" "unlink $Q$long"
	same "$who: a name with a slash" "$@" -- "open $Q/new rwc" "unlink $Q/new"
	same "$who: the descriptor table is full" "$@" prlimit --nofile=3 -- "open ${Q}new rwcx"
	holds "$who: … and nothing was created" test ! -e "/dev/mqueue${Q}new"
	same "$who: access modes" "$@" -- "open ${Q}new rc" "send x" "open ${Q}new w" "receive 0" \
		"send x" "use 0" receive
	same "$who: timeouts and blocking" "$@" -- "open ${Q}new rwcn 600 1 8" "receive" "send x" \
		"send y" "setattr -" "send 0123456789" "receive 0" "receive 0"
	same "$who: notification" "$@" -- "open ${Q}new rwc" notify notify unnotify notify close notify
}

# deletion DESCRIPTION USER PREFIX…: of a queue of that user's, bare and confined
deletion() {
	local description=$1 user=$2
	shift 2

	rm -f "/dev/mqueue${Q}old"
	as_uid "$user" mqtry "open ${Q}old rwc" >/dev/null
	run "$@" mqtry "unlink ${Q}old"
	stdout >"$WORK/bare"
	rm -f "/dev/mqueue${Q}old"
	as_uid "$user" mqtry "open ${Q}old rwc" >/dev/null
	run "$@" mq-run --plug all:own mqtry "unlink ${Q}old"
	expect_output "$description: as bare" "$(cat "$WORK/bare")"
	rm -f "/dev/mqueue${Q}old"
}

# The permissions of the queue itself stay in force.
permissions() {
	local who=$1 user group mode
	shift

	for user in 0 65534 65533; do
		for group in 0 65534; do
			for mode in 000 400 020 060 006 666; do
				rm -f "/dev/mqueue${Q}old"
				as_uid "$user:$group" mqtry "umask 0" "open ${Q}old rwcx $mode" \
					>/dev/null
				chmod "$mode" "/dev/mqueue${Q}old"
				same "$who: $user:$group's queue of mode $mode" "$@" -- \
					"open ${Q}old r" "open ${Q}old w" "open ${Q}old rw"
			done
		done
	done
	for user in 0 65534 65533; do
		deletion "$who: deleting $user's queue" "$user" "$@"
	done
}

all() {
	! near_limits || creation "$@"
	far_from_limits || return 0
	errors "$@"
	permissions "$@"
}

all root env
all user as_user
all "user of another group" as_uid 65533:65534
! far_from_limits || permissions "root without DAC_OVERRIDE" \
	setpriv --inh-caps=-dac_override,-dac_read_search \
	--bounding-set=-dac_override,-dac_read_search
! near_limits || creation "root without SYS_RESOURCE" \
	setpriv --inh-caps=-sys_resource --bounding-set=-sys_resource
holds "no queue is left" test -z "$(own_queues)"
finish
