# What the scripts that set a machine up have in common. They source it; it does nothing by itself.
# shellcheck shell=bash

# Says why it cannot go on, a line for each argument, and ends the script.
fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

# Runs a command whose output matters only when it fails.
quietly() {
    local output
    if ! output=$(DEBIAN_FRONTEND=noninteractive "$@" 2>&1 </dev/null); then
        printf '%s\n' "$output" >&2
        fail "'$*' failed; its output is above"
    fi
}

# Whether packages of Debian can be installed here.
can_install() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null
}

# Installs packages of Debian, as root. A new machine knows no packages yet, so the lists come first.
install_packages() {
    quietly apt-get update
    quietly apt-get install --yes --no-install-recommends "$@"
}
