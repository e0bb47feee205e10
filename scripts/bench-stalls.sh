#!/bin/bash
# bench-stalls.sh: measures what stalled dumps cost the others, and the client, with both Amandas in turn.
# tests/amanda/bench_stalls.py says what is measured, and how.
# Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error.
#
# Variables, in addition to those of lib/common.sh:
#   AMRELAY_BENCH_ROUNDS    number of rounds (default 5, quick 2)
#   AMRELAY_BENCH_QUICK     yes: less data, only over bsd
#   STALL                   seconds for which a dump is stopped (default 20, quick 5)
#   MEGABYTES               size of the dumps (default 1024, quick 512)
#   LIMIT                   seconds after which something counts as hanging (default 120)
#   DUMPS                   number of dumps, of four streams each, that are stopped at once (default 8). With about 150 open
#                           descriptors, that is with 9 to 10 dumps, upstream's amandad may fail to start sendbackup, and the
#                           measurement fails.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

# shellcheck source=lib/bench-build.sh
. "$repository/scripts/lib/bench-build.sh"
: "${AMRELAY_BENCH_QUICK:=no}"
case $AMRELAY_BENCH_QUICK in
    yes) auths=(bsd) && : "${AMRELAY_BENCH_ROUNDS:=2}" "${STALL:=5}" "${MEGABYTES:=512}" ;;
    *) auths=(bsd bsdudp) && : "${AMRELAY_BENCH_ROUNDS:=5}" "${STALL:=20}" "${MEGABYTES:=1024}" ;;
esac
need_memory_for stalls
mkdir -p "$build/run"
[ "$BUILT" = yes ] || build_for_bench >&2
measure_in_sandbox bench_stalls.py "--rounds=$AMRELAY_BENCH_ROUNDS" "--stall=$STALL" "--megabytes=$MEGABYTES" \
    "--limit=${LIMIT:-120}" "--dumps=${DUMPS:-8}" --auths "${auths[@]}"
