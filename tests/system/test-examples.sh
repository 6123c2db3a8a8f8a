#!/bin/bash
# SPDX-License-Identifier: MIT
# Every example in every document is executed: the blocks between .EX and .EE of a manual page, the
# indented blocks of a Markdown file.
#
# A block that begins with "# /etc/…" is written to that file, below $WORK. What cannot run is in
# tests/data/examples-not-run, with its reason; nothing else is left out but the tutorial, which is
# run under systemd (test-tutorial.sh). What is about app.yaml needs no daemon and no root: an ordinary
# user runs it, in a directory of its own.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/documents.sh
. "$(dirname "$0")/documents.sh"
private_ipc
setup

NOT_RUN="$SOURCE_ROOT/tests/data/examples-not-run"
USED="$WORK/used"
EXAMPLES="$SOURCE_ROOT/conf/packages.d"
: >"$USED"

# here: paths of the system, as they are in this test
here() {
	sed -e "s|/etc/systemd|$WORK/systemd|g" -e "s|/etc/mqgate/packages\.d|$WORK/packages|g" \
		-e "s|/etc/mqgate|$WORK|g" -e "s|/usr/share/doc/mqgate/examples/packages\.d|$EXAMPLES|g" \
		-e "s|/var/lib/mqgate|$WORK/state|g" -e "s|/run/mqgate|$WORK/run|g" \
		-e "s|/tmp/mqgate/|$WORK/private/|g" -e "s|build/tests/apps/||g"
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
	elif [[ $2 == *' app.yaml'* ]]; then
		INSIDE=(setpriv --reuid=65534 --regid=65534 --clear-groups env -u MQGATE_RUNTIME_DIR -C "$WORK/open")
		run_transcript "$1" "$2"
		INSIDE=()
	elif [[ $first == '$ '* ]]; then
		run_transcript "$1" "$(here <<<"$2")"
	elif [[ $first == '# /etc/'* ]]; then
		write_document "$1" "$(sed "s/^$(grep -m 1 . <<<"$2" | sed 's/[^ ].*//')//" <<<"$2")"
	else
		not_ok "$1: a block that is no example" <<<"$2"
	fi
}

# run_document FILE: in a world of its own, with the packages sensor and logger
run_document() {
	local block

	rm -rf "$WORK/packages" "$WORK/state" "$WORK/mqgated.yaml" "$WORK/open/app.yaml" /dev/mqueue/events
	mkdir "$WORK/packages" "$WORK/state"
	cp "$EXAMPLES/sensor.yaml" "$EXAMPLES/logger.yaml" "$WORK/packages/"
	TRANSCRIPT=$WORK/transcript
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
# The program of those who have one: makes a queue, sends itself a message, and removes it.
cat >"$WORK/open/app" <<'PYTHON'
#!/usr/bin/python3
import ctypes, os, sys

libc = ctypes.CDLL(None)
name = sys.argv[1].encode()
queue = libc.mq_open(name, os.O_CREAT | os.O_RDWR, 0o600, None)
if queue < 0:
    sys.exit(1)
buffer = ctypes.create_string_buffer(65536)
libc.mq_send(queue, b"hello", 5, 0)
libc.mq_receive(queue, buffer, 65536, None)
libc.mq_unlink(name)
PYTHON
chmod 755 "$WORK/open/app"
for document in "$SOURCE_ROOT"/*.md "$SOURCE_ROOT"/doc/*.md "$SOURCE_ROOT"/*/*.[1578] "$SOURCE_ROOT"/*/*/*.[1578]; do
	[ ! -f "$document" ] || [ "${document##*/}" = mqgate-tutorial.7 ] || run_document "$document"
done
COUNT=$(grep -c -v '^#' "$NOT_RUN")
holds "nothing is on the list that is in no document" test "$(sort -u "$USED" | wc -l)" = "$COUNT"
finish
