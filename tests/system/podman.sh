# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# Sourced, after lib.sh, by tests with containers: Podman with storage, images and settings of its own, in the mount namespace of the
# test, on whatever cgroups the machine has, without a network.

MQ_RUN_STATIC=

# crun sets limits and cgroups that not every machine lets it set, and of which nothing is asked here.
write_runtime() {
	cat >"$WORK/bin/crun-here" <<'PYTHON'
#!/usr/bin/env python3
import json, os, sys

words = sys.argv[1:]
if "create" in words:
	path = words[words.index("--bundle") + 1] + "/config.json"
	with open(path) as f:
		config = json.load(f)
	config["process"].pop("rlimits", None)
	for key in ("cgroupsPath", "resources"):
		config["linux"].pop(key, None)
	with open(path, "w") as f:
		json.dump(config, f)
os.execvp("crun", ["crun", "--cgroup-manager=disabled"] + words)
PYTHON
	chmod 755 "$WORK/bin/crun-here"
}

write_settings() {
	cat >"$WORK/containers.conf" <<CONF
[containers]
netns = "none"
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "crun"
image_default_transport = "containers-storage:"
[engine.runtimes]
crun = ["$WORK/bin/crun-here"]
CONF
	printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
		>"$WORK/storage.conf"
	echo '{"default": [{"type": "insecureAcceptAnything"}]}' >"$WORK/policy.json"
	export CONTAINERS_CONF="$WORK/containers.conf" CONTAINERS_STORAGE_CONF="$WORK/storage.conf"
}

# import_image NAME DIRECTORY [COMMAND…]
import_image() {
	tar -C "$2" -c . |
		podman import -q --change "ENV PATH=/usr/bin:/bin" ${3:+--change "CMD [\"$3\"]"} - "localhost/$1" >/dev/null
}

make_images() {
	local applet image=$WORK/image

	mkdir -p "$image/bin" "$image/tmp" "$image/usr/bin" "$WORK/empty/usr/bin"
	cp "$BUILD_ROOT/tests/apps/mqtry-static" "$WORK/empty/usr/bin/mqtry"
	cp "$WORK/empty/usr/bin/mqtry" "$image/usr/bin"
	cp "$BUILD_ROOT/tests/apps/mqgate-roads-static" "$image/usr/bin/mqgate-roads"
	cp /bin/busybox "$image/bin"
	for applet in sh cat echo sleep true mkdir; do ln -s busybox "$image/bin/$applet"; done
	printf '#!/bin/sh\nexec mqtry "open /jobs rwc 0600" "unlink /jobs" "open /other r"\n' >"$image/usr/bin/worker"
	chmod 755 "$image/usr/bin/worker"
	import_image worker "$image" worker
	import_image empty "$WORK/empty"
}

# set_up_podman: sets MQ_RUN_STATIC, and MOUNTS for podman run. 1: what it needs is not installed, or not built.
set_up_podman() {
	local directory

	command -v podman >/dev/null && command -v crun >/dev/null && [ -x /bin/busybox ] &&
		[ -x "$BUILD_ROOT/tests/apps/mqtry-static" ] || return
	[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 none /sys/fs/cgroup
	for directory in /run/libpod /run/containers /run/crun /var/lib/containers /etc/cni/net.d; do
		mkdir -p $directory
		mount -t tmpfs none $directory
	done
	MQ_RUN_STATIC=$WORK/bin/mq-run-static
	[ ! -x "$BUILD_ROOT/launcher/mq-run-static" ] || cp "$BUILD_ROOT/launcher/mq-run-static" "$MQ_RUN_STATIC"
	MOUNTS=(-v "$MQ_RUN_STATIC:/usr/bin/mq-run:ro" -v "$WORK/run/launch:/run/mqgate/launch")
	# contain OPTION… IMAGE CMD…: in a container, with mq-run and mqgated's sockets
	printf '#!/bin/sh\nexec podman run --rm%s "$@"\n' "$(printf ' %q' "${MOUNTS[@]}")" >"$WORK/bin/contain"
	chmod 755 "$WORK/bin/contain"
	write_runtime
	write_settings
	make_images
}

# as_here FILE: with the paths of this test
as_here() {
	sed "s#/usr/libexec/mqgate/mq-run-static#$MQ_RUN_STATIC#; s#path: /run/mqgate/#path: $WORK/run/#
		s#/run/mqgate/launch:#$WORK/run/launch:#; s#/etc/mqgate/worker.json#$WORK/profile.json#" "$1"
}

# shown BEGINNING: the example of doc/containers.md that begins so
shown() {
	as_here "$SOURCE_ROOT/doc/containers.md" | sed -n "/^    $1/,/^\$/p"
}

# Whether this machine makes any: it is tried, as machine_can does.
machine_makes_containers() {
	podman run --rm worker true </dev/null >"$WORK/stdout" 2>"$WORK/stderr" && return
	TAP_COUNT=$((TAP_COUNT + 1))
	echo "ok $TAP_COUNT - containers # SKIP this machine makes no containers: $(tail -n 1 "$WORK/stderr" | tr -d '#')"
	return 1
}

# begin_with_containers MANAGER-OPTION…: all that the tests with containers begin with, the package worker
# connected among it
begin_with_containers() {
	private_ipc
	setup
	set_up_podman || skip_all "Podman, crun or busybox-static is not installed, or -Dstatic_launcher=true is missing"
	machine_makes_containers || finish
	write_package worker.yaml <<-'YAML'
		name: worker
		plugs: {jobs: posix-mq, bus: posix-mq}
		slots:
		  queue: {interface: posix-mq, posix-mq: jobs, path: /jobs, permissions: [read, write, create, delete]}
		  host: {interface: posix-mq, posix-mq: bus, path: /bus, namespace: host, permissions: [read, write, create, delete]}
	YAML
	MANAGER_OPTIONS=("$@")
	start_manager
	mqctl connect worker:jobs worker:queue
	mqctl connect worker:bus worker:host
}

# Podman makes bridges.
[ -n "${OWN_NETWORK:-}" ] || OWN_NETWORK=1 exec unshare --net bash "$0"
