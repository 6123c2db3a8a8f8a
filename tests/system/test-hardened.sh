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
declare -A IDENTITY=([root]='' [user]=User=nobody [dynamic]=DynamicUser=yes)
LANES=4 # units that run at once
SANDBOX='SystemCallFilter=seccomp landlock_create_ruleset landlock_add_rule landlock_restrict_self'

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
	"SystemCallFilter=@system-service; $SANDBOX"
	"SystemCallFilter=@system-service; $SANDBOX; SystemCallErrorNumber=EPERM"
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
${IDENTITY[$who]}
${lines//; /$'\n'}
UNIT
}

# start_units NAME…: all, LANES at once; returns when they have ended
start_units() {
	local names=("$@") i

	for ((i = LANES; i < $#; i++)); do
		printf '[Unit]\nAfter=%s.service\n' "${names[i - LANES]}" >>"$D/units/${names[i]}.service"
	done
	inside systemctl daemon-reload
	inside systemctl start "${names[@]}" 2>/dev/null
	return 0
}

# How a program fares that has what it is granted, and nothing else by any road.
hardened_app() {
	cat <<'SCRIPT'
#!/bin/sh
mqtry "open $1 rwcx 0600 4 64" "send one 3" "receive" "open /ungranted r" "unlink /ungranted" "unlink $1"
{ read -r line </dev/mqueue/ungranted; } 2>/dev/null && echo "opened as a file"
exit 0
SCRIPT
}

expected() {
	printf '%s\n' "open $1 rwcx 0600 4 64 -> 0" 'send one 3 -> 0' 'receive -> one 3' \
		'open /ungranted r -> -1 EACCES' 'unlink /ungranted -> -1 EACCES' "unlink $1 -> 0"
}

# works NAME: the unit that has run
works() {
	diff <(expected "/h-$1") "$D/out/$1.out" && [ ! -s "$D/out/$1.err" ] && return
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
	cp "$WORK/bin/logger" "$TREE/usr/local/bin/"
	hardened_app >"$TREE/usr/bin/hardened-app"
	chmod 755 "$TREE/usr/bin/hardened-app"
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$TREE/srv/root/"
	mkdir "$TREE/srv/root/"{proc,sys,dev,run,etc,usr,tmp,var}
	rmdir "$TREE/etc/systemd/system"
	ln -s "$D/units" "$TREE/etc/systemd/system"
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

each_directive() {
	local names=() texts=() name text who number=0

	while read -r name; do
		number=$((number + 1))
		text=$(lines_of "$name") || echo "$name" >>"$WORK/unknown"
		[ "$name" != "RestrictAddressFamilies=~AF_UNIX" ] || continue
		for who in "${IDENTITIES[@]}"; do
			unit "$who-$number" "$who" "$RUN hardened-app /h-$who-$number" "$text"
			names+=("$who-$number") texts+=("$who, $name")
		done
	done < <(directives_known)
	for text in "${MORE[@]}"; do
		number=$((number + 1))
		for who in "${IDENTITIES[@]}"; do
			unit "$who-$number" "$who" "$RUN hardened-app /h-$who-$number" "$text"
			names+=("$who-$number") texts+=("$who, $text")
		done
	done
	start_units "${names[@]}"
	for number in "${!names[@]}"; do
		holds "${texts[number]}: works" works "${names[number]}"
	done
}

holds "everything is installed" prepare_tree
boot
check "the plug is connected" inside mqctl connect hardened:queues hardened:all
inside mqtry "umask 0" "open /ungranted rwcx 0666 4 64" >/dev/null
each_directive
finish
