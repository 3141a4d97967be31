#!/usr/bin/env bash
# Prints the changes of the public API since the last tag. From v1 on, an incompatible change is an error.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
  echo "apidiff: no tag yet, so nothing to compare with"
  exit 0
fi

module=$(go list -m)
tmp=$(mktemp -d)
trap 'git worktree remove --force "$tmp/old" 2>/dev/null || true; rm -rf "$tmp"' EXIT
git worktree add --quiet --detach "$tmp/old" "$tag"
(cd "$tmp/old" && apidiff -m -w "$tmp/old.api" "$module")

echo "API changes since $tag:"
apidiff -m "$tmp/old.api" "$module"
if [[ $tag != v0.* ]] && [ -n "$(apidiff -m -incompatible "$tmp/old.api" "$module")" ]; then
  echo "the changes above include incompatible ones" >&2
  exit 1
fi
