#!/usr/bin/env bash
# Measures what a send to a connection of another node costs, side by side, each
# design in processes of its own on loopback, the designs taking turns:
#
#   flamingo     from node to node
#   local        Flamingo, by the node that owns the connections
#   write each   a TCP link of frames, one write for each message
#   batched      the same, one write for all that waits
#   nats         two NATS servers with a route, if their module can be had
#
# Prints tables in Markdown: medians, and the ratio of flamingo to each.
#
#   scripts/bench-mesh.sh [ROUNDS [SECONDS]] [FLAG...]   default 3 rounds of 2 s
#
# Flags are those of `meshbench drive`: -pin=false lets every process use every
# core, -load NAME takes only some loads, -profile DIR writes profiles instead,
# -against PROGRAM compares with meshbench built from another commit, alone.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3
seconds=2
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
	rounds=$1
	shift
	if [[ ${1:-} =~ ^[0-9]+$ ]]; then
		seconds=$1
		shift
	fi
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/meshbench" ./test/meshbench
nats=()
if go -C test/peers build -o "$dir/natsmesh" ./natsmesh; then
	nats=(-nats "$dir/natsmesh")
else
	echo "without nats" >&2
fi

echo "$(nproc) cores, $(go version | cut -d' ' -f3), Linux $(uname -r), commit $(git rev-parse --short HEAD 2>/dev/null || echo none)"
echo
"$dir/meshbench" drive -rounds "$rounds" -measure "${seconds}s" "${nats[@]}" "$@"
