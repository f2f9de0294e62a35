#!/bin/bash
# Makes the Python environment of the tests where it is missing or no longer what requirements.txt says.
#
# It lies in a cache directory, outside of the clone, so that every clone on a machine uses the same one.
set -euo pipefail

cd "$(dirname "$0")"
readonly CACHE=${XDG_CACHE_HOME:-${HOME:?setup: neither XDG_CACHE_HOME nor HOME is set}/.cache}/buildspec-agent
readonly VENV=$CACHE/venv
readonly MARKER=$VENV/requirements.sha256

. ../runtime-images/setup-functions.sh

# Debian keeps what makes environments in a package of its own.
provide_python() {
    python3 -c 'import ensurepip, venv' 2>/dev/null && return
    can_install ||
        fail "python3 cannot make virtual environments: install python3 and python3-venv, then 'make setup'"
    install_packages python3 python3-venv
}

wanted=$(sha256sum requirements.txt | cut -d ' ' -f 1)
mkdir -p "$CACHE"
# Two clones may be set up at the same time.
exec 9>"$CACHE/venv.lock"
flock 9
if [ "$(cat "$MARKER" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
provide_python
echo "setup: making the Python environment of the tests in $VENV"
rm -rf "$VENV"
quietly python3 -m venv "$VENV"
quietly "$VENV/bin/pip" install --disable-pip-version-check --no-deps --requirement requirements.txt
echo "$wanted" >"$MARKER"
