#!/usr/bin/env bash
# Prints the folder of each Go module of this repository, one a line, the root first.
# modules.sh --code omits tools/, which only pins tools, and deploy/helm and peers/sidecar, whose dependencies take
# minutes to compile: `make delivery` and `make peers` have them.
set -euo pipefail
cd "$(dirname "$0")/.."

find . -name go.mod \
  -not -path './.*/*' -not -path '*/testdata/*' -not -path '*/node_modules/*' -not -path '*/.venv/*' |
  sed 's|/go\.mod$||' | LC_ALL=C sort |
  if [ "${1-}" = --code ]; then grep -vx -e './tools' -e './deploy/helm' -e './peers/sidecar'; else cat; fi
