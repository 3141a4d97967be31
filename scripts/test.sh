#!/usr/bin/env bash
# Vets and tests every module: test.sh FLAGS-OF-GO-TEST…
set -euo pipefail
cd "$(dirname "$0")/.."

# A program with the race detector waits a second before it exits, for races that are still being reported. Many
# tests start their own program again.
export GORACE="atexit_sleep_ms=100 ${GORACE:-}"

for dir in $(scripts/modules.sh --code); do
  echo "== module $dir: go vet"
  go -C "$dir" vet ./...
  echo "== module $dir: go test $*"
  go -C "$dir" test -timeout 30m "$@" ./...
done
