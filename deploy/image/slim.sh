#!/bin/sh
# Take out of a root file system of Debian what the bridge does not need, inside the build of the image. Run by the Dockerfile.
#
#   1  packages: perl, pip and its wheels, apt, and what logs in, mounts, or makes users and file systems; then their libraries
#   2  files: manuals, translations, documentation (but every copyright file stays), character sets, parts of Python
#   3  the setuid and setgid bits of what is left
#   4  caches and logs, which differ from build to build
#   5  bytecode that does not ask for the time of its source: layers get one time for all files
#   6  the list of what is left, with licences: /usr/share/planasonix-bridge/sbom.json
#
# dpkg's own list of packages stays right, so that scanners find what is known of them. Fails if anything is left over.
set -eu
python=/opt/bridge/bin/python

installed() {
    for name in "$@"; do
        if [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ]; then echo "$name"; fi
    done
}
unneeded="python3-venv python3.11-venv python3-pip python3-pip-whl python3-setuptools-whl python3-distutils python3-lib2to3
    perl perl-modules-5.36 libperl5.36 libgdbm6 libgdbm-compat4 openssl apt libapt-pkg6.0 gpgv debian-archive-keyring adduser
    usrmerge libfile-find-rule-perl libnumber-compare-perl libtext-glob-perl passwd login mount util-linux util-linux-extra
    bsdutils logsave e2fsprogs libext2fs2 libss2 ncurses-bin debconf init-system-helpers sysvinit-utils perl-base
    libgnutls30 libp11-kit0 libunistring2 libidn2-0 libnettle8 libhogweed6 libtasn1-6 libsystemd0 libgcrypt20 libgpg-error0
    liblz4-1 libxxhash0 libseccomp2 libsemanage2 libsemanage-common libsepol2 libpam-modules libpam-modules-bin libpam-runtime
    libpam0g libaudit1 libaudit-common libcap-ng0 libmount1 libblkid1 libsmartcols1 libfdisk1 libudev1 libdevmapper1.02.1
    libnsl2 libtirpc3 libtirpc-common libgssapi-krb5-2 libkrb5-3 libk5crypto3 libkrb5support0 libkeyutils1 libcom-err2
    libdebconfclient0 libdb5.3"
for round in 1 2; do # what one package's own script needs of another that is gone already shows in the first
    found=$(installed $unneeded)
    [ -z "$found" ] || dpkg --force-all --purge $found >/tmp/said 2>&1 || [ "$round" = 1 ] || { cat /tmp/said >&2 && exit 1; }
done
dpkg --purge $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^config-files //p') >/dev/null 2>&1 || true

cd /usr/share
rm -rf man info locale lintian groff bug linda doc-base bash-completion pixmaps menu polkit-1 perl perl5 python-wheels pam-configs
find doc -type f ! -name copyright -delete
find doc -type d -empty -delete
rm -rf /usr/lib/*-linux-gnu/gconv /usr/lib/*-linux-gnu/perl* /usr/lib/python3*/lib2to3 /usr/lib/apt
for library in "$($python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"; do
    for part in ensurepip idlelib lib2to3 pydoc_data test tkinter turtledemo turtle.py; do rm -rf "${library:?}/$part"; done
    rm -rf "$library"/site-packages/pip* "$library"/site-packages/setuptools* "$library"/site-packages/wheel* "$library"/config-*
done
rm -f /usr/lib/python3*/lib-dynload/nis.* /usr/lib/python3*/lib-dynload/_dbm.* /usr/sbin/update-passwd # their libraries are gone
rm -f /usr/local/bin/pip* /usr/local/bin/idle* /usr/local/bin/2to3* /usr/local/bin/pydoc* /usr/bin/pydoc* /usr/bin/py3* /usr/bin/perl*
find /opt/bridge \( -name '*.pyx' -o -name '*.pxd' -o -name '*.pyi' -o -name '*.h' -o -name '*.c' \) -type f -delete
for packages in /opt/bridge/lib/python3*/site-packages; do
    rm -rf "$packages/sqlalchemy/testing" "$packages/alembic/testing" "$packages"/*/tests
    # rich can colour source code of 500 languages, and is never asked to.
    find "$packages/pygments/lexers" -name '*.py' ! -name '__init__.py' ! -name _mapping.py ! -name python.py ! -name special.py -delete
done

find / -xdev -type f -perm /6000 -exec chmod a-s {} +
find / -xdev -type d -perm /2000 -exec chmod g-s {} +
rm -rf /var/cache/* /var/log/* /var/lib/apt /var/lib/systemd /var/backups/* /tmp/* /var/tmp/* ~root/.[!.]* /etc/machine-id /var/lib/dpkg/*-old

find / -xdev -name __pycache__ -type d -prune -exec rm -rf {} +
$python -m compileall -q -j 2 --invalidation-mode unchecked-hash \
    "$($python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" /opt/bridge/lib
mkdir -p /usr/share/planasonix-bridge
PYTHONDONTWRITEBYTECODE=1 $python /src/sbom.py --inside >/usr/share/planasonix-bridge/sbom.json
rm -rf /src

over=$(installed $unneeded)
over=$over$(find / -xdev -type f -perm /6000)
over=$over$(find / -xdev \( -name 'pip-*' -o -name 'perl5*' -o -name ensurepip \) ! -path '/proc/*' ! -path /usr/share/doc)
over=$over$(find / -xdev -type f \( -name '*.so*' -o -perm -100 \) -exec ldd {} + 2>/dev/null |
    awk '/^\// { file = $1 } /not found/ { print file " lacks " $1 }')
[ -z "$over" ] || { echo "left over in the image, or missing: $over" >&2 && exit 1; }
