#!/usr/bin/env bash
# Compiles e2e/grpcjava, after it has downloaded its libraries with Maven, and prints the class path.
# It does nothing if that is done. It can run several times concurrently.
set -euo pipefail
cd "$(dirname "$0")/grpcjava"

../../scripts/ensure.sh javac mvn >&2

mkdir -p .jars
exec 9>.jars/lock
flock 9

# Copies of what was compiled; written last.
if ! cmp -s pom.xml .jars/made/pom.xml || ! cmp -s TestServer.java .jars/made/TestServer.java; then
  rm -rf .jars/*.jar .jars/*.class .jars/made
  echo "downloading grpc-java into e2e/grpcjava/.jars" >&2
  if ! mvn -q -B org.apache.maven.plugins:maven-dependency-plugin:3.11.0:copy-dependencies \
    -DoutputDirectory=.jars >&2; then
    echo "missing: the libraries in e2e/grpcjava/pom.xml. Maven could not download them (is its repository reachable?)" >&2
    exit 1
  fi
  javac -d .jars -cp '.jars/*' TestServer.java >&2
  mkdir .jars/made
  cp pom.xml TestServer.java .jars/made/
fi
echo "$PWD/.jars:$PWD/.jars/*"
