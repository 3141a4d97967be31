#!/usr/bin/env bash
# Runs each fuzz target of the root module in sequence: fuzz.sh TIME (10s, 10m, 1000x …)
# A failing input is written to testdata/fuzz of its package. Commit it: go test runs it from then on.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?usage: fuzz.sh TIME}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Before Go 1.27 a target can fail with only this text when its time is over (go.dev/issue/75804).
only_time_was_up() {
  grep -qE '^ +context deadline exceeded$' "$log" && ! grep -qE 'Failing input written|panic:|_test\.go:' "$log"
}

passed=0
for pkg in $(scripts/packages-with.sh Fuzz); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz'); do
    echo "== $pkg $target for $time"
    if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg" 2>&1 | tee "$log"; then
      only_time_was_up || exit 1
      echo "the time was over while an input ran; no failure was found"
    fi
    passed=$((passed + 1))
  done
done
echo "fuzz targets run: $passed"
