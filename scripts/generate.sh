#!/usr/bin/env bash
# Generates Go code next to each .proto file of the repository. It skips files under e2e/ without a go_package, which
# are for peers in other languages. `make generate` installs protoc and its plugins.
#
# Files under proto/ are for users, who import them relative to that folder ("hauberk/v1/policy.proto"). The others are
# relative to the root. Files of Go modules, such as buf/validate/validate.proto, come from scripts/protodeps.
set -euo pipefail
cd "$(dirname "$0")/.."

files=()
public=()
while read -r file; do
  if [ ! -f "$file" ]; then
    continue # deleted, but the deletion is not committed
  elif ! grep -q '^option go_package = "github.com/hauberk-rpc/hauberk/' "$file"; then
    if [[ $file != e2e/* ]]; then
      echo "$file: has no go_package within github.com/hauberk-rpc/hauberk" >&2
      exit 1
    fi
  elif [[ $file == proto/* ]]; then
    public+=("${file#proto/}")
  else
    files+=("$file")
  fi
done < <(git ls-files --cached --others --exclude-standard -- '*.proto')

dependencies=$(mktemp)
trap 'rm -f "$dependencies"' EXIT
go run ./scripts/protodeps >"$dependencies"

# generate OUT FILE...: FILEs relative to OUT.
generate() {
  local out=$1
  shift
  [ "$#" -gt 0 ] || return 0
  printf "generating in $out from %s\n" "$@"
  protoc --descriptor_set_in="$dependencies" -I"$out" -Iproto \
    --go_out="$out" --go_opt=paths=source_relative \
    --go-grpc_out="$out" --go-grpc_opt=paths=source_relative \
    "$@"
}

generate proto "${public[@]}"
generate . "${files[@]}"
