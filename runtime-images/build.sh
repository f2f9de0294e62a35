#!/bin/bash
# Builds the base build image where it is missing or no longer what its files say; with --force
# always, with the packages of today.
set -euo pipefail

# CodeBuild leaves the choice of the image to the project; this one is what `run` takes when nothing
# names another. The variables exist so that a test of this script does not replace a user's images.
readonly IMAGE=${BASE_IMAGE:-buildspec-agent/base:latest}
readonly BOOTSTRAPPED=${BOOTSTRAPPED_IMAGE:-buildspec-agent/debian:bookworm}
readonly SUITE=bookworm
readonly FROM_REGISTRY=debian:$SUITE-slim
readonly PULL_LIMIT_SECONDS=60
readonly INPUTS_LABEL=buildspec-agent.inputs

cd "$(dirname "$0")"

# Runs a command whose output matters only when it fails.
quietly() {
    local output
    if ! output=$(DEBIAN_FRONTEND=noninteractive "$@" 2>&1 </dev/null); then
        printf '%s\n' "$output" >&2
        echo "setup: '$*' failed; its output is above" >&2
        return 1
    fi
}

exists() {
    docker image inspect "$1" >/dev/null 2>&1
}

# One number for everything the image is made from.
inputs() {
    cat build.sh base/* | sha256sum | cut -d ' ' -f 1
}

is_current() {
    [ "$(docker image inspect --format "{{index .Config.Labels \"$INPUTS_LABEL\"}}" "$IMAGE" 2>/dev/null)" = "$(inputs)" ]
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
            echo "setup: no registry can be reached: install mmdebstrap, or import an image as $BOOTSTRAPPED" >&2
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
    if exists "$FROM_REGISTRY"; then
        DEBIAN_IMAGE=$FROM_REGISTRY
    elif exists "$BOOTSTRAPPED"; then
        DEBIAN_IMAGE=$BOOTSTRAPPED
    elif timeout "$PULL_LIMIT_SECONDS" docker pull --quiet "$FROM_REGISTRY" >/dev/null 2>&1; then
        DEBIAN_IMAGE=$FROM_REGISTRY
    else
        echo "setup: $FROM_REGISTRY cannot be pulled, making Debian $SUITE with mmdebstrap"
        bootstrap
        DEBIAN_IMAGE=$BOOTSTRAPPED
    fi
}

cache=()
if [ "${1:-}" = --force ]; then
    cache=(--no-cache)
elif is_current; then
    exit 0
fi
provide_debian
echo "setup: building $IMAGE on $DEBIAN_IMAGE"
quietly docker build --tag "$IMAGE" "${cache[@]}" \
    --build-arg "DEBIAN_IMAGE=$DEBIAN_IMAGE" \
    --label "$INPUTS_LABEL=$(inputs)" base
