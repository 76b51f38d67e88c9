#!/usr/bin/env bash
# Measures echo through the pipeline side by side: Flamingo, other libraries and
# a loop in C, in turn under the same load, and writes docs/benchmarks.md and
# docs/benchmarks.svg. Needs gcc, taskset and strace, and two cores for itself.
#
#   scripts/bench-peers.sh [ROUNDS [SECONDS]] [FLAG...]   default 3 rounds of 3 s
#
# That takes about 12 minutes. Flags are those of `echobench drive`; with any of
# them the page goes to standard output: -only NAME takes only rows whose name
# has that in it ("inline", "idle", "system calls"), -against PROGRAM compares
# with echobench built from another commit, alone.
set -euo pipefail
cd "$(dirname "$0")/.."

rounds=3
seconds=3
if [[ ${1:-} =~ ^[0-9]+$ ]]; then
  rounds=$1
  shift
  if [[ ${1:-} =~ ^[0-9]+$ ]]; then
    seconds=$1
    shift
  fi
fi

missing=()
for command in gcc taskset strace; do
  command -v "$command" >/dev/null || missing+=("${command/taskset/util-linux}")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  apt-get -q install -y --no-install-recommends "${missing[@]}" >&2
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/flamingo" ./cmd/flamingo
go build -o "$dir/echobench" ./test/echobench
go -C test/peers build -o "$dir/peers" ./echo
gcc -O2 -o "$dir/c" test/peers/cecho/echo.c

version_of() { # MODULE
  go -C test/peers list -m -f '{{.Version}}' "$1"
}

model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)
head="Machine: ${model:-unknown processor}, $(nproc) cores, Linux $(uname -r | cut -d- -f1), \
$(go version | cut -d' ' -f3), $(gcc --version | head -1 | sed 's/ (.*) / /'). \
Peers: gnet $(version_of github.com/panjf2000/gnet/v2), nbio $(version_of github.com/lesismal/nbio), \
netpoll $(version_of github.com/cloudwego/netpoll). \
Load average at the start $(cut -d' ' -f1 /proc/loadavg). \
Commit $(git rev-parse --short HEAD 2>/dev/null || echo unknown), \
\`scripts/bench-peers.sh $rounds $seconds\`."

files=()
if [[ $# -eq 0 ]]; then
  files=(-page docs/benchmarks.md -chart docs/benchmarks.svg)
fi
"$dir/echobench" drive -client "$dir/flamingo" -peers "$dir/peers" -c "$dir/c" \
  -rounds "$rounds" -measure "${seconds}s" -head "$head" "${files[@]}" "$@"
