#!/usr/bin/env bash
# java-env.sh [FOLDER] compiles the programs of e2e/FOLDER (grpcjava), after it has downloaded its libraries with Maven,
# and prints the class path. It does nothing if that is done. It can run several times concurrently.
set -euo pipefail
folder=${1:-grpcjava}
cd "$(dirname "$0")/$folder"

../../scripts/ensure.sh javac mvn >&2

shopt -s nullglob
sources=(*.java)
mkdir -p .jars
exec 9>.jars/lock
flock 9

# Copies of what was compiled; written last.
current() {
  local file
  for file in pom.xml "${sources[@]}"; do
    cmp -s "$file" ".jars/made/$file" || return 1
  done
}
if ! current; then
  rm -rf .jars/*.jar .jars/*.class .jars/made
  echo "downloading grpc-java into e2e/$folder/.jars" >&2
  if ! mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies \
    -DoutputDirectory=.jars >&2; then
    echo "missing: the libraries in e2e/$folder/pom.xml. Maven could not download them (is its repository reachable?)" >&2
    exit 1
  fi
  if [ ${#sources[@]} -gt 0 ]; then
    javac -d .jars -cp '.jars/*' "${sources[@]}" >&2
  fi
  mkdir .jars/made
  cp pom.xml "${sources[@]}" .jars/made/
fi
echo "$PWD/.jars:$PWD/.jars/*"
