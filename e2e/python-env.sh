#!/usr/bin/env bash
# Makes the Python environment of the black-box tests, e2e/.venv, and prints its interpreter.
# It does nothing if the environment exists. It can run several times concurrently.
set -euo pipefail
cd "$(dirname "$0")"

../scripts/ensure.sh python3 >&2

mkdir -p .venv
exec 9>.venv/lock
flock 9

# The requirements of the environment; written last.
made=$(python3 --version && cat blackbox/requirements.txt)
if [ "$(cat .venv/made 2>/dev/null)" != "$made" ]; then
  rm -f .venv/made
  echo "installing $(grep -v '^#' blackbox/requirements.txt | xargs) into e2e/.venv" >&2
  python3 -m venv .venv >&2
  if ! .venv/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    -r blackbox/requirements.txt >&2; then
    echo "missing: the packages in e2e/blackbox/requirements.txt. pip could not install them (is PyPI reachable?)" >&2
    exit 1
  fi
  echo "$made" >.venv/made
fi
echo "$PWD/.venv/bin/python"
