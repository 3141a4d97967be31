#!/usr/bin/env bash
# Runs the randomized tests of the root module repeatedly with fresh seeds: random.sh TIME (10s, 10m, 1h, or 1000x for
# one round)
# Randomized tests get their random numbers from internal/testseed. HAUBERK_SEED sets the seed of the first round. To
# reproduce a failure, set it to the printed seed and run the failed test.
set -euo pipefail
cd "$(dirname "$0")/.."

# Prints a duration in seconds.
seconds() {
  case $1 in
    *x) echo 0 ;;
    *h) echo $((${1%h} * 3600)) ;;
    *m) echo $((${1%m} * 60)) ;;
    *s) echo "${1%s}" ;;
    *) echo "random.sh: $1 is not a duration; want 10s, 10m, 1h or 1000x" >&2 && return 1 ;;
  esac
}

# Prints the Test functions of a folder that call testseed, as a pattern for go test -run.
randomized() {
  awk '/^func /     { test = "" }
       /^func Test/ { test = $2; sub(/\(.*/, "", test) }
       /testseed\.(Check|Rand)\(/ && test != "" { print test }' "$1"/*_test.go | LC_ALL=C sort -u | paste -sd '|'
}

limit=$(seconds "${1:?usage: random.sh TIME}")
folders=$(grep -rlE 'testseed\.(Check|Rand)\(' --include='*_test.go' --exclude-dir=testseed . |
  xargs -n 1 dirname | LC_ALL=C sort -u)
[ -n "$folders" ] || { echo "found no randomized tests; do they still call testseed?" >&2; exit 1; }

SECONDS=0 rounds=0
while [ "$rounds" = 0 ] || [ "$SECONDS" -lt "$limit" ]; do
  HAUBERK_SEED=${HAUBERK_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
  # 0 is not a valid seed.
  [ "$HAUBERK_SEED" != 0 ] || HAUBERK_SEED=1
  export HAUBERK_SEED
  echo "== randomized tests with HAUBERK_SEED=$HAUBERK_SEED"
  for folder in $folders; do
    go test -count=1 -run "^($(randomized "$folder"))\$" "$folder" -rapid.checks=1000
  done
  unset HAUBERK_SEED
  rounds=$((rounds + 1))
done
echo "rounds of randomized tests: $rounds"
