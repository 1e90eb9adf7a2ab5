#!/usr/bin/env bash
# Build the image, with buildah or docker.
#
#   BASE=docker.io/library/python:3.11-slim-bookworm@sha256:... deploy/image/build.sh [TAG]
#   LOCAL_BASE=1 deploy/image/build.sh [TAG]    no registry: make the base from Debian's packages (root, buildah, mmdebstrap)
#
# EXTRAS=1: with what notifications and OpenID Connect need, 34 MB more.
#
# TAG defaults to localhost/planasonix-bridge:<version>. PIP_CONFIG_FILE, if set, is what pip uses inside the build, as
# a secret that leaves no trace in the image. buildah also sees this machine's certificates, for a mirror behind an own CA.
# The same commit, locks and base make the same layers: every file has the commit's time.
set -euo pipefail
is_on() { [[ ${1:-0} != 0 ]]; } # as scripts/switches.py
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' bridge/__init__.py)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH
tag=${1:-localhost/planasonix-bridge:$version}

if is_on "${LOCAL_BASE:-}"; then
    export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot} STORAGE_DRIVER=${STORAGE_DRIVER:-vfs}
    mkdir -p .cache/image
    if ! buildah images --quiet localhost/planasonix-bridge-base:bookworm >/dev/null 2>&1; then
        [ -s .cache/image/base.tar ] || {
            echo "==> a base of Debian's packages" >&2
            mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm \
                .cache/image/base.tar.part
            mv .cache/image/base.tar.part .cache/image/base.tar
        }
        made=$(buildah from scratch)
        buildah add --quiet "$made" .cache/image/base.tar / >/dev/null
        buildah commit --quiet --rm "$made" localhost/planasonix-bridge-base:bookworm >/dev/null
    fi
    BASE=localhost/planasonix-bridge-base@$(buildah images --format '{{.Digest}}' localhost/planasonix-bridge-base:bookworm)
fi
case ${BASE:-} in
*@sha256:*) ;;
*)
    echo "BASE must name an image by its digest, as in BASE=docker.io/library/python:3.11-slim-bookworm@sha256:..." \
        "(a tag can change under you); without a registry: LOCAL_BASE=1" >&2
    exit 2
    ;;
esac

builder=$(command -v buildah || command -v docker) || {
    echo "neither buildah nor docker is on PATH: install one of them" >&2
    exit 1
}
arguments=(--build-arg "BASE=$BASE" --build-arg "VERSION=$version" --build-arg "REVISION=$revision" --tag "$tag"
    --build-arg "CREATED=$(date --utc --date "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)"
    --build-arg "SOURCE_DATE_EPOCH=$SOURCE_DATE_EPOCH")
! is_on "${EXTRAS:-}" || arguments+=(--build-arg LOCK=extras)
[ -z "${PIP_CONFIG_FILE:-}" ] || arguments+=(--secret "id=pip,src=$PIP_CONFIG_FILE")
case $builder in
# The docker format: the other one has no HEALTHCHECK.
*buildah)
    [ ! -d /etc/ssl/certs ] || arguments+=(--volume /etc/ssl/certs:/etc/ssl/certs:ro)
    buildah bud --format docker --network host --timestamp "$SOURCE_DATE_EPOCH" "${arguments[@]}" .
    ;;
*) docker build "${arguments[@]}" . ;;
esac
