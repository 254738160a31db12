#!/bin/sh
# Run the user's own systemd in a namespaced host, in control groups of its own, as a login would have it run.
# $1 names the groups, which whoever started this removes when the host has ended.
set -eu
mkdir -p /run/systemd/system # the sign that the machine runs systemd (sd_booted(3))
mkdir -m 700 -p "$XDG_RUNTIME_DIR"
for hierarchy in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/systemd; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/$1"
    echo $$ >"$hierarchy/$1/cgroup.procs"
done
exec unshare --cgroup --mount sh -euc '
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
    mount -n -t cgroup2 own /sys/fs/cgroup
else
    mount -n -t tmpfs own /sys/fs/cgroup
    mkdir /sys/fs/cgroup/unified /sys/fs/cgroup/systemd
    mount -n -t cgroup2 own /sys/fs/cgroup/unified
    mount -n -t cgroup -o none,name=systemd,xattr own /sys/fs/cgroup/systemd
fi
exec /usr/lib/systemd/systemd --user --unit=basic.target'
