# shellcheck shell=bash
# What check.sh and check-long.sh share. Sourced, at the root of the module.

# run_steps NAME...: runs the function step_NAME for each, with its time. The
# first that fails ends the script, which then names it. Not to be called in a
# condition: bash would ignore failures within the steps.
run_steps() {
  trap 'end_of_steps $?' EXIT
  for current_step in "$@"; do
    step_start=$SECONDS
    printf '== %s\n' "$current_step"
    "step_$current_step" </dev/null
    printf '== %s: ok, %d s\n' "$current_step" "$((SECONDS - step_start))"
    finished_steps+=" $current_step"
  done
  current_step=""
}

current_step=""
finished_steps=""
step_start=0

end_of_steps() {
  if [[ -n $current_step ]]; then
    printf '== %s: FAILED after %d s (exit status %d)\n' \
      "$current_step" "$((SECONDS - step_start))" "$1" >&2
    printf '   again, alone: %s %s\n' "$0" "$current_step" >&2
  else
    printf '== all passed in %d s:%s\n' "$SECONDS" "$finished_steps"
  fi
}

# must_know NAME...: ends the script, status 2, at a name that is no step.
must_know() {
  local name
  for name in "$@"; do
    if ! declare -F "step_$name" >/dev/null; then
      printf '%s: no step named %s\n' "$0" "$name" >&2
      exit 2
    fi
  done
}

# tool NAME ARG...: runs a tool that scripts/tools/go.mod pins. The tools are
# built once into the user's cache, in a folder named after their pins and the
# Go version.
tool() {
  build_tools
  local name=$1
  shift
  "$tools_dir/$name" "$@"
}

tools_dir=""

build_tools() {
  if [[ -n $tools_dir ]]; then
    return
  fi
  local version pins parent dir fresh started
  version=$(go env GOVERSION)
  pins=$(cat scripts/tools/go.mod scripts/tools/go.sum | cksum)
  parent=${XDG_CACHE_HOME:-${HOME:-/tmp}/.cache}/flamingo-tools
  dir=$parent/$version-${pins%% *}
  if [[ ! -d $dir ]]; then
    printf 'building the tools of scripts/tools/go.mod, once, into %s\n' "$dir" >&2
    started=$SECONDS
    mkdir -p "$parent"
    fresh=$(mktemp -d "$parent/build.XXXXXX")
    CGO_ENABLED=0 GOOS='' GOARCH='' GOFLAGS=-mod=readonly \
      go -C scripts/tools build -trimpath -ldflags '-s -w' -o "$fresh/" tool || {
      rm -rf "$fresh"
      return 1
    }
    if [[ -d $dir ]]; then # somebody else built them meanwhile
      rm -rf "$fresh"
    else
      mv "$fresh" "$dir"
    fi
    printf 'built in %d s\n' "$((SECONDS - started))" >&2
  fi
  tools_dir=$dir
}

# fuzz_targets: prints "import-path FuzzName" for each fuzz target.
fuzz_targets() {
  local pkg file
  # shellcheck disable=SC2016 # the dollars are the template's
  go list -f '{{$p := .}}{{range .TestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}{{range .XTestGoFiles}}{{$p.ImportPath}} {{$p.Dir}}/{{.}}
{{end}}' ./... | while read -r pkg file; do
    if [[ -n $file ]]; then
      sed -n "s|^func \(Fuzz[A-Za-z0-9_]*\)([a-z]* \*testing\.F).*|$pkg \1|p" "$file"
    fi
  done
}

# fuzz_all BUDGET: runs every fuzz target for the budget, a time or "<count>x".
fuzz_all() {
  local budget=$1 targets pkg name
  targets=$(fuzz_targets)
  if [[ -z $targets ]]; then
    printf 'no fuzz target was found: every decoder has one\n' >&2
    return 1
  fi
  while read -r pkg name; do
    printf -- '-- %s %s\n' "$pkg" "$name"
    fuzz_one "$budget" "$pkg" "$name"
  done <<<"$targets"
}

# fuzz_one BUDGET PKG NAME: runs one target and prints the end of its output.
fuzz_one() {
  local budget=$1 pkg=$2 name=$3 out status=0
  out=$(fuzz "$budget" "$pkg" "$name" 2>&1) || status=$?
  printf '%s\n' "$out" | tail -n 40
  if [[ $status -eq 0 ]]; then
    return 0
  fi
  # Go before 1.27 may report the end of a timed run as a failure
  # (go.dev/issue/75804): a bare deadline and no failing input. A counted run
  # has no deadline; its word is final.
  if [[ $out == *'context deadline exceeded'* && $out != *'Failing input written'* &&
    $out != *'seed corpus entry'* ]]; then
    printf -- '-- %s ended on its own deadline; again, counted\n' "$name"
    fuzz 20000x "$pkg" "$name"
    return
  fi
  return "$status"
}

# fuzz BUDGET PKG NAME. Go bounds the time for making an input smaller apart
# from the budget, at 60 s unless told.
fuzz() {
  go test -run '^$' -fuzz "^$3\$" -fuzztime "$1" -fuzzminimizetime 2s "$2" </dev/null
}

# compile_for GOOS/GOARCH: links the commands and type-checks everything else,
# tests included, without running any of it.
compile_for() {
  printf -- '-- %s\n' "$1"
  GOOS=${1%/*} GOARCH=${1#*/} CGO_ENABLED=0 go build ./...
  GOOS=${1%/*} GOARCH=${1#*/} CGO_ENABLED=0 go vet ./...
}
