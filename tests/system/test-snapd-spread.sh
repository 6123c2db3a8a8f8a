#!/bin/bash
# SPDX-License-Identifier: MIT
# The eight steps of snapd's own whole-system test of posix-mq: one plug, slots for each permission,
# all in one package and over one queue. Each step is a fresh process. As there, their ids differ.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package test-posix-mq.yaml <<'YAML'
name: test-posix-mq
slots:
  can-create: {interface: posix-mq, path: @Q@test, permissions: [create]}
  can-read: {interface: posix-mq, path: @Q@test, permissions: [read]}
  can-write: {interface: posix-mq, path: @Q@test, permissions: [write]}
  can-delete: {interface: posix-mq, path: @Q@test, permissions: [delete]}
  can-open: {interface: posix-mq, path: @Q@test, permissions: []}
apps:
  test-posix-mq:
    plugs: [posix-mq]
  # Else the slots were everybody's, and the app had everything on the queue.
  provider:
    slots: [can-create, can-read, can-write, can-delete, can-open]
YAML
start_daemon
PLUG=test-posix-mq:posix-mq
NODE="/dev/mqueue${Q}test"

# confined CMD…: a fresh process of the app
confined() {
	run "${AS[@]}" mq-run --app test-posix-mq.test-posix-mq mqtry "$@"
}

# step DESCRIPTION REGEX CMD…: the last line of what a fresh process prints
step() {
	local description=$1 expected=$2

	shift 2
	confined "$@"
	tail -n 1 "$WORK/stdout" | grep -Eq -- "$expected"
	verdict "$WHO: $description" $? "expected: $expected"
}

steps() {
	step "1: unconnected, creating fails" ' -> -1 EACCES$' "open ${Q}test rc 600 4 64"
	holds "$WHO: 1: … and there is none" test ! -e "$NODE"
	check "$WHO: 2: connect can-create" mqctl connect --any-id "$PLUG" test-posix-mq:can-create
	step "2: create alone cannot open: read is needed, since O_RDONLY is zero" ' -> -1 EACCES$' \
		"open ${Q}test rc 600 4 64"
	check "$WHO: 2: connect can-read" mqctl connect --any-id "$PLUG" test-posix-mq:can-read
	step "2: creating for reading succeeds" ' -> 0$' "open ${Q}test rc 600 4 64"
	holds "$WHO: 2: … and it is there" test -e "$NODE"
	check "$WHO: 3: disconnect can-read" mqctl disconnect "$PLUG" test-posix-mq:can-read
	step "3: a new process cannot send" ' -> -1 (EACCES|EBADF)$' "open ${Q}test w" "send hello"
	check "$WHO: 4: connect can-write" mqctl connect --any-id "$PLUG" test-posix-mq:can-write
	step "4: sending works" '^send hello -> 0$' "open ${Q}test w" "send hello"
	check "$WHO: 5: disconnect can-write" mqctl disconnect "$PLUG" test-posix-mq:can-write
	step "5: receiving fails" ' -> -1 (EACCES|EBADF)$' "open ${Q}test r" "receive 0"
	check "$WHO: 6: connect can-read" mqctl connect --any-id "$PLUG" test-posix-mq:can-read
	step "6: receiving works" '^receive -> hello 0$' "open ${Q}test r" "receive"
	step "6: mq_getattr on a read-only descriptor" '^getattr -> [0-9]+ [0-9]+ 0$' \
		"open ${Q}test r" "getattr"
	step "6: mq_setattr" '^setattr - -> 0$' "open ${Q}test r" "setattr -"
	step "6: mq_setattr to non-blocking" '^setattr n -> 0$' "open ${Q}test r" "setattr n"
	step "7: deleting fails" ' -> -1 EACCES$' "unlink ${Q}test"
	holds "$WHO: 7: … and it is there" test -e "$NODE"
	check "$WHO: 8: connect can-delete" mqctl connect --any-id "$PLUG" test-posix-mq:can-delete
	step "8: deleting works" ' -> 0$' "unlink ${Q}test"
	holds "$WHO: 8: … and it is gone" test ! -e "$NODE"
	check "$WHO: everything is disconnected" mqctl disconnect "$PLUG"
}

# Nobody names the slots: they are every app's, and a slot's side has everything, connected or not.
unscoped() {
	sed -i '/provider:/,$d' "$WORK/packages/test-posix-mq.yaml"
	check "slots that no app names" mqctl reload
	WHO=root AS=(env)
	step "are every app's: creating and deleting" ' -> 0$' "open ${Q}test rwc 600 4 64" "unlink ${Q}test"
}

WHO=root AS=(env)
steps
WHO=user AS=(as_user)
steps
unscoped
finish
