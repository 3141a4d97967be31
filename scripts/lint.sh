#!/usr/bin/env bash
# Checks the words of all texts, then runs golangci-lint over every module with the configuration at the root.
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD

echo "== words (internal/wordcheck)"
git ls-files --cached --others --exclude-standard | go run ./internal/wordcheck

for dir in $(scripts/modules.sh --code); do
  echo "== module $dir: golangci-lint"
  (cd "$dir" && golangci-lint run --config "$root/.golangci.yml" ./...)
done
