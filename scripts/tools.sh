#!/bin/bash
# tools.sh PACKAGE...: unpacks Debian packages into build/tools without installing them.
#
# For daemons (inetd, sshd): installing their packages would start them and change the machine's configuration.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

tools=$build/tools

for package; do
    [ ! -e "$tools/$package.done" ] || continue
    say "Unpacking Debian's $package into ${tools#"$repository"/}"
    mkdir -p "$tools" "$cache/packages"
    rm -f "$cache/packages/${package}"_*.deb
    (cd "$cache/packages" && logged "$build/logs/download-$package.log" apt-get download "$package")
    dpkg-deb --extract "$cache/packages/${package}"_*.deb "$tools"
    touch "$tools/$package.done"
done
