#!/bin/bash
# SPDX-License-Identifier: MIT
# meson install puts everything where a distribution would, and what is installed works.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

DEST="$WORK/dest"
run meson install -C "$BUILD_ROOT" --no-rebuild --destdir "$DEST"
expect_status "meson install" 0

for path in usr/bin/mq-run usr/bin/mqctl usr/sbin/mqgated usr/libexec/mqgate/mqgate-session usr/libexec/mqgate/mqgate-alone; do
	holds "$path" test -x "$DEST/$path"
done
for path in usr/lib/systemd/system/mqgated.service usr/lib/systemd/system/mqgate-sessions@.service \
	usr/lib/systemd/system/mqgate-sessions.socket etc/mqgate/mqgated.yaml \
	usr/lib/sysusers.d/mqgate.conf usr/lib/tmpfiles.d/mqgate.conf \
	usr/share/man/man1/mq-run.1 usr/share/man/man1/mqctl.1 usr/share/man/man8/mqgated.8 \
	usr/share/man/man5/mqgate-packages.5 usr/share/man/man5/mqgated.yaml.5 \
	usr/share/man/man7/mqgate-limits.7 usr/share/man/man7/mqgate-tutorial.7 \
	usr/share/doc/mqgate/examples/logger.service; do
	holds "$path" test -s "$DEST/$path"
done
for path in usr/share/bash-completion/completions/mqctl usr/share/bash-completion/completions/mq-run \
	usr/share/zsh/site-functions/_mqctl; do
	holds "$path" test -s "$DEST/$path"
done
for path in etc/mqgate/packages.d usr/lib/mqgate/packages.d \
	usr/share/doc/mqgate/examples/packages.d; do
	holds "$path/" test -d "$DEST/$path"
done
holds "nothing outside of /usr and /etc" test "$(cd "$DEST" && echo *)" = "etc usr"
holds "no test programs" test -z "$(find "$DEST" -name mqtry -o -name 'test-*')"
holds "the unit starts the installed daemon" \
	grep -Eq '^ExecStart=/usr/sbin/mqgated( |$)' "$DEST/usr/lib/systemd/system/mqgated.service"
holds "… and a spawner for the installed session program" grep -qx \
	'ExecStart=/usr/sbin/mqgated --spawner --session-program=/usr/libexec/mqgate/mqgate-session' \
	"$DEST/usr/lib/systemd/system/mqgate-sessions@.service"
run "$DEST/usr/sbin/mqgated" --spawner
expect_status "… which is not for the command line" 2
expect_stderr "… and says so" "is for a service manager"
holds "every example is a clean package" \
	mqctl check "$DEST"/usr/share/doc/mqgate/examples/packages.d/*.yaml
for program in bin/mq-run bin/mqctl sbin/mqgated; do
	check "$program --version" "$DEST/usr/$program" --version
done

cp "$DEST/etc/mqgate/mqgated.yaml" "$WORK/mqgated.yaml"
cp "$DEST/usr/sbin/mqgated" "$DEST/usr/libexec/mqgate/mqgate-session" "$WORK/bin/"
cp "$DEST"/usr/share/doc/mqgate/examples/packages.d/*.yaml "$WORK/packages/"
start_daemon
check "the installed daemon runs with its default configuration and the examples" mqctl plugs
expect_stdout "… and offers the logger's plug" "^logger:events "
finish
