#!/usr/bin/env bash
# Makes the template of the tests with real containers, once, and prints where it lies:
# Debian 12 from the mirror that this machine uses, with what a container of Proxmox has.
set -euo pipefail

lxc=/usr/local/lib/phoenix-e2e/lxc # of prerequisites.sh
cache=${XDG_CACHE_HOME:-/var/cache}/phoenix-e2e
made=$cache/debian-12-$(sha256sum "$0" | cut -c1-12).tar.zst
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -s "$made" ]; then
  mirror=$(apt-get indextargets --format '$(SITE)' 'Codename: bookworm' 'Component: main' 2>/dev/null | grep -m1 -v security || true)
  mirror=${mirror:-http://deb.debian.org/debian}
  work=$(mktemp -d "${TMPDIR:-/tmp}/phoenix-template-XXXXXX")
  trap 'rm -rf "$work" "$made.new"' EXIT
  root=$work/root
  # Its own namespaces take what it mounts away with it, even when it is killed.
  DEBOOTSTRAP_DIR=$lxc/usr/share/debootstrap unshare --mount --pid --fork --kill-child \
    "$lxc/usr/sbin/debootstrap" --variant=minbase --include=systemd-sysv,dbus,ifupdown,iproute2,ca-certificates bookworm "$root" "$mirror" >&2
  cat > "$root/etc/apt/sources.list" <<X
deb $mirror bookworm main
deb $mirror bookworm-updates main
X
  # How this machine reaches the mirror, and what it forgives it.
  apt-config dump | grep -E '^Acquire::(https?::Proxy|Check-(Date|Valid-Until)) ' > "$root/etc/apt/apt.conf.d/90machine" || true
  # The kernel refuses these to an unprivileged container.
  for unit in sys-kernel-debug.mount sys-kernel-config.mount; do ln -s /dev/null "$root/etc/systemd/system/$unit"; done
  rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/*.log "$root"/etc/resolv.conf "$root"/etc/hostname
  : > "$root/etc/machine-id"
  tar -C "$root" --numeric-owner --exclude './dev/*' -c . | zstd -q -T0 -3 -o "$made.new" -f
  mv "$made.new" "$made"
fi
echo "$made"
