#!/bin/bash
# bench-index.sh: measures the processor time (user + system) of listing an archive that comes from the page cache through a pipe,
# with examples/amrelay-index, GNU tar and Amanda's sed, and bsdtar; and that of examples/amrelay-tee with CRC, without and with index.
#
# The programs take turns, AMRELAY_BENCH_ROUNDS times (default 5), so that a busy machine slows all of them. The writer is not
# counted, as it is the same for all. There are two writers. One copies what it writes, as tar does: a reader that drops the bytes
# must free the pages, which is then most of its work. "drop" shows how much; it only splices everything to /dev/null. The other
# writer lends the pages of the cache.
# Prints lines of group, case, variant, metric and value, separated by tabs; `scripts/bench.sh index` makes a table of them.
# The archives stay in build/bench (2.6 GB).
# The functions that write and list are called by name:
# shellcheck disable=SC2317
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
# shellcheck source=lib/bench-data.sh
. "$repository/scripts/lib/bench-data.sh"
cd "$repository"
: "${AMRELAY_BENCH_ROUNDS:=5}" "${AMRELAY_BENCH_QUICK:=no}"
data=$build/bench

# use_archive small|big: sets $archive, and $label.
use_archive() {
    use_data "$1"
    archive=$tree.tar
    if [ ! -e "$archive" ]; then
        tar -cf "$archive.new" -C "$tree" .
        mv "$archive.new" "$archive"
    fi
}

copy() { cat "$1"; }
lend() {
    python3 -c 'import fcntl, os, sys
archive = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(1, fcntl.F_SETPIPE_SZ, 1 << 20)
while os.splice(archive, 1, 1 << 20):
    pass' "$1"
}
drop() {
    python3 -c 'import os
sink = os.open("/dev/null", os.O_WRONLY)
while os.splice(0, sink, 1 << 20):
    pass'
}
index() { build/examples/amrelay-index; }
gnu_tar() { LC_ALL=C tar -tf - 2>/dev/null | sed -e 's/^\.//'; }
bsd_tar() { LC_ALL=C bsdtar -tf -; }
tee_crc() { build/examples/amrelay-tee -z 2>/dev/null; }
tee_index() { build/examples/amrelay-tee -z -i "$data/index" 2>/dev/null; }

# measure WRITER WAY: prints the milliseconds of one run.
measure() {
    local TIMEFORMAT='%U %S' output=$data/lines-$2
    [[ $2 != tee_* && $2 != drop ]] || output=/dev/null
    # The program's output goes through a pipe, as to Amanda's server.
    "$1" "$archive" | { time "$2" 2>/dev/null; } 2>"$data/time" | cat >"$output"
    awk -v "setting=$label, writer: $1" -v "way=${2//_/ }" \
        '{ printf "index\t%s\t%s\tCPU ms\t%.0f\n", setting, way, ($1 + $2) * 1000 }' "$data/time"
}

# compare ROUNDS WRITER WAY...
compare() {
    local round way
    cat "$archive" >/dev/null
    for ((round = 0; round < $1; round++)); do
        for way in "${@:3}"; do measure "$2" "$way"; done
    done
}

make --no-print-directory --silent examples >&2
use_alone "$build/bench/data"
for kind in small big; do
    use_archive $kind
    for writer in copy lend; do
        compare "$AMRELAY_BENCH_ROUNDS" "$writer" index gnu_tar bsd_tar drop
        cmp "$data/lines-index" "$data/lines-gnu_tar"
    done
    # They differ by less than the noise between runs: more rounds.
    compare $((AMRELAY_BENCH_ROUNDS * 3)) copy tee_index tee_crc
    cmp "$data/lines-index" "$data/index"
done
