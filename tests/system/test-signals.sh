#!/bin/bash
# SPDX-License-Identifier: MIT
# Signals at every moment of every call; apps killed in the middle of one.
. "$(dirname "$0")/lib.sh"

USER_ID=$((60000 + $$ % 4000))

ulimit -q 819200 # the kernel's own, which the probe reaches
private_ipc
setup
cat >"$WORK/packages/everything.yaml" <<'YAML'
name: everything
plugs:
  all: posix-mq
slots:
  every:
    interface: posix-mq
    posix-mq: all
    path-pattern: "/*"
    permissions: [read, write, create, delete]
YAML
cp "$BUILD_ROOT/tests/probe/probe" "$WORK/bin/"
start_daemon
mqctl connect everything:all everything:every

confined() {
	echo as_uid "$USER_ID" mq-run --plug all "$@"
}

# --- handlers -------------------------------------------------------------------------------------

check "bare, no call is interrupted" as_uid "$USER_ID" fire "$Q-fire" 2000 1000 interrupt
expect_stdout "bare, mq_open is never EINTR" "^mq_open interrupted 0 failed 0$"

for interval in 10000 1000 300; do
	check "with SA_RESTART no call fails, a signal each $interval us" \
		$(confined fire "$Q-fire" 2000 $interval restart)
	holds "and none is interrupted ($interval us)" \
		test "$(grep -c 'interrupted 0 failed 0$' "$WORK/stdout")" = 6
done
for interval in 10000 1000 300; do
	check "without SA_RESTART nothing but EINTR, and what was interrupted was not done ($interval us)" \
		$(confined fire "$Q-fire" 2000 $interval interrupt)
	diagnose <"$WORK/stdout"
	expect_stdout "nothing was done by an interrupted call ($interval us)" "^done anyway 0$"
done

# --- killed in the middle of a call ---------------------------------------------------------------

descriptors() {
	find "/proc/$DAEMON/fd" -mindepth 1 | wc -l
}

only_the_spare() {
	[ "$(session_processes | wc -l)" = 1 ]
}

wait_until 5 only_the_spare
# Whoever has just asked something may not be let go of yet.
before=$(for _ in {1..10}; do descriptors; sleep 0.1; done | sort -n | head -n 1)
for i in $(seq 30); do
	$(confined fire "$Q-killed" 100000 100000 restart) >/dev/null 2>&1 &
	app=$!
	sleep "0.0$((RANDOM % 90 + 10))"
	kill -KILL "$app"
	wait "$app" 2>/dev/null
	rm -f "/dev/mqueue$Q-killed"
done
holds "30 apps killed in the middle of a call: their session processes are gone" \
	wait_until 5 only_the_spare
same_descriptors() {
	[ "$(descriptors)" -le "$before" ]
}
holds "and the daemon holds not one descriptor more" wait_until 5 same_descriptors

# Bytes of queues that no longer exist would still be charged to the user if somebody held them.
bare_count=$(as_uid "$USER_ID" probe limits | grep 'large ones')
as_uid "$USER_ID" mq-run --plug all probe limits | grep 'large ones' >"$WORK/stdout"
holds "and nothing of theirs stays charged to the user" test "$(cat "$WORK/stdout")" = "$bare_count"
finish
