#!/usr/bin/env bash
# Runs the tests of `make test` several times while two cores are busy: flaky.sh RUNS
# It stops at the first failure and prints its output.
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:?usage: flaky.sh RUNS}
log=$(mktemp)
busy=()
stop() {
  for pid in "${busy[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -f "$log"
}
trap stop EXIT
trap 'exit 130' INT TERM

for _ in 1 2; do
  while :; do :; done &
  busy+=("$!")
done

for run in $(seq "$runs"); do
  SECONDS=0
  if ! { scripts/test.sh -race -count=1 -shuffle=on && scripts/test-without-race.sh -count=1; } >"$log" 2>&1; then
    cat "$log"
    echo "run $run of $runs failed after ${SECONDS}s" >&2
    exit 1
  fi
  echo "run $run of $runs passed in ${SECONDS}s"
done
