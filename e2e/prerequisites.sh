#!/usr/bin/env bash
# Installs what the end-to-end tests need on Debian, or names it where it cannot.
set -euo pipefail

declare -A package=([/usr/sbin/sshd]=openssh-server [/usr/bin/ssh-keygen]=openssh-client [/usr/bin/gcc]=gcc [/usr/bin/sudo]=sudo [/usr/bin/jq]=jq [/usr/bin/unshare]=util-linux [/usr/bin/testparm]=samba-common-bin [/usr/sbin/ip]=iproute2 [/usr/sbin/iptables]=iptables [/usr/bin/python3]=python3 [/usr/sbin/modprobe]=kmod [/usr/sbin/sysctl]=procps [/usr/bin/systemd-analyze]=systemd)
missing=()
for program in "${!package[@]}"; do
  [ -x "$program" ] || missing+=("${package[$program]}")
done
# ifupdown2 takes over the network of a machine that it is installed on, and the NFS
# server starts, so both are only unpacked.
ifupdown2=/usr/local/lib/phoenix-e2e/ifupdown2
nfs=/usr/local/lib/phoenix-e2e/nfs-kernel-server
unpack() {
  cd "$(mktemp -d)"
  apt-get download -qq "$1" 2>/dev/null
  mkdir -p "$2"
  dpkg -x "$1"_*.deb "$2"
}
wanted=("${missing[@]}")
[ -x $ifupdown2/usr/share/ifupdown2/ifupdown2 ] || wanted+=("ifupdown2 (unpacked in $ifupdown2)")
[ -x $nfs/usr/sbin/exportfs ] || wanted+=("nfs-kernel-server (unpacked in $nfs)")
[ ${#wanted[@]} -eq 0 ] && exit 0

echo "prerequisites: missing ${wanted[*]}" >&2
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "prerequisites: install them, for example: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
apt-get update -qq
[ ${#missing[@]} -eq 0 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
[ -x $ifupdown2/usr/share/ifupdown2/ifupdown2 ] || { unpack ifupdown2 $ifupdown2; chmod +x $ifupdown2/usr/share/ifupdown2/__main__.py; }
[ -x $nfs/usr/sbin/exportfs ] || unpack nfs-kernel-server $nfs
