#!/bin/bash
# bench-kernel-paths.sh [pacing|sizes...]: measures which paths through the kernel carry a backup stream at the lowest cost.
# docs/performance.md has the results.
#
# Compiles and runs benches/kernel-paths: process chains of writer | tee | relay -> TCP on loopback, whose variants take turns.
# Prints lines of group, case, variant, metric and value, separated by tabs. Everything else goes to standard error. As root, it
# also measures pipes of 4 MiB.
#
# Variables:
#   AMRELAY_BENCH_ROUNDS    number of rounds (default 5)
#   AMRELAY_BENCH_QUICK     yes: fewer cases
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
: "${AMRELAY_BENCH_ROUNDS:=5}" "${AMRELAY_BENCH_QUICK:=no}"
export AMRELAY_BENCH_ROUNDS AMRELAY_BENCH_QUICK
# shellcheck source=lib/bench-data.sh
. "$repository/scripts/lib/bench-data.sh"

# CRC-32C comes from the processor.
[ "$(uname -m)" = x86_64 ] || die "this measurement runs on x86_64 only"
use_alone "$build/bench/data"
mkdir -p "$build/bench/programs"
cc -std=gnu99 -D_GNU_SOURCE -O2 -msse4.2 -Wall -Wextra \
    "$repository"/benches/kernel-paths/*.c -o "$build/bench/programs/kernel-paths"

use_data small
export KERNEL_PATHS_SMALL_FILES=$tree
use_data big
export KERNEL_PATHS_BIG_FILES=$tree
exec "$build/bench/programs/kernel-paths" "$@"
