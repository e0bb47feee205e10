#!/bin/bash
# packages.sh library|amanda|backup|check|bench: installs what is missing of the Debian packages each of these needs.
# packages.sh named PACKAGE...: installs those that are missing.
#
# Only compilers, libraries and plain programs are installed. Packages that would start a daemon or bring a mail server
# (inetd, sshd, a KDC) are left out: tools.sh unpacks those below build/ instead.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

compiler=(gcc libc6-dev make pkg-config)
# The build dependencies of Debian's own amanda package, without those of the parts that are not built here
# (manual pages, S3, NDMP), and bison for its 'yacc'.
amanda=(autoconf automake bison dump flex g++ gawk gettext libglib2.0-dev libkrb5-dev libncurses-dev
    libperl-dev libreadline-dev libssl-dev libtirpc-dev libtool patch perl swig xz-utils)
# What Amanda's Perl programs load, what the sandbox is made with (ip, services, unshare), and the programs of the dumps.
backup=(e2fsprogs gzip iproute2 libarchive-tools libencode-locale-perl libjson-perl libxml-simple-perl netbase openssh-client
    openssl procps tar util-linux)
check=(busybox cpio g++ python3 shellcheck valgrind)
# A fast CRC-32C for the floor, perf to count system calls, bsdtar as a rival, and what the report is made with.
bench=(gnuplot-nox libarchive-tools libisal-dev linux-perf python3)

# Debian 12 has a compiler new enough for the stated MSRV only under another name.
rust_packages() {
    command -v cargo >/dev/null && return
    if apt-cache show cargo-web >/dev/null 2>&1; then
        echo cargo-web rustc-web
    else
        echo cargo rustc
    fi
}

missing() {
    local package
    for package; do
        dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

case ${1-} in
    library) wanted=("${compiler[@]}") ;;
    amanda) wanted=("${compiler[@]}" "${amanda[@]}") ;;
    backup) wanted=("${compiler[@]}" "${amanda[@]}" "${backup[@]}") ;;
    check) wanted=("${compiler[@]}" "${amanda[@]}" "${backup[@]}" "${check[@]}") ;;
    bench) wanted=("${compiler[@]}" "${amanda[@]}" "${backup[@]}" "${bench[@]}") ;;
    named) wanted=("${@:2}") ;;
    *) die "which packages? library, amanda, backup, check, bench or named ones" ;;
esac

mapfile -t absent < <(missing "${wanted[@]}")
if [ ${#absent[@]} -gt 0 ] || ! command -v cargo >/dev/null; then
    say "Updating the package lists"
    logged "$build/logs/apt-update.log" as_root apt-get update
    mapfile -t rust < <(rust_packages | tr ' ' '\n')
    say "Installing ${absent[*]} ${rust[*]}"
    logged "$build/logs/apt-install.log" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends "${absent[@]}" "${rust[@]}"
fi
