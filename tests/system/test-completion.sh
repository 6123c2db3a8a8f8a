#!/bin/bash
# SPDX-License-Identifier: MIT
# Completion in bash offers what exists, and nothing when nobody answers.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package logger.yaml <<'YAML'
name: logger
plugs: {events: posix-mq, spare: posix-mq}
YAML
write_package sensor.yaml <<'YAML'
name: sensor
slots:
  events: {interface: posix-mq, path: [@Q@events, @Q@alarms]}
  state: {interface: posix-mq, posix-mq: events, path: @Q@state}
  other: {interface: posix-mq, path: @Q@other}
YAML

# shellcheck source=conf/completions/mqctl.bash
. "$SOURCE_ROOT/conf/completions/mqctl.bash"
FUNCTION=

# complete_line LINE: what is offered at its end, sorted, on one line
complete_line() {
	COMP_LINE=$1
	COMP_POINT=${#1}
	"$FUNCTION"
	printf '%s\n' "${COMPREPLY[@]}" | sort | xargs
}

# offers LINE WORDS
offers() {
	local found

	found=$(complete_line "$1")
	if [ "$found" = "$2" ]; then
		ok "$1<Tab>"
	else
		not_ok "$1<Tab>" <<<"offered: $found; expected: $2"
	fi
}

FUNCTION=_mqctl
offers "mqctl connect lo" ""
start_daemon
offers "mqctl con" "connect connections"
offers "mqctl connect " "logger:events logger:spare"
offers "mqctl connect lo" "logger:events logger:spare"
offers "mqctl connect logger:" "events spare"
offers "mqctl connect logger:ev" "events"
offers "mqctl connect --for 10m logger:ev" "events"
offers "mqctl connect logger:events sensor:s" "state"
offers "mqctl connect logger:events s" "sensor:events sensor:state"
offers "mqctl connect logger:spare s" ""
offers "mqctl connect --any-id logger:spare s" "sensor:events sensor:other sensor:state"
offers "mqctl connect --a" "--any-id"
offers "mqctl disconnect " ""
mqctl connect logger:events sensor:state
mqctl connect --any-id logger:spare sensor:events
offers "mqctl disconnect " "logger:events logger:spare sensor:events sensor:state"
offers "mqctl disconnect logger:events " "sensor:state"
offers "mqctl disconnect --wait 10 logger:events " "sensor:state"
offers "mqctl disconnect --wait 1" "10"
offers "mqctl disconnect --k" "--kill"
offers "mqctl connections " "logger sensor"
offers "mqctl explain logger:events " "create delete open read write"
offers "mqctl explain logger:events read ${Q}" "${Q}alarms ${Q}events ${Q}other ${Q}state"
offers "mqctl doctor --p" "--packages"
offers "mqctl learn lo" "logger:events logger:spare"
offers "mqctl slots --" "--help --json --no-legend --runtime-dir"
offers "mqctl disconnect --f" "--forget"
offers "mqctl check packages/lo" "packages/logger.yaml"
offers "mqctl check pack" "packages"
offers "mqctl --runtime-dir $WORK/nowhere connect " ""
write_package caller.yaml <<'YAML'
name: caller
plugs:
  one: {interface: posix-mq, posix-mq: events, path: /one}
  two: {interface: posix-mq, posix-mq: events, path: [/one, /two]}
YAML
write_package patterns.yaml <<'YAML'
name: patterns
slots: {any: {interface: posix-mq, posix-mq: events, path-pattern: "@Q@*"}}
YAML
mqctl reload
offers "mqctl connect logger:events " "patterns:any sensor:events sensor:state"
offers "mqctl connect caller:one " "sensor:state"
offers "mqctl connect caller:two " "sensor:events"
offers "mqctl explain caller:two read " "/one /two"
offers "mqctl connect --any-id caller:one " "sensor:other sensor:state"
rm "$WORK/packages/caller.yaml" "$WORK/packages/patterns.yaml"
mqctl reload
COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}
offers "mqctl connect logger:" "logger:events logger:spare"
FUNCTION=_mq_run
offers "mq-run --plug " "logger:events logger:spare"
offers "mq-run --plug logger:events --slot " "sensor:events sensor:other sensor:state"
offers "mq-run --app " ""
offers "mq-run --in" "--inherit-queues --instance"
offers "mq-run --inherit-queues --plug " "logger:events logger:spare"
offers "mq-run --p" "--plug --policy"
offers "mq-run --l" "--learn"
offers "mq-run --policy packages/lo" "packages/logger.yaml"
offers "mq-run --policy packages/logger.yaml --policy packages/s" "packages/sensor.yaml"
offers "mq-run --learn packages/se" "packages/sensor.yaml"
offers "mq-run --learn packages/sensor.yaml stopw" "stopwatch"
offers "mq-run --plug logger:events stopw" "stopwatch"
offers "mq-run --plug logger:events cat packages/lo" "packages/logger.yaml"
holds "bash asks this for mqctl" test "$(complete -p mqctl)" = "complete -F _mqctl mqctl"
finish
