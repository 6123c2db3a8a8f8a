#!/bin/bash
# SPDX-License-Identifier: MIT
# Every example in every document is executed: the blocks between .EX and .EE of a manual page, the
# indented blocks of a Markdown file.
#
# A line "$ COMMAND" is run, and the lines below it are what it prints, "..." standing for any text.
# A block that begins with "# /etc/…" is written to that file, below $WORK. What cannot run is in
# tests/data/examples-not-run, with its reason; nothing else is left out.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
private_ipc
setup

# stdbuf is a preload, which a program built with sanitizers otherwise refuses to start with.
export ASAN_OPTIONS="verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
NOT_RUN="$SOURCE_ROOT/tests/data/examples-not-run"
USED="$WORK/used"
EXAMPLES="$SOURCE_ROOT/conf/packages.d"
TRANSCRIPT="$WORK/transcript"
: >"$USED"

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

# here: paths of the system, as they are in this test
here() {
	sed -e "s|/etc/systemd|$WORK/systemd|g" -e "s|/etc/mqgate/packages\.d|$WORK/packages|g" \
		-e "s|/etc/mqgate|$WORK|g" -e "s|/usr/share/doc/mqgate/examples/packages\.d|$EXAMPLES|g" \
		-e "s|/var/lib/mqgate|$WORK/state|g" -e "s|/run/mqgate|$WORK/run|g" \
		-e "s|/tmp/mqgate/|$WORK/private/|g" -e "s|build/tests/apps/||g"
}

# matches_rest PATTERN: what has been printed since the command
matches_rest() {
	local printed

	printed=$(tail -c "+$((MARK + 1))" "$TRANSCRIPT")
	# shellcheck disable=SC2053 # a pattern it is
	[[ $printed == $1 ]]
}

# run_example DOCUMENT COMMAND OUTPUT
run_example() {
	local pattern

	pattern=$(sed -e 's/[][*?\\]/\\&/g' -e 's/\.\.\./*/g' <<<"$3")
	# What programs that run beside it print stands between.
	[ ${#BESIDE[@]} = 0 ] || pattern="*${pattern//$'\n'/*}*"
	MARK=$(stat -c %s "$TRANSCRIPT")
	if [[ $2 == *\& ]]; then
		eval "exec </dev/null; close_apps; exec stdbuf -oL ${2%&}" >>"$TRANSCRIPT" 2>&1 &
		BESIDE+=($!)
		pattern="*${pattern//$'\n'/*}*"
	else
		patiently "$DEADLINE" bash -c "$2" >>"$TRANSCRIPT" 2>&1 </dev/null
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

# write_document DOCUMENT BLOCK: and let the daemon have it, if it is for the daemon
write_document() {
	local file

	file=$(head -n 1 <<<"$2" | sed 's/^# //' | here)
	printf '%s\n' "$2" >"$file"
	case $file in
	"$WORK/packages/"*) holds "$1: ${file##*/} is clean" mqctl check "$file" ;;
	"$WORK/mqgated.yaml")
		stop_daemon
		start_daemon
		ok "$1: the daemon starts with ${file##*/}"
		;;
	esac
}

is_listed() {
	grep -Fqx -- "$1" <(cut -f 1,2 "$NOT_RUN") && echo "$1" >>"$USED"
}

run_block() {
	local first

	first=$(grep -m 1 . <<<"$2" | sed 's/^ *//')
	if is_listed "$1"$'\t'"$first"; then
		return
	elif [[ $first == '$ '* ]]; then
		run_transcript "$1" "$(here <<<"$2")"
	elif [[ $first == '# /etc/'* ]]; then
		write_document "$1" "$(sed "s/^$(grep -m 1 . <<<"$2" | sed 's/[^ ].*//')//" <<<"$2")"
	else
		not_ok "$1: a block that is no example" <<<"$2"
	fi
}

stop_beside() {
	local pid

	for pid in ${BESIDE[@]+"${BESIDE[@]}"}; do
		kill "$pid"
		wait "$pid"
	done 2>/dev/null
	BESIDE=()
}

# run_document FILE: in a world of its own, with the packages sensor and logger
run_document() {
	local block

	rm -rf "$WORK/packages" "$WORK/state" "$WORK/mqgated.yaml" /dev/mqueue/events
	mkdir "$WORK/packages" "$WORK/state"
	cp "$EXAMPLES/sensor.yaml" "$EXAMPLES/logger.yaml" "$WORK/packages/"
	: >"$TRANSCRIPT"
	start_daemon
	[ "${1##*/}" != README.md ] || run_example "before" "mq-run --slot sensor:events sensor /events &" ""
	while IFS= read -r -d $'\f' block; do
		block=${block#$'\n'}
		run_block "${1##*/}" "${block%$'\n'}"
	done < <(blocks "$1")
	stop_beside
	stop_daemon
}

# As it is installed, mqgated knows where its session program is.
mv "$WORK/bin/mqgated" "$WORK/bin/mqgated.built"
printf '#!/bin/sh\nexec "%s" --session-program "%s" "$@"\n' "$WORK/bin/mqgated.built" \
	"$WORK/bin/mqgate-session" >"$WORK/bin/mqgated"
chmod 755 "$WORK/bin/mqgated"
BESIDE=()
for document in "$SOURCE_ROOT"/*.md "$SOURCE_ROOT"/doc/*.md "$SOURCE_ROOT"/*/*.[1578] "$SOURCE_ROOT"/*/*/*.[1578]; do
	[ ! -f "$document" ] || run_document "$document"
done
COUNT=$(grep -c -v '^#' "$NOT_RUN")
holds "nothing is on the list that is in no document" test "$(sort -u "$USED" | wc -l)" = "$COUNT"
finish
