#!/bin/bash
# Provides version 2 of the AWS CLI for the tests: `aws-v2` in the cache directory is a link to it.
#
# Version 1 comes with the Python environment of the tests; people use both, and `aws logs tail` is in 2 only.
set -euo pipefail

cd "$(dirname "$0")"
readonly CACHE=${XDG_CACHE_HOME:-${HOME:?setup: neither XDG_CACHE_HOME nor HOME is set}/.cache}/buildspec-agent
readonly LINK=$CACHE/aws-v2

. ../runtime-images/setup-functions.sh

# The first program of that version, wherever it is.
find_program() {
    local program
    for program in $(type -a -p aws) /usr/bin/aws /usr/local/bin/aws; do
        if [ -x "$program" ] && "$program" --version 2>&1 </dev/null | grep -q '^aws-cli/2\.'; then
            echo "$program"
            return
        fi
    done
}

if [ -x "$LINK" ]; then
    exit 0
fi
mkdir -p "$CACHE"
program=$(find_program)
if [ -z "$program" ]; then
    can_install ||
        fail "the tests need version 2 of the AWS CLI: install it (https://docs.aws.amazon.com/cli/), then 'make setup'"
    echo "setup: installing the AWS CLI, version 2 (package awscli)"
    install_packages awscli
    program=$(find_program)
    [ -n "$program" ] ||
        fail "the package awscli of this distribution is not version 2: install that version, then 'make setup'"
fi
ln -sfn "$program" "$LINK"
