#!/bin/bash
# SPDX-License-Identifier: MIT
# Once what takes a right away has returned, nothing gets through: whole programs, many processes, threads and queues, random moments.
# STOPWATCH_ROUNDS times for each user, in sessions of ten (a session that has lost something is treated differently from then on).
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${STOPWATCH_ROUNDS:-${SANITIZED:+40}}
ROUNDS=${ROUNDS:-100}
IN_A_SESSION=10

private_ipc
setup
QUEUES="${Q}one,${Q}two,${Q}three"

# provider PERMISSIONS: with the slot, unless they are "-"
provider() {
	if [ "$1" = - ]; then
		printf 'name: provider\nslots: {other: {interface: posix-mq, path: %sother, permissions: [read]}}\n' "$Q"
	else
		printf 'name: provider\nslots:\n  all: {interface: posix-mq, posix-mq: work, permissions: %s, ' "$1"
		printf 'path: [%sone, %stwo, %sthree]}\n' "$Q" "$Q" "$Q"
	fi
}

# way NAME GIVE TAKE: programs that give and take, called with the plug and the slot
way() {
	printf '#!/bin/bash\nset -e\n%s\n' "$2" >"$WORK/bin/give-$1"
	printf '#!/bin/bash\nset -e\n%s\n' "$3" >"$WORK/bin/take-$1"
	chmod 755 "$WORK/bin/give-$1" "$WORK/bin/take-$1"
}

write_package app.yaml <<'YAML'
name: app
plugs: {work: posix-mq}
YAML
provider "[read, write, create]" >"$WORK/full.yaml"
provider "[create]" >"$WORK/less.yaml"
provider - >"$WORK/none.yaml"
cp "$WORK/full.yaml" "$WORK/packages/provider.yaml"
in_force="cp $WORK/full.yaml $WORK/packages/provider.yaml; mqctl reload"
way shrinks "$in_force; mqctl connect \$1 \$2" "cp $WORK/less.yaml $WORK/packages/provider.yaml; mqctl reload"
way vanishes "$in_force; mqctl connect \$1 \$2" "cp $WORK/none.yaml $WORK/packages/provider.yaml; mqctl reload"
way removed "$in_force; mqctl connect \$1 \$2" "rm $WORK/packages/provider.yaml; mqctl reload"
way runs-out 'mqctl connect --for 1s $1 $2' \
	"while mqctl connections | grep -q \"^posix-mq *\$1 *\$2 \"; do sleep 0.01; done; sleep 0.1"
start_daemon

# hammered WHO TEXT MODE ROUNDS [GIVE TAKE]: one session, under the stopwatch
hammered() {
	local who=$1 text=$2 mode=$3 rounds=$4 give=${5:-}

	cp "$WORK/full.yaml" "$WORK/packages/provider.yaml"
	mqctl reload
	mqctl connect app:work provider:all
	# shellcheck disable=SC2086 # one word or none
	start_app hammer "$who" mq-run --plug app:work hammer "$QUEUES" 3 4 $mode
	wait_until 10 grep -q hammering "$WORK/hammer.out"
	[ "$give" != give-runs-out ] || mqctl disconnect app:work provider:all
	DEADLINE=120 check "$text: nothing got through ($who)" \
		stopwatch "$QUEUES" "$rounds" app:work provider:all "${@:5}"
	[ -n "$mode" ] || expect_stdout "… and there was traffic before ($who)" "traffic seen$"
	stop_app hammer
}

for who in as_user env; do
	for name in one two three; do
		mqtry "open $Q$name rwc 0666 8 64" >/dev/null
		chmod 666 "/dev/mqueue$Q$name"
	done
	for ((session = 1; session <= ROUNDS / IN_A_SESSION; session++)); do
		hammered $who "$IN_A_SESSION disconnects at random moments ($session)" "" $IN_A_SESSION
		# All wait when it is taken from them: the first message afterwards would be theirs.
		hammered $who "from receivers that wait ($session)" receive 2
	done
	for ((session = 1; session <= (ROUNDS + 49) / 50; session++)); do
		hammered $who "permissions that shrink ($session)" "" $IN_A_SESSION give-shrinks take-shrinks
		hammered $who "a slot that vanishes ($session)" "" $IN_A_SESSION give-vanishes take-vanishes
		hammered $who "a package that is removed ($session)" "" $IN_A_SESSION give-removed take-removed
		hammered $who "a connection that runs out ($session)" "" 3 give-runs-out take-runs-out
	done
	rm -f "/dev/mqueue$Q"*
done
finish
