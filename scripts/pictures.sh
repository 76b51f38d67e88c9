#!/usr/bin/env bash
# Makes the pictures of the dashboard anew, in docs/pictures: the test that has a
# browser look at a cluster takes them on its way. Needs Chromium and npm; a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mkdir -p docs/pictures
FLAMINGO_PICTURES=$PWD/docs/pictures go test -count=1 -tags e2e ./test -run '^TestDashboardInABrowser$'
