#!/bin/bash
# bench-backup.sh: measures what one dump costs the client, with the patched Amanda, with upstream's, and with a bare chain.
# tests/amanda/bench_backup.py says what is measured, and how.
# Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error.
#
# Variables, in addition to those of lib/common.sh:
#   PROGRAM                 what reads the data: GNUTAR (default), ambsdtar or amgtar
#   AMRELAY_BENCH_ROUNDS    number of rounds (default 5)
#   AMRELAY_BENCH_QUICK     yes: half the data, system calls counted once
#   AMRELAY_BENCH_CASES     data sets: big, small (default both)
#   AMRELAY_BENCH_VARIANTS  what is measured: patched, upstream, floor, one-hop, tar, calls (default all; with ambsdtar no calls,
#                           with amgtar only the first two), or
#                           records (patched, by the size of the records)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

for part in bench-build bench-data; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done
prepare_backups
arguments=("--program=${PROGRAM:-GNUTAR}" "--rounds=$AMRELAY_BENCH_ROUNDS")
[ "$AMRELAY_BENCH_QUICK" != yes ] || arguments+=(--quick)
# Words, separated by blanks.
# shellcheck disable=SC2206
[ -z "${AMRELAY_BENCH_VARIANTS-}" ] || arguments+=(--variants $AMRELAY_BENCH_VARIANTS --)
measure_data bench_backup.py "${arguments[@]}"
