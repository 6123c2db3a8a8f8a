# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Completion of mqctl and mq-run for bash, with the names that the running daemon knows.

# _mqgate_words: the words before the cursor, colons in them kept, into WORDS; the last one is being
# completed. The line's --runtime-dir into RUNTIME_DIR.
_mqgate_words() {
	local line=${COMP_LINE:0:COMP_POINT} i

	read -ra WORDS <<<"$line"
	[[ $line != *[[:space:]] ]] || WORDS+=("")
	RUNTIME_DIR=()
	for ((i = 1; i < ${#WORDS[@]} - 1; i++)); do
		case ${WORDS[i]} in
		--runtime-dir) RUNTIME_DIR=(--runtime-dir "${WORDS[i + 1]}") ;;
		--runtime-dir=*) RUNTIME_DIR=("${WORDS[i]}") ;;
		esac
	done
}

# _mqgate_table VERB: nothing if the daemon does not answer at once
_mqgate_table() {
	timeout 2 mqctl ${RUNTIME_DIR[@]+"${RUNTIME_DIR[@]}"} "$1" --no-legend 2>/dev/null
}

# _mqgate_ask VERB COLUMN: one column of a table
_mqgate_ask() {
	_mqgate_table "$1" | awk -v column="$2" '$column != "-" { print $column }'
}

# _mqgate_offer WORD CANDIDATES: those that begin with WORD. Readline has split the word at a colon.
_mqgate_offer() {
	local word=$1 before=

	[[ $word != *:* || $COMP_WORDBREAKS != *:* ]] || before=${word%"${word##*:}"}
	mapfile -t COMPREPLY < <(compgen -W "$2" -- "$word")
	COMPREPLY=("${COMPREPLY[@]#"$before"}")
}

_mqgate_packages() {
	{
		_mqgate_ask plugs 1
		_mqgate_ask slots 1
	} | cut -d: -f1 | sort -u
}

# What is connected to the first word, else everything that is connected.
_mqgate_connected() {
	_mqgate_table connections |
		awk -v plug="$1" 'plug == "" { print $2; print $3 } $2 == plug { print $3 }' | sort -u
}

# The slots with the id of the plug that is in the line, and as many queues as it has names; with
# --any-id also those of other ids.
_mqgate_slots() {
	{
		_mqgate_table plugs
		echo
		_mqgate_table slots
	} | awk -v line=" ${WORDS[*]} " '
		NF == 0 { slots = 1; next }
		!slots && index(line, " " $1 " ") { id = $2; names = $5 ~ /^\// ? split($5, path, ",") : 0 }
		slots && names && ($4 ~ /[*?{]/ || split($4, path, ",") != names) { next }
		slots && ($2 == id || index(line, " --any-id ")) { print $1 }'
}

# The names by which the plug calls queues: its own, else those of all slots.
_mqgate_queues() {
	local own

	own=$(_mqgate_table plugs | awk -v plug="$1" '$1 == plug && $5 ~ /^\// { print $5 }')
	tr , '\n' <<<"${own:-$(_mqgate_ask slots 4)}"
}

# _mqctl_argument WORD VERB ARGUMENT…: the arguments that are complete already
_mqctl_argument() {
	local word=$1 verb=$2 count=$(($# - 2))

	case $verb:$count in
	connect:0) _mqgate_offer "$word" "$(_mqgate_ask plugs 1)" ;;
	connect:1) _mqgate_offer "$word" "$(_mqgate_slots)" ;;
	disconnect:0) _mqgate_offer "$word" "$(_mqgate_connected "")" ;;
	disconnect:1) _mqgate_offer "$word" "$(_mqgate_connected "$3")" ;;
	connections:0) _mqgate_offer "$word" "$(_mqgate_packages)" ;;
	explain:0 | learn:0 | monitor:*) _mqgate_offer "$word" "$(_mqgate_ask plugs 1)" ;;
	explain:1) _mqgate_offer "$word" "open read write create delete" ;;
	explain:2) _mqgate_offer "$word" "$(_mqgate_queues "$3")" ;;
	check:* | apply:0) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	esac
}

_mqctl_options() {
	case $1 in
	connect) echo --any-id --for ;;
	disconnect) echo --forget --kill --wait ;;
	apply) echo --dry-run ;;
	connections) echo --all --json --no-legend ;;
	plugs | slots | sessions | queues) echo --json --no-legend ;;
	status | monitor) echo --json ;;
	doctor) echo --json --packages --state ;;
	explain) echo --last --json --packages --state ;;
	top) echo --once --interval --json --no-legend ;;
	graph) echo --format --live --interval ;;
	metrics) echo --format ;;
	oci-profile) echo --base --plug ;;
	"") echo --version ;;
	esac
	echo --help --runtime-dir
}

_mqctl_formats() {
	case $1 in
	graph) echo text dot mermaid ;;
	metrics) echo prometheus openmetrics ;;
	esac
}

_mqctl() {
	local WORDS RUNTIME_DIR arguments=() i word

	COMPREPLY=()
	_mqgate_words
	word=${WORDS[-1]}
	for ((i = 1; i < ${#WORDS[@]} - 1; i++)); do
		case ${WORDS[i]} in
		--for | --wait | --runtime-dir | --packages | --state | --interval | --format | --base | --plug) i=$((i + 1)) ;;
		-*) ;;
		*) arguments+=("${WORDS[i]}") ;;
		esac
	done
	case ${WORDS[-2]} in
	--runtime-dir | --packages) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	--plug) _mqgate_offer "$word" "$(_mqgate_ask plugs 1)" ;;
	--state | --base) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	--for) _mqgate_offer "$word" "90s 10m 2h 1d" ;;
	--wait) _mqgate_offer "$word" "10 60" ;;
	--interval) _mqgate_offer "$word" "1 5 60" ;;
	--format) _mqgate_offer "$word" "$(_mqctl_formats "${arguments[0]-}")" ;;
	*)
		if [[ $word == -* ]]; then
			_mqgate_offer "$word" "$(_mqctl_options "${arguments[0]-}")"
		elif [ ${#arguments[@]} = 0 ]; then
			_mqgate_offer "$word" "connect disconnect apply connections plugs slots \
sessions queues graph learn explain top monitor metrics oci-profile check reload doctor status"
		else
			_mqctl_argument "$word" "${arguments[@]}"
		fi
		;;
	esac
}

_mq_run() {
	local WORDS RUNTIME_DIR i word

	COMPREPLY=()
	_mqgate_words
	word=${WORDS[-1]}
	for ((i = 1; i < ${#WORDS[@]} - 1; i++)); do
		case ${WORDS[i]} in
		--plug | --slot | --app | --policy | --learn | --instance | --runtime-dir | --wall) i=$((i + 1)) ;;
		--) break ;;
		-*) ;;
		*) break ;;
		esac
	done
	if ((i < ${#WORDS[@]} - 1)) && [ "${WORDS[i]}" != -- ]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
	fi
	case ${WORDS[-2]} in
	--plug) _mqgate_offer "$word" "$(_mqgate_ask plugs 1)" ;;
	--slot) _mqgate_offer "$word" "$(_mqgate_ask slots 1)" ;;
	--wall) _mqgate_offer "$word" "rules mount" ;;
	--policy | --learn) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
	--runtime-dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
	--app | --instance) ;;
	*)
		if [[ $word == -* ]]; then
			_mqgate_offer "$word" \
				"--plug --slot --app --policy --learn --instance --wall --inherit-queues --runtime-dir --help --version"
		else
			mapfile -t COMPREPLY < <(compgen -c -- "$word")
		fi
		;;
	esac
}

complete -F _mqctl mqctl
complete -F _mq_run mq-run
