#!/usr/bin/env bash
# Fails if generating the code changes, adds or removes a generated file, and prints the difference.
set -euo pipefail
cd "$(dirname "$0")/.."

sums() {
  git ls-files --cached --others --exclude-standard -- '*.pb.go' | LC_ALL=C sort -u | while read -r file; do
    if [ -f "$file" ]; then sha256sum "$file"; fi
  done
}

before=$(sums)
scripts/generate.sh
after=$(sums)
if [ "$before" != "$after" ]; then
  echo "generated code is out of date; commit the result of make generate:" >&2
  diff <(echo "$before") <(echo "$after") >&2 || true
  git --no-pager diff -- '*.pb.go' >&2
  exit 1
fi
echo "generated code is up to date"
