#!/bin/bash
# Makes sure that a Docker engine answers on this machine.
#
# An engine that answers is left exactly as it is. Where none does, this installs and starts one on
# Debian or Ubuntu as root; elsewhere it says what to do and fails, because a script should not
# guess how somebody else's machine is administered.
set -euo pipefail

readonly ENGINE_LOG=/var/log/buildspec-agent-dockerd.log
readonly ENGINE_PID_FILE=/var/run/docker.pid
readonly START_LIMIT_SECONDS=60

. "$(dirname "$0")/setup-functions.sh"

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
    install_packages docker.io
    # From Debian 13 on the command line is a package of its own, which docker.io only recommends.
    command -v docker >/dev/null || quietly apt-get install --yes --no-install-recommends docker-cli
}

# Whether the process that the engine's pid file names is an engine. After a crash or a restart of the
# machine the number may be another process's, for which the engine would refuse to start.
engine_process_lives() {
    local pid
    pid=$(cat "$ENGINE_PID_FILE" 2>/dev/null) && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = dockerd ]
}

# Whether the engine that start_engine put in the background has ended.
engine_gave_up() {
    [ -n "${ENGINE_PROCESS:-}" ] && ! kill -0 "$ENGINE_PROCESS" 2>/dev/null
}

start_engine() {
    if [ -d /run/systemd/system ]; then
        systemctl enable --now docker.service
    elif ! engine_process_lives; then
        rm -f "$ENGINE_PID_FILE"
        # A session of its own and no descriptor of ours: the engine outlives this script, the make
        # that called it and the terminal, and no caller waits for the end of its output.
        setsid nohup dockerd </dev/null >>"$ENGINE_LOG" 2>&1 &
        ENGINE_PROCESS=$!
    fi
}

wait_for_engine() {
    local deadline=$((SECONDS + START_LIMIT_SECONDS))
    until engine_answers; do
        if [ "$SECONDS" -ge "$deadline" ] || engine_gave_up; then
            if [ -d /run/systemd/system ]; then
                journalctl --unit docker.service --lines 20 --no-pager >&2 || true
            else
                tail -n 20 "$ENGINE_LOG" >&2 || true
            fi
            fail "the Docker engine did not start; the end of its log is above"
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
