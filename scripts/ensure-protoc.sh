#!/usr/bin/env bash
# Installs .tools/bin/protoc, in the version that tools/protoc-requirements.txt pins, in a separate Python environment
# under .tools.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/ensure.sh python3
echo "installing protoc ($(grep -v '^#' tools/protoc-requirements.txt)) into .tools"
rm -rf .tools/protoc
python3 -m venv .tools/protoc
if ! .tools/protoc/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
  -r tools/protoc-requirements.txt; then
  echo "missing: protoc. pip could not install the packages in tools/protoc-requirements.txt (is PyPI reachable?)" >&2
  exit 1
fi

mkdir -p .tools/bin
cat >.tools/bin/protoc <<'SH'
#!/usr/bin/env bash
exec "$(dirname "${BASH_SOURCE[0]}")/../protoc/bin/python" -m grpc_tools.protoc "$@"
SH
chmod +x .tools/bin/protoc
.tools/bin/protoc --version
