#!/usr/bin/env bash
# Vets and tests every module: test.sh FLAGS-OF-GO-TEST…
set -euo pipefail
cd "$(dirname "$0")/.."

for dir in $(scripts/modules.sh --code); do
  echo "== module $dir: go vet"
  go -C "$dir" vet ./...
  echo "== module $dir: go test $*"
  go -C "$dir" test "$@" ./...
done
