#!/bin/bash
# bench-stalls.sh: both Amandas in turn. One figure a line: group, case, variant, metric and value, separated by tabs.
#   - the speed of two dumps beside a third that is stopped for STALL seconds, and of the same two alone;
#   - amandad's memory, processor time and wake-ups over ten seconds while all of its dumps are stopped.
# AMRELAY_BENCH_ROUNDS says how often (default 5), AMRELAY_BENCH_QUICK=yes takes less data, and two rounds.
#
# Variables, beside those of lib/common.sh:
#   LIMIT  seconds after which something counts as hanging (default 120)
#   DUMPS  how many dumps of four streams are stopped at once (default 8). Where upstream's amandad comes to have about 150
#          open descriptors, which is between 9 and 10 dumps, it may fail to start sendbackup; that measurement fails then.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
# shellcheck source=lib/bench-build.sh
. "$repository/scripts/lib/bench-build.sh"
: "${LIMIT:=120}" "${DUMPS:=8}" "${AMRELAY_BENCH_QUICK:=no}"
case $AMRELAY_BENCH_QUICK in
    yes) : "${AMRELAY_BENCH_ROUNDS:=2}" "${STALL:=5}" "${MEGABYTES:=512}" ;;
    *) : "${AMRELAY_BENCH_ROUNDS:=5}" "${STALL:=20}" "${MEGABYTES:=1024}" ;;
esac

choose_run() { run=$build/run/$variant-stalls-$AUTH-$1; }

# in_sandbox ACTION...: this script again.
in_sandbox() {
    choose_run "$1"
    use_alone "$run"
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/bench-stalls.sh" --inside "$@"
}

# Each measurement has a sandbox of its own. Which speed is measured first changes from round to round.
bench() {
    local round kind order=(beside alone) auths=(bsd bsdudp)
    [ "$AMRELAY_BENCH_QUICK" = no ] || auths=(bsd)
    need_memory_for stalls
    [ "$BUILT" = yes ] || build_for_bench >&2
    for ((round = 1; round <= AMRELAY_BENCH_ROUNDS; round++)); do
        say "Stalls: round $round of $AMRELAY_BENCH_ROUNDS" >&2
        for kind in yes upstream; do
            variant=${kind/yes/relay}
            export AMRELAY=$kind AMANDA_PREFIX=$build/prefix-$variant
            for AUTH in "${auths[@]}"; do in_sandbox speed "${order[@]}"; done
            AUTH=bsd in_sandbox idle "$DUMPS"
        done
        order=("${order[1]}" "${order[0]}")
    done
}

if [ "${1-}" != --inside ]; then
    export AUTH LIMIT STALL MEGABYTES
    handed_on+=(AUTH LIMIT STALL MEGABYTES)
    bench
    exit
fi
shift

# shellcheck disable=SC2034 # used by the parts below
SERVER=private PROGRAM=GNUTAR COMPRESS=none ENCRYPT=none
choose_run "$1"
data=$run/data
failures=0
# Set by the part that chooses the server; used by others.
# shellcheck disable=SC2034 # server_config is used by the parts alone
server_config='' server_state=''
for part in server config network data dump verify client stall; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done

# figure CASE METRIC VALUE
figure() { printf 'stalls\t%s\t%s\t%s\t%s\n' "$AUTH, $1" "${variant/relay/patched}" "$2" "$3" >&"$figures"; }

# How many MB/s the dumps of two and three make together, from the opening of the gate to the end of the second.
measure_speed() {
    local start timeout_at
    warm_holding $((MEGABYTES * 3))
    open_gate
    start=$EPOCHREALTIME
    timeout_at=$((SECONDS + LIMIT))
    until is_done two three; do
        [ $SECONDS -lt $timeout_at ] || die "the dumps are not completed in time"
        sleep 0.01
    done
    image_bytes two three | gawk -v start="$start" -v end="$EPOCHREALTIME" '{ bytes += $1 } END { printf "%.1f\n", bytes / (end - start) / 1e6 }'
}

speed_beside() {
    local waker
    begin_dumps 0 3
    expect_one_amandad 3
    stop_dumpers one
    (sleep "$STALL" && continue_dumpers one) &
    waker=$!
    beside=$(measure_speed)
    wait $waker
    end_dumps
}

speed_alone() {
    begin_dumps 0 2 two three
    expect_one_amandad 2
    alone=$(measure_speed)
    end_dumps
}

# speed ORDER...: both speeds, from memory to memory.
speed() {
    local name beside='' alone=''
    use_usual_congestion_control
    keep_in_memory
    for name in one two three; do
        mkdir -p "$data/$name"
        write_random "$data/$name/file" "$MEGABYTES"
        add_disk "$name" "$data/$name"
    done
    for name; do
        "speed_$name"
        # The second one is to find as much free memory as the first.
        rm -rf "$server_state"/holding/*
    done
    figure 'two dumps, a third one stopped' MB/s "$beside"
    figure 'two dumps alone' MB/s "$alone"
    figure 'two dumps, a third one stopped' 'of the speed alone' "$(gawk "BEGIN { print $beside / $alone }")"
}

# idle COUNT: so many dumps of four streams each, all of whose dumpers are stopped, so that nothing can move.
idle() {
    local count=$1 names=() number before after metric first second
    keep_in_memory
    mkdir -p "$data/same"
    write_random "$data/same/file" 32
    for ((number = 1; number <= count; number++)); do
        names+=("same$number")
        add_disk "same$number" "$data/same"
    done
    dumps_at_once "$count"
    begin_dumps 0 "$count"
    expect_one_amandad "$count"
    stop_dumpers "${names[@]}"
    open_gate
    wait_until is_quiet || say "the client does not come to rest" >&2
    before=$(costs)
    sleep 10
    after=$(costs)
    paste <(echo "$before") <(echo "$after") | while IFS=$'\t' read -r metric first _ second; do
        case $metric in
            *MiB) figure "$count dumps, all stopped" "$metric" "$first" && figure "$count dumps, all stopped" "$metric 10 s later" "$second" ;;
            *) figure "$count dumps, all stopped" "$metric in 10 s" $((second - first)) ;;
        esac
    done
    expect_standing "${names[@]}"
    continue_dumpers "${names[@]}"
    end_dumps
}

action=$1
shift
# Standard output is the figures' where there are some.
exec {figures}>&1
case $action in speed | idle) exec >&2 ;; esac
prepare_run
replace_tar "$repository/tests/amanda/stand_ins/gated-tar"
trap 'stop_network' EXIT
start_network
"$action" "$@"
stop_network
verify_debug_files
verify_nothing_left
[ "$failures" -eq 0 ] || die "$failures checks failed; see ${run#"$repository"/}"
