#!/bin/bash
# bench-backup.sh: measures what one dump costs the client, with the patched Amanda, with upstream's, and with a bare chain.
#
# In each round each Amanda makes one amdump over bsdtcp on the loopback interface, at level 0, with an index, without compression.
# Both work in one sandbox and take turns with the floor (benches/floor.c) and tar alone. The processor time is that of all
# processes that inetd starts, which is the whole client (benches/client-cpu.c). The server estimates sizes by itself and the
# dump ends on a holding disk in memory, so that neither estimates nor tapes blur the figures.
# Prints lines of group, case, variant, metric and value, separated by tabs. All else goes to the standard error.
#
# Variables, beside those of lib/common.sh:
#   PROGRAM                 what reads the data: GNUTAR (default) or ambsdtar
#   AMRELAY_BENCH_ROUNDS    how often (default 5)
#   AMRELAY_BENCH_QUICK     yes: half of the data, calls counted once
#   AMRELAY_BENCH_CASES     which data: big, small (default both)
#   AMRELAY_BENCH_VARIANTS  what is measured: patched, upstream, floor, tar, calls (default all; the calls of ambsdtar, which is set-uid,
#                           cannot be counted, see lib/bench-amanda.sh)
# The other files' variables, and functions called by their names:
# shellcheck disable=SC2034,SC2154,SC2317
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
# shellcheck source=lib/bench-build.sh
. "$repository/scripts/lib/bench-build.sh"
: "${AMRELAY_BENCH_ROUNDS:=5}" "${AMRELAY_BENCH_QUICK:=no}" "${AMRELAY_BENCH_CASES:=big small}"
: "${PROGRAM:=GNUTAR}"
case $PROGRAM in
    GNUTAR) group=backup variants='patched upstream floor tar calls' ;;
    ambsdtar) group=ambsdtar variants='patched upstream floor tar' ;;
    *) die "PROGRAM is '$PROGRAM'; it must be GNUTAR or ambsdtar" ;;
esac
: "${AMRELAY_BENCH_VARIANTS:=$variants}"

if [ "${1-}" != --inside ]; then
    need_memory_for backup
    # The data is made in the sandbox; its folder stays the user's, for other scripts.
    mkdir -p "$build/run" "$build/bench/data"
    use_alone "$build/bench/data"
    [ "$BUILT" = yes ] || build_for_bench >&2
    build_programs
    settings=(PROGRAM AMRELAY_BENCH_ROUNDS AMRELAY_BENCH_QUICK AMRELAY_BENCH_CASES AMRELAY_BENCH_VARIANTS)
    export "${settings[@]}"
    handed_on+=("${settings[@]}")
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/bench-backup.sh" --inside
    exit
fi

for part in server config network dump bench-data bench-amanda; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done

# result VARIANT METRIC VALUE
result() { printf '%s\t%s\t%s\t%s\t%s\n' "$group" "$label" "$1" "$2" "$3"; }

# per_gib AMOUNT: of the $bytes of the last stream.
per_gib() { gawk "BEGIN { printf \"%.4f\", ($1) / ($bytes / 1073741824) }"; }

measure_amanda() {
    use_amanda "$1"
    dump_measured "$tree"
    result "$1" 'CPU s/GiB' "$(per_gib "$client_cpu")"
    result "$1" 'elapsed s' "$elapsed"
}

measure_patched() { measure_amanda patched; }
measure_upstream() { measure_amanda upstream; }

# run_chain [--alone] [COUNTER...]: the floor, or tar alone; sets $client_cpu, $elapsed and $bytes. The arguments of tar are those of
# start_backup in Amanda's client-src/sendbackup-gnutar.c, or of ambsdtar_build_argv in application-src/ambsdtar.c.
run_chain() {
    local user system tar=(tar --listed-incremental "$build/bench/snapshot" --sparse --ignore-failed-read)
    [ "$PROGRAM" = GNUTAR ] || tar=(bsdtar --options=hdrcharset=BINARY)
    rm -f "$build/bench/snapshot"
    read -r user system elapsed bytes < <("$programs/floor" "$@" "${tar[@]}" --create --file - --directory "$tree" --one-file-system \
        --totals . 2>"$build/bench/floor.log") ||
        die "$(cat "$build/bench/floor.log")"
    client_cpu="$user + $system"
}

measure_chain() {
    run_chain "${@:2}"
    result "$1" 'CPU s/GiB' "$(per_gib "$client_cpu")"
    result "$1" 'elapsed s' "$elapsed"
}

measure_floor() { measure_chain floor; }
measure_tar() { measure_chain 'tar alone' --alone; }

# System calls, of the big files only, in dumps that are not timed.
measure_calls() {
    local kind calls tar_calls file=$build/bench/calls
    [ "$data" = big ] || return 0
    [ "$AMRELAY_BENCH_QUICK" != yes ] || [ "$round" -eq 1 ] || return 0
    run_chain --alone "${count_calls[@]}" -o "$file"
    tar_calls=$(calls_in "$file")
    result 'tar alone' 'calls/GiB' "$(per_gib "$tar_calls")"
    for kind in patched upstream; do
        use_amanda $kind
        rm -f "$run/logs/calls"
        counted=yes dump_measured "$tree"
        calls=$(calls_in "$run/logs/calls")
        result $kind 'calls/GiB' "$(per_gib "$calls + $tar_calls")"
        result $kind 'calls/GiB without tar' "$(per_gib "$calls")"
    done
}

trap 'stop_network' EXIT
use_usual_congestion_control
prepare_amandas
for data in $AMRELAY_BENCH_CASES; do
    use_data "$data"
    for ((round = 1; round <= AMRELAY_BENCH_ROUNDS; round++)); do
        say "$label, round $round of $AMRELAY_BENCH_ROUNDS" >&2
        for what in $AMRELAY_BENCH_VARIANTS; do
            "measure_$what"
        done
    done
done
