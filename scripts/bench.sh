#!/bin/bash
# bench.sh [PART...]: measures libamrelay, upstream's Amanda, and bare chains of system calls.
#
# The parts are backup, ambsdtar and amgtar (the same with these applications), ways (other authentications, filters, restores), tee,
# relay, stalls and index. In each part the variants take turns, round by round. The figures are collected in build/bench/results.tsv;
# from them lib/bench_report.py writes the tables of docs/benchmarks.md and docs/benchmarks-figures.md, and the charts. With
# AMRELAY_BENCH_QUICK=yes, or with parts named, it only prints the tables, and changes no file of the repository.
#
# Variables, in addition to those of lib/common.sh:
#   AMRELAY_BENCH_ROUNDS    how many times each figure is measured (default 5, quick 2)
#   AMRELAY_BENCH_QUICK     yes: less data, fewer cases; done in five minutes once everything is built
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
# shellcheck source=lib/bench-build.sh
. "$repository/scripts/lib/bench-build.sh"
cd "$repository"

: "${AMRELAY_BENCH_QUICK:=no}"
case $AMRELAY_BENCH_QUICK in
    yes) parts=(backup tee relay stalls) rounds=2 ;;
    no) parts=(backup ambsdtar amgtar ways tee relay stalls index) rounds=5 ;;
    *) die "AMRELAY_BENCH_QUICK is '$AMRELAY_BENCH_QUICK'; it must be yes or no" ;;
esac
: "${AMRELAY_BENCH_ROUNDS:=$rounds}"
export AMRELAY_BENCH_ROUNDS AMRELAY_BENCH_QUICK
results=$build/bench/results.tsv

# measure PART: prints its figures, among other lines.
measure() {
    case $1 in
        backup) BUILT=yes scripts/bench-backup.sh ;;
        ambsdtar | amgtar) BUILT=yes PROGRAM=$1 scripts/bench-backup.sh ;;
        tee | relay) cargo bench --locked --quiet --bench "$1" ;;
        ways) BUILT=yes scripts/bench-ways.sh ;;
        stalls) BUILT=yes scripts/bench-stalls.sh ;;
        index) scripts/bench-index.sh ;;
        *) die "there is no part '$1'" ;;
    esac
}

# Keeps the lines of five fields, and shows all others.
collect() { gawk -F '\t' -v results="$results" 'NF == 5 { print >>results; fflush(results); next } { print >"/dev/stderr" }'; }

if [ $# -gt 0 ]; then
    only=yes
    parts=("$@")
else
    only=$AMRELAY_BENCH_QUICK
fi
for part in "${parts[@]}"; do need_memory_for "$part"; done
keep_sudo
[ "$BUILT" = yes ] || build_for_bench
use_alone "$build/bench/results"
: >"$results"
read -r load _ </proc/loadavg
begin=$SECONDS
for part in "${parts[@]}"; do
    say "Measuring: $part"
    measure "$part" | collect
done
say "Measured in $((SECONDS - begin)) s; the load was $load when it began"
if [ "$only" = yes ]; then
    python3 -B scripts/lib/bench_report.py "$results" "$load"
else
    python3 -B scripts/lib/bench_report.py "$results" "$load" docs
    say "docs/benchmarks.md, docs/benchmarks-figures.md and docs/bench-*.svg are written"
fi
