#!/bin/bash
# SPDX-License-Identifier: MIT
# The kernel is the reference: the probe and the tutorial programs give the same bare and confined with everything granted, line by
# line, errno by errno, as root and as an ordinary user, in both forms of the wall.
# ONLY_32_BIT: what 32-bit programs do, and nothing else.
. "$(dirname "$0")/lib.sh"

PROBES="probe probe-32"
[ -z "${ONLY_32_BIT:-}" ] || PROBES=probe-32
SECTIONS=
declare -A LEAST
! far_from_limits || SECTIONS+="names flags attributes modes data descriptors timeouts setattr notify poll
	processes passing signals threads"
! near_limits || SECTIONS+=" limits identity namespaces"
# What each says when it went well.
declare -A TUTORIALS=(
	[send]="received: hello, queue"
	[priorities]="5 smoke"
	[timed]="send: Connection timed out"
	[notify-signal]="received: c"
	[notify-thread]="round 2: ping"
	[epoll]="received 4"
	[request-reply]="humidity -> HUMIDITY"
)
# Not 65534: what it has queued elsewhere on this machine would count against its limit.
USER_ID=$((60000 + $$ % 4000))

ulimit -q 819200 # the kernel's own, which the probe reaches
private_ipc
setup
mkdir "$WORK/below"
cp "$BUILD_ROOT"/tests/probe/probe* "$BUILD_ROOT"/tests/tutorial/tutorial-* "$WORK/bin/" 2>/dev/null
chmod -R a+rX "$WORK/bin"
cat >"$WORK/packages/everything.yaml" <<'YAML'
name: everything
plugs:
  all: posix-mq
  fast:
    interface: posix-mq
    posix-mq: all
    mediation: open
  renamed:
    interface: posix-mq
    path: [/mqgate-probe, /mqgate-probe-other, /mqgate-probe-no-such, /mqgate-probe-a, /mqgate-probe-b,
      /mqgate-probe-c, /mqgate-probe-d, /mqgate-probe-0, /mqgate-probe-inside, /mqgate-tutorial,
      /mqgate-tutorial-requests, /mqgate-tutorial-replies]
  shared: posix-mq
slots:
  others:
    interface: posix-mq
    posix-mq: renamed
    path: [/o-1, /o-2, /o-3, /o-4, /o-5, /o-6, /o-7, /o-8, /o-9, /o-10, /o-11, /o-12]
    permissions: [read, write, create, delete]
  hosts:
    interface: posix-mq
    posix-mq: shared
    namespace: host
    path-pattern: "/*"
    permissions: [read, write, create, delete]
  every:
    interface: posix-mq
    posix-mq: all
    path-pattern: "/*"
    permissions: [read, write, create, delete]
YAML
start_daemon
mqctl connect everything:all everything:every
mqctl connect everything:fast everything:every
mqctl connect everything:renamed everything:others
mqctl connect everything:shared everything:hosts
PLUG=all
WHERE=()     # the confined ones run
RUN=(mq-run) # by which

cat >"$WORK/bin/as" <<SCRIPT
#!/bin/sh
who=\$1
shift
[ "\$who" = root ] && exec "\$@"
exec as_uid $USER_ID "\$@"
SCRIPT
chmod 755 "$WORK/bin/as"

# bare WALL CMD…: with what this form of the wall leaves: without CAP_SYS_ADMIN, and below a directory, where
# there are no user namespaces; in another IPC namespace root is lent no capabilities
bare() {
	local wall=$1
	shift
	if [ "$wall" = mount ]; then
		unshare -m sh -c 'mount --rbind / "$0" && exec chroot "$0" "$@"' "$WORK/below" \
			setpriv --inh-caps=-sys_admin --bounding-set=-sys_admin -- "$@"
	elif [ "$PLUG $2" = "shared root" ]; then
		setpriv --inh-caps=-all --bounding-set=-all -- "$@"
	else
		"$@"
	fi
}

# has_room WHO BYTES: with that limit the user may make a small queue
has_room() {
	(cd / && ulimit -S -q "$2" && as "$1" mqtry "open ${Q}free rwcx 0600 1 64" "unlink ${Q}free") >/dev/null 2>&1
}

# least_limit WHO: the least limit that has room. More than for the one queue: others of the user's have some.
least_limit() {
	local low=0 high=819200 middle

	while [ $((high - low)) -gt 1 ]; do
		middle=$(((low + high) / 2))
		if has_room "$1" $middle; then high=$middle; else low=$middle; fi
	done
	echo "$high"
}

# settle WHO: waits until no queue of ours is left; the kernel frees those of a namespace some time after its
# last process
settle() {
	[ "${LIMITS:-}" != only ] || wait_until 10 has_room "$1" "${LEAST[$1]}"
}

# both WHO WALL CMD…: CMD's output bare in bare.txt, confined in confined.txt
both() {
	local who=$1 wall=$2
	shift 2
	settle "$who"
	(cd / && bare "$wall" as "$who" timeout -k 2 $((60 * TEST_PATIENCE)) "$@") </dev/null >"$WORK/bare.txt" 2>&1
	settle "$who"
	(cd / && "${WHERE[@]}" as "$who" timeout -k 2 $((60 * TEST_PATIENCE)) "${RUN[@]}" --wall="$wall" --plug "$PLUG" "$@") \
		</dev/null >"$WORK/confined.txt" 2>&1
}

# same PATTERN: the bare output has this, so it ran to its end, and the confined one does not differ
same() {
	grep -q -- "$1" "$WORK/bare.txt" && diff "$WORK/bare.txt" "$WORK/confined.txt"
}

# without SECTION…: from now on
without() {
	SECTIONS=$(tr -s ' \t\n' '\n' <<<"$SECTIONS" | grep -vxF "$(printf '%s\n' "$@")")
}

# compare_sections WHO WALL PROBE
compare_sections() {
	local who=$1 wall=$2 what

	for what in $SECTIONS; do
		both "$who" "$wall" "$3" "$what"
		holds "$3 $what: $(grep -c '' "$WORK/bare.txt") lines, bare and confined the same ($who, $wall, $PLUG)" \
			same "section: exit 0"
	done
}

# compare_tutorials WHO WALL
compare_tutorials() {
	local who=$1 wall=$2 what

	far_from_limits || return 0
	for what in "${!TUTORIALS[@]}"; do
		both "$who" "$wall" "tutorial-$what"
		holds "tutorial $what: the same ($who, $wall, $PLUG)" same "${TUTORIALS[$what]}"
	done
}

# compare WHO WALL PROBE
compare() {
	[ "$3" = probe ] || can_run_32_bit "$WORK/bin/$3" "32-bit programs ($1, $2, $PLUG)" || return
	compare_sections "$@"
	[ "$3" != probe ] || compare_tutorials "$1" "$2"
}

[ "${LIMITS:-}" != only ] || LEAST=([root]=$(least_limit root) [user]=$(least_limit user))
for how in "root rules" "user rules" "root mount"; do
	for probe in $PROBES; do
		compare $how "$probe"
	done
done

# Under open mediation the kernel itself answers most calls.
PLUG=fast
for probe in $PROBES; do
	compare "$([ "$probe" = probe ] && echo user || echo root)" rules "$probe"
done

# Without a daemon; for a user there are things that this cannot (test-alone.sh).
ALL_SECTIONS=$SECTIONS
PLUG=all
RUN=(mq-run --policy "$WORK/packages/everything.yaml")
[[ " $PROBES " != *" probe "* ]] || compare_sections root rules probe
without namespaces identity
for probe in $PROBES; do
	compare user rules "$probe"
done
[[ " $PROBES " = *" probe "* ]] || finish
PLUG=fast
compare_sections user rules probe
RUN=(mq-run)
SECTIONS=$ALL_SECTIONS

# Through other names: those that a plug can list.
PLUG=renamed
without names limits
compare_sections user rules probe
compare_sections root rules probe
compare_tutorials user rules

# In another IPC namespace, on the host's queues.
PLUG=shared
WHERE=(unshare --ipc)
without namespaces
compare_sections user rules probe
without identity # which needs some of its own
compare_sections root rules probe
compare_tutorials user rules
PLUG=all
WHERE=()

holds "no record: nothing was denied" test -z "$(grep denied "$WORK/daemon.log")"

far_from_limits || finish

# The comparison is worth something: a session process that forgets the caller's umask does not pass.
stop_daemon
mv "$WORK/bin/mqgate-session" "$WORK/bin/mqgate-session.real"
cat >"$WORK/bin/mqgate-session" <<SCRIPT
#!/bin/sh
LD_PRELOAD=$BUILD_ROOT/tests/preload/no-umask.so exec $WORK/bin/mqgate-session.real
SCRIPT
chmod 755 "$WORK/bin/mqgate-session"
start_daemon
both root rules probe modes
differs() {
	! diff "$WORK/bare.txt" "$WORK/confined.txt"
}
holds "a session process that does not take the umask on is noticed" differs
finish
