#!/bin/sh
# Installs Debian packages into an image and leaves nothing else behind: apt's lists are stale tomorrow.
# A name with a question mark at its end is left out where Debian has no such package.
set -eu

export DEBIAN_FRONTEND=noninteractive

apt-get -q update
for name in "$@"; do
    shift
    case $name in
        *\?)
            name=${name%\?}
            [ -n "$(apt-cache show "$name" 2>/dev/null)" ] || continue
            ;;
    esac
    set -- "$@" "$name"
done
# Scripts of some packages, Java's among them, count on it; images without manuals lack it.
mkdir -p /usr/share/man/man1
apt-get -q install --yes --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log
