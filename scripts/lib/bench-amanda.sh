# shellcheck shell=bash disable=SC2034,SC2154
# Two Amandas in one sandbox, and dumps whose client processes are measured.

# What the other parts are to do; PROGRAM is the caller's.
AUTH=bsdtcp COMPRESS=none ENCRYPT=none SERVER=private
counted=no

# use_amanda patched|upstream: makes the variables of the other parts speak of that one.
use_amanda() {
    AMANDA_PREFIX=$build/prefix-${1/patched/relay}
    run=$build/run/bench-$1
    choose_server
}

# prepare_amandas: once in a sandbox.
prepare_amandas() {
    local kind
    for kind in patched upstream; do
        use_amanda $kind
        prepare_run
        mount -t tmpfs -o "mode=700,uid=$(id -u "$AMANDA_USER"),gid=$(id -g "$AMANDA_USER")" tmpfs "$server_state/holding"
        measured_settings >>"$server_config/amanda.conf"
        install -o "$AMANDA_USER" -m 644 /dev/null "$run/logs/client.times"
    done
}

# So many percent of a tape are never reached: dumps stay on the holding disk.
measured_settings() {
    cat <<END_OF_SETTINGS
flush-threshold-scheduled 1000
flush-threshold-dumped 1000
taperflush 1000
autoflush yes
define dumptype measured {
    loopback
    estimate server
    dumpcycle 0
}
END_OF_SETTINGS
}

count_calls=(perf stat '-x,' -e raw_syscalls:sys_enter)

# calls_in FILE...: the sum of what perf counted.
calls_in() { gawk -F , '$3 == "raw_syscalls:sys_enter" { sum += $1 } END { print sum }' "$@"; }

# The launcher takes amandad's place in the line of lib/network.sh. $counted=yes puts perf between them, as root's, and it counts
# system calls. The kernel takes its counter from a program that is set-uid (runtar), so that those of tar --create are missing.
# strace would see them, but would make tar so slow that all who read from it find little at a time and call more often.
inetd_line() {
    local user=$AMANDA_USER amandad=$AMANDA_PREFIX/libexec/amanda/amandad program
    program="$amandad amandad"
    if [ "$counted" = yes ]; then
        user=root
        program="$(command -v perf) ${count_calls[*]} -o $run/logs/calls --append"
        program+=" setpriv --reuid=$AMANDA_USER --regid=$AMANDA_USER --init-groups $amandad"
    fi
    echo "amanda stream tcp nowait $user $programs/client-cpu client-cpu $run/logs/client.times $program -auth=$AUTH amdump"
}

# dump_measured DIRECTORY: one amdump of it; sets $client_cpu, $elapsed (seconds, by the dumper's clock) and $bytes.
dump_measured() {
    local name=${1##*/} log kilobytes
    echo "localhost $name $1 measured" >"$server_config/disklist"
    : >"$run/logs/client.times"
    # More than any dump here.
    warm_holding 2304
    start_network
    run_amdump "$run/logs/amdump.out" || {
        cat "$run/logs/amdump.out" "$(newest_log)" >&2
        die "amdump ended with an error"
    }
    # The client may still be ending.
    flock -w 60 "$run/logs/client.times" true || die "processes of the client do not end"
    stop_network
    rm -rf "$server_state"/holding/*
    log=$(newest_log)
    read -r elapsed kilobytes < <(sed -nE 's/^SUCCESS dumper .*\[sec ([0-9.]+) kb ([0-9]+) .*/\1 \2/p' "$log") ||
        die "no dump in $log"
    bytes=$((kilobytes * 1024))
    client_cpu=$(gawk '{ sum += $1 + $2 } END { print sum }' "$run/logs/client.times")
}
