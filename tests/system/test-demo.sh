#!/bin/bash
# SPDX-License-Identifier: MIT
# The demo checks itself; here, that it does so and cleans up.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

DEADLINE=90
run env -u MQGATE_RUNTIME_DIR BUILD="$BUILD_ROOT" TMPDIR="$WORK/open" \
	"$SOURCE_ROOT/demo" --no-build
expect_status "the demo shows what it says" 0
expect_stdout "… the denial" "logger \\| mq_open /demo-events: Permission denied"
expect_stdout "… and the messages" "logger \\| received \\[9\\] smoke!"
holds "no colour where there is no terminal" test -z "$(grep -c $'\e' "$WORK/stdout" | grep -v '^0$')"
holds "it leaves no queue" test ! -e /dev/mqueue/demo-events
holds "it leaves no file" test -z "$(ls -A "$WORK/open")"
finish
