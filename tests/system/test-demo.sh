#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo checks itself; here, that it does so and cleans up.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

DEADLINE=90
BEGIN=$SECONDS
run env -u MQGATE_RUNTIME_DIR BUILD="$BUILD_ROOT" TMPDIR="$WORK/open" \
	"$SOURCE_ROOT/demo" --no-build
expect_status "the demo shows what it says" 0
expect_stdout "… what was learned" "^ +- /demo-alone  # [0-9]+ calls by sensor"
expect_stdout "… a denial without a daemon" "^  mq-run: denied: mq_open of /demo-other by sensor"
expect_stdout "… the denial" "logger \\| mq_open /demo-events: Permission denied"
expect_stdout "… and the messages" "logger \\| received \\[9\\] smoke!"
holds "no colour where there is no terminal" test -z "$(grep -c $'\e' "$WORK/stdout" | grep -v '^0$')"
holds "it leaves no queue" test -z "$(find /dev/mqueue -name 'demo-*')"
holds "it takes less than 20 seconds (times what is said of this machine)" test $((SECONDS - BEGIN)) -lt $((20 * TEST_PATIENCE))
holds "it leaves no file" test -z "$(ls -A "$WORK/open")"
finish
