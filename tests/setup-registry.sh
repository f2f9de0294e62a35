#!/bin/bash
# Provides the registry of the tests, Debian's docker-registry, where it is missing.
#
# It is unpacked into a cache directory and not installed: its package would start a service.
set -euo pipefail

readonly CACHE=${XDG_CACHE_HOME:-${HOME:?setup: neither XDG_CACHE_HOME nor HOME is set}/.cache}/buildspec-agent
readonly PROGRAM=$CACHE/registry/usr/bin/docker-registry

. "$(dirname "$0")/../runtime-images/setup-functions.sh"

mkdir -p "$CACHE"
# Two clones may be set up at the same time.
exec 9>"$CACHE/registry.lock"
flock 9
if [ -x "$PROGRAM" ]; then
    exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    fail "the tests need a Docker registry: put docker-registry (distribution 2.8) at $PROGRAM, then 'make setup'"
fi
echo "setup: unpacking the registry of the tests into $CACHE/registry"
directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
cd "$directory"
if ! apt-get download docker-registry >log 2>&1; then
    # On a new machine apt knows no packages yet.
    if [ "$(id -u)" -ne 0 ]; then
        fail "apt does not know the package docker-registry: run 'sudo apt-get update', then 'make setup'"
    fi
    { apt-get update && apt-get download docker-registry; } >log 2>&1 || {
        cat log >&2
        fail "the package docker-registry cannot be had"
    }
fi
dpkg --extract docker-registry_*.deb unpacked
rm -rf "$CACHE/registry"
mv unpacked "$CACHE/registry"
