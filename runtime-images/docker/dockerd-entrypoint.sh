#!/bin/sh
# Starts the Docker daemon of a build, waits until it answers, then becomes its arguments. Without
# arguments, or with nothing but options, it becomes the daemon itself.
#
# Named and used as in AWS's images (aws-codebuild-docker-images). Unlike there, the wait is no longer
# than the daemon needs, and the daemon listens on its socket only: a port without TLS, even one of
# the loopback, makes it wait a second before it starts.
set -eu

readonly LOG=/var/log/docker.log
readonly LIMIT_SECONDS=60
readonly INTERVAL_SECONDS=0.02

# With cgroup v2 a group that has processes cannot hand controllers to the groups of containers.
make_room_for_cgroups() {
    [ -e /sys/fs/cgroup/cgroup.subtree_control ] || return 0
    mkdir -p /sys/fs/cgroup/build
    while read -r process; do
        echo "$process" >/sys/fs/cgroup/build/cgroup.procs || true
    done </sys/fs/cgroup/cgroup.procs
    for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
        echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control || true
    done
}

give_up() {
    cat "$LOG" >&2
    echo "$1" >&2
    exit 1
}

make_room_for_cgroups 2>/dev/null
case ${1:--} in
    -*) exec dockerd "$@" ;;
esac
if ! docker version >/dev/null 2>&1; then
    dockerd >"$LOG" 2>&1 &
    daemon=$!
    deadline=$(($(date +%s) + LIMIT_SECONDS))
    until docker version >/dev/null 2>&1; do
        kill -0 "$daemon" 2>/dev/null || give_up "The Docker daemon did not start."
        # AWS's words.
        [ "$(date +%s)" -lt "$deadline" ] || give_up "Timed out trying to connect to internal docker host."
        sleep "$INTERVAL_SECONDS"
    done
fi
exec "$@"
