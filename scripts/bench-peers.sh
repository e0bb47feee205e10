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

for part in bench-build bench-data; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done
prepare_backups
"$repository/scripts/packages.sh" named rsync borgbackup restic
"$repository/scripts/tools.sh" bacula-{common,fd,sd,director,console} bacula-{common,director}-sqlite3
measure_data bench_peers.py "--rounds=$AMRELAY_BENCH_ROUNDS"
