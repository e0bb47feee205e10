#!/bin/bash
# Checks everything that must hold before a change is accepted. Stops at the first step that fails.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"

# kept LOG NAME COMMAND...: its output is kept, and shown if it fails.
kept() {
    local log=$build/logs/check-$1.log name=$2
    shift 2
    if "$@" >"$log" 2>&1; then
        say "$name: $(grep -c '^  [^ ]' "$log") checks passed"
    else
        cat "$log"
        say "$name FAILED"
        return 1
    fi
}

# short_stalls KIND AUTH
short_stalls() { kept "$1-$2" "Stalls, $1, over $2" env BUILT=yes AUTH="$2" scripts/stalls.sh "--$1"; }
export -f kept short_stalls say
export build

# stalls_over_both KIND: over both kinds of connections at once, as amandad waits for most of the time.
stalls_over_both() {
    # The variables belong to the shells that xargs starts.
    # shellcheck disable=SC2016
    printf '%s\n' bsd bsdudp | xargs -P 2 -L 1 bash -c 'short_stalls "$0" "$1"' "$1"
}

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
step "Shell scripts" shellcheck -x scripts/*.sh scripts/lib/*.sh scripts/lib/{faulty,gated}-tar .ci/run
step "The library" scripts/check-library.sh
step "Amanda" scripts/amanda.sh
step "Daemons and Debian's Amanda" scripts/tools.sh openbsd-inetd openssh-server samba smbclient krb5-kdc krb5-admin-server \
    amanda-common amanda-server amanda-client
step "Amanda's own tests" amanda_tests
step "Fuzzing Amanda's reader of tokens, shortly" scripts/fuzz-smoke.sh recv_token
step "Patched Amanda --without-amrelay" without_the_library
step "Tests of a real Amanda" env BUILT=yes scripts/test-amanda.sh
step "A short storm" env BUILT=yes scripts/storm.sh 30 1
step "Faults" env BUILT=yes scripts/faults.sh
step "Stalls" env BUILT=yes AUTH=bsd scripts/stalls.sh
step "Stalls within connections of several streams" env BUILT=yes AUTH=bsdudp scripts/stalls.sh
step "Dumps that nobody connects to" stalls_over_both unconnected
step "Dumps that hang and that their dumpers leave" stalls_over_both hung
step "A dump that is read late" env BUILT=yes AUTH=bsdudp scripts/stalls.sh --unread
step "A dump whose server leaves early" env BUILT=yes AUTH=bsdtcp scripts/stalls.sh --unacknowledged
step "A restore that is extracted late" env BUILT=yes AUTH=bsdtcp scripts/stalls.sh --unextracted
say "All checks passed"
