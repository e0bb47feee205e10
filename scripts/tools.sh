#!/bin/bash
# tools.sh PACKAGE...: unpacks Debian packages into build/tools without installing them.
#
# For daemons (inetd, sshd): installing their packages would start them and change the machine's configuration.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

tools=$build/tools

# Ownership and set-uid bits need root to be unpacked; lib/server.sh does that from the kept files.
for package; do
    [ ! -e "$tools/$package.done" ] || continue
    say "Fetching and unpacking Debian's $package into ${tools#"$repository"/}"
    mkdir -p "$tools/packages"
    rm -f "$tools/packages/${package}"_*.deb
    (cd "$tools/packages" && logged "$build/logs/download-$package.log" apt-get download "$package")
    dpkg-deb --extract "$tools/packages/${package}"_*.deb "$tools"
    touch "$tools/$package.done"
done
