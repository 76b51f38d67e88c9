#!/usr/bin/env bash
# Measures what clients that never read do to the others: three nodes, 2,000 such clients
# on the second one, and the first and the third send to them and to clients that read.
# Prints how long the latter wait for a message, with the former and without them in
# turn, and what became of every send. Fails if the 99th percentile is more than 3 times
# as long, or a send has no answer.
#
# Then once more with the second node in a memory cgroup (v1) of just its bound, and,
# to see that the cgroup holds, of 16 MiB: there the node has to die. That takes
# root.
#
#   scripts/bench-stuck.sh [FLAG...]    flags of test/stuckbench: -rounds 5 -measure 3s
set -euo pipefail
cd "$(dirname "$0")/.."
ulimit -n 20000

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/stuckbench" ./test/stuckbench

printf '%s cores, Linux %s, %s, load %s, commit %s\n\n' "$(nproc)" "$(uname -r | cut -d- -f1)" \
  "$(go version | cut -d' ' -f3)" "$(cut -d' ' -f1 /proc/loadavg)" "$(git rev-parse --short HEAD)"
"$dir/stuckbench" "$@"

printf '\nWithin the bound of its memory:\n\n'
"$dir/stuckbench" "$@" -rounds 1 -at-most 0 -limit -1

printf '\nWithin 16 MiB: '
status=0
"$dir/stuckbench" "$@" -rounds 1 -at-most 0 -limit $((16 << 20)) >"$dir/out" 2>&1 || status=$?
case $status in
0)
  echo 'the node has survived, so the limit does not hold' >&2
  exit 1
  ;;
3) echo 'the kernel kills the node, as it has to' ;;
*)
  cat "$dir/out" >&2
  exit "$status"
  ;;
esac
