#!/bin/bash
# Provides the programs that the tests talk to: git, an SSH server, OpenSSL, and a clock to be set. What is there is left as it is.
set -euo pipefail

readonly POLICY=/usr/sbin/policy-rc.d

. "$(dirname "$0")/../runtime-images/setup-functions.sh"

missing=()
command -v git >/dev/null || missing+=(git)
command -v ssh >/dev/null || missing+=(openssh-client)
[ -x /usr/sbin/sshd ] || missing+=(openssh-server)
command -v openssl >/dev/null || missing+=(openssl)
compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null || missing+=(faketime)
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi
can_install || fail "the tests need ${missing[*]}: install them, then 'make setup'"
echo "setup: installing ${missing[*]}"
# The tests start a server of their own; the package must not start one for everybody.
if [ ! -e "$POLICY" ]; then
    trap 'rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$POLICY"
    chmod 755 "$POLICY"
fi
install_packages "${missing[@]}"
