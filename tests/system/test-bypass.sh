#!/bin/bash
# SPDX-License-Identifier: MIT
# Every road to a queue past the door: open for a bare process, else this test fails, and closed
# under mq-run. As root and as an ordinary user, behind both forms of the wall.
# shellcheck source=tests/system/lib.sh
# ROADS: these alone, and nothing else.
. "$(dirname "$0")/lib.sh"
private_ipc
setup

write_package road.yaml <<'YAML'
name: road
plugs:
  granted: posix-mq
  reader: posix-mq
  fast:
    interface: posix-mq
    posix-mq: granted
    mediation: open
slots:
  granted-queues:
    interface: posix-mq
    posix-mq: granted
    path: ["@Q@granted-root", "@Q@granted-user"]
    permissions: [read]
  private-queue:
    interface: posix-mq
    posix-mq: reader
    path: @Q@private
    permissions: [read]
YAML
start_daemon
check "connected" mqctl connect road:granted road:granted-queues
check "connected" mqctl connect road:fast road:granted-queues
PLUG=granted
check "connected" mqctl connect road:reader road:private-queue

# not_open_bare WHO ROAD: prints the reason if this road leads nowhere even without mqgate.
not_open_bare() {
	case "$1 $2" in
	*" handle") echo "mqueue files have no handles" ;;
	*rename) echo "mqueue has no rename" ;;
	*" setxattr") echo "mqueue has no extended attributes" ;;
	"user "chown) echo "giving a file away needs CAP_CHOWN" ;;
	*" user-mount-host") echo "mounting mqueue needs CAP_SYS_ADMIN where its IPC namespace is" ;;
	*" x32-"*) echo "this kernel may be built without the x32 calls" ;;
	"user "mount | "user "fsmount | "user "bind | "user "open-tree)
		echo "mounting needs CAP_SYS_ADMIN"
		;;
	*open-tree-namespace) ! kernel_before 7.0 || echo "Linux 7.0 is the first with such a flag" ;;&
	*fsmount-namespace | *empty-namespace) ! kernel_before 7.1 || echo "Linux 7.1 is the first with such a flag" ;;&
	"user open-tree-namespace" | "user fsmount-namespace" | "user empty-namespace")
		kernel_before 7.1 || echo "it needs CAP_SYS_ADMIN"
		;;
	"user "inherited-namespace) echo "setns needs CAP_SYS_ADMIN" ;;
	"user "escaped-root) echo "chroot needs CAP_SYS_CHROOT" ;;
	"user "other-namespaces | "user "listed-namespace*) echo "listing mount namespaces needs CAP_SYS_ADMIN" ;;
	"user "bound-namespace*) echo "setns needs CAP_SYS_ADMIN" ;;
	*" user-other-namespaces") echo "a user namespace of one's own owns none of the others" ;;
	*" other-namespaces" | *" listed-namespace"*)
		if kernel_before 6.12; then
			echo "Linux 6.12 is the first to list mount namespaces"
		elif [ "$(readlink /proc/self/ns/pid)" != "pid:[4026531836]" ]; then
			echo "listing mount namespaces needs the initial PID namespace"
		fi
		;;
	esac
}

kernel_before() {
	[ "$(printf '%s\n' "$1" "$(uname -r)" | sort -V | head -n 1)" != "$1" ]
}

# closed_as_by_mount ROAD: where that differs behind a wall of mounts, which shows an empty directory
# and takes CAP_SYS_ADMIN away
closed_as_by_mount() {
	case $1 in
	openat2) echo "open ENOENT" ;;
	handle) echo "(name_to_handle_at (ENOENT|EOPNOTSUPP)|open.* EACCES)" ;;
	io_uring-rename) echo "RENAMEAT (EROFS|ENOENT|EXDEV|EACCES)" ;;
	open | relative | parent | escaped-root | i386-open) echo "open ENOENT" ;;
	io_uring-open) echo "OPENAT ENOENT" ;;
	path-descriptor) echo "O_PATH ENOENT" ;;
	truncate | chmod | chown | setxattr) echo "$1 ENOENT" ;;
	utimes) echo "utimensat ENOENT" ;;
	create) echo "open EROFS" ;;
	unlink | rename | io_uring-unlink) closed_as "$1" | sed -E 's/(E|\(E).*/(EROFS|ENOENT)/' ;;
	fsmount) echo "fsopen EPERM" ;;
	open-tree) echo "open_tree EPERM" ;;
	user-*) echo "unshare EPERM" ;;
	other-namespaces | listed-namespace*) echo "list (EPERM|ENOTTY)" ;;
	*) closed_as "$1" ;;
	esac
}

# closed_as ROAD: where and how the road must end under mq-run
closed_as() {
	case $1 in
	inherited-directory | inherited-root | inherited-link | parent | \
		sent-directory | open | create | relative | proc-root | proc-cwd | proc-fd | proc-mem) echo "open EACCES" ;;
	bound-namespace-proc) echo "open EACCES" ;;
	inherited-namespace | inherited-user-namespace | bound-namespace*) echo "setns EPERM" ;;
	openat2 | openat2-in-root | openat2-beneath) echo "open EACCES" ;;
	thread-reopen | dev-fd) echo "reopen EACCES" ;;
	handle) echo "(open_by_handle_at|open|name_to_handle_at) (EACCES|EPERM|EOPNOTSUPP|ESTALE)" ;;
	second-filter | orphan) echo "mq_open EACCES" ;;
	second-listener) echo "seccomp EBUSY" ;;
	io_uring-rename) echo "RENAMEAT (EACCES|EPERM|EXDEV)" ;;
	escaped-root) echo "(open EACCES|chroot EPERM)" ;;
	path-descriptor | reopen) echo "reopen EACCES" ;;
	unlink) echo "unlink EACCES" ;;
	truncate | inherited-truncate) echo "truncate EACCES" ;;
	setxattr) echo "setxattr EOPNOTSUPP" ;;
	chown) echo "chown EPERM" ;;
	rename) echo "rename (EACCES|EPERM|EXDEV)" ;;
	mount | bind | user-mount | user-mount-host) echo "mount EPERM" ;;
	*open-tree-namespace)
		if kernel_before 7.0; then echo "open_tree EINVAL"; else echo "(open_tree|setns) EPERM"; fi
		;;
	*fsmount-namespace) echo "((fsopen|setns) EPERM|fsmount E(INVAL|PERM))" ;;
	*empty-namespace)
		if kernel_before 7.1; then echo "unshare EINVAL"; else echo "(unshare|fsopen|move_mount) EPERM"; fi
		;;
	fsmount | user-fsmount) echo "(fsopen EPERM|open EACCES)" ;;
	open-tree) echo "(open_tree EPERM|open EACCES)" ;;
	io_uring-open) echo "OPENAT EACCES" ;;
	io_uring-unlink) echo "UNLINKAT EACCES" ;;
	ptrace) echo "PTRACE_ATTACH EPERM" ;;
	process_vm_writev | pidfd_getfd) echo "$1 EPERM" ;;
	sent-descriptor) echo "mq_send EACCES" ;;
	other-namespaces | listed-namespace*) echo "(setns EPERM|list (EPERM|ENOTTY))" ;;
	user-other-namespaces) echo "list (EPERM|ENOTTY)" ;;
	mq_open | mq_create) echo "mq_open EACCES" ;;
	mq_unlink) echo "mq_unlink EACCES" ;;
	i386-open) echo "open (EACCES|ENOSYS)" ;;
	i386-mq_open) echo "mq_open (EACCES|ENOSYS)" ;;
	i386-mq_unlink) echo "mq_unlink (EACCES|ENOSYS)" ;;
	x32-mq_open) echo "mq_open ENOSYS" ;;
	x32-mq_unlink) echo "mq_unlink ENOSYS" ;;
	*) echo "(no expectation for $1)" ;;
	esac
}

# stated_open FORM WHO ROAD: whether SECURITY.md says that this wall leaves it open
stated_open() {
	case "$*" in
	"rules root chown" | "rules "*" "chmod | "rules "*" "utimes | *" inherited-chmod") ;;
	*truncate) ! landlock_truncates ;;
	*) return 1 ;;
	esac
}

# Since Linux 6.2.
landlock_truncates() {
	! kernel_before 6.2
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

	[[ $road != i386-* ]] || machine_can int-0x80 "$who: $road" || return
	TARGET=${Q}target-$who
	case $road in reopen | thread-reopen | dev-fd) TARGET=${Q}granted-$who ;; esac
	make_queue "$@"
	run_outside unshare -m "$@" road "$road" "$TARGET" "$WORK/open/$who"
	reason=$(not_open_bare "$who" "$road")
	if [ -z "$reason" ]; then
		expect_output "$who: $road: open if bare" open
	else
		holds "$who: $road: not open even if bare: $reason" test "$(stdout)" != open
	fi
	travel_confined "$who" "$road" rules "$(closed_as "$road")" "$@"
	[ -n "${SANITIZED:-}" ] || travel_confined "$who" "$road" alone "$(closed_as "$road")" "$@"
	travel_open "$who" "$road" "$@"
	[ "$who" != root ] || travel_confined root "$road" mount "$(closed_as_by_mount "$road")" "$@"
}

# travel_open WHO ROAD CMD…: the roads of descriptors in a session of open mediation, where nothing but
# the descriptor's access mode stands between the app and the queue
travel_open() {
	local who=$1 road=$2
	shift 2

	case $road in
	reopen | thread-reopen | dev-fd | orphan | second-filter | inherited-directory | sent-directory | \
		pidfd_getfd | ptrace | process_vm_writev | mq_* | i386-mq_*)
		PLUG=fast
		travel_confined "$who" "$road" rules "$(closed_as "$road")" "$@"
		PLUG=granted
		;;
	sent-descriptor)
		make_queue "$@"
		run_outside unshare -m "$@" mq-run --plug fast road "$road" "$TARGET" "$WORK/open/$who"
		expect_output "$who: $road: what an outsider sends can be used under open mediation" open
		;;
	esac
}

# run_outside CMD…: with the descriptors that the roads expect, opened out here
run_outside() {
	run "$@" 5<"/proc/$(app_pid "bound-$who")/ns/mnt" 6<"/proc/$(app_pid "namespaces-$who")/ns/mnt" 7</proc/$$/ns/mnt 8</ 9</dev
}

# travel_confined WHO ROAD FORM EXPECTED CMD…: the form "alone" is that of rules, without the daemon
travel_confined() {
	local who=$1 road=$2 form=$3 expected=$4 confined=(mq-run --wall="$3" --plug "$PLUG")
	shift 4

	[ "$form" != alone ] || confined=(mq-run --policy "$WORK/packages/road.yaml" --plug "$PLUG")
	make_queue "$@"
	run_outside unshare -m "$@" "${confined[@]}" road "$road" "$TARGET" "$WORK/open/$who"
	if stated_open "${form/alone/rules}" "$who" "$road"; then
		expect_output "$who: $road: open under mq-run --wall=$form, as SECURITY.md says" open
	else
		expect_stdout "$who: $road: closed under mq-run --wall=$form ($PLUG)" \
			"^(closed|untried) $expected\$"
	fi
	holds "$who: $road: the queue is still there" test -e "/dev/mqueue$TARGET"
}

travel_all() {
	local who=$1 road
	shift

	"$@" mkdir -p "$WORK/open/$who/mount" "$WORK/open/$who/bound"
	TARGET=${Q}target-$who
	make_queue "$@"
	start_app "victim-$who" "$@" road victim "$TARGET" "$WORK/open/$who"
	holds "$who: the neighbour is ready" wait_until 5 grep -q ready "$WORK/victim-$who.out"
	start_app "namespaces-$who" "$@" unshare -U -m sh -c 'echo ready; exec cat'
	holds "$who: the neighbour in namespaces of this user's is ready" \
		wait_until 5 grep -q ready "$WORK/namespaces-$who.out"
	# As BindPaths= of a unit does it.
	start_app "bound-$who" unshare -m --propagation private sh -c \
		"mount --bind /dev/mqueue '$WORK/open/$who/bound' && echo ready; exec cat"
	holds "$who: the neighbour with queues elsewhere is ready" \
		wait_until 5 grep -q ready "$WORK/bound-$who.out"
	app_pid "bound-$who" >"$WORK/open/$who/bound-pid"
	for road in ${ROADS:-$(road --list)}; do
		# The neighbour's queue is gone once it has been unlinked: these go last.
		case $road in *unlink) ;; *) travel "$who" "$road" "$@" ;; esac
	done
	for road in ${ROADS:-$(road --list)}; do
		case $road in *unlink) travel "$who" "$road" "$@" ;; esac
	done
	stop_app "victim-$who"
	stop_app "namespaces-$who"
	stop_app "bound-$who"
}

travel_all root env
travel_all user as_user
[ -z "${ROADS:-}" ] || finish

# --- other shapes of the file tree ---------------------------------------------------------------

# shaped DESCRIPTION PATH SCRIPT: in a mount namespace made up by SCRIPT, the queue's file at PATH is
# in reach if bare, and out of reach under mq-run; the rest of the tree is not.
shaped() {
	local shape=(unshare -m sh -c "$3"'; exec "$@"' shape)

	make_queue env
	check "$1: in reach if bare" "${shape[@]}" sh -c ": <>'$2'"
	run "${shape[@]}" mq-run --plug granted sh -c ": <>'$2'"
	expect_stderr "$1: out of reach under mq-run" 'cannot (create|open).*Permission denied'
	check "$1: the rest is in reach" "${shape[@]}" mq-run --plug granted sh -c "$TRY_THE_REST"
}

TRY_THE_REST=': </etc/passwd && : >"$WORK/rest/file" && rm "$WORK/rest/file"'

# shaped_for_both …: as shaped, and behind a wall of mounts no mqueue is left
shaped_for_both() {
	local shape=(unshare -m sh -c "$3"'; exec "$@"' shape)

	shaped "$@"
	run "${shape[@]}" mq-run --wall=mount --plug granted sh -c \
		"stat -f -c %T '$2'; ls -A /dev/mqueue; cat /proc/self/mountinfo"
	expect_stdout "$1: --wall=mount shows mounts" ' / '
	holds "$1: --wall=mount: none of them is mqueue" test -z "$(grep mqueue "$WORK/stdout" |
		grep -v '/dev/mqueue ro.* - tmpfs ')"
	check "$1: --wall=mount: the rest is in reach" \
		"${shape[@]}" mq-run --wall=mount --plug granted sh -c "$TRY_THE_REST"
	run "${shape[@]}" mq-run --wall=mount --plug granted sh -c "[ -s '$2' ]"
	expect_status "$1: --wall=mount: nothing of the queue is seen" 1
}

# refused_by_mount DESCRIPTION REGEX SCRIPT
refused_by_mount() {
	run unshare -m sh -c "$3"'; exec "$@"' shape \
		mq-run --wall=mount --plug granted touch "$WORK/rest/started"
	expect_status "$1: --wall=mount: 125" 125
	expect_message "$1: --wall=mount: says why, and what to do" "^mq-run: .*$2.*--wall=rules"
	holds "$1: --wall=mount: nothing started" test ! -e "$WORK/rest/started"
}

export WORK
mkdir -p "$WORK/root/usr" "$WORK/root/etc" "$WORK/root/proc" "$WORK/root/dev" "$WORK/root$WORK"
ln -s usr/bin usr/lib usr/lib64 "$WORK/root"
TARGET=${Q}target-root
D=$WORK/elsewhere
mkdir -p "$D/sub" "$WORK/rest" "$WORK/a b"
touch "$WORK/queue"
shaped_for_both "as it is" "/dev/mqueue$TARGET" true
shaped_for_both "a second mount" "$D$TARGET" "mount -t mqueue none $D"
shaped_for_both "a mount with an odd name" "$WORK/a b$TARGET" "mount -t mqueue none '$WORK/a b'"
shaped_for_both "a bound queue" "$WORK/queue" "mount --bind /dev/mqueue$TARGET $WORK/queue"
shaped_for_both "mqueue bound below /" "/srv$TARGET" "mount --bind /dev/mqueue /srv"
shaped_for_both "/ bound below /" "/dev/mqueue$TARGET" "mount --bind / /srv"
shaped_for_both "/ and all in it bound below /" "/srv/dev/mqueue$TARGET" "mount --rbind / /srv"
shaped_for_both "a mount below a directory that has another name" "$D$TARGET" \
	"mount -t mqueue none $D; mount --bind / /srv"
shaped_for_both "/dev bound below /" "/dev/mqueue$TARGET" "mount --bind /dev /srv"
shaped_for_both "a mount only in one view of a directory" "/srv/sub$TARGET" \
	"mount --bind $D /srv; mount -t mqueue none /srv/sub"
shaped_for_both "a mount only in another view of /" "$D/mnt$TARGET" \
	"mount --bind / $D; mount -t mqueue none $D/mnt"
shaped_for_both "two mounts, one upon the other" "/dev/mqueue$TARGET" "mount -t mqueue none /dev/mqueue"
shaped "a mount whose directory was covered" "sub$TARGET" \
	"mount -t mqueue none $D/sub; cd $D; mount -t tmpfs none $D"
refused_by_mount "a mount whose directory was covered" "$D/sub cannot be detached" \
	"mount -t mqueue none $D/sub; cd $D; mount -t tmpfs none $D"
refused_by_mount "a mount that is covered" "$D cannot be detached" \
	"mount -t mqueue none $D; mount -t tmpfs none $D"
refused_by_mount "a changed root that is no mount" "changed" \
	"cd $WORK/root; for d in usr etc proc dev; do mount --rbind /\$d \$d; done
	mount --rbind $WORK .$WORK; set -- chroot $WORK/root \"\$@\""
refused_by_mount "a /dev that is no mount" "/dev is not a mount point" "
	mount -t tmpfs none /srv; cd /srv
	mkdir -p usr etc proc dev .$WORK; ln -s usr/bin usr/lib usr/lib64 .
	for d in usr etc proc; do mount --rbind /\$d \$d; done; mknod -m 666 dev/null c 1 3
	mount --rbind $WORK .$WORK; set -- chroot /srv \"\$@\""
shaped_for_both "no mqueue at all" "$D$TARGET" "umount /dev/mqueue; mount -t mqueue none $D"
shaped_for_both "in a changed root" "/dev/mqueue$TARGET" "
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

# --- truncating other files -----------------------------------------------------------------------

# Each way to truncate, of a file in a directory, of one directly below /, of one in memory, and of an
# inherited one.
cat >"$WORK/bin/truncates" <<'PYTHON'
#!/usr/bin/env python3
import os, sys

def fill(path):
    with open(path, "w") as file:
        file.write("some text")

def cut(path):
    fill(path)
    os.truncate(path, 4)
    assert os.stat(path).st_size == 4
    os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
    assert os.stat(path).st_size == 0
    fd = os.open(path, os.O_RDWR)
    os.ftruncate(fd, 7)
    os.truncate("/proc/self/fd/%d" % fd, 5)
    assert os.fstat(fd).st_size == 5
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    assert os.stat(path).st_size == 0

for path in sys.argv[1:]:
    cut(path)
fd = os.memfd_create("memory")
os.ftruncate(fd, 4096)
os.truncate("/proc/self/fd/%d" % fd, 5)
os.ftruncate(3, 3)
os.truncate("/proc/self/fd/3", 2)
os.close(os.open("/proc/self/fd/3", os.O_WRONLY | os.O_TRUNC))
print("truncated")
PYTHON
chmod 755 "$WORK/bin/truncates"
BELOW_ROOT=/mqgate-test-$$-truncated
: >"$BELOW_ROOT"
chmod 666 "$BELOW_ROOT"

# truncating WHO [CMD…]
truncating() {
	rm -f "$WORK/open/inherited" "$WORK/open/cut" /dev/shm/cut
	run "$1" sh -c 'exec "$@" 3>"$0"' "$WORK/open/inherited" "${@:2}" \
		truncates "$WORK/open/cut" /dev/shm/cut "$BELOW_ROOT"
	expect_output "$*: files are truncated" truncated
}
for who in env as_user; do
	truncating $who
	truncating $who mq-run --plug granted
done
truncating env mq-run --wall=mount --plug granted
rm -f "$BELOW_ROOT" "$WORK/open/inherited" "$WORK/open/cut" /dev/shm/cut

# --- behind a wall of mounts ---------------------------------------------------------------------

by_mount() {
	run mq-run --wall=mount --plug granted "$@"
}

# The directory that holds the root is in reach inside it: what is above has another anchor, or none.
run_above() {
	run unshare -m sh -c "mount --rbind / $D; "'exec "$@"' sh chroot "$D" "$@"
}
run_above road escaped-root "$TARGET" "$WORK/open/root"
expect_output "out of a changed root: open if bare" open
run_above mq-run --wall=mount --plug granted road escaped-root "$TARGET" "$WORK/open/root"
expect_output "out of a changed root: closed" "closed open EACCES"

by_mount sh -c 'ls -A /dev/mqueue; stat -f -c %T /dev/mqueue; : >/dev/mqueue/file'
expect_output "/dev/mqueue looks empty" tmpfs
expect_stderr "/dev/mqueue cannot be written to" "Read-only file system"
by_mount mqtry "open ${Q}granted-root r"
expect_stdout "a granted queue opens" " -> [0-9]"
by_mount mqtry "open $TARGET r"
expect_stdout "another does not" " -> -1 EACCES"
by_mount sh -c 'pwd; cd - >/dev/null 2>&1; readlink /proc/self/root'
expect_output "working directory and root are what they were" "$(printf '%s\n/' "$WORK")"
run sh -c 'cd / && exec "$@"' sh mq-run --wall=mount --plug granted sh -c 'pwd; ls -d dev/null'
expect_output "… if it is / as well" "$(printf '/\ndev/null')"
run sh -c 'cd /dev/mqueue && exec "$@"' sh mq-run --wall=mount --plug granted sh -c ": <'${TARGET#/}'"
expect_stderr "a working directory of queues leads to none" "Permission denied"
run setpriv --bounding-set=-dac_override,-dac_read_search \
	sh -c 'umask 777; exec "$@"' sh mq-run --wall=mount --plug granted true
expect_status "root without CAP_DAC_OVERRIDE can have it, whatever the umask" 0
run sh -c 'exec "$@" >"$WORK/open/log"' sh mq-run --wall=mount --plug granted sh -c 'echo x >>/dev/stdout'
holds "a file inherited as standard output can be re-opened" grep -q x "$WORK/open/log"
rm -f "$WORK/open/log"
run sh -c 'exec "$@" <"$WORK"' sh mq-run --wall=mount --plug granted sh -c ': </dev/fd/0/packages/road.yaml'
expect_stderr "nothing is opened below an inherited directory" "Permission denied"

# CAP_SYS_ADMIN (bit 21) is gone, and no way leads back. The other capabilities stay.
# has_admin CMD…: it sees CAP_SYS_ADMIN in one of its sets
has_admin() {
	"$@" | awk '/^Cap/ { n++; digit = index("0123456789abcdef", substr($2, 11, 1)) - 1
			if (digit % 4 >= 2) found = 1 }
		END { exit n == 5 && found ? 0 : n == 5 ? 1 : 2 }'
}
has_no_admin() {
	has_admin mq-run --wall=mount --plug granted "$@"
	[ $? = 1 ]
}
holds "bare, root has CAP_SYS_ADMIN" has_admin cat /proc/self/status
holds "CAP_SYS_ADMIN is in no set" has_no_admin cat /proc/self/status
cp "$(command -v cat)" "$WORK/bin/set-uid-cat"
chmod 4755 "$WORK/bin/set-uid-cat"
holds "… nor of a set-uid program" has_no_admin as_user set-uid-cat /proc/self/status
by_mount setpriv --inh-caps=+sys_admin --ambient-caps=+sys_admin true
expect_stderr "it cannot be inherited again" setpriv
by_mount grep CapEff /proc/self/status
expect_stdout "other capabilities stay" '[1-9a-f]$'
for command in "unshare -m true" "unshare -U true" "mount -t tmpfs none /mnt" "umount /dev/mqueue" \
	"mount -o remount,rw /dev/mqueue" "umount -l /dev/mqueue"; do
	# shellcheck disable=SC2086
	run mq-run --wall=mount --plug granted $command
	holds "$command: refused" test "$STATUS" != 0
done

# What the wall of rules closes: what appears later, directly below / and /dev, from outside as well.
late() {
	local form=$1

	run timeout $((20 * TEST_PATIENCE)) unshare -m --propagation private bash -c '
		umount -l /dev/mqueue; mount -t mqueue none /dev/mqueue
		mount -t tmpfs none /srv; mkdir /srv/top
		mount --make-rshared /
		cd "$WORK/open" && rm -f go ready && mkfifo go ready
		mq-run --wall="$1" --plug granted bash -c "
			exec 3>ready 4<go
			echo x >&3; read -r x <&4
			: >\"/top-file-\$\$\" && rm \"/top-file-\$\$\" && echo file
			(: </late-top/file) && echo directory
			(: </srv/mounted) && echo mount
			(: </dev/late-node) && echo device
			[ $1 = rules ] || ls -A /dev/mqueue
			[ $1 = rules ] || ! grep \" - mqueue \" /proc/self/mountinfo
			(: </dev/mqueue$2) && echo queue
			true
		" &
		exec 3<ready 4>go
		read -r x <&3
		mkdir /late-top && : >/late-top/file
		mount -t tmpfs none /srv && : >/srv/mounted
		mknod /dev/late-node c 1 3
		umount /dev/mqueue && mount -t mqueue none /dev/mqueue
		echo x >&4
		wait $!
		rm -rf /late-top /dev/late-node
	' late "$form" "$TARGET"
}
late rules
expect_output "rules: what appears later is out of reach" ""
late mount
expect_output "mount: what appears later is in reach, and no queue" \
	"$(printf 'file\ndirectory\nmount\ndevice')"

# Whoever cannot have it is told what to use.
refused_for() {
	local description=$1 expected=$2
	shift 2

	run "$@" mq-run --wall=mount --plug granted touch "$WORK/open/started"
	expect_status "--wall=mount, $description: 125" 125
	expect_message "--wall=mount, $description: says why, and what to do" \
		"^mq-run: .*$expected.*--wall=rules"
	holds "--wall=mount, $description: nothing started" test ! -e "$WORK/open/started"
}
refused_for "a user" CAP_SYS_ADMIN as_user
refused_for "root without CAP_SYS_ADMIN" CAP_SYS_ADMIN setpriv --bounding-set=-sys_admin
refused_for "root without CAP_SETPCAP" CAP_SETPCAP setpriv --bounding-set=-setpcap
refused_for "root without CAP_SYS_CHROOT" CAP_SYS_CHROOT setpriv --bounding-set=-sys_chroot
refused_for "in a user namespace" "/dev/mqueue cannot be detached" as_user unshare -Ur

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

# --- what is inherited ---------------------------------------------------------------------------

# A queue as standard input, output or error: as a file it was opened outside, for another name.
TARGET=${Q}target-root
EACCES=13
make_queue env
for who in env as_user; do
	for number in 0 1 2; do
		run sh -c 'exec "$@" '"$number<>/dev/mqueue$TARGET" sh \
			$who road-inherited "$number"
		expect_status "$who: a queue as descriptor $number: usable if bare" 0
		run sh -c 'exec "$@" '"$number<>/dev/mqueue$TARGET" sh \
			$who mq-run --plug granted road-inherited "$number"
		expect_status "$who: a queue as descriptor $number: not started under mq-run" 125
		run sh -c 'exec "$@" '"$number<>/dev/mqueue$TARGET" sh \
			$who mq-run --inherit-queues --plug granted road-inherited "$number"
		expect_status "$who: … inherited: refused" "$EACCES"
	done
done

# Another queue's file, bound so that its link has a granted name: in a file system that lies on the root.
FORGED=${Q}granted-root
check "a granted queue" mqtry "open $FORGED rwc 600 4 64"
run env G="$FORGED" unshare -m sh -c '
	mount -t tmpfs none /srv && : >"/srv$G" && mount --bind "/dev/mqueue$0" "/srv$G" || exit 99
	exec 0<>"/srv$G"; mount --move /srv / || exit 99; exec "$@"' "$TARGET" road-inherited 0
expect_status "a bound queue with a granted name: usable if bare" 0
run env G="$FORGED" unshare -m sh -c '
	mount -t tmpfs none /srv && : >"/srv$G" && mount --bind "/dev/mqueue$0" "/srv$G" || exit 99
	exec 0<>"/srv$G"; mount --move /srv / || exit 99; exec "$@"' \
	"$TARGET" mq-run --plug granted road-inherited 0
expect_status "a bound queue with a granted name: not started under mq-run" 125
run env G="$FORGED" unshare -m sh -c '
	mount -t tmpfs none /srv && : >"/srv$G" && mount --bind "/dev/mqueue$0" "/srv$G" || exit 99
	exec 0<>"/srv$G"; mount --move /srv / || exit 99; exec "$@"' \
	"$TARGET" mq-run --inherit-queues --plug granted road-inherited 0
expect_status "… inherited: refused" "$EACCES"

# The same sent by somebody outside: the link has a granted name, but the mount gives it away.
send_forged() {
	rm -f "$WORK/forged/socket"
	G=$FORGED timeout $((20 * TEST_PATIENCE)) unshare -m sh -c '
		mount -t tmpfs none /srv && : >"/srv$G" && mount --bind "/dev/mqueue$0" "/srv$G" || exit 99
		exec 0<>"/srv$G"; mount --move /srv / || exit 99; exec "$@"' \
		"$TARGET" rogue-launcher give-input "$WORK/forged/socket" &
	wait_until 5 test -S "$WORK/forged/socket"
}
mkdir "$WORK/forged"
start_app forged-victim road victim "$FORGED" "$WORK/forged"
wait_until 5 grep -q ready "$WORK/forged-victim.out"
send_forged
run road sent-descriptor "$FORGED" "$WORK/forged"
expect_output "a forged name, sent: open if bare" open
send_forged
run mq-run --plug granted road sent-descriptor "$FORGED" "$WORK/forged"
expect_output "a forged name, sent: closed" "closed mq_send EACCES"
stop_app forged-victim

# --- what comes later ----------------------------------------------------------------------------

# An mqueue file system on /dev/mqueue after the app was started.
run timeout $((20 * TEST_PATIENCE)) unshare -m --propagation private bash -c '
	cd "$WORK/open" && rm -f go ready && mkfifo go ready
	mq-run --plug granted bash -c "exec 3>ready 4<go; echo x >&3; read -r x <&4
		: <>/dev/mqueue$0" &
	exec 3<ready 4>go
	read -r x <&3
	mount -t mqueue none /dev/mqueue
	(: <>"/dev/mqueue$0") && echo bare
	echo x >&4
	wait $!' "$TARGET"
expect_output "mounted later on /dev/mqueue: open if bare" bare
expect_stderr "mounted later on /dev/mqueue: closed" "/dev/mqueue$TARGET: Permission denied"

# --- set-uid programs ----------------------------------------------------------------------------

cp "$WORK/bin/mqtry" "$WORK/bin/set-uid-mqtry"
chmod 4755 "$WORK/bin/set-uid-mqtry"
run as_user set-uid-mqtry "open $TARGET rw"
expect_stdout "set-uid root: root's queue: open if bare" " -> [0-9]"
run as_user mq-run --plug granted set-uid-mqtry "open $TARGET rw"
expect_stdout "set-uid root: root's queue: closed" " -> -1 EACCES"

# --- a confined root at the daemon's sockets -------------------------------------------------------

run mq-run --plug granted mqctl connect road:reader road:granted-queues
expect_status "a confined root connects nothing" 1
run mq-run --plug granted mqctl disconnect road:granted road:granted-queues
expect_status "a confined root disconnects nothing" 1
run mq-run --plug granted mqctl reload
expect_status "a confined root reloads nothing" 1
run mq-run --plug granted mq-run --plug reader true
expect_status "a confined root launches nothing" 125
run mq-run --wall=mount --plug granted rogue-launcher app queues "$TARGET" "${Q}granted-root"
expect_stdout "a confined root's launcher made by hand: refused" "^refused EPERM: this process is confined already"

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
