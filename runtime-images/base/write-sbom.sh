#!/bin/sh
# Writes the image's bill of materials: every Debian package in it, as CycloneDX JSON. The last step of
# an image's Dockerfile runs it with the image's name. Further arguments name what to list instead of all
# that is installed: packages, or NAME=VERSION for what was compiled from a Debian source.
set -eu

readonly DIRECTORY=/usr/share/sbom

image=$1
shift
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")

# Lines of name, version and architecture.
packages() {
    if [ $# -eq 0 ]; then
        dpkg-query --show --showformat='${db:Status-Abbrev} ${Package} ${Version} ${Architecture}\n' | sed -n 's/^ii *//p'
        return
    fi
    for package in "$@"; do
        case $package in
            *=*) echo "${package%%=*} ${package#*=} source" ;;
            *) dpkg-query --show --showformat='${Package} ${Version} ${Architecture}\n' "$package" ;;
        esac
    done
}

# Names and versions of Debian packages need no quoting in JSON; a package URL escapes the characters
# that mean something in one.
components() {
    awk -v distro="debian-$codename" '
        {
            escaped = $2
            gsub(/:/, "%3A", escaped)
            gsub(/\+/, "%2B", escaped)
            printf "%s    {\"type\": \"library\", \"name\": \"%s\", \"version\": \"%s\", ", separator, $1, $2
            printf "\"purl\": \"pkg:deb/debian/%s@%s?arch=%s&distro=%s\"}", $1, escaped, $3, distro
            separator = ",\n"
        }
        END { print "" }'
}

mkdir -p "$DIRECTORY"
{
    printf '{\n  "bomFormat": "CycloneDX",\n  "specVersion": "1.5",\n  "version": 1,\n'
    printf '  "metadata": {\n    "timestamp": "%s",\n' "$(date --utc +%Y-%m-%dT%H:%M:%SZ)"
    printf '    "component": {"type": "container", "name": "buildspec-agent/%s"}\n  },\n' "$image"
    printf '  "components": [\n'
    packages "$@" | components
    printf '  ]\n}\n'
} >"$DIRECTORY/image.cdx.json"
