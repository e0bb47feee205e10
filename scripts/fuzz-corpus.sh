#!/bin/bash
# fuzz-corpus.sh FOLDER: makes the seeds of the fuzz targets: in FOLDER/archives small archives of every program and format on
# this machine, in FOLDER/programs sequences of actions, in FOLDER/tokens Amanda's tokens.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
corpus=${1:?which folder?}
mkdir -p "$corpus"/{archives,programs,tokens}
corpus=$(cd "$corpus" && pwd)

# Any bytes are a sequence of actions. Each set of tokens starts with the lengths of its pieces.
python3 - "$corpus" <<'PYTHON'
import random
import struct
import sys

for number in range(64):
    dice = random.Random(number)
    with open(f"{sys.argv[1]}/programs/{number}", "wb") as file:
        file.write(dice.randbytes(8 * (number + 1)))
    with open(f"{sys.argv[1]}/tokens/{number}", "wb") as file:
        file.write(dice.randbytes(8))
        for _ in range(dice.randrange(6)):
            length = dice.choice([0, 1, 9, 60, 4 << 20, 4 << 20 | 1, 0x47455420])
            payload = dice.randbytes(min(length, 60))
            file.write(struct.pack(">II", length, dice.choice([0, 1, 500001, 0xFFFFFFFF])) + payload)
PYTHON

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
cd "$tree"
deep=some/folder/$(printf 'd%.0s' {1..120})
mkdir -p "$deep"
printf 'body' >some/file
head -c 1300 /dev/zero | tr '\0' x >some/larger
printf 'x' >$'some/new\nline\\and\377'
printf 'x' >"$deep/$(printf 'n%.0s' {1..140})"
ln -s "$(printf 't%.0s' {1..130})" some/soft
ln some/file some/hard
mkfifo some/fifo
for piece in 0 1 2 3 4 5 6; do
    printf 'data' | dd of=sparse bs=1 seek=$((piece * 8192)) conv=notrunc status=none
done

# made NAME COMMAND...: the command's output is one archive.
made() {
    local name=$1
    shift
    LC_ALL=C "$@" >"$corpus/archives/$name" 2>/dev/null || [ -s "$corpus/archives/$name" ] || die "no archive: $*"
}

for format in gnu oldgnu posix ustar v7; do
    made "$format" tar -b 1 -cf - --format="$format" some
done
for format in gnu oldgnu posix; do
    made "$format-incremental" tar -b 1 -cf - --format="$format" --sparse --listed-incremental="$tree/$format.snar" some sparse
    made "$format-label" tar -b 1 -cf - --format="$format" --label=a.label some/file
    made "$format-incremental-2" tar -b 1 -cf - --format="$format" --listed-incremental="$tree/$format.snar" some sparse
done
for version in 0.0 0.1 1.0; do
    made "sparse-$version" tar -b 1 -cf - --format=posix --sparse --sparse-version="$version" sparse some/file
done
made global tar -b 1 -cf - --format=posix --pax-option=comment=any,path:=./renamed some/file some/hard
for format in gnutar pax ustar v7; do
    made "bsdtar-$format" bsdtar -b 1 -cf - --format "$format" some
done
made busybox busybox tar -cf - some
made cpio bash -c 'find some | cpio --quiet -H ustar -o'
made python python3 -c 'import sys, tarfile; tarfile.open(fileobj=sys.stdout.buffer, mode="w|").add("some")'
say "$(find "$corpus" -type f | wc -l) seeds in $corpus"
