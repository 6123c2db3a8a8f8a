#!/bin/bash
# SPDX-License-Identifier: MIT
# 10,000 packages with 100,000 connections: they load, and a call costs what it costs with few.
# The figures are ratios of one run, in lines that begin with "#".
# shellcheck disable=SC2154,SC2317 # best_time sets and calls by name
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

PACKAGES=10000
PLUGS=10 # of each, each with one connection
ROUNDS=5
CALLS=1500

# Package i has ten plugs, and a slot that plugs of ten others are connected to.
make_packages() {
	awk -v n="$PACKAGES" -v m="$PLUGS" -v d="$WORK/packages" -v q="$Q" 'BEGIN {
		for (i = 0; i < n; i++) {
			f = d "/many-" i ".yaml"
			printf "name: many-%d\npublisher: somebody\nplugs:\n", i > f
			for (j = 0; j < m; j++)
				printf "  p%d: {interface: posix-mq, posix-mq: id-%d-%d}\n", j, i, j > f
			printf "slots:\n  s: {interface: posix-mq, path: %smany-%d, permissions: [read]}\n", q, i > f
			close(f)
		}
	}'
}

make_connections() {
	awk -v n="$PACKAGES" -v m="$PLUGS" 'BEGIN {
		print "version: 1\nconnections:"
		for (i = 0; i < n; i++)
			for (j = 0; j < m; j++)
				printf "- {plug: many-%d:p%d, slot: many-%d:s, state: manual}\n", i, j, (i * 7 + j) % n
	}' >"$WORK/state/connections.yaml"
}

now() {
	date +%s%N
}

# best_time VARIABLE CMD…: the shortest of some runs, in nanoseconds
best_time() {
	local variable=$1 begin took best=

	shift
	for ((i = 0; i < ROUNDS; i++)); do
		begin=$(now)
		"$@" >/dev/null || return 1
		took=$(($(now) - begin))
		[ -n "$best" ] && [ "$best" -le "$took" ] || best=$took
	done
	printf -v "$variable" '%s' "$best"
}

# figure TEXT A B: tells A / B, and leaves it in RATIO as hundredths
figure() {
	RATIO=$(($2 * 100 / $3))
	printf '# %s: %d.%02d\n' "$1" $((RATIO / 100)) $((RATIO % 100))
}

calls() {
	mq-run --plug app:work mqtry "churn ${Q}work $CALLS"
}

connect_and_disconnect() {
	mqctl connect app:other provider:all && mqctl disconnect app:other provider:all
}

launch() {
	mq-run --plug app:work true
}

reload() {
	mqctl reload
}

write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq, other: {interface: posix-mq, posix-mq: work}}
YAML
write_package provider.yaml <<'YAML'
name: provider
slots:
  all: {interface: posix-mq, posix-mq: work, path: @Q@work, permissions: [read, write, create, delete]}
YAML
start_daemon
check "connected" mqctl connect app:work provider:all
best_time calls_few calls
best_time change_few connect_and_disconnect
best_time launch_few launch
best_time reload_few reload
stop_daemon

make_packages
make_connections
launch_daemon
begin=$(now)
holds "10,000 packages and 100,000 connections load" wait_until 60 daemon_answers
loaded=$(($(now) - begin))
run mqctl status
expect_stdout "… all packages" "^packages: $((PACKAGES + 2))$"
expect_stdout "… all connections" "^connections: $((PACKAGES * PLUGS))$"
check "connected" mqctl connect app:work provider:all
best_time calls_many calls
best_time change_many connect_and_disconnect
best_time launch_many launch
ROUNDS=2 best_time reload_many reload
run mqctl explain many-7:p3 read "${Q}many-52"
expect_status "a decision among them" 0
run mqctl explain many-7:p3 read "${Q}many-53"
expect_status "… and another" 1
mqctl connections >"$WORK/connections"
holds "all of them can be listed" test "$(wc -l <"$WORK/connections")" = $((PACKAGES * PLUGS + 2))

# A list of one, over all that: each change is told, up to CHANGES_LOGGED_MAX of them.
cat >"$WORK/list.yaml" <<'YAML'
version: 1
connections:
- {plug: app:work, slot: provider:all}
YAML
mark_log
begin=$(now)
check "a list can be applied" mqctl apply "$WORK/list.yaml"
applied=$(($(now) - begin))
holds "… which tells all that it disconnects" \
	test "$(grep -c '^- ' "$WORK/stdout")" = $((PACKAGES * PLUGS))
expect_log "… and logs some, and how many more" \
	"^mqgated: $((PACKAGES * PLUGS - 100)) further connections changed: by pid"
holds "… exactly so many" test "$(new_log | grep -c ': disconnect many-')" = 100
run mqctl connections
expect_status "… after which the list can be asked for" 0
holds "… and one is left" test "$(wc -l <"$WORK/stdout")" = 2

# A list takes long to make, and longer on a busy machine: nobody counts as silent meanwhile.
processor_ticks() {
	cut -d ' ' -f 14 "/proc/$DAEMON/stat"
}
before=$(processor_ticks)
is_making_it() {
	[ "$(processor_ticks)" -gt $((before + 10)) ]
}
mqctl connections >"$WORK/connections" 2>"$WORK/stderr" &
wait_until 10 is_making_it
kill -STOP "$DAEMON"
sleep $(($(bound CONTROL_SILENCE_USEC) / 1000000 + 1))
kill -CONT "$DAEMON"
holds "who waits for a list is not silent" wait $!
holds "… and gets it" test "$(wc -l <"$WORK/connections")" = 2

figure "a call, with 100,002 connections over 1" "$calls_many" "$calls_few"
holds "decisions stay as fast" test "$RATIO" -le 200
figure "a launch, the same" "$launch_many" "$launch_few"
figure "connect and disconnect, the same" "$change_many" "$change_few"
figure "a reload, the same" "$reload_many" "$reload_few"
figure "apply, over a reload" "$applied" "$reload_many"
figure "start until it answers, over a reload" "$loaded" "$reload_many"
holds "connect and disconnect take no second" test "$change_many" -lt 1000000000
finish
