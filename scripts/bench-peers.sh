#!/bin/bash
# bench-peers.sh: measures what people would pick instead of Amanda, on the same data; what is measured, and how, says
# tests/amanda/bench_peers.py. All programs are Debian's; of Bacula, whose packages start daemons, they are unpacked below build/tools.
#
# Variables, beside those of lib/common.sh:
#   AMRELAY_BENCH_ROUNDS    how often (default 5)
#   AMRELAY_BENCH_QUICK     yes: half of the data
#   AMRELAY_BENCH_CASES     which data: big, small (default both)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

if [ "${1-}" = --inside ]; then
    cd "$repository"
    PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/amanda/bench_peers.py "${@:2}"
fi
for part in bench-build bench-data; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done
: "${AMRELAY_BENCH_ROUNDS:=5}" "${AMRELAY_BENCH_QUICK:=no}" "${AMRELAY_BENCH_CASES:=big small}"
need_memory_for backup
mkdir -p "$build/run" "$build/bench/data"
use_alone "$build/bench/data"
[ "$BUILT" = yes ] || build_for_bench >&2
build_programs
"$repository/scripts/packages.sh" named rsync borgbackup restic
"$repository/scripts/tools.sh" bacula-{common,fd,sd,director,console} bacula-{common,director}-sqlite3
arguments=("--rounds=$AMRELAY_BENCH_ROUNDS")
for data in $AMRELAY_BENCH_CASES; do
    use_data "$data"
    arguments+=("$tree")
done
as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/bench-peers.sh" --inside "${arguments[@]}"
