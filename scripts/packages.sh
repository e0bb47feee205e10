#!/bin/bash
# packages.sh library|docs|amanda|backup|tests|check|bench: installs the missing Debian packages that
# each of these needs.
# packages.sh named PACKAGE...: installs the named packages that are missing.
#
# It installs only compilers, libraries and plain programs. It leaves out packages that would start a daemon or bring a mail server
# (inetd, sshd, a KDC, smbd): tools.sh unpacks those below build/ instead.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

# Python generates the man pages.
compiler=(ca-certificates gcc libc6-dev make pkg-config python3)
# For the C API's reference as HTML.
docs=(doxygen python3)
# The build dependencies of Debian's own amanda package, without those of the parts that are not built here
# (manual pages, S3, NDMP), and bison for its 'yacc'.
amanda=(autoconf automake bison dump flex g++ gawk gettext libglib2.0-dev libkrb5-dev libncurses-dev
    libperl-dev libreadline-dev libssl-dev libtirpc-dev libtool patch perl swig xz-utils)
# For the sandbox (ip, mount, services, unshare), in which Amanda is also installed.
sandbox=(iproute2 mount netbase util-linux)
# The modules of Amanda's Perl programs, and the backup programs.
backup=(e2fsprogs gzip libarchive-tools libencode-locale-perl libjson-perl libxml-simple-perl openssh-client openssl procps tar)
# The tests of a real Amanda; upstream's test of amrecover uses Expect. Of Samba only the
# libraries: tools.sh unpacks the programs.
tests=(busybox libexpect-perl python3 python3-crcmod python3-pytest samba-libs)
# clang for the fuzz target in C, mandoc to check the man pages.
check=(clang cpio g++ libclang-rt-dev mandoc python3 shellcheck valgrind)
# A fast CRC-32C for the floor, perf to count system calls, bsdtar to compare with, the tests' fixtures, and the report's tools.
bench=(gnuplot-nox libarchive-tools libisal-dev linux-perf python3 python3-crcmod)

# Rust, by the names of Debian 13's packages. The check needs more packages, see below.
rust=(cargo rustc)
oldest_rust=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml")

has_rust() {
    case $1 in
        cargo | rustc) command -v cargo ;;
        rustfmt) cargo fmt --version ;;
        rust-clippy) cargo clippy --version ;;
    esac >/dev/null 2>&1
}

missing_rust() {
    local package
    for package in "${rust[@]}"; do has_rust "$package" || echo "$package"; done
}

package_of_cargo() { dpkg-query --search "$(realpath "$(command -v cargo)")" 2>/dev/null; }
from_debian() { [[ $(package_of_cargo) = cargo* ]]; }

will_do() { printf '%s\n' "$oldest_rust" "$1" | sort --check=quiet --version-sort; }

# Debian also has newer compilers under other names; in Debian 12 only those are new enough. Missing packages must match the
# installed cargo.
under_own_names() {
    if command -v cargo >/dev/null; then
        [[ $(package_of_cargo) = cargo:* ]]
    else
        will_do "$(apt-cache show --no-all-versions cargo 2>/dev/null | sed -n 's/^Version: \([0-9.]*\).*/\1/p')"
    fi
}

rust_packages() {
    if under_own_names; then
        printf '%s\n' "$@"
    else
        printf '%s\n' "$@" | sed -e 's/$/-web/' -e 's/^rust-clippy-web$/rust-web-clippy/'
    fi
}

# Ends if the installed Rust is not enough; never replaces it. An old cargo itself would only report a line of Cargo.toml that it
# cannot read.
check_rust() {
    local version
    command -v cargo >/dev/null || return 0
    version=$(cargo --version | cut -d ' ' -f 2)
    will_do "$version" ||
        die "$(command -v cargo) is Rust $version; $oldest_rust or later is needed (on Debian 12 the packages cargo-web and rustc-web)"
    [ ${#absent_rust[@]} -eq 0 ] || from_debian ||
        die "cargo lacks ${absent_rust[*]}; if it is from rustup: rustup component add rustfmt clippy"
}

missing() {
    local package
    for package; do
        dpkg-query --show --showformat '${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || echo "$package"
    done
}

case ${1-} in
    library) wanted=("${compiler[@]}") ;;
    docs) wanted=("${docs[@]}") rust=() ;;
    amanda) wanted=("${compiler[@]}" "${amanda[@]}" "${sandbox[@]}") ;;
    backup) wanted=("${compiler[@]}" "${amanda[@]}" "${sandbox[@]}" "${backup[@]}") ;;
    tests) wanted=("${compiler[@]}" "${amanda[@]}" "${sandbox[@]}" "${backup[@]}" "${tests[@]}") ;;
    check)
        wanted=("${compiler[@]}" "${amanda[@]}" "${sandbox[@]}" "${backup[@]}" "${tests[@]}" "${docs[@]}" "${check[@]}")
        rust+=(rustfmt rust-clippy)
        ;;
    bench) wanted=("${compiler[@]}" "${amanda[@]}" "${sandbox[@]}" "${backup[@]}" "${bench[@]}") ;;
    named) wanted=("${@:2}") rust=() ;;
    *) die "name the packages: library, docs, amanda, backup, tests, check, bench or named ones" ;;
esac

use_alone "$build/packages"
mapfile -t absent < <(missing "${wanted[@]}")
mapfile -t absent_rust < <(missing_rust)
check_rust
if [ ${#absent[@]} -gt 0 ] || [ ${#absent_rust[@]} -gt 0 ]; then
    say "Updating the package lists"
    logged "$build/logs/apt-update.log" as_root apt-get update
    [ ${#absent_rust[@]} -eq 0 ] || mapfile -t -O ${#absent[@]} absent < <(rust_packages "${absent_rust[@]}")
    say "Installing ${absent[*]}"
    logged "$build/logs/apt-install.log" as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install --yes --no-install-recommends --option DPkg::Lock::Timeout=600 "${absent[@]}"
    check_rust
fi
