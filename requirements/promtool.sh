#!/usr/bin/env bash
# Make .cache/promtool/promtool be Prometheus' promtool, with which the tests run deploy/observability/alerts.yaml.
#
# Takes the one on PATH, else unpacks Debian's (or Ubuntu's) package `prometheus` below .cache: nothing is installed,
# no root is needed, apt checks the package against the distribution's signature. Repeating it changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$PWD/.cache/promtool

if [ -x "$place/promtool" ] && "$place/promtool" --version >/dev/null 2>&1; then
    exit 0
fi
mkdir -p "$place"
if found=$(command -v promtool); then
    ln -sf "$found" "$place/promtool"
    exit 0
fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "promtool is not installed, and there is no apt-get to fetch it with:" \
        "install Prometheus (https://prometheus.io/download/) so that promtool is on PATH" >&2
    exit 1
}

echo "==> .cache/promtool: fetching the package prometheus"
own=$(mktemp -d "$place/apt.XXXXXX")
trap 'rm -rf "$own"' EXIT
# An image for containers comes without package lists, and only root may fill the system's: these are its own.
fetch() { (cd "$own" && apt-get -qq -o Debug::NoLocking=1 "$@" download prometheus) 2>"$own/said"; }
if ! fetch; then
    mkdir -p "$own/lists/partial" "$own/cache/archives/partial"
    private=(-o "Dir::State::lists=$own/lists" -o "Dir::Cache=$own/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get -qq -o Debug::NoLocking=1 "${private[@]}" update 2>"$own/said" && fetch "${private[@]}" || {
        cat "$own/said" >&2
        echo "the package prometheus could not be fetched: install promtool by hand, so that it is on PATH" >&2
        exit 1
    }
fi
dpkg-deb --fsys-tarfile "$own"/prometheus_*.deb | tar -x -C "$own" ./usr/bin/promtool
mv "$own/usr/bin/promtool" "$place/promtool"
"$place/promtool" --version | head -n 1
