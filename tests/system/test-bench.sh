#!/bin/bash
# SPDX-License-Identifier: MIT
# The benchmark works: it measures, draws and cleans up. What it measures is not judged here.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup
export TMPDIR=$WORK # where the benchmark keeps its own
cp -r "$SOURCE_ROOT/tests/bench" "$WORK/bench"
BENCH=$WORK/bench/run
DEADLINE=120

bench() {
	run "$BENCH" --build "$BUILD_ROOT" --quick "$@"
}

# figures PYTHON: an expression on the list of rows that --json gave
figures() {
	python3 -c "import json, sys
rows = json.load(open(sys.argv[1]))
sys.exit(not ($1))" "$WORK/figures"
}

# harness PYTHON: a condition on the parts of the benchmark
harness() {
	PYTHONPATH=$WORK/bench python3 -B -c "from harness import *
sys.exit(not ($1))"
}

# left_over: what a benchmark that has ended should not have left
left_over() {
	find "$WORK" -maxdepth 1 -name 'mqgate-bench.*'
	pgrep -f "$WORK/mqgate-bench"
	pgrep -f "^$BUILD_ROOT/tests/bench/"
}

nothing_left() {
	[ -z "$(left_over)" ]
}

something_runs() {
	pgrep -f "mqgated .*$WORK/mqgate-bench"
}

# series FILE: how many ways a picture shows; fails if it is no XML
series() {
	python3 -c 'import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
lines = [e for e in root if e.tag.endswith("polyline")]
sys.exit(not (len(lines) == 2 * int(sys.argv[2])))' "$1" "$2"
}

bench --only send,pingpong --json
expect_status "it measures" 0
cp "$WORK/stdout" "$WORK/figures"
holds "… and tells what as JSON" figures 'len(rows) >= 4'
holds "… with minimum, median and maximum of several rounds" \
	figures 'all(0 < r["min"] <= r["median"] <= r["max"] and r["rounds"] > 1 for r in rows)'
holds "… and whether a figure misses its reach" \
	figures 'all(r["missed"] == (r["median"] > r["reach"]) for r in rows if "reach" in r)'
holds "… and leaves nothing" nothing_left

holds "it is the median that misses or reaches" harness '
	[Row("", "", values, reach=2).missed() for values in ([1, 3, 3], [1, 2, 9])] == [True, False]'
holds "sides take their turns, in reverse every other round" harness '
	(order := []) == alternate(2, {n: lambda n=n: order.append(n) for n in "ab"}) or
	order == ["a", "b", "b", "a"]'

bench --only other,latency --plots "$WORK/plots"
expect_stdout "a table for people" '^\[latency\]$'
expect_stdout "… that names the build" '^build: buildtype='
holds "… and a picture of four ways" series "$WORK/plots/performance-latency.svg" 4

"$BENCH" --build "$BUILD_ROOT" --only send,open,throughput >"$WORK/stdout" 2>"$WORK/stderr" &
holds "interrupted in the middle …" wait_until 10 something_runs
kill -TERM $!
wait $! 2>/dev/null
holds "… it leaves nothing, either" wait_until 10 nothing_left

bench --only send,other --markdown
expect_stdout "a table for the documents has what should be reached" \
	'^\| send \+ receive, 64 B, call / empty supervisor \| [0-9.]+ × \| .* \| ≤ 1.25'
holds "… and nothing else" test "$(grep -vc '≤' "$WORK/stdout")" = 2

# at_most NUMBER NOTIFICATION: system calls that the session process makes for one
at_most() {
	holds "for a $2 the session process makes at most $1 system calls on average" awk -v most="$1" -v what="$2 " '
		index($0, what) == 1 { print; $0 = substr($0, length(what)); seen = $1 > 0 && $1 <= most }
		END { exit !seen }' "$WORK/calls"
}

# Sanitizers make some of their own. Before 6.11 the kernel is not asked for one mapping of an app, but for all.
if [ -z "${SANITIZED:-}" ]; then
	bench --calls
	expect_status "it counts system calls" 0
	cp "$WORK/stdout" "$WORK/calls"
	at_most 5.5 "mq_timedsend"
	at_most 6.5 "mq_timedsend, tainted session"
	! printf '6.11\n%s\n' "$(uname -r)" | sort -CV ||
		at_most 9.5 "mq_timedsend, the same, with a second thread"
fi

bench --only nonsense
expect_status "an unknown group is refused" 2
expect_stderr "… and the groups are named" 'there is no group "nonsense"; there are: send, open, '
run "$BENCH" --build "$WORK"
expect_status "so is a directory without programs" 1
expect_stderr "… with the remedy" "daemon/manager/mqgated is missing; build it: ninja -C $WORK$"
run as_user "$BENCH" --build "$BUILD_ROOT"
expect_status "so is a user who is not root" 2
expect_stderr "… and told why" 'needs root'
finish
