#!/bin/bash
# SPDX-License-Identifier: MIT
# The tutorial, as it is printed, from the first section to the last: under a real systemd.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/boot.sh
. "$(dirname "$0")/boot.sh"
# shellcheck source=tests/system/documents.sh
. "$(dirname "$0")/documents.sh"
setup_boot

TUTORIAL=$SOURCE_ROOT/conf/mqgate-tutorial.7
PROGRAMS=$TREE/usr/local/bin

# write_file PATH: from standard input
write_file() {
	inside tee "$1" >/dev/null
}

# "The unit of the sensor is the same, with --slot sensor:events."
write_sensor_unit() {
	sed -e 's/--plug logger:events/--slot sensor:events/' -e 's|/logger |/sensor |' |
		write_file /etc/systemd/system/sensor.service
}

# In the place of documents.sh's: they are inside.
stop_beside() {
	inside pkill -x 'sensor|logger'
	wait "${BESIDE[@]}" 2>/dev/null
	BESIDE=()
}

# run_block BLOCK
run_block() {
	local first path

	first=$(head -n 1 <<<"$1")
	path=${first#'# '}
	case $first in
	'$ '*) run_transcript tutorial "$1" ;;
	'# /etc/systemd/system/logger.service')
		write_file "$path" <<<"$1"
		write_sensor_unit <<<"$1"
		;;
	'# /etc/'*) write_file "$path" <<<"$1" ;;
	'/* reporter.c */')
		cat >"$D/reporter.c" <<<"$1"
		check "tutorial: the reporter compiles" cc -Wall -Wextra -Werror -o "$D/bin/reporter" "$D/reporter.c"
		inside install "$D/bin/reporter" /usr/local/bin/
		;;
	*) not_ok "tutorial: a block that is no example" <<<"$1" ;;
	esac
}

install_build
mkdir -p "$PROGRAMS"
cp "$APPS/sensor" "$APPS/logger" "$PROGRAMS/"
boot
INSIDE=(inside)
TRANSCRIPT=$WORK/transcript
: >"$TRANSCRIPT"
while IFS= read -r -d $'\f' block; do
	block=${block#$'\n'}
	run_block "${block%$'\n'}"
done < <(blocks "$TUTORIAL")
finish
