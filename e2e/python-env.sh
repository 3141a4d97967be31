#!/usr/bin/env bash
# Makes a Python environment of the tests and prints its interpreter: python-env.sh [SUITE]
# The suite blackbox, the default, has e2e/.venv; others have e2e/SUITE/.venv. The packages are those in
# e2e/SUITE/requirements.txt. It does nothing if the environment exists. It can run several times concurrently.
set -euo pipefail
cd "$(dirname "$0")"

suite=${1:-blackbox}
requirements=$suite/requirements.txt
venv=$suite/.venv
if [ "$suite" = blackbox ]; then
  venv=.venv
fi

../scripts/ensure.sh python3 >&2

mkdir -p "$venv"
exec 9>"$venv/lock"
flock 9

# The requirements of the environment; written last.
made=$(python3 --version && cat "$requirements")
if [ "$(cat "$venv/made" 2>/dev/null)" != "$made" ]; then
  rm -f "$venv/made"
  echo "installing $(grep -v '^#' "$requirements" | xargs) into e2e/$venv" >&2
  python3 -m venv "$venv" >&2
  if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: \
    -r "$requirements" >&2; then
    echo "missing: the packages in e2e/$requirements. pip could not install them (is PyPI reachable?)" >&2
    exit 1
  fi
  echo "$made" >"$venv/made"
fi
echo "$PWD/$venv/bin/python"
