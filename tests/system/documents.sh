# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# The examples in documents: the blocks between .EX and .EE of a manual page, the indented blocks of a
# Markdown file. A line "$ COMMAND" is run, and the lines below it are what it prints, "..." standing
# for any text. After lib.sh.
#
# INSIDE: an array with the command that runs them elsewhere, if any.

INSIDE=()
BESIDE=() # what runs in the background
TRANSCRIPT=
# stdbuf is a preload, which a program built with sanitizers otherwise refuses to start with.
export ASAN_OPTIONS="verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"

# blocks FILE: what is in it, each block ended by a line with a form feed
blocks() {
	case $1 in
	*.md) awk '/^    / && (open || blank) { print substr($0, 5); open = 1; next }
		/^$/ && open { held = 1; blank = 1; getline
			if (/^    /) { print ""; print substr($0, 5); next }
			print "\f"; open = 0 }
		open { print "\f"; open = 0 }
		{ blank = /^$/ }
		END { if (open) print "\f" }' "$1" ;;
	*) awk '/^\.EX/ { open = 1; next } /^\.EE/ { print "\f"; open = 0 } open' "$1" |
		sed -e 's/^\\&//' -e 's/\\-/-/g' -e 's/\\(dq/"/g' -e 's/\\\\$/\\/' -e 's/\\e/\\/g' ;;
	esac
}

stop_beside() {
	local pid

	for pid in ${BESIDE[@]+"${BESIDE[@]}"}; do
		kill "$pid"
		wait "$pid"
	done 2>/dev/null
	BESIDE=()
}

# matches_rest PATTERN: what has been printed since the command
matches_rest() {
	local printed

	printed=$(tail -c "+$((MARK + 1))" "$TRANSCRIPT")
	# shellcheck disable=SC2053 # a pattern it is
	[[ $printed == $1 ]]
}

# run_command COMMAND
run_command() {
	patiently "$DEADLINE" ${INSIDE[@]+"${INSIDE[@]}"} bash -c "$1" >>"$TRANSCRIPT" 2>&1 </dev/null
}

# shows COMMAND PATTERN: of what may not be there yet
shows() {
	truncate -s "$MARK" "$TRANSCRIPT"
	run_command "$1"
	matches_rest "$2"
}

# run_example DOCUMENT COMMAND OUTPUT
run_example() {
	local pattern

	if [[ $2 == 'kill %'* ]]; then
		stop_beside
		return
	fi
	pattern=$(sed -e 's/[][*?\\]/\\&/g' -e 's/\.\.\./*/g' <<<"$3")
	# What programs that run beside it print stands between.
	[ ${#BESIDE[@]} = 0 ] || pattern="*${pattern//$'\n'/*}*"
	MARK=$(stat -c %s "$TRANSCRIPT")
	if [[ $2 == *\& ]]; then
		(close_apps; exec ${INSIDE[@]+"${INSIDE[@]}"} bash -c "exec stdbuf -oL ${2%&}") \
			</dev/null >>"$TRANSCRIPT" 2>&1 &
		BESIDE+=($!)
		pattern="*${pattern//$'\n'/*}*"
	elif [[ $2 =~ ^(journalctl|ls|stat)\  ]]; then # what a service does may not be there yet
		wait_until 30 shows "$2" "$pattern"
	else
		run_command "$2"
	fi
	if wait_until 8 matches_rest "$pattern"; then
		ok "$1: \$ $2"
	else
		not_ok "$1: \$ $2" < <(
			echo "expected:"
			echo "$3"
			echo "printed:"
			tail -c "+$((MARK + 1))" "$TRANSCRIPT"
		)
	fi
}

# run_transcript DOCUMENT BLOCK
run_transcript() {
	local line command='' output=''

	while IFS= read -r line; do
		if [[ $command == *\\ ]]; then
			command="${command%\\}$line"
		elif [[ $line == '$ '* ]]; then
			[ -z "$command" ] || run_example "$1" "$command" "${output%$'\n'}"
			command=${line#'$ '} output=
		elif [ -n "$line" ]; then
			output+=$line$'\n'
		fi
	done <<<"$2"
	[ -z "$command" ] || run_example "$1" "$command" "${output%$'\n'}"
}
