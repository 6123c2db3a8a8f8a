#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian packages, built from this source, under a real systemd: installed, upgraded with running programs,
# downgraded, removed, purged. And RPM packages, which are only built.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/boot.sh
. "$(dirname "$0")/boot.sh"

for tool in dpkg-buildpackage dh lintian rpmbuild; do
	command -v $tool >/dev/null || {
		echo "TAP version 13"
		skip_all "$tool is missing: install debhelper, lintian and rpm"
	}
done
setup_boot
Q=/q-
DEADLINE=300
PACKAGE=$D/packages

# repack VERSION: what was built, as another version
repack() {
	local deb name

	for deb in "$PACKAGE"/built/mqgate_*.deb "$PACKAGE"/built/mqgate-static_*.deb; do
		name=$(basename "$deb" | sed 's/_.*//')
		rm -rf "$WORK/repacked"
		dpkg-deb -R "$deb" "$WORK/repacked" || return
		sed -i "s/^Version: .*/Version: $1/" "$WORK/repacked/DEBIAN/control"
		dpkg-deb --root-owner-group -b "$WORK/repacked" "$PACKAGE/${name}_$1.deb" >/dev/null || return
	done
}

install() {
	inside dpkg -i "$PACKAGE/mqgate_$1.deb" "$PACKAGE/mqgate-static_$1.deb"
}

units_are() {
	[ "$(inside systemctl "$1" mqgated.socket mqgated-control.socket mqgate-sessions.socket | sort -u)" = "$2" ]
}

mkdir -p "$PACKAGE/built/source" "$D/bin"
cp "$APPS/mqtry" "$D/bin"
tar -C "$SOURCE_ROOT" --exclude='./build*' --exclude=./.git -cf - . | tar -C "$PACKAGE/built/source" -xf -
cp -r "$PACKAGE/built/source/packaging/debian" "$PACKAGE/built/source"
run sh -c 'cd "$0" && dpkg-buildpackage -b -us -uc' "$PACKAGE/built/source"
expect_status "the packages are built by the command in packaging/README.md" 0
run sh -c 'lintian --fail-on error,warning "$0"/*.changes 2>&1 | grep "^[EW]:"' "$PACKAGE/built"
expect_status "lintian finds no error and no warning" 1

# What Fedora's macros are for is not here.
RPM_VERSION=$(sed -n 's/^Version: *//p' "$SOURCE_ROOT/packaging/mqgate.spec")
mkdir -p "$PACKAGE/rpm/SOURCES"
tar -C "$SOURCE_ROOT" --exclude='./build*' --exclude=./.git --transform="s|^\.|mqgate-$RPM_VERSION|" -cJf \
	"$PACKAGE/rpm/SOURCES/mqgate-$RPM_VERSION.tar.xz" .
run rpmbuild -bb --nodeps --define "_topdir $PACKAGE/rpm" --define "systemd_post() true" --define "systemd_preun() true" \
	--define "systemd_postun_with_restart() true" "$SOURCE_ROOT/packaging/mqgate.spec"
expect_status "RPM packages are built" 0
run sh -c 'rpm -qlp "$0"/rpm/RPMS/*/*.rpm | sort' "$PACKAGE"
for file in /usr/bin/mq-run /usr/sbin/mqgated /usr/libexec/mqgate/mqgate-session /usr/libexec/mqgate/mq-run-static \
	/usr/lib/systemd/system/mqgated.service /etc/mqgate/packages.d; do
	expect_stdout "… with $file" "^$file\$"
done

for version in 0.2.1 0.2.2 0.2.3; do
	holds "another version: $version" repack $version
done

# Some machines start nothing that is installed.
mkdir -p "$TREE/usr/sbin"
printf '#!/bin/sh\nexit 0\n' >"$TREE/usr/sbin/policy-rc.d"
chmod 755 "$TREE/usr/sbin/policy-rc.d"
trap sweep_boot EXIT
check "systemd boots" "$BOOT" start "$D" "$TREE"
holds "they are installed" install 0.2.1
holds "the sockets are enabled" units_are is-enabled enabled
holds "… and listen" units_are is-active active
holds "… but not the one for containers" test "$(inside systemctl is-enabled mqgated-oci.socket)" = disabled
holds "the service's user is there" inside getent passwd mqgated
holds "the launcher without libraries runs" inside /usr/libexec/mqgate/mq-run-static --version
for test in main-job roads; do
	check "its test $test" inside "$PACKAGE/built/source/debian/tests/$test"
done

# Policy that comes with another package.
cat >"$D/jobs.yaml" <<YAML
name: jobs
plugs: {work: posix-mq}
slots: {queues: {posix-mq: work, interface: posix-mq, path: ${Q}jobs, permissions: [read, write, create, delete]}}
YAML
mkdir -p "$WORK/policy/DEBIAN" "$WORK/policy/usr/lib/mqgate/packages.d"
cp "$D/jobs.yaml" "$WORK/policy/usr/lib/mqgate/packages.d"
printf '%s\n' "Package: jobs-policy" "Version: 1" "Architecture: all" "Maintainer: nobody" "Description: policy" \
	>"$WORK/policy/DEBIAN/control"
check "a package with slots and plugs" dpkg-deb --root-owner-group -b "$WORK/policy" "$PACKAGE/policy.deb"
check "is installed" inside dpkg -i "$PACKAGE/policy.deb"
check "… and known at once" inside mqctl connect jobs:work jobs:queues

start_app one inside mq-run --plug jobs:work mqtry
expect_answer "a program" one "open ${Q}jobs rwc 0600 4 16" "-> [0-9]"
for version in 0.2.2 0.2.3 0.2.1; do
	holds "over it goes $version" install $version
	holds "… and mqgated was started anew" test "$(inside dpkg-query -f '${Version}' -W mqgate)" = $version
	expect_answer "the program sees a pause" one "send x" "-> 0"
	expect_answer "… its queue" one "receive" "-> x"
	expect_answer "… and no other" one "open ${Q}other r" EACCES
done
check "what was connected can be disconnected" inside mqctl disconnect jobs:work jobs:queues
expect_answer "… under the program" one "send x" EACCES
stop_app one

inside sh -c 'echo "no such: [setting" >>/etc/mqgate/mqgated.yaml'
check "a configuration that cannot be read breaks no upgrade" inside dpkg --force-confold -i "$PACKAGE/mqgate_0.2.2.deb"
check "another package's, neither" inside dpkg -i "$PACKAGE/policy.deb"
check "removing asks nothing" inside dpkg -r jobs-policy mqgate-static mqgate
holds "… leaves no unit" test -z "$(inside sh -c 'ls /lib/systemd/system/mqgate*')"
holds "… and the state" inside test -e /var/lib/mqgate
check "purging takes it" inside dpkg -P mqgate
holds "… all" inside sh -c '! ls -d /var/lib/mqgate /etc/mqgate 2>/dev/null'
holds "and again" install 0.2.3
holds "… it listens" units_are is-active active
finish
