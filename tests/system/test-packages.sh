#!/bin/bash
# SPDX-License-Identifier: MIT
# The Debian packages: built in a tree of Debian RELEASE by what packaging/README.md says, twice, to the same bytes;
# and under a real systemd, in another tree where nothing was: installed over 0.1.0, removed, installed, upgraded with
# running programs, downgraded, purged. For bookworm also RPM packages, which are only built.
#
#	test-packages.sh RELEASE
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/boot.sh
. "$(dirname "$0")/boot.sh"

for tool in mmdebstrap rpmbuild rpmlint git; do
	command -v $tool >/dev/null || {
		echo "TAP version 13"
		skip_all "$tool is missing: install mmdebstrap, rpm, rpmlint and git"
	}
done
RELEASE=$1
DEBIAN_TREE=$SOURCE_ROOT/tests/debian/tree
setup_boot
Q=/q-
DEADLINE=600
PACKAGE=$D/packages
BUILDER=$WORK/builder
VERSION=$(sed -n "s/^  version: '\(.*\)',$/\1/p" "$SOURCE_ROOT/meson.build")

write_in_builder() {
	printf '#!/bin/sh\nexec "%s" run "%s" "$@"\n' "$DEBIAN_TREE" "$BUILDER" >"$WORK/bin/in_builder"
	chmod 755 "$WORK/bin/in_builder"
}

# source_in DIRECTORY
source_in() {
	mkdir -p "$1" && tar -C "$SOURCE_ROOT" --exclude='./build*' --exclude=./.git --exclude=./debian -cf - . | tar -C "$1" -xf -
}

# What the document says, without a person who says yes.
build_commands() {
	sed -n '/^## Debian/,/^## Fedora/s/^    //p' "$SOURCE_ROOT/packaging/README.md"
}

# built_in DIRECTORY
built_in() {
	source_in "$BUILDER$1/mqgate" &&
		in_builder sh -ec "cd $1/mqgate; export DEBIAN_FRONTEND=noninteractive SOURCE_DATE_EPOCH=1790000000; $(build_commands)"
}

same_packages() {
	local deb

	for deb in "$BUILDER"/one/*.deb; do
		cmp "$deb" "$BUILDER/another/place/$(basename "$deb")" || return
	done
}

# repack VERSION: what was built, as another version
repack() {
	local deb name

	for deb in "$BUILDER"/one/mqgate_*.deb "$BUILDER"/one/mqgate-static_*.deb; do
		name=$(basename "$deb" | sed 's/_.*//')
		rm -rf "$WORK/repacked"
		dpkg-deb -R "$deb" "$WORK/repacked" || return
		sed -i "s/^Version: .*/Version: $1/" "$WORK/repacked/DEBIAN/control"
		dpkg-deb --root-owner-group -b "$WORK/repacked" "$PACKAGE/${name}_$1.deb" >/dev/null || return
	done
}

main_pid() {
	inside systemctl show -p MainPID --value mqgated
}

install() {
	inside dpkg -i "$PACKAGE/mqgate_$1.deb" "$PACKAGE/mqgate-static_$1.deb" </dev/null
}

since() {
	inside systemctl show -P ActiveEnterTimestampMonotonic mqgated.socket mqgated-control.socket mqgate-sessions.socket
}

units_are() {
	[ "$(inside systemctl "$1" mqgated.socket mqgated-control.socket mqgate-sessions.socket | sort -u)" = "$2" ]
}

# Nothing of mqgate, wherever it might be.
nothing_left() {
	local found

	found=$(inside find / /run -xdev -path "$D" -prune -o -path /proc -prune -o \
		\( -name '*mqgate*' -o -name '*mqctl*' -o -name 'mq-run*' \) -print) || return
	echo "$found"
	[ -z "$found" ]
}

# --- 0.1.0, which came without a package -----------------------------------------------------------

# Its last commit, if it is known here: not in a release.
first_release() {
	git -c safe.directory='*' -C "$SOURCE_ROOT" log --format=%H~1 -S"version: '0.1.0'" -- meson.build 2>/dev/null | head -n 1
}

# build_first_release COMMIT: into TREE
build_first_release() {
	mkdir -p "$BUILDER/first" &&
		git -c safe.directory='*' -C "$SOURCE_ROOT" archive "$1" | tar -C "$BUILDER/first" -xf - &&
		in_builder sh -ec 'cd /first; meson setup build -Dtests=false; ninja -C build
			meson install -C build --no-rebuild --destdir /first/installed' && cp -a "$BUILDER/first/installed/." "$TREE"
}

over_the_first_release() {
	check "0.1.0: its user" inside systemd-sysusers
	check "0.1.0: it starts" inside systemctl enable --now mqgated
	check "0.1.0: connected" inside mqctl connect jobs:work jobs:queues
	start_app old inside mq-run --plug jobs:work mqtry
	expect_answer "0.1.0: a program" old "open ${Q}jobs rwc 0600 4 16" "-> [0-9]"
	holds "over 0.1.0, it is installed and asks nothing" install 0.2.1
	expect_answer "… its program is told that nothing answers it" old "send x" "ENOSYS"
	stop_app old
	start_app new inside mq-run --plug jobs:work mqtry
	expect_answer "… what was connected is connected" new "open ${Q}jobs rwc 0600 4 16" "-> [0-9]"
	stop_app new
	holds "… manual pages are the new ones" \
		inside sh -c '[ -z "$(find /usr/share/man -name "*.[158]" \( -name "mq*" \))" ] && [ -e /usr/share/man/man1/mqctl.1.gz ]'
	check "… and it is purged" inside dpkg -P mqgate-static mqgate
	inside rm -f /usr/lib/mqgate/packages.d/jobs.yaml
	inside rmdir -p --ignore-fail-on-non-empty /usr/lib/mqgate/packages.d
	holds "… with all that 0.1.0 left" nothing_left
}

# --- building ---------------------------------------------------------------------------------------

write_in_builder
mkdir -p "$PACKAGE" "$D/bin" "$TREE/usr/sbin"
cp "$APPS/mqtry" "$D/bin"
check "a tree to build in" "$DEBIAN_TREE" make "$BUILDER" "$RELEASE" dpkg-dev git lintian
echo 'APT::Get::Assume-Yes "true";' >"$BUILDER/etc/apt/apt.conf.d/yes"
check "… with lists of packages" in_builder apt-get -qq update
holds "the packages are built by the commands in packaging/README.md" built_in /one
holds "… and elsewhere" built_in /another/place
holds "… to the same bytes" same_packages
check "lintian finds no error and no warning" in_builder sh -c 'lintian --fail-on error,warning /one/*.changes'
check "what README.md says installs them, where no systemd runs" in_builder sh -ec 'cd /one/mqgate
	apt-get install ../mqgate_*.deb; mq-run --version; mqctl --version'
check "… and it is purged" in_builder apt-get purge mqgate
for version in 0.2.1 0.2.2 0.2.3; do
	holds "another version: $version" repack $version
done

if [ "$RELEASE" = bookworm ]; then
	source_in "$WORK/source"
	check "a release is made" sh -ec 'cd "$0"; git init -q; git add -A; git -c user.name=x -c user.email=x@localhost commit -qm x
		meson setup build -Dtests=false; meson dist -C build --no-tests' "$WORK/source"
	# What Fedora's macros are for is not here.
	RPMBUILD=(rpmbuild -ta --nodeps --define "_topdir $PACKAGE/rpm" --define "_unitdir /usr/lib/systemd/system"
		--define "_sysusersdir /usr/lib/sysusers.d" --define "_tmpfilesdir /usr/lib/tmpfiles.d"
		--define "systemd_post() true" --define "systemd_preun() true" --define "systemd_postun_with_restart() true")
	run "${RPMBUILD[@]}" "$WORK/source/build/meson-dist/mqgate-$VERSION.tar.xz"
	expect_status "RPM packages are built from it" 0
	run sh -c 'rpm -qlp "$0"/rpm/RPMS/*/*.rpm | sort' "$PACKAGE"
	for file in /usr/bin/mq-run /usr/sbin/mqgated /usr/libexec/mqgate/mqgate-session /usr/libexec/mqgate/mq-run-static \
		/usr/lib/systemd/system/mqgated.service /etc/mqgate/packages.d; do
		expect_stdout "… with $file" "^$file\$"
	done
	run sh -c 'rpmlint -r "$1" "$0"/rpm/RPMS/*/*.rpm "$0"/rpm/SRPMS/*.rpm' "$PACKAGE" "$SOURCE_ROOT/packaging/mqgate.rpmlintrc"
	expect_status "rpmlint finds no error" 0
	expect_stdout "… and no warning" ' 0 errors, 0 warnings'
fi

# --- a bare machine ---------------------------------------------------------------------------------

SYSTEMD_TREE=$WORK/bare
export SYSTEMD_TREE
check "a bare tree of Debian $RELEASE" "$DEBIAN_TREE" make "$SYSTEMD_TREE" "$RELEASE" autopkgtest gcc libc6-dev libyaml-0-2
FIRST=
[ "$RELEASE" != bookworm ] || FIRST=$(first_release)
[ -z "$FIRST" ] || holds "0.1.0 is built" build_first_release "$FIRST"
cat >"$D/jobs.yaml" <<YAML
name: jobs
plugs: {work: posix-mq}
slots: {queues: {posix-mq: work, interface: posix-mq, path: ${Q}jobs, permissions: [read, write, create, delete]}}
YAML
[ -z "$FIRST" ] || cp "$D/jobs.yaml" "$TREE/usr/lib/mqgate/packages.d"
# Some machines start nothing that is installed.
printf '#!/bin/sh\nexit 0\n' >"$TREE/usr/sbin/policy-rc.d"
chmod 755 "$TREE/usr/sbin/policy-rc.d"
trap sweep_boot EXIT
check "systemd boots" "$BOOT" start "$D" "$TREE"
if [ -n "$FIRST" ]; then
	over_the_first_release
else
	[ "$RELEASE" != bookworm ] || echo "ok $((++TAP_COUNT)) - the upgrade from 0.1.0 # SKIP this machine has no history of the source"
fi
holds "they are installed" install 0.2.1
holds "the sockets are enabled" units_are is-enabled enabled
holds "… and listen" units_are is-active active
holds "… but not the one for containers" test "$(inside systemctl is-enabled mqgated-oci.socket)" = disabled
holds "the service's user is there" inside getent passwd mqgated
run inside mqctl doctor
expect_stdout "mqctl doctor knows that this is enough" "^ok +unit: mqgated.socket is enabled"
holds "the launcher without libraries runs" inside /usr/libexec/mqgate/mq-run-static --version
source_in "$D/source"
cp -r "$BUILDER/one/mqgate/debian" "$D/source"
check "its own tests pass" inside autopkgtest --ignore-restrictions=isolation-container,isolation-machine -B "$D/source" -- null

# Policy that comes with another package.
mkdir -p "$WORK/policy/DEBIAN" "$WORK/policy/usr/lib/mqgate/packages.d"
cp "$D/jobs.yaml" "$WORK/policy/usr/lib/mqgate/packages.d"
printf '%s\n' "Package: jobs-policy" "Version: 1" "Architecture: all" "Maintainer: nobody" "Description: policy" \
	>"$WORK/policy/DEBIAN/control"
check "a package with slots and plugs" dpkg-deb --root-owner-group -b "$WORK/policy" "$PACKAGE/policy.deb"
check "is installed" inside dpkg -i "$PACKAGE/policy.deb"
check "… and known at once" inside mqctl connect jobs:work jobs:queues

start_app one inside mq-run --plug jobs:work mqtry
expect_answer "a program" one "open ${Q}jobs rwc 0600 4 16" "-> [0-9]"
listens_since=$(since)
for version in 0.2.2 0.2.3 0.2.1 0.2.2 0.2.3 0.2.1; do
	before=$(main_pid)
	holds "over it goes $version" install $version
	holds "… and mqgated was started anew" test "$(main_pid)" != "$before"
	expect_answer "the program sees a pause" one "send x" "-> 0"
	expect_answer "… its queue" one "receive" "-> x"
	expect_answer "… and no other" one "open ${Q}other r" EACCES
done
holds "the sockets were listening all the while" test "$(since)" = "$listens_since"
check "what was connected can be disconnected" inside mqctl disconnect jobs:work jobs:queues
expect_answer "… under the program" one "send x" EACCES
check "connected" inside mqctl connect jobs:work jobs:queues

inside sh -c 'cp /etc/mqgate/mqgated.yaml /root/good; echo "no such: [setting" >>/etc/mqgate/mqgated.yaml'
check "a configuration that cannot be read breaks no upgrade" inside dpkg --force-confold -i "$PACKAGE/mqgate_0.2.2.deb"
DEADLINE=15 check "another package's, neither" inside dpkg -i "$PACKAGE/policy.deb"
inside mv /root/good /etc/mqgate/mqgated.yaml
tell one "send x"
holds "… and when it is corrected, the program goes on" eval '[[ $ANSWER == *"-> 0" ]]'
stop_app one
check "the socket for containers is enabled" inside systemctl enable mqgated-oci.socket
check "… and listens" inside sh -c "systemctl restart mqgated && systemctl -q is-active mqgated-oci.socket"
check "removing asks nothing" inside dpkg -r jobs-policy mqgate-static mqgate
holds "… leaves no unit" inside sh -c '[ -z "$(ls /lib/systemd/system/mqgate* 2>/dev/null)" ]'
holds "… nobody listens" inside sh -c '[ -z "$(find /run/mqgate -type s)" ]'
holds "… and the state" inside test -e /var/lib/mqgate
check "purging takes it" inside dpkg -P mqgate
holds "… all" nothing_left
holds "and again" install 0.2.3
holds "… it listens" units_are is-active active
finish
