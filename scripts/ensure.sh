#!/usr/bin/env bash
# Installs missing commands: ensure.sh gcc python3 …
# Installs their Debian packages if it can (as root, or with sudo without a password). Otherwise it prints the missing
# commands and exits with code 1.
set -euo pipefail

# Prints the Debian packages that a command needs.
packages() {
  case $1 in
    gcc) echo gcc libc6-dev ;;
    javac) echo default-jdk-headless ;;
    mvn) echo maven ;;
    python3) echo python3 python3-venv ;;
    node) echo nodejs ;;
    *) echo "$1" ;;
  esac
}

# Succeeds if a command and everything that it needs is installed.
works() {
  case $1 in
    # -race needs a C compiler with the C library's headers.
    gcc) echo '#include <stdlib.h>' | "$(go env CC)" -fsyntax-only -x c - 2>/dev/null ;;
    # Debian has the modules for virtual environments in a separate package.
    python3) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# Runs apt-get as root, if possible.
apt() {
  if [ "$(id -u)" = 0 ]; then
    DEBIAN_FRONTEND=noninteractive apt-get "$@"
  else
    sudo -n DEBIAN_FRONTEND=noninteractive apt-get "$@"
  fi
}

can_install() {
  command -v apt-get >/dev/null && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }
}

wanted=() lacking=()
for cmd in "$@"; do
  if ! works "$cmd"; then
    lacking+=("$cmd")
    read -ra more <<<"$(packages "$cmd")"
    wanted+=("${more[@]}")
  fi
done
[ "${#lacking[@]}" -gt 0 ] || exit 0

if can_install; then
  echo "installing ${wanted[*]} (for ${lacking[*]})"
  { apt update -qq && apt install -y -qq --no-install-recommends "${wanted[@]}"; } >&2 || true
fi

missing=()
for cmd in "${lacking[@]}"; do
  works "$cmd" || missing+=("$cmd")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
echo "missing: ${missing[*]}. On Debian or Ubuntu: sudo apt-get install ${wanted[*]}" >&2
exit 1
