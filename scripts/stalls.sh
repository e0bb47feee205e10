#!/bin/bash
# stalls.sh: a real Amanda makes three dumps at once through one amandad. As soon as the data of all three flows, the server's
# dumper of one is stopped (SIGSTOP). The other two must be completed while it stands still; then it goes on, must be completed
# too, and the index, the checksums and a restore of all three must be right.
#
# stalls.sh --unconnected: a dump is asked for by one who learns the ports and does not connect to them. While amandad waits for
# him, two dumps that were begun before must be completed, another one begun and completed, all of them right, though there are
# ports for the connections of two only. When its time is over, amandad must end the dump that nobody wants, and leave nothing.
#
# stalls.sh --hung: the server's dumpers of two dumps are killed, while a tar of the one and a sendbackup of the other hang. While
# amandad waits for their processes, a third dump must begin to send and be completed. The first must be ended by SIGTERM, the
# second be given up, and nothing be left once it goes on.
#
# stalls.sh --unread: the server's dumper of a dump that fits into the sockets' buffers is stopped, and goes on only when amandad has
# sent everything. Until then amandad must not end, and the dump must be completed by that dumper.
#
# stalls.sh --unacknowledged: a dump is asked for by one who leaves when the reply has come. The dump and amandad must end.
#
# stalls.sh --unextracted: a restore on the client, of more than the pipes, the sockets and amandad can hold, whose tar reads nothing
# before amandad has stopped reading. Nothing may be lost.
#
# stalls.sh --bench: both Amandas in turn. One figure a line: group, case, variant, metric and value, separated by tabs.
#   - the speed of two dumps beside a third that is stopped for STALL seconds, and of the same two alone;
#   - amandad's memory, processor time and wake-ups over ten seconds while all of its dumps are stopped.
# AMRELAY_BENCH_ROUNDS says how often (default 5), AMRELAY_BENCH_QUICK=yes takes less data, and two rounds.
#
# Variables, beside those of lib/common.sh:
#   AUTH   bsd (default): each stream has a connection of its own; bsdudp: the streams of one dump share one. Upstream's
#          amandad fails the check with bsdudp: it stands still as a whole, as it does with both when nobody connects or a dump
#          hangs. --unread is about bsdudp alone, --unacknowledged about bsdtcp alone, --unextracted about all but bsd, over which
#          Amanda restores nothing on a client. The bench takes both, a quick one bsd only.
#   LIMIT  seconds after which something counts as hanging (default 120)
#   DUMPS  how many dumps of four streams are stopped at once (default 8). Where upstream's amandad comes to have about 150
#          open descriptors, which is between 9 and 10 dumps, it may fail to start sendbackup; that measurement fails then.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
# shellcheck source=lib/bench-build.sh
. "$repository/scripts/lib/bench-build.sh"
: "${AUTH:=bsd}" "${LIMIT:=120}" "${DUMPS:=8}" "${AMRELAY_BENCH_QUICK:=no}"
case $AMRELAY_BENCH_QUICK in
    yes) : "${AMRELAY_BENCH_ROUNDS:=2}" "${STALL:=5}" "${MEGABYTES:=512}" ;;
    *) : "${AMRELAY_BENCH_ROUNDS:=5}" "${STALL:=20}" "${MEGABYTES:=1024}" ;;
esac

choose_run() { run=$build/run/$variant-stalls-$AUTH-$1; }

# in_sandbox ACTION...: this script again.
in_sandbox() {
    choose_run "$1"
    use_alone "$run"
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/stalls.sh" --inside "$@"
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
    case ${1-} in
        --bench) bench ;;
        '' | --unconnected | --hung | --unread | --unacknowledged | --unextracted)
            action=${1-check}
            build_for_backup openbsd-inetd
            in_sandbox "${action#--}"
            ;;
        *) die "there is no '$1'" ;;
    esac
    exit
fi
shift

# shellcheck disable=SC2034 # used by the parts below
SERVER=private PROGRAM=GNUTAR COMPRESS=none ENCRYPT=none
# Only an application extracts where it is told to; and it keeps amandad's pipe for what a service complains of.
# shellcheck disable=SC2034
[[ $1 != unextracted && $1 != unacknowledged ]] || PROGRAM=amgtar
choose_run "$1"
data=$run/data
failures=0
# Set by the part that chooses the server; used by others.
# shellcheck disable=SC2034 # server_config is used by the parts alone
server_config='' server_state=''
for part in server config kerberos network data dump verify restore client stall unconnected hung unread unacknowledged unextracted; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done

# restore NAME: its level 0, and compares it with the source.
restore() {
    mkdir -p "$run/restored/$1"
    extract "$run/images/$1.0" "$run/restored/$1"
    compare_trees "$1" "$run/logs/tree-$1" "$run/restored/$1"
}

# add_trees NAME...: they are to be dumped; what they are is kept for verify_dumps.
add_trees() {
    local name
    for name; do
        describe_tree "$data/$name" >"$run/logs/tree-$name"
        add_disk "$name" "$data/$name"
    done
}

# verify_dumps NAME...
verify_dumps() {
    local name
    keep_log 0
    say "Verifying"
    for name; do
        fetch_image "$name" 0
        verify_index "$name" 0
        verify_checksums "$name" 0
        restore "$name"
    done
}

check() {
    local names=(one two three)
    # The first one is more than the pipes and sockets between tar and dumper can hold.
    make_big "$data/one" 64
    make_many "$data/two" 2000
    make_big "$data/three" 64
    add_trees "${names[@]}"
    say "Three dumps at once"
    begin_dumps 1000000 3
    expect_one_amandad 3
    stop_dumpers one
    open_gate
    expect_done two three
    expect_standing one
    continue_dumpers one
    end_dumps
    verify_dumps "${names[@]}"
}

unconnected() {
    local names=(one two three)
    make_big "$data/one" 16
    make_many "$data/two" 500
    make_big "$data/three" 16
    add_trees "${names[@]}"
    # More than the pipes of a dump that nobody reads can hold.
    make_big "$data/unwanted" 16
    say "A dump that nobody connects to, beside two at once and one that follows them, with ports for two"
    limit_ports 2
    dumps_at_once 2
    begin_dumps 1000000 2
    expect_one_amandad 2
    ask_for_unwanted_dump
    refuse_port_20
    open_gate
    expect_done "${names[@]}"
    expect_waiting "${#names[@]}"
    end_dumps
    expect_given_up
    verify_dumps "${names[@]}"
}

hung() {
    local name names=(one two three) terminated abandoned
    for name in "${names[@]}"; do make_many "$data/$name" 500; done
    add_trees "${names[@]}"
    say "A dump beside two that hang and whose dumpers have gone"
    begin_dumps 0 3
    expect_one_amandad 3
    terminated=$(service_of one)
    abandoned=$(service_of three)
    hang "$(tar_of one)"
    hang "$abandoned"
    kill_dumpers one three
    open_gate
    expect_done two
    expect_hung "$abandoned"
    expect_terminated "$terminated"
    expect_abandoned "$abandoned"
    expect_ends
    end_failed_dumps
    verify_dumps two
}

unread() {
    make_many "$data/one" 60
    add_trees one
    say "A dump that is read only when all of it is sent"
    begin_dumps 0 1
    expect_one_amandad 1
    stop_dumpers one
    open_gate
    expect_staying
    continue_dumpers one
    expect_no_client_process "then amandad ends"
    end_dumps
    verify_dumps one
}

unacknowledged() {
    # More than the pipes of a dump that nobody reads can hold.
    make_big "$data/one" 16
    say "A dump whose server leaves before it acknowledges the reply"
    leave_after_reply
    expect_no_client_process "then the dump and amandad end"
}

unextracted() {
    make_big "$data/one" 64
    add_trees one
    say "A restore whose tar waits"
    run_amdump "$run/logs/amdump.out" || die "the dump failed; see ${run#"$repository"/}"
    start_restore one
    wait_until stands_still || wrong "amandad does not come to rest"
    open_gate
    expect_restored
    compare_trees one "$run/logs/tree-one" "$run/restored/one"
}

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
replace_tar "$repository/scripts/lib/gated-tar"
trap 'stop_network' EXIT
start_network
"$action" "$@"
stop_network
# A dump that is given up tells of errors.
case $action in unconnected | hung | unacknowledged) ;; *) verify_debug_files ;; esac
verify_nothing_left
[ "$failures" -eq 0 ] || die "$failures checks failed; see ${run#"$repository"/}"
case $action in
    check) say "A stopped dumper holds back its own dump alone" ;;
    unconnected) say "Who does not connect holds back his own dump alone" ;;
    hung) say "A dump that does not end holds back no other" ;;
    unread) say "What is sent arrives, however late it is read" ;;
    unacknowledged) say "Who leaves early leaves nothing behind" ;;
    unextracted) say "What is restored arrives, however late it is extracted" ;;
esac
