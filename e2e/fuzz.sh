#!/usr/bin/env bash
# Runs every fuzz target of the repository for the given time (default 10s).
set -euo pipefail
for_each=${1:-10s}
cd "$(dirname "$0")/.."
grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u | while read -r dir; do
  grep -hoE '^func Fuzz[A-Za-z0-9_]*' "$dir"/*_test.go | sed 's/^func //' | while read -r target; do
    echo "== $dir $target"
    # Minimising an input would use up the time of a target that reads files.
    go test "$dir" -run '^$' -fuzz "^$target\$" -fuzztime "$for_each" -fuzzminimizetime 1x </dev/null
  done
done
