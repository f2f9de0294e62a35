#!/bin/bash
# Makes sure that PostgreSQL's programs are on this machine: the tests start servers of their own with
# them. A server that is installed besides is neither used nor touched.
set -euo pipefail

. "$(dirname "$0")/../runtime-images/setup-functions.sh"

installed() {
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}

if installed; then
    exit 0
fi
can_install || fail "PostgreSQL's programs are missing: install PostgreSQL 14 or later, then 'make setup'"
echo "setup: installing PostgreSQL's programs (package postgresql)"
# The package would start a server that nobody needs.
mkdir -p /etc/postgresql-common
[ -e /etc/postgresql-common/createcluster.conf ] ||
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
install_packages postgresql
