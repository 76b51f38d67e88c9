#!/usr/bin/env bash
# Measures how an honest client fares beside attackers, on Flamingo and on a
# server of Go's package net, in turn, and prints a table. The aim: under no
# attack is Flamingo's p99 more than 1.5 times the other's. Needs taskset and two
# processors for itself.
#
#   scripts/bench-abuse.sh [FLAG...]    flags of test/abuse: -rounds 5 -measure 3s
set -euo pipefail
cd "$(dirname "$0")/.."

command -v taskset >/dev/null || apt-get -q install -y --no-install-recommends util-linux >&2

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
go build -o "$dir/flamingo" ./cmd/flamingo
go build -o "$dir/abuse" ./test/abuse
go -C test/peers build -o "$dir/peers" ./echo

printf '%s cores, Linux %s, %s, load %s, commit %s\n\n' "$(nproc)" "$(uname -r | cut -d- -f1)" \
  "$(go version | cut -d' ' -f3)" "$(cut -d' ' -f1 /proc/loadavg)" "$(git rev-parse --short HEAD)"
taskset -c 1 "$dir/abuse" -flamingo "$dir/flamingo" -peers "$dir/peers" "$@"
