#!/bin/bash
# bench-index.sh [ROUNDS]: processor time (user + system) of listing an archive that comes from the page cache through a pipe:
# examples/amrelay-index, GNU tar with Amanda's sed, bsdtar; and of examples/amrelay-tee with CRC, without and with index.
#
# The programs take turns, so that a busy machine slows all of them; printed are the median, and the median of the ratios to
# the first of each group, each taken within one round. The writer is not counted: it is the same for all. One copies what
# it writes, as tar does; whoever drops that has to free the pages, which is then most of his work: "drop" shows it, which
# only splices everything to /dev/null. The other lends the pages of the cache. The archives stay in build/bench (2.6 GB).
# The ways to write and to list are called by their names:
# shellcheck disable=SC2317
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"
rounds=${1:-9}
data=$build/bench

# small.tar: 100 000 files of 4 KiB; large.tar: 4 files of 512 MiB.
make_archives() {
    local tree=$data/tree
    mkdir -p "$tree"
    if [ ! -e "$data/small.tar" ]; then
        say "Making an archive of 100 000 files"
        head -c 409600000 /dev/urandom | (cd "$tree" && split -b 4096 -a 5 -d --additional-suffix=.data - file)
        tar -cf "$data/small.tar.new" -C "$tree" .
        mv "$data/small.tar.new" "$data/small.tar"
    fi
    if [ ! -e "$data/large.tar" ]; then
        say "Making an archive of 4 files of 512 MiB"
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

# measure WAY WRITER ARCHIVE: appends the milliseconds of one run to a file.
measure() {
    local TIMEFORMAT='%U %S' output=$data/lines-$1
    [[ $1 != tee_* && $1 != drop ]] || output=/dev/null
    # What the program prints goes through a pipe, as to Amanda's server.
    "$2" "$3" | { time "$1" 2>/dev/null; } 2>"$data/time" | cat >"$output"
    awk '{ print ($1 + $2) * 1000 }' "$data/time" >>"$data/$1.ms"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

# compare WRITER ARCHIVE WAY...: the first way is what the others are set against.
compare() {
    local writer=$1 archive=$2 way first
    shift 2
    first=$1
    for way; do rm -f "$data/$way.ms"; done
    cat "$archive" >/dev/null
    for ((round = 0; round < rounds; round++)); do
        for way; do measure "$way" "$writer" "$archive"; done
    done
    for way; do
        printf '%-26s %8.0f ms  %6.3f times\n' "$writer ${archive##*/} $way" "$(median <"$data/$way.ms")" \
            "$(paste "$data/$way.ms" "$data/$first.ms" | awk '{ print $1 / $2 }' | median)"
    done
}

make --no-print-directory --silent examples
make_archives
for archive in "$data/small.tar" "$data/large.tar"; do
    for writer in copy lend; do
        compare "$writer" "$archive" index gnu_tar bsd_tar drop
        cmp "$data/lines-index" "$data/lines-gnu_tar"
    done
    compare copy "$archive" tee_crc tee_index
    cmp "$data/lines-index" "$data/index"
done
