#!/bin/bash
# SPDX-License-Identifier: MIT
# Deadlines of tests grow with how slow the machine is; bounds of mqgate's do not.
. "$(dirname "$0")/lib.sh"
setup

PATIENCE=$SOURCE_ROOT/tests/patience

# measured CMD…: in milliseconds
measured() {
	"$@" "$PATIENCE" --measure | sed 's|\.||; s|^0*||'
}

# busy: one processor is computing, four times over
busy() {
	local pids=()

	for _ in 1 2 3 4; do
		taskset -c "$PROCESSOR" sh -c 'while :; do :; done' &
		pids+=($!)
	done
	"$@"
	kill "${pids[@]}"
	wait "${pids[@]}"
} 2>/dev/null

PROCESSOR=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
alone=$(printf '%s\n' "$(measured taskset -c "$PROCESSOR")" "$(measured taskset -c "$PROCESSOR")" | sort -n | head -n 1)
slowed=$(busy measured taskset -c "$PROCESSOR")
holds "a slow machine is noticed ($alone ms, $slowed ms)" test "$slowed" -gt $((alone * 3 / 2))
run env -u TEST_PATIENCE "$PATIENCE"
expect_stdout "it is told as a whole number within bounds" '^([1-9]|10)$'
run env TEST_PATIENCE=7 "$PATIENCE"
expect_output "what is set is not measured again" 7

# Three times as long as they say.
TEST_PATIENCE=3
DEADLINE=1 run sleep 1.5
expect_status "a command has longer" 0
DEADLINE=1 run sleep 10
expect_status "… and not for ever" 124

begin=$(date +%s%N)
since() {
	test $((($(date +%s%N) - begin) / 1000000)) -ge "$1"
}
holds "what is waited for has longer" wait_until 1 since 2500
begin=$(date +%s%N)
! within 1 since 2500
holds "a bound of mqgate's is not stretched" test $? = 0
finish
