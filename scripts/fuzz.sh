#!/usr/bin/env bash
# Runs every fuzz target of the root module, one after the other: fuzz.sh TIME (10s, 10m, 1000x …)
# A failing input is kept under testdata/fuzz of its package, where go test runs it from then on: commit it.
set -euo pipefail
cd "$(dirname "$0")/.."

time=${1:?usage: fuzz.sh TIME}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Until Go 1.27 a target can fail with nothing but this when its time is up (go.dev/issue/75804).
only_time_was_up() {
  grep -qE '^ +context deadline exceeded$' "$log" && ! grep -qE 'Failing input written|panic:|_test\.go:' "$log"
}

passed=0
for pkg in $(scripts/packages-with.sh Fuzz); do
  for target in $(go test -list '^Fuzz' "$pkg" | grep '^Fuzz'); do
    echo "== $pkg $target for $time"
    if ! go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg" 2>&1 | tee "$log"; then
      only_time_was_up || exit 1
      echo "the time was up while an input ran; nothing was found"
    fi
    passed=$((passed + 1))
  done
done
echo "fuzz targets run: $passed"
