#!/usr/bin/env bash
# Kills two of three voters and keeps the rest under traffic for so many minutes:
# sends, closes, accepts and describes, each of which must succeed. Then a node
# starts that has to wait for its number, and a voter comes back. Prints counts.
#
#   scripts/no-quorum.sh [MINUTES]     default 10
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=${1:-10}
if [[ ! $minutes =~ ^[0-9]+$ || $minutes -eq 0 ]]; then
  printf 'usage: %s [MINUTES], at least 1\n' "$0" >&2
  exit 2
fi
FLAMINGO_TEST_NO_QUORUM=${minutes}m go test ./test -run '^TestNodesServeWithoutQuorum$' \
  -count=1 -v -timeout "$((minutes + 10))m"
