#!/bin/bash
# SPDX-License-Identifier: MIT
# Where the machine runs no 32-bit programs, exactly what needs them is left out, by name and reason,
# and everything else of a test is run: simulated by tests/without-32-bit.
. "$(dirname "$0")/lib.sh"
setup
[ "$(uname -m)" = x86_64 ] || skip_all "simulates the processor x86-64 only"

WITHOUT=$SOURCE_ROOT/tests/without-32-bit
MACHINE=$BUILD_ROOT/tests/machine/machine

run "$WITHOUT" "$MACHINE" 32-bit-programs
expect_status "a 32-bit program does not run" 1
expect_output "… and it is told how that was found" "runs no 32-bit programs: Exec format error"
run "$WITHOUT" "$MACHINE" int-0x80
expect_status "a 32-bit call is a fault" 1
expect_output "… and it is told how that was found" "has no 32-bit calls: Segmentation fault"
run "$WITHOUT" "$MACHINE" flying
expect_status "what is not known is not taken for proved" 2
if [ -x "$BUILD_ROOT/tests/probe/probe-32" ]; then
	run "$WITHOUT" "$BUILD_ROOT/tests/probe/probe-32"
	expect_stderr "those that were built do not run, either" "Exec format error"
fi

# --- a test ---------------------------------------------------------------------------------------

# expected: in the order of the roads, as a user's too
expected() {
	for who in root user; do
		road --list | sed -n "s/^i386-.*/$who: & # SKIP this machine has no 32-bit calls: Segmentation fault/p"
	done
}

left_out() {
	sed -n 's/^ok [0-9]* - \(.*# SKIP .*\)/\1/p' "$WORK/roads.txt"
}

DEADLINE=100 MUST_WORK=1 run "$WITHOUT" bash "$SOURCE_ROOT/tests/system/test-bypass.sh"
expect_status "roads passes with MUST_WORK=1" 0
cp "$WORK/stdout" "$WORK/roads.txt"
holds "what needs 32-bit calls is left out, and nothing else" diff <(expected) <(left_out)
holds "nothing fails" test "$(grep -c '^not ok' "$WORK/roads.txt")" = 0
holds "the other roads are tried" test "$(grep -c '^ok' "$WORK/roads.txt")" -gt 500

# What only the compiler lacks is no reason.
lib() {
	MUST_WORK=1 "$@" bash -c '. "$SOURCE_ROOT/tests/system/lib.sh"
		WORK=/nonexistent
		can_run_32_bit "$1" "the program runs" && echo runs' lib "$WORK/no-such-program"
}
lib "$WITHOUT" >"$WORK/stdout" 2>"$WORK/stderr"
expect_output "without the compiler, too" \
	"ok 1 - the program runs # SKIP this machine runs no 32-bit programs: Exec format error"
if "$MACHINE" 32-bit-programs >/dev/null; then
	lib env >"$WORK/stdout" 2>"$WORK/stderr"
	expect_output "without the compiler alone it is a failure" "not ok 1 - the program runs"
fi

# --- the list -------------------------------------------------------------------------------------

python3 - "$WORK/roads.txt" >"$WORK/testlog.json" <<'PYTHON'
import json, sys
print(json.dumps({'name': 'mqgate:short+system / roads', 'result': 'OK', 'stdout': open(sys.argv[1]).read()}))
print(json.dumps({'name': 'mqgate:short+unit / some', 'result': 'OK',
                  'stdout': 'ok - some::test  # SKIP this machine has no wings\nok - some::other  # SKIP needs root\n'}))
PYTHON
run "$SOURCE_ROOT/tests/count" "$WORK/testlog.json"
expect_status "the count is content" 0
expect_stdout "what is left out is counted as skipped" \
	"^[0-9]+ passed, 0 failed, $(($(expected | wc -l) + 2)) skipped\$"
head -n -1 "$WORK/stdout" >"$WORK/list.txt"
holds "each is listed before the last line, by name and reason" diff <(
	expected | sed 's/\(.*\) # SKIP \(.*\)/left out: roads: \1 (\2)/'
	echo "left out: some: some::test (this machine has no wings)"
) "$WORK/list.txt"
finish
