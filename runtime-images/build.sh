#!/bin/bash
# Builds the named build images, `base` if none is named, where they are missing or no longer what
# their files say; with --force always, with the packages of today. Those that an image is made from
# are looked after first.
set -euo pipefail

# Other names let a test of this script leave a user's images alone.
readonly PREFIX=${IMAGE_PREFIX:-buildspec-agent}
readonly SUITE=bookworm
readonly BOOTSTRAPPED=$PREFIX/debian:$SUITE
readonly FROM_REGISTRY=debian:$SUITE-slim
readonly PULL_LIMIT_SECONDS=60
readonly INPUTS_LABEL=buildspec-agent.inputs

cd "$(dirname "$0")"

# Runs a command whose output matters only when it fails.
quietly() {
    local output
    if ! output=$(DEBIAN_FRONTEND=noninteractive "$@" 2>&1 </dev/null); then
        printf '%s\n' "$output" >&2
        echo "images: '$*' failed; its output is above" >&2
        return 1
    fi
}

exists() {
    docker image inspect "$1" >/dev/null 2>&1
}

# Whether an image is made from Debian itself; the others are made from `base`.
is_made_from_debian() {
    [ "$1" = base ] || [ "$1" = musl ]
}

# One number for everything an image is made from: the files of its directory, and what it shares with
# others. Smoke tests lie in directories of their own and do not count.
inputs() {
    local shared=(build.sh base)
    if [ "$1" = standard ]; then
        shared+=(docker/dockerd-entrypoint.sh)
    fi
    find "${shared[@]}" "$1" -maxdepth 1 -type f -print0 | sort -zu | xargs -0 cat |
        sha256sum | cut -d ' ' -f 1
}

is_current() {
    [ "$(docker image inspect --format "{{index .Config.Labels \"$INPUTS_LABEL\"}}" "$PREFIX/$1:latest" 2>/dev/null)" = "$(inputs "$1")" ]
}

# The Debian archives of this suite that apt on this machine uses, so that a local mirror is used
# here too. Prints nothing where apt has none; mmdebstrap then takes Debian's own.
configured_archives() {
    apt-get indextargets --format "deb \$(REPO_URI) \$(CODENAME) \$(COMPONENT)" \
        'Identifier: Packages' 'Origin: Debian' 2>/dev/null |
        grep -E "^deb https?://[^ ]+ $SUITE(-updates|-security)? main\$" || true
}

# Makes the Debian image from packages, for machines that reach a Debian mirror but no registry.
bootstrap() {
    if ! command -v mmdebstrap >/dev/null; then
        if ! command -v apt-get >/dev/null || [ "$(id -u)" -ne 0 ]; then
            echo "images: no registry can be reached: install mmdebstrap, or import an image as $BOOTSTRAPPED" >&2
            return 1
        fi
        quietly apt-get update
        quietly apt-get install --yes --no-install-recommends mmdebstrap debian-archive-keyring
    fi
    local archives
    mapfile -t archives < <(configured_archives)
    # As in Debian's own slim image: nobody reads manuals or changes languages inside a build.
    mmdebstrap --quiet --variant=apt \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        "$SUITE" - "${archives[@]}" |
        docker import --change 'CMD ["/bin/bash"]' - "$BOOTSTRAPPED" >/dev/null
}

# Sets DEBIAN_IMAGE to an image of Debian that this engine has.
provide_debian() {
    if [ -n "${DEBIAN_IMAGE:-}" ]; then
        return
    elif exists "$FROM_REGISTRY"; then
        DEBIAN_IMAGE=$FROM_REGISTRY
    elif exists "$BOOTSTRAPPED"; then
        DEBIAN_IMAGE=$BOOTSTRAPPED
    elif timeout "$PULL_LIMIT_SECONDS" docker pull --quiet "$FROM_REGISTRY" >/dev/null 2>&1; then
        DEBIAN_IMAGE=$FROM_REGISTRY
    else
        echo "images: $FROM_REGISTRY cannot be pulled, making Debian $SUITE with mmdebstrap"
        bootstrap
        DEBIAN_IMAGE=$BOOTSTRAPPED
    fi
}

# Builds one image, and before it the one it is made from.
build() {
    local name=$1 from=()
    if [ -n "${done[$name]:-}" ]; then
        return
    fi
    if [ ! -f "$name/Dockerfile" ]; then
        echo "images: there is no image '$name'; there are: $(printf '%s ' */ | tr -d /)" >&2
        exit 2
    fi
    if is_made_from_debian "$name"; then
        if [ -z "$force" ] && is_current "$name"; then
            return
        fi
        provide_debian
        from=(--build-arg "DEBIAN_IMAGE=$DEBIAN_IMAGE")
    else
        build base
        if [ -z "$force" ] && is_current "$name"; then
            return
        fi
        from=(--build-arg "BASE_IMAGE=$PREFIX/base:latest")
    fi
    echo "images: building $PREFIX/$name:latest"
    # The stages need no front end of BuildKit's, which not every command line has.
    DOCKER_BUILDKIT=0 quietly docker build --tag "$PREFIX/$name:latest" ${force:+--no-cache} "${from[@]}" \
        --label "$INPUTS_LABEL=$(inputs "$name")" --file "$name/Dockerfile" .
    done[$name]=yes
}

force=
if [ "${1:-}" = --force ]; then
    force=yes
    shift
fi
declare -A done=()
if [ $# -eq 0 ]; then
    set -- base
fi
for name in "$@"; do
    build "$name"
done
