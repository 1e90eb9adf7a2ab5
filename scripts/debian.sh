#!/usr/bin/env bash
# Make .cache/debian/NAME be one file out of a package of Debian (or Ubuntu): tools of the tests that PyPI does not have.
# A program that needs a library which may be missing gets it too, unpacked beside it.
#
#   debian.sh promtool      Prometheus' promtool, with which the tests run deploy/observability/alerts.yaml
#   debian.sh libfaketime   a library that sets a process's clock, for the crash rounds
#   debian.sh wrk           the load generator of the benchmarks
#   debian.sh webhook       a receiver of webhooks that the benchmarks compare the bridge with
#   debian.sh pgbouncer     a pooler in front of PostgreSQL, for the tests of the store
#   debian.sh chromium      a browser, for the tests of the pages; 350 MB and more
#
# Takes what is installed, else unpacks the package: nothing is installed, no root is needed, apt checks the package
# against the distribution's signature. Repeating it changes nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
place=$PWD/.cache/debian
library=
case ${1:-} in
promtool) package=prometheus pattern='./usr/bin/promtool' installed=$(command -v promtool || true) ;;
libfaketime)
    package=libfaketime pattern='./usr/lib/*/faketime/libfaketime.so.1'
    installed=$(ls /usr/lib/*/faketime/libfaketime.so.1 2>/dev/null | head -n 1 || true)
    ;;
wrk)
    package=wrk pattern='./usr/bin/wrk' installed=$(command -v wrk || true)
    library=libluajit-5.1-2
    ;;
webhook) package=webhook pattern='./usr/bin/webhook' installed=$(command -v webhook || true) ;;
pgbouncer)
    package=pgbouncer pattern='./usr/sbin/pgbouncer'
    installed=$(command -v pgbouncer || ls /usr/sbin/pgbouncer 2>/dev/null || true)
    library="libc-ares2 libevent-2.1-7"
    ;;
chromium) package=chromium pattern= installed=$(command -v chromium || true) ;;
*)
    echo "usage: debian.sh promtool|libfaketime|wrk|webhook|pgbouncer|chromium" >&2
    exit 2
    ;;
esac
file=$place/$1
if [ -s "$file" ]; then
    # Earlier versions of this script left wrk without its library: such a file is made again.
    [ -n "$library" ] && [ -z "$installed" ] && [ ! -e "$file.files" ] || exit 0
fi
mkdir -p "$place"
if [ -n "$installed" ]; then
    ln -sf "$installed" "$file"
    exit 0
fi
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || {
    echo "$1 is not installed, and there is no apt-get to fetch it with: install the package $package" >&2
    exit 1
}

echo "==> .cache/debian/$1: fetching the package $package${library:+ and $library}"
own=$(mktemp -d "$place/apt.XXXXXX")
trap 'rm -rf "$own"' EXIT
# With no pattern the package is wanted whole, with all that it needs and that is not installed.
needed() { apt-get -s --no-install-recommends "$@" install "$package" | awk '$1 == "Inst" { print $2 }'; }
# An image for containers comes without package lists, and only root may fill the system's: these are its own.
fetch() {
    names="$package $library"
    if [ -z "$pattern" ]; then names=$(needed "$@" 2>"$own/said") || return 1; fi
    (cd "$own" && apt-get -qq -o Debug::NoLocking=1 "$@" download $names) 2>"$own/said"
}
if ! fetch; then
    mkdir -p "$own/lists/partial" "$own/cache/archives/partial"
    private=(-o "Dir::State::lists=$own/lists" -o "Dir::Cache=$own/cache" -o "APT::Sandbox::User=$(id -un)")
    apt-get -qq -o Debug::NoLocking=1 "${private[@]}" update 2>"$own/said" && fetch "${private[@]}" || {
        cat "$own/said" >&2
        echo "the package $package could not be fetched: install it by hand" >&2
        exit 1
    }
fi
if [ -z "$pattern" ]; then
    rm -rf "$file.files"
    mkdir "$file.files"
    for each in "$own"/*.deb; do dpkg-deb --extract "$each" "$file.files"; done
    cat >"$file.files/fonts.conf" <<FONTS
<fontconfig><include ignore_missing="yes">/etc/fonts/fonts.conf</include><dir>$file.files/usr/share/fonts</dir><cachedir>$file.files/fonts</cachedir></fontconfig>
FONTS
    cat >"$own/start" <<'START'
#!/bin/sh
files=$0.files
for folder in "$files"/usr/lib/*-linux-gnu "$files"/lib/*-linux-gnu "$files"/usr/lib/*-linux-gnu/pulseaudio; do
    [ ! -d "$folder" ] || LD_LIBRARY_PATH=$folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
done
export LD_LIBRARY_PATH FONTCONFIG_FILE="$files/fonts.conf"
exec "$files/usr/lib/chromium/chromium" "$@"
START
    chmod +x "$own/start"
    mv "$own/start" "$file"
    # Better none than one that does not start: its tests would fail instead of being left out.
    timeout 120 "$file" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir="$own/profile" \
        --dump-dom 'data:text/html,<p>drawn' 2>"$own/said" | grep -q '<p>drawn' || {
        cat "$own/said" >&2
        rm -rf "$file" "$file.files"
        echo "$1 does not start from its unpacked packages: install the package $package" >&2
        exit 1
    }
    exit 0
fi
unpack() { dpkg-deb --fsys-tarfile "$own/$1"_*.deb | tar -x -C "$own" --wildcards "$2"; }
unpack "$package" "$pattern"
if [ -z "$library" ]; then
    mv "$own"/${pattern#./} "$file"
    exit 0
fi

for name in $library; do unpack "$name" './usr/lib/*/*.so*'; done
rm -rf "$file.files"
mkdir "$file.files"
mv "$own"/usr/lib/*/*.so* "$own"/${pattern#./} "$file.files"
cat >"$own/start" <<'START'
#!/bin/sh
files=$0.files
LD_LIBRARY_PATH=$files${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} exec "$files/${0##*/}" "$@"
START
chmod +x "$own/start"
mv "$own/start" "$file"
