#!/bin/bash
# SPDX-License-Identifier: MIT
# Registrations for notification stay and are told of. And a session that has lost something gives its programs the same as before on what it
# still has.
. "$(dirname "$0")/lib.sh"

SECTIONS=
! far_from_limits || SECTIONS+="names flags attributes modes data descriptors timeouts setattr notify poll
	processes passing signals threads"
! near_limits || SECTIONS+=" limits identity namespaces"

ulimit -q 819200 # the kernel's own, which the probe reaches
private_ipc
setup
cp "$BUILD_ROOT"/tests/probe/probe* "$WORK/bin/" 2>/dev/null
cat >"$WORK/packages/p.yaml" <<YAML
name: app
plugs:
  queue: posix-mq
  all: posix-mq
slots:
  lost:
    interface: posix-mq
    posix-mq: queue
    path: $Q-revoked
    permissions: [read, write, create]
  names:
    interface: posix-mq
    posix-mq: all
    path-pattern: "/*"
    permissions: [read, write, create, delete]
YAML
start_daemon

# --- registrations for notification ---------------------------------------------------------------

registrations() {
	local registrants=registrant program doing

	! can_run_32_bit "$APPS/registrant-32" "registrations of 32-bit programs" ||
		registrants+=" registrant-32"
	for program in $registrants; do
		for doing in spin epoll sleep; do
			mqctl connect app:queue app:lost
			start_app told as_user mq-run --plug app:queue "$program" "$Q-revoked" "$doing"
			holds "$program registers, then $doing" wait_until 10 grep -q registered "$WORK/told.out"
			check "its queue is taken back ($program, $doing)" mqctl disconnect app:queue app:lost
			expect_stdout "the registration is told of ($program, $doing)" \
				"^1 session \(1 process\) is still registered for notification "
			holds "it stays ($program, $doing)" \
				grep -q "NOTIFY_PID:$(app_pid told) *$" "/dev/mqueue$Q-revoked"
			told=0
			# A signal ends the other two ways of waiting.
			if [ $doing = spin ]; then
				told=1
				mqtry "open $Q-revoked w" "send late" "send later" >/dev/null
				holds "it is over after a message ($program)" grep -Eq 'NOTIFY_PID:0( |$)' "/dev/mqueue$Q-revoked"
				check "and not told of any more ($program)" mqctl disconnect --wait 0 app:queue
				expect_output "nobody is registered ($program)" "No connections to disconnect"
			fi
			tell told end
			expect_end "it ends well ($program, $doing)" told 0
			expect_stdout "it noticed nothing else ($program, $doing)" "wrong 0, told $told times"
			rm -f "/dev/mqueue$Q-revoked"
		done
	done
}

# --- whoever is traced ----------------------------------------------------------------------------

traced() {
	local doing line

	start_app records records "$WORK/run/control"
	wait_until 10 grep -q listening "$WORK/records.out"
	for doing in receive register; do
		mqctl connect app:queue app:lost
		mqtry "open $Q-revoked rwc 0666 8 64" >/dev/null
		chmod 666 "/dev/mqueue$Q-revoked"
		start_app traced as_user mq-run --plug app:queue traced "$Q-revoked" $doing
		wait_until 10 grep -q waiting "$WORK/traced.out"
		sleep 0.2
		mark_log
		check "the queue is taken back from one that is traced ($doing)" mqctl disconnect app:queue app:lost
		if [ $doing = register ]; then
			expect_stdout "it is still registered" "^1 session \(1 process\) is still registered for notification "
			check "until it is killed" mqctl disconnect --kill app:queue app:lost
			expect_end "it is dead ($doing)" traced 137
			holds "nobody is registered any more" grep -Eq 'NOTIFY_PID:0( |$)' "/dev/mqueue$Q-revoked"
			break
		fi
		line="killed: what it had could not be taken back otherwise \\(pid $(app_pid traced), uid 65534, traced\\)\$"
		expect_end "it is killed ($doing)" traced 137
		expect_log "… which is recorded ($doing)" ": $line"
		holds "… and told on the control bus ($doing)" wait_until 5 grep -Eq "^$line" "$WORK/records.out"
		rm -f "/dev/mqueue$Q-revoked"
	done
	stop_app records
}

if far_from_limits; then
	registrations
	traced
fi

# --- a session that has lost something ------------------------------------------------------------

cat >"$WORK/bin/lose-then" <<'SCRIPT'
#!/bin/sh
# lose-then QUEUE FILE CMD…: opens QUEUE, tells FILE, waits until it is lost, runs CMD
queue=$1 file=$2
shift 2
mqtry "open $queue rwc 0666 2 8" >/dev/null
: >"$file.open"
while [ ! -e "$file.lost" ]; do sleep 0.02; done
exec "$@"
SCRIPT
chmod 755 "$WORK/bin/lose-then"
mkdir -m 1777 "$WORK/flags"

# tainted SECTION [CMD…]: the probe's section, started by CMD, in a session that has lost a queue; in confined.txt
tainted() {
	local section=$1 file=$WORK/flags/$1
	shift

	mqctl connect app:queue app:lost
	(cd / && timeout -k 2 $((60 * TEST_PATIENCE)) mq-run --plug app:queue --plug app:all \
		lose-then "$Q-revoked" "$file" "$@" "$PROBE" "$section") </dev/null >"$WORK/confined.txt" 2>&1 &
	wait_until 10 test -e "$file.open"
	mqctl disconnect app:queue app:lost
	mqctl connect app:all app:names
	touch "$file.lost"
	wait $!
	rm -f "$file".*
	mqctl disconnect app:all app:names
}

same() {
	grep -q "section: exit 0" "$WORK/bare.txt" && diff "$WORK/bare.txt" "$WORK/confined.txt"
}

# What the session process sends in the app's place is sent by the session process: a notification says so.
without_sender() {
	sed 's/, from [a-z]*,/,/' "$1"
}

same_but_for_the_sender() {
	grep -q "section: exit 0" "$WORK/bare.txt" &&
		diff <(without_sender "$WORK/bare.txt") <(without_sender "$WORK/confined.txt")
}

# It stays, and counts.
mqtry "open $Q-revoked rwc 0666 2 8" >/dev/null
cp "$BUILD_ROOT/tests/preload/company.so" "$WORK/bin/"
COMPANY=(env LD_PRELOAD="$WORK/bin/company.so")
for PROBE in probe probe-32; do
	[ $PROBE = probe ] ||
		can_run_32_bit "$WORK/bin/$PROBE" "32-bit programs after a loss" || continue
	for section in $SECTIONS; do
		(cd / && timeout -k 2 $((60 * TEST_PATIENCE)) "$PROBE" "$section") </dev/null >"$WORK/bare.txt" 2>&1
		tainted "$section"
		# The leak sanitizer's process shares a table, so that nobody is alone any more.
		holds "after a loss, $PROBE $section is the same as bare" "same${SANITIZED:+_but_for_the_sender}"
		if [ $PROBE = probe ]; then
			(cd / && timeout -k 2 $((60 * TEST_PATIENCE)) "${COMPANY[@]}" "$PROBE" "$section") \
				</dev/null >"$WORK/bare.txt" 2>&1
			tainted "$section" "${COMPANY[@]}"
			holds "… and with a second thread beside it the same as bare, but for the sender" \
				same_but_for_the_sender
		fi
		# The kernel frees the queues of a namespace some time after its last process.
		[ "$section" != namespaces ] || sleep 1
	done
done
finish
