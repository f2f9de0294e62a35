#!/bin/bash
# Makes sure that PostgreSQL's programs are on this machine: the tests start servers of their own with
# them. A server that is installed besides is neither used nor touched.
set -euo pipefail

installed() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}

if installed; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "setup: PostgreSQL's programs are missing: install PostgreSQL 14 or later, then 'make setup'" >&2
    exit 1
fi
echo "setup: installing PostgreSQL's programs (package postgresql)"
# The package would start a server that nobody needs.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
output=$(apt-get update 2>&1 && DEBIAN_FRONTEND=noninteractive \
    apt-get install --yes --no-install-recommends postgresql 2>&1) || {
    printf '%s\n' "$output" >&2
    echo "setup: installing PostgreSQL failed; the output is above" >&2
    exit 1
}
