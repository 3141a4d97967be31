#!/usr/bin/env bash
# Runs every test whose name begins with TestSoak: soak.sh TIME
# Such a test runs for the duration in HAUBERK_SOAK. It is skipped if HAUBERK_SOAK is not set.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=$(scripts/packages-with.sh TestSoak)
if [ -z "$packages" ]; then
  echo "no soak tests yet"
  exit 0
fi
export HAUBERK_SOAK=${1:?usage: soak.sh TIME}
# One package at a time: soak tests measure, and two would disturb each other.
# shellcheck disable=SC2086 # one word per package
go test -run '^TestSoak' -count=1 -timeout 0 -p 1 -v $packages
