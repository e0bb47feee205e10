#!/bin/bash
# bench-ways.sh [CASE...]: measures dumps in other ways than bench-backup.sh's, with the patched Amanda and upstream's in turn.
# tests/amanda/bench_ways.py says what is measured, and how; its cases are bsdtcp, bsd, ssl, krb5, local, copying, tee, gzip, openssl,
# many, restore, first and distant (default all).
# Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error.
#
# Variables, in addition to those of lib/common.sh:
#   AMRELAY_BENCH_ROUNDS    number of rounds (default 5)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

# shellcheck source=lib/bench-build.sh
. "$repository/scripts/lib/bench-build.sh"
: "${AMRELAY_BENCH_ROUNDS:=5}" "${AMRELAY_BENCH_QUICK:=no}"
need_memory_for ways
mkdir -p "$build/run"
[ "$BUILT" = yes ] || build_for_bench >&2
"$repository/scripts/tools.sh" krb5-kdc krb5-admin-server >&2
build_programs
arguments=("--rounds=$AMRELAY_BENCH_ROUNDS")
[ $# -eq 0 ] || arguments+=(--cases "$@")
measure_in_sandbox bench_ways.py "${arguments[@]}"
