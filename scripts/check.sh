#!/bin/bash
# Checks everything that must hold before a change is accepted. Stops at the first step that fails.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"

# Amanda's own tests of the code that the patches touch; event-test runs over GLib's loop and over libamrelay's.
amanda_tests() {
    local log=$build/logs/amanda-tests.log test
    logged "$log" scripts/sandbox.sh make -C "$build/amanda-relay/source/common-src" check
    for test in event-test event-amrelay-test; do
        grep -q "^PASS: $test\$" "$log" || die "$test did not run; see ${log#"$repository"/}"
    done
    say "$(grep -c ^PASS: "$log") of Amanda's test programs passed"
}

# The patched tree without the library must still be Amanda.
without_the_library() (
    export AMRELAY=no AMANDA_PREFIX=$build/prefix-plain
    scripts/amanda.sh
    BUILT=yes scripts/test-amanda.sh tests/amanda/test_backup.py::TestBsdtcp
)

keep_sudo
step "Packages" scripts/packages.sh check
step "Shell scripts" shellcheck -x scripts/*.sh scripts/lib/*.sh tests/amanda/stand_ins/gated-tar .ci/run
step "The library" scripts/check-library.sh
step "Amanda" scripts/amanda.sh
step "Daemons and Debian's Amanda" scripts/tools.sh openbsd-inetd openssh-server samba smbclient krb5-kdc krb5-admin-server \
    amanda-common amanda-server amanda-client
step "Amanda's own tests" amanda_tests
step "Fuzzing Amanda's reader of tokens, shortly" scripts/fuzz-smoke.sh recv_token
step "Patched Amanda --without-amrelay" without_the_library
step "Tests of a real Amanda" env BUILT=yes scripts/test-amanda.sh
step "A short storm" env BUILT=yes scripts/storm.sh 30 1
say "All checks passed"
