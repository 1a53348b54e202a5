#!/usr/bin/env bash
# Three simulated Proxmox VE hosts behind real SSH servers on loopback: check, run,
# check again, and the report of the run. Everything lies in a folder that is removed
# at the end. Usage: examples/demo.sh [PHOENIX]
set -euo pipefail

phoenix=$(realpath "${1:-bin/phoenix}")
[ -x "$phoenix" ] || { echo "demo: $phoenix is no program; run make build first" >&2; exit 1; }

if [ -z "${PHOENIX_DEMO:-}" ]; then
  dir=$(mktemp -d)
  trap 'rm -rf "$dir"' EXIT
  echo "demo: phoenix lab --hosts 3 --dir $dir"
  XDG_STATE_HOME="$dir/state" PHOENIX_DEMO="$dir/shown" "$phoenix" lab --hosts 3 --dir "$dir/lab" -- "$(realpath "$0")" "$phoenix"
  [ -e "$dir/shown" ] || { echo "demo: the lab ended without a word from its command" >&2; exit 1; }
  exit
fi

# In the folder of the lab, with its inventory and its configurations.
step() { # step CODE WHY ARGUMENTS…: phoenix must end with CODE
  local want=$1 why=$2 got=0
  shift 2
  printf '\ndemo: %s\n$ phoenix %s\n' "$why" "$*"
  "$phoenix" "$@" || got=$?
  echo "demo: exit status $got"
  [ "$got" = "$want" ] || { echo "demo: exit status $want was expected" >&2; exit 1; }
}

step 0 "the configuration is sound, and no host was asked" validate
step 2 "what differs; nothing is changed" check
step 0 "make it so" run
step 0 "nothing is left to do" check

# The run is the second newest; the report is read from the files it left.
run=$("$phoenix" report list | awk '$2 == "run" { print $1; exit }')
[ -n "$run" ] || { echo "demo: the run was not kept" >&2; exit 1; }
step 0 "the report of the run, again" report show "$run"
printf '\ndemo: all as expected\n'
touch "$PHOENIX_DEMO"
