# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # what lib.sh and the tests use
# A machine with a real systemd of its own (systemd-boot), on which this build is installed. After lib.sh:
#
#	setup_boot        setup (lib.sh), or the test is skipped
#	install_build     into $TREE, whose files lie over the machine's own
#	boot              with the service running, or the test is over
#	inside CMD…, inside_as_user CMD…
#
# $D is at the same path inside and outside.

BOOT=$(dirname "${BASH_SOURCE[0]}")/systemd-boot

# Inside, the build is where it is installed.
write_inside() {
	cat >"$WORK/bin/inside" <<SCRIPT
#!/bin/sh
PATH=$D/bin:\$PATH
unset MQGATE_RUNTIME_DIR
exec "$(realpath "$BOOT")" run "$D" "\$@"
SCRIPT
	cat >"$WORK/bin/inside_as_user" <<'SCRIPT'
#!/bin/sh
exec inside setpriv --reuid=65534 --regid=65534 --clear-groups -- "$@"
SCRIPT
	chmod 755 "$WORK/bin/inside" "$WORK/bin/inside_as_user"
}

setup_boot() {
	local lacking

	BOOT=$(realpath "$BOOT")
	lacking=$("$BOOT" possible 2>&1) || {
		echo "TAP version 13"
		skip_all "$lacking"
	}
	setup
	D=$WORK/boot
	TREE=$WORK/tree
	write_inside
}

install_build() {
	meson install -C "$BUILD_ROOT" --no-rebuild --destdir "$TREE" >/dev/null &&
		mkdir -p "$D/bin" "$TREE/etc/systemd/system"
}

sweep_boot() {
	"$BOOT" stop "$D"
	sweep
}

boot() {
	trap sweep_boot EXIT
	if ! DEADLINE=40 run "$BOOT" start "$D" "$TREE" || [ "$STATUS" != 0 ]; then
		stderr | diagnose >&2
		echo "Bail out! systemd does not boot"
		exit 1
	fi
	check "the service's user is made" inside systemd-sysusers
	check "the service starts" inside systemctl start mqgated
	if [ "$STATUS" != 0 ]; then
		inside journalctl -b -u mqgated -n 20 --no-pager | diagnose
		echo "Bail out! there is no service"
		exit 1
	fi
}
