#!/usr/bin/env bash
# Measures what a send to a connection of another node costs, side by side, and
# replaces the part of docs/benchmarks.md about it. Each design has processes of its own
# on loopback, and they take turns:
#
#   flamingo        from node to node
#   flamingo, key   the same with a cluster key
#   limit           one TCP stream of frames, one write for all that waits
#   nats            two NATS servers with a route, and a gateway to the clients
#   redis           pub/sub by one Redis server, with the same gateway
#
#   scripts/bench-mesh.sh [ROUNDS [SECONDS]] [FLAG...]   default 3 rounds of 2 s
#
# A round takes about four minutes. Flags are those of `meshbench drive`: -only NAME
# measures only rows whose name has that in it ("10,000", "one core", "publish"), the
# rest of the page is from what was measured of this commit before; -designs A+B only
# these designs. With -against PROGRAM (meshbench built from another commit, to compare with
# alone) figures go to standard output, with -profile DIR profiles of both nodes are
# written in place of figures.
#
# Needs taskset, two cores for itself and 20,000 open files for a process.
# redis-server comes from the distribution; it is run here, not as a service.
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

ulimit -n 20000

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/meshbench" ./test/meshbench
drive=("$dir/meshbench" drive -rounds "$rounds" -measure "${seconds}s")
if [[ " $* " == *" -against "* || " $* " == *" -profile "* ]]; then
  "${drive[@]}" "$@"
  exit
fi

missing=()
for command in taskset redis-server; do
  command -v "$command" >/dev/null || missing+=("${command/taskset/util-linux}")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  RUNLEVEL=1 apt-get -q install -y --no-install-recommends "${missing[@]}" >&2
fi
go -C test/peers build -o "$dir/natsmesh" ./natsmesh

commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
if [[ -n $(git status --porcelain -- '*.go' 2>/dev/null) ]]; then
  commit+=-changed
fi
model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -1)
head="Machine: ${model:-unknown processor}, $(nproc) cores, Linux $(uname -r | cut -d- -f1), \
$(go version | cut -d' ' -f3). \
NATS server $(go -C test/peers list -m -f '{{.Version}}' github.com/nats-io/nats-server/v2), \
Redis $(redis-server --version | sed 's/.* v=\([^ ]*\).*/\1/'). \
Load average at the start $(cut -d' ' -f1 /proc/loadavg). \
Commit $commit, \`scripts/bench-mesh.sh $rounds $seconds\`."

"${drive[@]}" -head "$head" -page docs/benchmarks.md \
  -keep "${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/flamingo-bench/mesh-$commit.json" \
  -nats "$dir/natsmesh" -redis "$(command -v redis-server)" "$@"
