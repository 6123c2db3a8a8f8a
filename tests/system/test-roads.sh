#!/bin/bash
# SPDX-License-Identifier: MIT
# Every road to a queue past the door: open for a bare process, else this test fails, and closed
# under mq-run. As root and as an ordinary user.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
setup

write_package road.yaml <<'YAML'
name: road
plugs:
  granted: posix-mq
  reader: posix-mq
slots:
  granted-queues:
    interface: posix-mq
    path: ["@Q@granted-root", "@Q@granted-user"]
    permissions: [read]
  private-queue:
    interface: posix-mq
    path: @Q@private
    permissions: [read]
YAML
start_daemon
check "connected" mqctl connect road:granted road:granted-queues
check "connected" mqctl connect road:reader road:private-queue

# not_open_bare WHO ROAD: prints the reason if this road leads nowhere even without mqgate.
not_open_bare() {
	case "$1 $2" in
	*" rename") echo "mqueue has no rename" ;;
	*" user-mount-host") echo "mounting mqueue needs CAP_SYS_ADMIN where its IPC namespace is" ;;
	*" x32-"*) echo "this kernel may be built without the x32 calls" ;;
	*" i386-"*) [ "$(uname -m)" = x86_64 ] && ! bare_i386 && echo "no IA32 emulation here" ;;
	"user "mount | "user "fsmount | "user "bind | "user "open-tree)
		echo "mounting needs CAP_SYS_ADMIN"
		;;
	esac
}

bare_i386() {
	[ ! -e /sys/kernel/ia32_emulation ] || grep -q 1 /sys/kernel/ia32_emulation
}

# closed_as ROAD: where and how the road must end under mq-run
closed_as() {
	case $1 in
	open | create | relative | proc-root | proc-cwd | proc-fd | proc-mem) echo "open EACCES" ;;
	path-descriptor | reopen) echo "reopen EACCES" ;;
	unlink) echo "unlink EACCES" ;;
	rename) echo "rename (EACCES|EPERM|EXDEV)" ;;
	mount | bind | user-mount | user-mount-host) echo "mount EPERM" ;;
	fsmount | user-fsmount) echo "(fsopen EPERM|open EACCES)" ;;
	open-tree) echo "(open_tree EPERM|open EACCES)" ;;
	io_uring-open) echo "OPENAT EACCES" ;;
	io_uring-unlink) echo "UNLINKAT EACCES" ;;
	ptrace) echo "PTRACE_ATTACH EPERM" ;;
	process_vm_writev | pidfd_getfd) echo "$1 EPERM" ;;
	sent-descriptor) echo "mq_send EACCES" ;;
	mq_open | mq_create) echo "mq_open EACCES" ;;
	mq_unlink) echo "mq_unlink EACCES" ;;
	# No i386 program runs at all, so the wall is not even asked.
	i386-open) echo "open ENOSYS" ;;
	i386-mq_open | x32-mq_open) echo "mq_open ENOSYS" ;;
	i386-mq_unlink | x32-mq_unlink) echo "mq_unlink ENOSYS" ;;
	*) echo "(no expectation for $1)" ;;
	esac
}

# make_queue CMD…: the target, of that user, empty
make_queue() {
	"$@" mqtry "open $TARGET rwc 600 4 64" >"$WORK/stdout" ||
		not_ok "the queue $TARGET was made" <"$WORK/stdout"
}

# travel WHO ROAD CMD…: the road bare, then confined; in a mount namespace of its own, to leave no
# mount behind
travel() {
	local who=$1 road=$2 reason
	shift 2

	TARGET=${Q}target-$who
	[ "$road" != reopen ] || TARGET=${Q}granted-$who
	make_queue "$@"
	run unshare -m "$@" road "$road" "$TARGET" "$WORK/open/$who"
	reason=$(not_open_bare "$who" "$road")
	if [ -z "$reason" ]; then
		expect_output "$who: $road: open if bare" open
	else
		holds "$who: $road: not open even if bare: $reason" test "$(stdout)" != open
	fi
	make_queue "$@"
	run unshare -m "$@" mq-run --plug granted road "$road" "$TARGET" "$WORK/open/$who"
	expect_stdout "$who: $road: closed under mq-run" "^closed $(closed_as "$road")\$"
	holds "$who: $road: the queue is still there" test -e "/dev/mqueue$TARGET"
}

travel_all() {
	local who=$1 road
	shift

	"$@" mkdir -p "$WORK/open/$who/mount"
	TARGET=${Q}target-$who
	make_queue "$@"
	start_app "victim-$who" "$@" road victim "$TARGET" "$WORK/open/$who"
	holds "$who: the neighbour is ready" wait_until 5 grep -q ready "$WORK/victim-$who.out"
	for road in $(road --list); do
		# The neighbour's queue is gone once it has been unlinked: these go last.
		case $road in *unlink) ;; *) travel "$who" "$road" "$@" ;; esac
	done
	for road in $(road --list); do
		case $road in *unlink) travel "$who" "$road" "$@" ;; esac
	done
	stop_app "victim-$who"
}

travel_all root env
travel_all user as_user

# --- other shapes of the file tree ---------------------------------------------------------------

# shaped DESCRIPTION PATH SCRIPT: in a mount namespace made up by SCRIPT, the queue's file at PATH is
# in reach if bare, and out of reach under mq-run; the rest of the tree is not.
shaped() {
	local shape=(unshare -m sh -c "$3"'; exec "$@"' shape)

	make_queue env
	check "$1: in reach if bare" "${shape[@]}" sh -c ": <>'$2'"
	run "${shape[@]}" mq-run --plug granted sh -c ": <>'$2'"
	expect_stderr "$1: out of reach under mq-run" 'cannot (create|open).*Permission denied'
	check "$1: the rest is in reach" "${shape[@]}" mq-run --plug granted sh -c \
		': </etc/passwd && : >"$1/file" && rm "$1/file"' sh "$WORK/rest"
}

TARGET=${Q}target-root
D=$WORK/elsewhere
mkdir -p "$D/sub" "$WORK/rest" "$WORK/a b"
touch "$WORK/queue"
shaped "as it is" "/dev/mqueue$TARGET" true
shaped "a second mount" "$D$TARGET" "mount -t mqueue none $D"
shaped "a mount with an odd name" "$WORK/a b$TARGET" "mount -t mqueue none '$WORK/a b'"
shaped "a bound queue" "$WORK/queue" "mount --bind /dev/mqueue$TARGET $WORK/queue"
shaped "mqueue bound below /" "/srv$TARGET" "mount --bind /dev/mqueue /srv"
shaped "/ bound below /" "/dev/mqueue$TARGET" "mount --bind / /srv"
shaped "/ and all in it bound below /" "/srv/dev/mqueue$TARGET" "mount --rbind / /srv"
shaped "/dev bound below /" "/dev/mqueue$TARGET" "mount --bind /dev /srv"
shaped "a mount only in one view of a directory" "/srv/sub$TARGET" \
	"mount --bind $D /srv; mount -t mqueue none /srv/sub"
shaped "a mount only in another view of /" "$D/mnt$TARGET" \
	"mount --bind / $D; mount -t mqueue none $D/mnt"
shaped "two mounts, one upon the other" "/dev/mqueue$TARGET" "mount -t mqueue none /dev/mqueue"
shaped "a mount whose directory was covered" "sub$TARGET" \
	"mount -t mqueue none $D/sub; cd $D; mount -t tmpfs none $D"
shaped "in a changed root" "/dev/mqueue$TARGET" "
	mount -t tmpfs none /srv; cd /srv
	mkdir -p usr etc proc dev .$WORK; ln -s usr/bin usr/lib usr/lib64 .
	for d in usr etc proc dev; do mount --rbind /\$d \$d; done
	mount --rbind $WORK .$WORK; set -- chroot /srv \"\$@\""

# The directory that holds the root is in reach inside it: the way up from the queue leads over it.
run unshare -m sh -c "mount --rbind / $D; exec chroot $D mq-run --plug granted touch $WORK/rest/started"
expect_status "in a root that holds what is above it: 125" 125
expect_message "in a root that holds what is above it: says so" "^mq-run: .*wall.*changed root"
holds "in a root that holds what is above it: nothing started" test ! -e "$WORK/rest/started"

# The exit of the launcher's own child is not the command's affair.
run env --block-signal=CHLD mq-run --plug granted grep -E '^(Sig|Shd)Pnd' /proc/self/status
holds "no signal of the launcher's is left to the command" test -z "$(grep -v '	0*$' "$WORK/stdout")"
check "an ignored SIGCHLD does not matter" env --ignore-signal=CHLD mq-run --plug granted true

# What mounts may look like: an app directory that is full.
mkdir "$WORK/many"
(cd "$WORK/many" && seq 1500 | xargs touch)
mkdir "$WORK/many/sub"
shaped "many neighbours" "$WORK/many/sub$TARGET" "mount -t mqueue none $WORK/many/sub"
check "many neighbours: the last is in reach" unshare -m sh -c \
	"mount -t mqueue none $WORK/many/sub; ulimit -n 64; exec mq-run --plug granted cat $WORK/many/1500"

# --- kernels that cannot -------------------------------------------------------------------------

for who in env as_user; do
	run $who old-kernel landlock mq-run --plug granted touch "$WORK/open/started"
	expect_status "$who: Landlock left out at boot: 125" 125
	expect_message "$who: … says what to do" '^mq-run: .*Landlock is disabled.*lsm='
	run $who old-kernel wait-killable mq-run --plug granted touch "$WORK/open/started"
	expect_status "$who: seccomp without WAIT_KILLABLE_RECV: 125" 125
	expect_message "$who: … says which kernel has it" '^mq-run: .*WAIT_KILLABLE_RECV.*5\.19'
	holds "$who: nothing started" test ! -e "$WORK/open/started"
done

# --- user namespaces -------------------------------------------------------------------------------

# A full set of capabilities in a user namespace of its own is none of root's.
check "root's queue" mqtry "open ${Q}private rwc 600 4 64"
check "root opens it by the plug" mq-run --plug reader mqtry "open ${Q}private r"
for command in "mqtry" "mq-run --plug reader mqtry"; do
	# shellcheck disable=SC2086
	{
		run as_user $command "open ${Q}private r"
		expect_stdout "user: ${command%% *}: root's queue stays root's" ' -> -1 EACCES$'
		run as_user unshare -Ur $command "open ${Q}private r"
		expect_stdout "user namespace: ${command%% *}: root's queue stays root's" ' -> -1 EACCES$'
		run as_user unshare -Ur grep CapEff /proc/self/status
		expect_stdout "user namespace: … with a full set of capabilities" 'CapEff:.*ff$'
	}
done
run as_user unshare -Ur mq-run --plug granted mqtry "unlink ${Q}private"
expect_stdout "user namespace: nor can it be deleted" ' -> -1 EACCES$'
holds "user namespace: the queue is still there" test -e "/dev/mqueue${Q}private"

finish
