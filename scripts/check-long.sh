#!/usr/bin/env bash
# The checks that take longer than a review may wait: an hour and more. The
# steps, all or those named:
#
#   fuzz    every fuzz target, 1,000,000 inputs each
#   race    all tests under the race detector, 20 times
#   cross   the other systems and processors the code should compile for
#   abuse   attacks by thousands of clients, and 100,000 connections one after another
#   lives   50 restarts of nodes that keep their directory, and 50 without it
#   chaos   nodes of a cluster under traffic, killed, stopped, cut off and robbed
#           of their disks; 10 minutes, or FLAMINGO_TEST_CHAOS=1h, or --minutes 60
#   flap    a link between two nodes reset five times a second, under 50,000 messages a second
#   storm   5,000 clients that connect at once over TLS
#   quorum  10 minutes of traffic without a majority of the voters
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

step_fuzz() {
  fuzz_all 1000000x
}

step_race() {
  CGO_ENABLED=1 go test -race -count=20 -timeout 60m ./...
}

step_cross() {
  local target
  for target in linux/arm64 linux/386 freebsd/amd64 darwin/amd64 windows/arm64; do
    compile_for "$target"
  done
}

step_abuse() {
  FLAMINGO_TEST_LONG=1 go test ./transport -count=1 -v -timeout 30m \
    -run '^Test(Slowloris|ClientsThatNeverRead|ResetStorm|ConnectFlood|OpenCloseCycles|InputInAnyPieces)'
}

step_lives() {
  FLAMINGO_TEST_LONG=1 go test ./test -run '^TestNoLifeIsTakenForAnother$' -count=1 -v -timeout 60m
}

step_chaos() {
  FLAMINGO_TEST_CHAOS=${FLAMINGO_TEST_CHAOS:-10m} go test -tags e2e ./test/chaos -run '^TestChaos$' -count=1 -v -timeout 0
}

step_flap() {
  FLAMINGO_TEST_LONG=1 go test ./test -run '^TestFlappingLinkLosesNothing$' -count=1 -v
}

step_storm() {
  FLAMINGO_TEST_LONG=1 go test ./transport -run '^TestTLSServesEveryClientOfAStorm$' -count=1 -v
}

step_quorum() {
  scripts/no-quorum.sh 10
}

# chaos --minutes N is chaos with FLAMINGO_TEST_CHAOS=Nm.
steps=()
while [[ $# -gt 0 ]]; do
  if [[ $1 == --minutes ]]; then
    if [[ ! ${2:-} =~ ^[1-9][0-9]*$ ]]; then
      printf '%s: --minutes %s: allowed is a whole number from 1\n' "$0" "${2:-}" >&2
      exit 2
    fi
    export FLAMINGO_TEST_CHAOS=${2}m
    shift 2
  else
    steps+=("$1")
    shift
  fi
done
set -- "${steps[@]}"

if [[ $# -eq 0 ]]; then
  set -- cross abuse flap storm lives chaos quorum race fuzz
fi
must_know "$@"
run_steps "$@"
