#!/usr/bin/env bash
# Vets and tests the examples, then runs each program. A program must end with exit code 0 within a minute.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -f examples/go.mod ]; then
  echo "no examples yet"
  exit 0
fi
cd examples
go vet ./...
go test ./...

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
for pkg in $(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...); do
  name=${pkg##*/examples/}
  echo "== example $name"
  go build -o "$bin/example" "$pkg"
  timeout 60 "$bin/example" </dev/null || {
    echo "example $name failed with exit code $? (124: it did not end within a minute)" >&2
    exit 1
  }
done
