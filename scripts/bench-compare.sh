#!/bin/bash
# bench-compare.sh REVISION: measures this working tree and another revision of the project, in turn, and says which differences are
# beyond noise.
#
# Each is a black box: whole backups by its own patched Amanda, and its own cargo benches of the tee and the relay. In each round both
# are measured once, the other one first in every second round. The revision is checked out and built below build/compare, and stays there.
#
# Variables, beside those of lib/common.sh:
#   AMRELAY_BENCH_ROUNDS    how many rounds (default 11; with fewer than 6 nothing is beyond noise)
#   AMRELAY_BENCH_QUICK     yes: less data and fewer cases
#   AMRELAY_BENCH_PARTS     which parts: backup, ambsdtar, amgtar, tee, relay (default "backup tee relay")
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

[ $# -eq 1 ] || die "name a revision"
: "${AMRELAY_BENCH_ROUNDS:=11}" "${AMRELAY_BENCH_PARTS:=backup tee relay}"
rounds=$AMRELAY_BENCH_ROUNDS
commit=$(git -C "$repository" rev-parse --verify --quiet "$1^{commit}") || die "there is no revision '$1'"
other=$build/compare/$commit
results=$build/compare/results.tsv

# prepare TREE: builds what is measured. A measurement of no rounds does that.
prepare() (
    say "Building ${1#"$repository"/}"
    cd "$1"
    BUILT=no AMRELAY_BENCH_ROUNDS=0 scripts/bench-backup.sh
    for bench in tee relay; do cargo bench --locked --quiet --no-run --bench "$bench"; done
)

# measure TREE PART
measure() (
    cd "$1"
    export BUILT=yes AMRELAY_BENCH_ROUNDS=1 AMRELAY_BENCH_VARIANTS=patched
    case $2 in
        backup) scripts/bench-backup.sh ;;
        ambsdtar | amgtar) PROGRAM=$2 scripts/bench-backup.sh ;;
        tee | relay) cargo bench --locked --quiet --bench "$2" ;;
        *) die "there is no part '$2'" ;;
    esac
)

# collect NAME: keeps the lines of five fields, with the name before them, and shows the others.
collect() {
    gawk -F '\t' -v OFS='\t' -v name="$1" -v results="$results" \
        'NF == 5 { print name, $0 >>results; fflush(results); next } { print >"/dev/stderr" }'
}

keep_sudo
use_alone "$build/compare"
[ -d "$other" ] || git clone --quiet --no-checkout "$repository" "$other"
git -C "$other" checkout --quiet --detach "$commit"
# Both read the same files.
mkdir -p "$build/bench/data" "$other/build/bench"
[ -e "$other/build/bench/data" ] || ln -s "$build/bench/data" "$other/build/bench/data"
prepare "$repository"
prepare "$other"
: >"$results"
for ((round = 1; round <= rounds; round++)); do
    for part in $AMRELAY_BENCH_PARTS; do
        say "Round $round of $rounds: $part"
        if ((round % 2)); then order=(new old); else order=(old new); fi
        for name in "${order[@]}"; do
            if [ "$name" = new ]; then tree=$repository; else tree=$other; fi
            measure "$tree" "$part" | collect "$name"
        done
    done
done
python3 -B "$repository/scripts/lib/bench_compare.py" "$results"
