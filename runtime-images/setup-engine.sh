#!/bin/bash
# Makes sure that a Docker engine answers on this machine.
#
# An engine that answers is left exactly as it is. Where none does, this installs and starts one on
# Debian or Ubuntu as root; elsewhere it says what to do and fails, because a script should not
# guess how somebody else's machine is administered.
set -euo pipefail

readonly ENGINE_LOG=/var/log/buildspec-agent-dockerd.log
readonly START_LIMIT_SECONDS=60

fail() {
    printf 'setup: %s\n' "$@" >&2
    exit 1
}

engine_answers() {
    command -v docker >/dev/null && docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

is_debian_like() {
    [ -r /etc/os-release ] && (. /etc/os-release && case " $ID ${ID_LIKE:-} " in *" debian "*) ;; *) false ;; esac)
}

# Everything that makes installing wrong or impossible, said before anything is changed.
refuse_where_not_ours() {
    if [ -n "${DOCKER_HOST:-}" ]; then
        fail "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST: start it, or unset DOCKER_HOST"
    fi
    if [ "$(id -u)" -ne 0 ] && [ -S /var/run/docker.sock ]; then
        fail "the Docker engine at /var/run/docker.sock does not answer this user" \
            "run 'sudo usermod -aG docker $(id -un)', log in again, then 'make setup'"
    fi
    if ! is_debian_like; then
        fail "no Docker engine answers, and this script can install one on Debian and Ubuntu only" \
            "install and start Docker Engine 20.10 or later (docs.docker.com/engine/install), then 'make setup'"
    fi
    if [ "$(id -u)" -ne 0 ]; then
        fail "no Docker engine answers, and installing one needs root" \
            "run 'sudo apt-get update && sudo apt-get install docker.io && sudo usermod -aG docker $(id -un)'" \
            "log in again, then 'make setup'"
    fi
}

install_engine() {
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -q -o DPkg::Lock::Timeout=300)
    "${apt[@]}" update
    "${apt[@]}" install --yes --no-install-recommends docker.io
    # From Debian 13 on the command line is a package of its own, which docker.io only recommends.
    command -v docker >/dev/null || "${apt[@]}" install --yes --no-install-recommends docker-cli
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        systemctl enable --now docker.service
    elif ! pgrep -x dockerd >/dev/null; then
        # A session of its own and no descriptor of ours: the engine outlives this script, the make
        # that called it and the terminal, and no caller waits for the end of its output.
        setsid nohup dockerd </dev/null >>"$ENGINE_LOG" 2>&1 &
    fi
}

wait_for_engine() {
    local deadline=$((SECONDS + START_LIMIT_SECONDS))
    until engine_answers; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            if [ -d /run/systemd/system ]; then
                journalctl --unit docker.service --lines 20 --no-pager >&2 || true
            else
                tail -n 20 "$ENGINE_LOG" >&2 || true
            fi
            fail "the Docker engine did not answer within $START_LIMIT_SECONDS s; the end of its log is above"
        fi
        sleep 0.2
    done
}

if engine_answers; then
    exit 0
fi
refuse_where_not_ours
if ! command -v dockerd >/dev/null; then
    echo "setup: installing Docker Engine (package docker.io)"
    install_engine
fi
echo "setup: starting the Docker engine"
start_engine
wait_for_engine
echo "setup: Docker engine $(docker version --format '{{.Server.Version}}') answers"
