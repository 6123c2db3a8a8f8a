#!/bin/bash
# SPDX-License-Identifier: MIT
# 200 running sessions (sanitized: 50), and one reload after the other: no verdict is ever wrong.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

SESSIONS=${SANITIZED:+50}
SESSIONS=${SESSIONS:-200}
RELOADS=30

# provider PERMISSIONS: of the queue that changes
provider() {
	write_package provider.yaml <<YAML
name: provider
slots:
  always: {interface: posix-mq, posix-mq: work, path: @Q@always, permissions: [read]}
  never: {interface: posix-mq, posix-mq: work, path: @Q@never, permissions: [write]}
  changing: {interface: posix-mq, posix-mq: work, path: @Q@changing, permissions: $1}
YAML
}

write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq}
apps: {one: }
YAML
provider "[read]"
mqtry "open ${Q}always rwc 600 1 16" "open ${Q}never rwc 600 1 16" \
	"open ${Q}changing rwc 600 1 16" >/dev/null
start_daemon
for slot in always never changing; do
	check "connect $slot" mqctl connect app:work "provider:$slot"
done

all_run() {
	mqctl sessions --json >"$WORK/sessions" && [ "$(grep -c "\"pid\"" "$WORK/sessions")" = "$SESSIONS" ]
}

all_gone() {
	[ "$(wc -l <"$WORK/statuses")" = "$SESSIONS" ]
}

# Half of them by their plug, half as an app, whose plugs are looked up again at each reload.
mkfifo "$WORK/end"
exec {writer}<>"$WORK/end"
: >"$WORK/statuses"
for ((i = 0; i < SESSIONS; i++)); do
	if ((i % 2)); then what=(--plug app:work); else what=(--app app.one); fi
	{
		mq-run "${what[@]}" verdicts "${Q}always" "${Q}never" "${Q}changing" \
			<"$WORK/end" >>"$WORK/said" 2>>"$WORK/wrong"
		echo $? >>"$WORK/statuses"
	} &
	# Launches beyond LAUNCHES_OF_ROOT_MAX wait; they need not all come at once.
	((i % 20)) || sleep 0.1
done
holds "$SESSIONS sessions run" wait_until 60 all_run
failed=0
for ((i = 0; i < RELOADS; i++)); do
	if ((i % 2)); then provider "[read]"; else provider "[write]"; fi
	mqctl reload || failed=$((failed + 1))
	expected=$((i % 2 ? 0 : 125))
	# When reload has returned, the change is in force everywhere.
	mq-run --plug app:work mqtry "open ${Q}changing r" >"$WORK/try"
	case "$(cat "$WORK/try")" in
	*' -> 0') [ "$expected" = 0 ] || failed=$((failed + 1)) ;;
	*) [ "$expected" != 0 ] || failed=$((failed + 1)) ;;
	esac
done
holds "$RELOADS reloads succeed, and each is in force when it returns" test "$failed" = 0
# They look at it every 100 ms or less often, and the reloads may have been quicker.
all_seen() {
	[ "$(grep -c '^seen' "$WORK/said")" = "$SESSIONS" ]
}
for ((i = 0; i < 100; i++)); do
	! all_seen || break
	if ((i % 2)); then provider "[read]"; else provider "[write]"; fi
	mqctl reload
	sleep 0.4
done
holds "each has seen changes" all_seen
holds "all sessions are still there" all_run
echo >&"$writer"
holds "they end" wait_until 60 all_gone
holds "not one verdict was wrong" test ! -s "$WORK/wrong"
holds "all have ended with 0" test -z "$(grep -v '^0$' "$WORK/statuses")"
holds "… by themselves" test "$(grep -c '^ended' "$WORK/said")" = "$SESSIONS"
finish
