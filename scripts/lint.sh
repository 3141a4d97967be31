#!/usr/bin/env bash
# Runs golangci-lint over every module with the configuration at the root.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

for dir in $(scripts/modules.sh --code); do
  echo "== module $dir: golangci-lint"
  (cd "$dir" && golangci-lint run --config "$root/.golangci.yml" ./...)
done
