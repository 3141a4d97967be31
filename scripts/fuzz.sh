#!/usr/bin/env bash
# Runs each fuzz target of the root module, one target for each processor at a time: fuzz.sh TIME (10s, 10m, 1000x …)
# A failing input is written to testdata/fuzz of its package. Commit it: go test runs it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

# Before Go 1.27 a target can fail with only this text when its time is over (go.dev/issue/75804).
only_time_was_up() {
  grep -qE '^ +context deadline exceeded$' "$1" && ! grep -qE 'Failing input written|panic:|_test\.go:' "$1"
}

# Runs one target with one worker, and prints its output when it has ended: fuzz TIME PACKAGE TARGET
fuzz() {
  local log
  log=$(mktemp)
  echo "== $2 $3 for $1" >"$log"
  if ! go test -run '^$' -fuzz "^$3\$" -fuzztime "$1" -parallel 1 "$2" >>"$log" 2>&1; then
    if ! only_time_was_up "$log"; then
      cat "$log"
      rm -f "$log"
      exit 255 # xargs starts no further target
    fi
    echo "the time was over while an input ran; no failure was found" >>"$log"
  fi
  cat "$log"
  rm -f "$log"
}
export -f fuzz only_time_was_up

time=${1:?usage: fuzz.sh TIME}
# The names come from the files, since go test -list would build each package once more.
targets=$(go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}} {{.ImportPath}}{{end}}' ./... |
  while read -r dir pkg; do
    sed -nE "s|^func (Fuzz[A-Za-z0-9_]+)\(.*|$pkg \1|p" "$dir"/*_test.go
  done)
[ -n "$targets" ] || { echo "found no fuzz targets" >&2; exit 1; }

xargs -P "$(nproc)" -L 1 bash -euc 'fuzz "$@"' fuzz "$time" <<<"$targets"
echo "fuzz targets run: $(wc -l <<<"$targets")"
