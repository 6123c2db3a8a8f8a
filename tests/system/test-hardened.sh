#!/bin/bash
# SPDX-License-Identifier: MIT
# mq-run starts in hardened units: under a real systemd, as root, with User= and with DynamicUser=, with each directive that
# "systemd-analyze security" knows, one by one and all at once. What a unit cannot have, mq-run says in one message that names the
# directive. The example unit has the exposure that is promised.
# SYSTEMD_TREE: with the systemd of another release (systemd-boot).
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/system/boot.sh
. "$(dirname "$0")/boot.sh"
setup_boot

IDENTITIES=(root user dynamic)
declare -A IDENTITY=([root]='' [user]=User=daemon [dynamic]=DynamicUser=yes)
LANES=4 # units that run at once
SANDBOX='seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self'
ALLOWED="SystemCallFilter=@system-service $SANDBOX"
FORBIDDEN="SystemCallFilter=@system-service; SystemCallFilter=~$SANDBOX" # @default of later systemds has them

# --- the directives -------------------------------------------------------------------------------

# As "systemd-analyze security" calls it, and the lines of the unit ("; " between them). What it calls NAME=~VALUE is a line as it
# is, if it is not here. No line: there is nothing to be set.
read -r -d '' DIRECTIVES <<'TABLE'
RootDirectory=/RootImage=|RootDirectory=/srv/root; MountAPIVFS=yes; BindReadOnlyPaths=/usr /etc /run/mqgate
SupplementaryGroups=|
RemoveIPC=|RemoveIPC=yes
User=/DynamicUser=|
NoNewPrivileges=|NoNewPrivileges=yes
AmbientCapabilities=|
PrivateDevices=|PrivateDevices=yes
ProtectClock=|ProtectClock=yes
ProtectKernelLogs=|ProtectKernelLogs=yes
ProtectControlGroups=|ProtectControlGroups=yes
ProtectKernelModules=|ProtectKernelModules=yes
PrivateMounts=|PrivateMounts=yes
SystemCallArchitectures=|SystemCallArchitectures=native
MemoryDenyWriteExecute=|MemoryDenyWriteExecute=yes
RestrictSUIDSGID=|RestrictSUIDSGID=yes
ProtectHostname=|ProtectHostname=yes
LockPersonality=|LockPersonality=yes
ProtectKernelTunables=|ProtectKernelTunables=yes
RestrictAddressFamilies=~…|RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictAddressFamilies=~AF_(INET|INET6)|RestrictAddressFamilies=~AF_INET AF_INET6
RestrictRealtime=|RestrictRealtime=yes
DeviceAllow=|DevicePolicy=closed
ProtectSystem=|ProtectSystem=strict
ProtectProc=|ProtectProc=invisible
ProcSubset=|ProcSubset=pid
ProtectHome=|ProtectHome=yes
PrivateNetwork=|PrivateNetwork=yes
PrivateUsers=|PrivateUsers=yes
PrivateTmp=|PrivateTmp=yes
KeyringMode=|KeyringMode=private
Delegate=|
IPAddressDeny=|IPAddressDeny=any
NotifyAccess=|
UMask=|UMask=0077
CapabilityBoundingSet=~CAP_(DAC_*|FOWNER|IPC_OWNER)|CapabilityBoundingSet=~CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_IPC_OWNER
CapabilityBoundingSet=~CAP_(CHOWN|FSETID|SETFCAP)|CapabilityBoundingSet=~CAP_CHOWN CAP_FSETID CAP_SETFCAP
CapabilityBoundingSet=~CAP_SET(UID|GID|PCAP)|CapabilityBoundingSet=~CAP_SETUID CAP_SETGID CAP_SETPCAP
CapabilityBoundingSet=~CAP_MAC_*|CapabilityBoundingSet=~CAP_MAC_ADMIN CAP_MAC_OVERRIDE
CapabilityBoundingSet=~CAP_SYS_(NICE|RESOURCE)|CapabilityBoundingSet=~CAP_SYS_NICE CAP_SYS_RESOURCE
CapabilityBoundingSet=~CAP_NET_(BIND_SERVICE|BROADCAST|RAW)|CapabilityBoundingSet=~CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_RAW
CapabilityBoundingSet=~CAP_AUDIT_*|CapabilityBoundingSet=~CAP_AUDIT_CONTROL CAP_AUDIT_READ CAP_AUDIT_WRITE
TABLE

# What it does not know, and people who care set.
MORE=(
	'NoExecPaths=/; ExecPaths=/usr /lib /lib64'
	'InaccessiblePaths=/boot /root /srv'
	'TemporaryFileSystem=/var /run; BindReadOnlyPaths=/run/mqgate'
	'ReadOnlyPaths=/'
	'ProtectProc=noaccess'
	'PrivatePIDs=yes'
	'TasksMax=16'
	"$ALLOWED"
	"$ALLOWED; SystemCallErrorNumber=EPERM; RestrictAddressFamilies=AF_UNIX"
)

# directives_known: by the systemd inside, one a line
directives_known() {
	inside systemd-analyze security --offline=yes --json=short /etc/systemd/system/bare.service |
		python3 -c 'import json, sys; print(*(row["name"] for row in json.load(sys.stdin)), sep="\n")'
}

# lines_of NAME: of the unit that has this directive
lines_of() {
	local row

	row=$(grep -F -m 1 -- "$1|" <<<"$DIRECTIVES") && [[ $row = "$1|"* ]] && echo "${row#"$1|"}" && return
	[[ $1 =~ ^[A-Za-z]+=~[A-Za-z@_-]+$ ]] && echo "$1"
}

# --- units ----------------------------------------------------------------------------------------

# unit NAME WHO COMMAND LINES: started by COMMAND; what it says is in $D/out/NAME.out and .err
unit() {
	local name=$1 who=$2 command=$3 lines=$4

	cat >"$D/units/$name.service" <<UNIT
[Unit]
Wants=mqgated.service
After=mqgated.service
[Service]
Type=oneshot
ExecStart=$command
StandardOutput=truncate:$D/out/$name.out
StandardError=truncate:$D/out/$name.err
LimitCORE=0
SuccessExitStatus=1
TimeoutStartSec=30
Environment=ASAN_OPTIONS=detect_leaks=0
${IDENTITY[$who]}
${lines//; /$'\n'}
UNIT
}

# start_units NAME…: all, LANES at once; returns when they have ended. Each may end with 1, as mqtry does.
start_units() {
	local names=("$@") i

	for ((i = LANES; i < $#; i++)); do
		printf '[Unit]\nAfter=%s.service\n' "${names[i - LANES]}" >>"$D/units/${names[i]}.service"
	done
	inside systemctl daemon-reload
	inside systemctl start "${names[@]}" 2>/dev/null
	return 0
}

# What is granted, and what is not, as a queue and as a file.
hardened_app() {
	cat <<'SCRIPT'
#!/bin/sh
{ read -r line </dev/mqueue/ungranted; } 2>/dev/null && echo "opened as a file"
exec mqtry "open $1 rwcx 0600 4 64" "send one 3" "receive" "unlink $1" "open /ungranted r" "unlink /ungranted"
SCRIPT
}

# did NAME, did_all NAME: how a program fares that has what it is granted, and nothing by any road; without mqgate
did() {
	printf '%s\n' "open $1 rwcx 0600 4 64 -> 0" 'send one 3 -> 0' 'receive -> one 3' "unlink $1 -> 0" \
		'open /ungranted r -> -1 EACCES' 'unlink /ungranted -> -1 EACCES'
}

did_all() {
	echo "opened as a file"
	did "$1" | sed 's/open \(.*\) -> -1 EACCES/open \1 -> 1/; s/-1 EACCES/0/'
}

# works NAME: the unit that has run
works() {
	diff <(did "/h-$1") "$D/out/$1.out" && [ ! -s "$D/out/$1.err" ] && return
	cat "$D/out/$1.err" "$D/units/$1.service"
	inside systemctl show -p Result -p ExecMainStatus "$1"
	inside journalctl -u "$1" -n 5 -o cat --no-pager
	return 1
}

RUN='/usr/bin/mq-run --plug hardened:queues'

prepare_tree() {
	install_build || return
	mkdir -p "$D"/{units,out} "$TREE"/srv/root "$TREE"/usr/local/bin
	cp "$WORK/bin/mqtry" "$TREE/usr/bin/"
	cp "$WORK"/bin/{sensor,logger} "$TREE/usr/local/bin/"
	hardened_app >"$TREE/usr/bin/hardened-app"
	chmod 755 "$TREE/usr/bin/hardened-app"
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$TREE/srv/root/"
	mkdir "$TREE/srv/root/"{proc,sys,dev,run,etc,usr,tmp,var}
	rmdir "$TREE/etc/systemd/system"
	ln -s "$D/units" "$TREE/etc/systemd/system"
	cp "$TREE"/usr/share/doc/mqgate/examples/packages.d/{sensor,logger}.yaml "$TREE/etc/mqgate/packages.d/"
	cp "$TREE/usr/share/doc/mqgate/examples/logger.service" "$D/units/"
	sed 's|--plug logger:events|--slot sensor:events|; s|bin/logger|bin/sensor|' "$D/units/logger.service" >"$D/units/sensor.service"
	chmod -R a+rX "$D" "$TREE"
	printf '[Service]\nExecStart=/bin/true\n' >"$D/units/bare.service"
	cat >"$TREE/etc/mqgate/packages.d/hardened.yaml" <<'YAML'
name: hardened
plugs:
  queues: posix-mq
slots:
  all:
    interface: posix-mq
    posix-mq: queues
    path-pattern: "/h-*"
    permissions: [read, write, create, delete]
YAML
}

# --- one by one, and all at once ------------------------------------------------------------------

# prepare KIND TEXT LINES: a unit for each identity
prepare() {
	local kind=$1 who name
	shift

	for who in "${IDENTITIES[@]}"; do
		name=$kind-$who-$((${#UNITS[@]} + 1))
		unit "$name" "$who" "$RUN hardened-app /h-$name" "$2"
		UNITS+=("$name") TEXTS+=("$who: $1")
	done
}

# not_set: reads what systemd-analyze says of units; NAME…: the directives that they have and it does not see
not_set() {
	python3 -c '
import json, sys
text, decoder = sys.stdin.read(), json.JSONDecoder()
for name in sys.argv[1:]:
	rows, end = decoder.raw_decode(text)
	text = text[end:].lstrip()
	if [row["set"] for row in rows if row["name"] == name] not in ([True], [None]):
		print(name)' "$@"
}

each_directive() {
	local UNITS=() TEXTS=() names=() files=() unknown=() everything=$ALLOWED name lines i

	while read -r name; do
		[ "$name" != "RestrictAddressFamilies=~AF_UNIX" ] || continue
		lines=$(lines_of "$name") || unknown+=("$name")
		prepare one "$name" "$lines"
		names+=("$name") files+=("/etc/systemd/system/${UNITS[-2]}.service")
		everything+="; $lines"
	done < <(directives_known)
	holds "systemd-analyze tells what it knows" test "${#names[@]}" -gt 70
	holds "all of that is known here" test -z "${unknown[*]}"
	run inside systemd-analyze security --offline=yes --json=short "${files[@]}"
	holds "… and set as it should be" test -z "$(stdout | not_set "${names[@]}")"
	for lines in "${MORE[@]}"; do
		prepare more "$lines" "$lines"
	done
	prepare all "all that systemd-analyze knows" "$everything"
	start_units "${UNITS[@]}"
	for i in "${!UNITS[@]}"; do
		holds "${TEXTS[i]}" works "${UNITS[i]}"
	done
}

# --- what a unit cannot have ----------------------------------------------------------------------

# And what mq-run says of it, besides a word of which system call or place it is about.
read -r -d '' IMPOSSIBLE <<TABLE
RestrictAddressFamilies=~AF_UNIX|/run/mqgate/launch: .*RestrictAddressFamilies=
RestrictAddressFamilies=none|/run/mqgate/launch: .*RestrictAddressFamilies=
$FORBIDDEN; SystemCallErrorNumber=EPERM|landlock_create_ruleset: .*SystemCallFilter=
$FORBIDDEN; SystemCallErrorNumber=ENOSYS|landlock_create_ruleset: .*SystemCallFilter=
SystemCallFilter=~landlock_add_rule:EPERM|landlock_add_rule: .*SystemCallFilter=
SystemCallFilter=~landlock_add_rule:ENOSYS|landlock_add_rule: .*SystemCallFilter=
SystemCallFilter=~landlock_restrict_self:EACCES|landlock_restrict_self: .*SystemCallFilter=
SystemCallFilter=~landlock_restrict_self:ENOSYS|landlock_restrict_self: .*SystemCallFilter=
SystemCallFilter=~landlock_restrict_self|landlock_restrict_self: .*SystemCallFilter=
SystemCallFilter=~seccomp:EPERM|seccomp: .*SystemCallFilter=
SystemCallFilter=~seccomp:ENOSYS|seccomp: .*SystemCallFilter=
SystemCallFilter=~prctl:EPERM|prctl: .*SystemCallFilter=
SystemCallFilter=~clone:EPERM|clone: .*SystemCallFilter=
SystemCallFilter=~@network-io:EPERM|/run/mqgate/launch: .*SystemCallFilter=
SystemCallFilter=~sendmsg:EPERM|/run/mqgate/launch: .*SystemCallFilter=
InaccessiblePaths=/run/mqgate|/run/mqgate/launch: .*InaccessiblePaths=
TemporaryFileSystem=/run|/run/mqgate/launch: .*TemporaryFileSystem=
RootDirectory=/srv/root; MountAPIVFS=yes; BindReadOnlyPaths=/usr /etc|/run/mqgate/launch: .*RootDirectory=.*BindReadOnlyPaths=
RootDirectory=/srv/root; MountAPIVFS=no; BindReadOnlyPaths=/usr /etc /run/mqgate|/proc.*MountAPIVFS=
InaccessiblePaths=/proc|/proc.*InaccessiblePaths=
TABLE

# says NAME REGEX: the unit that has run has not started anything, and has said why
says() {
	cat "$D/out/$1.err"
	[ ! -s "$D/out/$1.out" ] && [ "$(grep -c '' "$D/out/$1.err")" = 1 ] && grep -Eq "^mq-run: .*$2" "$D/out/$1.err" &&
		[ "$(inside systemctl show -P ExecMainStatus "$1")" = 125 ]
}

each_impossible() {
	local UNITS=() TEXTS=() MESSAGES=() lines message i

	while IFS='|' read -r lines message; do
		# The sanitizers themselves need /proc.
		[ -z "${SANITIZED:-}" ] || [[ $message != /proc* ]] || continue
		prepare not "$lines" "$lines"
		MESSAGES+=("$message" "$message" "$message")
	done <<<"$IMPOSSIBLE"
	start_units "${UNITS[@]}"
	for i in "${!UNITS[@]}"; do
		holds "${TEXTS[i]}: mq-run says why not" says "${UNITS[i]}" "${MESSAGES[i]}"
	done
}

# A filter that kills leaves nobody to say anything, but systemd.
killed() {
	unit killed user "$RUN hardened-app /h-killed" "$FORBIDDEN"
	start_units killed
	holds "a filter that kills mq-run: nothing is started" test ! -s "$D/out/killed.out"
	run inside systemctl show -P Result -P ExecMainStatus killed
	expect_output "… and systemd says that it was a system call" $'signal\n31'
}

# It works, on queues that nobody else has.
own_queues_unit() {
	local who

	for who in "${IDENTITIES[@]}"; do
		unit "own-$who" "$who" "$RUN hardened-app /h-own-$who" "PrivateIPC=yes"
	done
	start_units own-root own-user own-dynamic
	for who in "${IDENTITIES[@]}"; do
		cp "$D/out/own-$who.out" "$WORK/stdout"
		cp "$D/out/own-$who.err" "$WORK/stderr"
		expect_output "$who: PrivateIPC=: works" "$(did "/h-own-$who")"
		expect_message "… and mq-run warns that nobody else has these queues" '^mq-run: .* own.* PrivateIPC='
	done
	run inside unshare --ipc --pid --fork mq-run --plug hardened:queues true
	holds "a container is not warned" test ! -s "$WORK/stderr"
}

# confined NAME WHO COMMAND: a unit that starts mq-run in a session
confined() {
	unit "$1" "$2" "$3" "$ALLOWED; NoNewPrivileges=yes; LockPersonality=yes"
	start_units "$1"
	holds "$2: $3: starts nothing" says "$1" "this process is confined already"
}

# --- the example ----------------------------------------------------------------------------------

logged() {
	inside journalctl -b -u logger -o cat --no-pager | grep -Eq "$1"
}

again() {
	[ "$(inside journalctl -b -u logger -o cat --no-pager | grep -Ec "$1")" -ge "$2" ]
}

example() {
	local pid

	check "the example has at most 0.2 of exposure" \
		inside systemd-analyze security --offline=yes --threshold=2 /etc/systemd/system/logger.service
	check "sensor and logger start in it" inside systemctl start sensor logger
	holds "… the logger has no queue" wait_until 10 logged '^mq_open /events: Permission denied'
	pid=$(inside systemctl show -P MainPID logger)
	check "… connected while it runs" inside mqctl connect logger:events sensor:events
	holds "… it receives" wait_until 10 logged '^received .* door opened'
	check "… disconnected while it runs" inside mqctl disconnect logger:events sensor:events
	holds "… it receives no more" wait_until 10 logged '^mq_receive /events: Permission denied'
	holds "… it is still the same process" test "$(inside systemctl show -P MainPID logger)" = "$pid"
	check "the logger is stopped" inside systemctl stop logger
	holds "… the queue stays" inside test -e /dev/mqueue/events
	check "the sensor is stopped" inside systemctl stop sensor
	holds "… the queue goes with the last unit of its user" inside test ! -e /dev/mqueue/events
}

holds "everything is installed" prepare_tree
boot
check "the plug is connected" inside mqctl connect hardened:queues hardened:all
for app in "" "$RUN"; do
	inside mqtry "umask 0" "open /ungranted rwcx 0666 4 64" >/dev/null
	# shellcheck disable=SC2086
	run inside $app hardened-app /h-app
	if [ -z "$app" ]; then
		expect_output "without mqgate every road is open" "$(did_all /h-app)"
	else
		expect_output "with it there is only what is granted" "$(did /h-app)"
	fi
done
each_directive
each_impossible
killed
own_queues_unit
confined nested root "$RUN $RUN hardened-app /h-nested"
confined nested-user user "$RUN $RUN hardened-app /h-nested"
confined nested-late dynamic "$RUN sh -c 'exec $RUN hardened-app /h-nested'"
example
finish
