#!/usr/bin/env bash
# Fails if the Go command or a dependency is older than its minimum version. Minimum versions are known to be safe and
# to have the features that Hauberk needs. A module without the dependency is not checked for it.
set -euo pipefail
cd "$(dirname "$0")/.."

go_minimum=1.26.6
minimums=(
  'google.golang.org/grpc v1.85.0' # unary handlers get a decoder that reads the body lazily
  'golang.org/x/net v0.56.0'       # fixes in http2
)

# older HAVE MINIMUM: a pre-release of MINIMUM is older than it.
older() {
  local have=$1 minimum=$2 release=${1%%-*}
  if [ "$release" = "$minimum" ]; then
    [ "$have" != "$release" ]
  else
    [ "$(printf '%s\n%s\n' "$minimum" "$release" | sort -V | head -n 1)" = "$release" ]
  fi
}

bad=0
have=$(go env GOVERSION | sed -E 's/^go([0-9.]+).*/\1/')
echo "go $have (at least $go_minimum)"
if older "$have" "$go_minimum"; then
  echo "Go $have is too old: $go_minimum or later is needed" >&2
  bad=1
fi

for dir in $(scripts/modules.sh); do
  for entry in "${minimums[@]}"; do
    read -r module minimum <<<"$entry"
    # go.mod names every module that a package of this module is built from.
    grep -qE "^(require)?[[:space:]]+$module v" "$dir/go.mod" || continue
    have=$(go -C "$dir" list -m -f '{{with .Replace}}{{.Version}}{{else}}{{.Version}}{{end}}' "$module")
    echo "$dir: $module $have (at least $minimum)"
    if older "$have" "$minimum"; then
      echo "$dir/go.mod: $module $have is too old: run go -C $dir get $module@$minimum or later" >&2
      bad=1
    fi
  done
done
exit "$bad"
