#!/usr/bin/env bash
# The checks that take longer than a review may wait: an hour and more. The
# steps, all or those named:
#
#   fuzz    every fuzz target, 1,000,000 inputs each
#   race    all tests under the race detector, 20 times
#   cross   the other systems and processors the code should compile for
#   abuse   attacks by thousands of clients, and 100,000 connections one after another
#   lives   50 restarts of nodes that keep their directory, and 50 without it
#   chaos   nodes of a cluster under traffic, killed for 10 minutes
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
  FLAMINGO_TEST_CHAOS=10m go test ./test -run '^TestChaosLosesNothingInSilence$' -count=1 -v -timeout 30m
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

if [[ $# -eq 0 ]]; then
  set -- cross abuse flap storm lives chaos quorum race fuzz
fi
must_know "$@"
run_steps "$@"
