#!/bin/bash
# bench-index.sh: processor time (user + system) of listing an archive that comes from the page cache through a pipe:
# examples/amrelay-index, GNU tar with Amanda's sed, bsdtar; and of examples/amrelay-tee with CRC, without and with index.
#
# The programs take turns, AMRELAY_BENCH_ROUNDS times (default 5), so that a busy machine slows all of them. The writer is not
# counted: it is the same for all. One copies what it writes, as tar does; whoever drops that has to free the pages, which is
# then most of his work: "drop" shows it, which only splices everything to /dev/null. The other lends the pages of the cache.
# Prints lines of group, case, variant, metric and value, separated by tabs; `scripts/bench.sh index` makes a table of them.
# The archives stay in build/bench (2.6 GB).
# The ways to write and to list are called by their names:
# shellcheck disable=SC2317
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"
: "${AMRELAY_BENCH_ROUNDS:=5}"
data=$build/bench

# small.tar: 100 000 files of 4 KiB; large.tar: 4 files of 512 MiB.
make_archives() {
    local tree=$data/tree
    mkdir -p "$tree"
    if [ ! -e "$data/small.tar" ]; then
        say "Making an archive of 100 000 files" >&2
        head -c 409600000 /dev/urandom | (cd "$tree" && split -b 4096 -a 5 -d --additional-suffix=.data - file)
        tar -cf "$data/small.tar.new" -C "$tree" .
        mv "$data/small.tar.new" "$data/small.tar"
    fi
    if [ ! -e "$data/large.tar" ]; then
        say "Making an archive of 4 files of 512 MiB" >&2
        rm -rf "$tree" && mkdir "$tree"
        truncate -s 512M "$tree"/{one,two,three,four}
        tar -cf "$data/large.tar.new" -C "$tree" .
        mv "$data/large.tar.new" "$data/large.tar"
    fi
    rm -rf "$tree"
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
tee_crc() { build/examples/amrelay-tee 2>/dev/null; }
tee_index() { build/examples/amrelay-tee -i "$data/index" 2>/dev/null; }

# measure WRITER ARCHIVE WAY: prints the milliseconds of one run.
measure() {
    local TIMEFORMAT='%U %S' output=$data/lines-$3
    [[ $3 != tee_* && $3 != drop ]] || output=/dev/null
    # What the program prints goes through a pipe, as to Amanda's server.
    "$1" "$2" | { time "$3" 2>/dev/null; } 2>"$data/time" | cat >"$output"
    awk -v "setting=${2##*/}, writer: $1" -v "way=${3//_/ }" \
        '{ printf "index\t%s\t%s\tCPU ms\t%.0f\n", setting, way, ($1 + $2) * 1000 }' "$data/time"
}

# compare WRITER ARCHIVE WAY...
compare() {
    local round way
    cat "$2" >/dev/null
    for ((round = 0; round < AMRELAY_BENCH_ROUNDS; round++)); do
        for way in "${@:3}"; do measure "$1" "$2" "$way"; done
    done
}

make --no-print-directory --silent examples >&2
make_archives
for archive in "$data/small.tar" "$data/large.tar"; do
    for writer in copy lend; do
        compare "$writer" "$archive" index gnu_tar bsd_tar drop
        cmp "$data/lines-index" "$data/lines-gnu_tar"
    done
    compare copy "$archive" tee_index tee_crc
    cmp "$data/lines-index" "$data/index"
done
