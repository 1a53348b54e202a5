#!/usr/bin/env bash
# Installs what the end-to-end tests need on Debian, or names it where it cannot.
set -euo pipefail

declare -A package=([/usr/sbin/sshd]=openssh-server [/usr/bin/ssh-keygen]=openssh-client [/usr/bin/gcc]=gcc [/usr/bin/sudo]=sudo [/usr/bin/jq]=jq [/usr/bin/unshare]=util-linux)
missing=()
for program in "${!package[@]}"; do
  [ -x "$program" ] || missing+=("${package[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0

echo "prerequisites: missing ${missing[*]}" >&2
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "prerequisites: install them, for example: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
