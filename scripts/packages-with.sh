#!/usr/bin/env bash
# Prints the packages of the root module whose tests have a function with a prefix: packages-with.sh Fuzz
set -euo pipefail
cd "$(dirname "$0")/.."

go list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.Dir}} {{.ImportPath}}{{end}}' ./... |
  while read -r dir pkg; do
    if grep -qsE "^func $1" "$dir"/*_test.go; then echo "$pkg"; fi
  done
