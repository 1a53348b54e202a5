#!/usr/bin/env bash
# Installs what the end-to-end tests need on Debian, or names it where it cannot.
set -euo pipefail

declare -A package=([/usr/sbin/sshd]=openssh-server [/usr/bin/ssh-keygen]=openssh-client [/usr/bin/gcc]=gcc [/usr/include/stdlib.h]=libc6-dev [/usr/bin/sudo]=sudo [/usr/bin/jq]=jq [/usr/bin/unshare]=util-linux [/usr/bin/testparm]=samba-common-bin [/usr/sbin/ip]=iproute2 [/usr/sbin/iptables]=iptables [/usr/bin/python3]=python3 [/usr/sbin/modprobe]=kmod [/usr/sbin/sysctl]=procps [/usr/bin/systemd-analyze]=systemd [/usr/bin/zstd]=zstd [/usr/bin/newuidmap]=uidmap [/usr/bin/wget]=wget [/bin/busybox]=busybox-static)
# What LXC and slirp4netns are linked with.
libs=/usr/lib/$(uname -m)-linux-gnu
package+=([$libs/libapparmor.so.1]=libapparmor1 [$libs/libseccomp.so.2]=libseccomp2 [$libs/libglib-2.0.so.0]=libglib2.0-0)
missing=()
for program in "${!package[@]}"; do
  [ -e "$program" ] || missing+=("${package[$program]}")
done
# ifupdown2 takes over the network of a machine that it is installed on, the NFS server
# starts, and LXC brings a bridge and settings of the kernel, so they are only unpacked.
ifupdown2=/usr/local/lib/phoenix-e2e/ifupdown2
nfs=/usr/local/lib/phoenix-e2e/nfs-kernel-server
lxc=/usr/local/lib/phoenix-e2e/lxc
unpack() { # FOLDER PACKAGE...
  local to=$1 deb
  shift
  cd "$(mktemp -d)"
  apt-get download -qq "$@" 2>/dev/null
  mkdir -p "$to"
  for deb in *.deb; do dpkg -x "$deb" "$to"; done
}
wanted=("${missing[@]}")
[ -x $ifupdown2/usr/share/ifupdown2/ifupdown2 ] || wanted+=("ifupdown2 (unpacked in $ifupdown2)")
[ -x $nfs/usr/sbin/exportfs ] || wanted+=("nfs-kernel-server (unpacked in $nfs)")
[ -e $lxc/complete ] || wanted+=("lxc, slirp4netns and debootstrap (unpacked in $lxc)")
[ ${#wanted[@]} -eq 0 ] && exit 0

echo "prerequisites: missing ${wanted[*]}" >&2
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "prerequisites: install them, for example: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
apt-get update -qq
[ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[ -x $ifupdown2/usr/share/ifupdown2/ifupdown2 ] || { unpack $ifupdown2 ifupdown2; chmod +x $ifupdown2/usr/share/ifupdown2/__main__.py; }
[ -x $nfs/usr/sbin/exportfs ] || unpack $nfs nfs-kernel-server
[ -e $lxc/complete ] || {
  unpack $lxc lxc liblxc1 liblxc-common slirp4netns libslirp0 debootstrap
  rm -rf $lxc/etc/init.d $lxc/etc/sysctl.d $lxc/lib # nothing but what lxc-start needs
  touch $lxc/complete
}
