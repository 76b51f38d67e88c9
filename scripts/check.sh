#!/usr/bin/env bash
# What CI runs after `go test ./...`. Without arguments every step, in this
# order; with arguments those named:
#
#   scripts/check.sh            # all
#   scripts/check.sh lint fuzz  # two of them
#
#   vet     go vet, the files behind the tag e2e included
#   format  gofumpt and the order of imports
#   lint    golangci-lint with .golangci.yml
#   fix     go fix would change nothing
#   tidy    go.mod and go.sum are what the imports need
#   cross   everything compiles for macOS and Windows, tests included
#   race    all tests under the race detector
#   fuzz    every fuzz target, 3 s each
#   e2e     the tests that need parts beyond Go; a missing part is an error
#   chaos   nodes killed, stopped, cut off, without disks; takes root
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/lib.sh
source scripts/lib.sh

step_vet() {
  go vet ./...
  go vet -tags e2e ./...
}

step_format() {
  local unformatted
  unformatted=$(tool gofumpt -l .)
  if [[ -n $unformatted ]]; then
    printf 'not in the form of gofumpt:\n%s\n' "$unformatted" >&2
    return 1
  fi
  tool golangci-lint fmt --diff
}

step_lint() {
  tool golangci-lint config verify
  tool golangci-lint run
}

step_fix() {
  go fix -diff -tags e2e ./...
}

step_tidy() {
  go mod tidy -diff
}

step_cross() {
  local target
  for target in darwin/arm64 windows/amd64; do
    compile_for "$target"
  done
}

step_race() {
  CGO_ENABLED=1 go test -race ./...
}

step_fuzz() {
  fuzz_all 3s
}

step_e2e() {
  local packages
  packages=$(go list ./test/... | grep -v '/test/chaos')
  # shellcheck disable=SC2086 # a word for each package
  go test -count=1 -timeout 20m -tags e2e $packages
}

# The seed of a run that fails is in its output; FLAMINGO_TEST_CHAOS_SEED=…
# repeats its faults.
step_chaos() {
  go test -count=1 -tags e2e -parallel 4 ./test/chaos
}

if [[ $# -eq 0 ]]; then
  set -- vet format lint fix tidy cross race fuzz e2e chaos
fi
must_know "$@"
run_steps "$@"
