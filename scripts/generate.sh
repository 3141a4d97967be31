#!/usr/bin/env bash
# Generates Go code next to each .proto file of the repository. It skips files under e2e/ without a go_package, which
# are for peers in other languages. `make generate` installs protoc and its plugins.
set -euo pipefail
cd "$(dirname "$0")/.."

files=()
while read -r file; do
  if [ ! -f "$file" ]; then
    continue # deleted, but the deletion is not committed
  elif grep -q '^option go_package = "github.com/hauberk-rpc/hauberk/' "$file"; then
    files+=("$file")
  elif [[ $file != e2e/* ]]; then
    echo "$file: has no go_package within github.com/hauberk-rpc/hauberk" >&2
    exit 1
  fi
done < <(git ls-files --cached --others --exclude-standard -- '*.proto')

[ "${#files[@]}" -gt 0 ] || exit 0
printf 'generating from %s\n' "${files[@]}"
protoc -I. \
  --go_out=. --go_opt=paths=source_relative \
  --go-grpc_out=. --go-grpc_opt=paths=source_relative \
  "${files[@]}"
