#!/bin/bash
# tools.sh PACKAGE...: unpacks Debian packages into build/tools without installing them.
#
# For daemons (inetd, sshd, smbd): installing their packages would start them and change the machine's configuration.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

tools=$build/tools

# Unpacking ownership and set-uid bits needs root; tests/amanda/harness/packaged.py does that from the kept files.
# Prints the libraries a package file depends on; their packages start and configure nothing.
libraries_of() { dpkg-deb --field "$1" Pre-Depends Depends | tr ',' '\n' | sed -nE 's/^([A-Za-z-]*:)? *(lib[^ |(:]*).*/\2/p'; }

use_alone "$build/tools"
for package; do
    [ ! -e "$tools/$package.done" ] || continue
    say "Fetching and unpacking Debian's $package into ${tools#"$repository"/}"
    mkdir -p "$tools/packages"
    rm -f "$tools/packages/${package}"_*.deb
    (cd "$tools/packages" && logged "$build/logs/download-$package.log" apt-get download "$package")
    mapfile -t libraries < <(libraries_of "$tools/packages/${package}"_*.deb)
    "$repository/scripts/packages.sh" named "${libraries[@]}"
    dpkg-deb --extract "$tools/packages/${package}"_*.deb "$tools"
    touch "$tools/$package.done"
done
