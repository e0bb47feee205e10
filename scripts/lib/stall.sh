# shellcheck shell=bash disable=SC2154
# Dumps that wait at a gate (see gated-tar), and dumpers of the server that are stopped.

gate=/run/amrelay/gate
amdump_options=()
# DATA, MESG, INDEX and STATE
connections_of_dump=4
[ "$AUTH" = bsd ] || connections_of_dump=1

# begin_dumps BYTES COUNT [NAME...]: starts amdump, of all disk list entries or those named, and waits until COUNT of them are
# at the gate, BYTES of each having passed.
begin_dumps() {
    local bytes=$1
    dumps_to_begin=$2
    shift 2
    close_gate
    echo "$bytes" >$gate/bytes
    force_level 0
    begin_amdump "$run/logs/amdump.out" amdump daily "${amdump_options[@]}" ${1:+localhost "$@"} ||
        die "the dumps did not start; see ${run#"$repository"/}"
}

# See begin_amdump.
begun() { at_gate "$dumps_to_begin"; }

# dumps_at_once COUNT
dumps_at_once() {
    sed -i -e "s/^inparallel .*/inparallel $1/" -e "s/^    maxdumps .*/    maxdumps $1/" "$server_config/amanda.conf"
}

at_gate() { [ "$(find $gate/tars -type f | wc -l)" -eq "$1" ]; }
open_gate() { touch $gate/open; }
close_gate() {
    rm -rf $gate
    mkdir -p $gate/tars
    chmod 1777 $gate $gate/tars
}

# Waits until amdump ends. It says with its status whether every dump was right; one that failed may have been repeated.
end_dumps() {
    local status=0
    wait "$amdump_pid" || status=$?
    if [ $status -eq 0 ] && ! grep -q ^FAIL "$(newest_log)"; then
        right "amdump ended with status 0, and no dump has failed"
    else
        wrong "amdump ended with status $status"
        grep -E '^(FAIL|STRANGE|FATAL|ERROR|\?|  )' "$(newest_log)" || :
    fi
}

# The data, and dumps that go to the holding disk and no further, cost no disk from now on.
keep_in_memory() {
    mkdir -p "$data"
    mount -t tmpfs -o mode=755,size=50% tmpfs "$data"
    mount -t tmpfs -o "mode=755,uid=$(id -u "$server_user"),size=50%" tmpfs "$server_state/holding"
    # Without a tape only what is not reserved for incremental dumps may be used.
    amdump_options=(--no-taper -oreserve=0)
}

# The process that dumps NAME, as the driver's log tells it.
dumper_of() {
    gawk -v name="$1" '/^driver: started dumper/ { pid[$3] = $5 }
        match($0, /^driver: send-cmd .* to (dumper[0-9]+): [A-Z]+-DUMP .* localhost [0-9a-f]+ ([^ ]+) /, field) && field[2] == name {
            found = pid[field[1]]
        }
        END { if (found) print found; else exit 1 }' "$server_state"/log/amdump.2*
}

dumpers_are_stopped() {
    local name
    for name; do is_stopped "$(dumper_of "$name")" || return 1; done
}

stop_dumpers() {
    local name
    for name; do kill -STOP "$(dumper_of "$name")"; done
    wait_until dumpers_are_stopped "$@" || die "the dumper does not stop"
}

continue_dumpers() {
    local name
    for name; do kill -CONT "$(dumper_of "$name")"; done
}

# is_done NAME...: whether their dumpers have reported success.
is_done() {
    local name log
    log=$(<"$(newest_log)")
    for name; do [[ $log = *"SUCCESS dumper localhost $name "* ]] || return 1; done
}

# Nothing of these dumps is completed, and tar cannot get rid of what it reads.
expect_standing() {
    local name tar
    dumpers_are_stopped "$@" || wrong "not all of these dumpers stand still: $*"
    for name; do ! is_done "$name" || wrong "$name: completed without its dumper"; done
    while read -r tar; do
        [ -e "/proc/${tar##*/}" ] || wrong "$1: tar has ended without a reader"
    done < <(grep -lxF "$(folder_of "$1")" $gate/tars/*)
    right "standing still: $*"
}

folder_of() { gawk -v name="$1" '$2 == name { print $3 }' "$server_config/disklist"; }

# The amandad that serves the dumps: the parent of those sendbackups whose parent is one.
dumping_amandad() {
    ps -e -o pid=,ppid=,comm= | gawk '{ name[$1] = $3; parent[$1] = $2 }
        END { for (pid in name) if (name[pid] == "sendbackup" && name[parent[pid]] == "amandad") print parent[pid] }' | sort | uniq -c
}

# accepted COUNT: whether amandad has accepted so many connections for streams.
accepted() {
    [ "$(cat "$run"/debug/amandad/*.debug | grep -c " pid $amandad_pid: .* stream_accept: connection from")" -eq "$1" ]
}

# expect_one_amandad COUNT: one process serves COUNT dumps, and has all their connections: a dump can be at the gate before that, and
# a dumper that was stopped before it connects is given up after half a minute (until then upstream's amandad does nothing else).
expect_one_amandad() {
    local found
    found=$(dumping_amandad)
    amandad_pid=${found##* }
    wait_until accepted $(($1 * connections_of_dump)) || wrong "amandad did not accept $connections_of_dump connections for each dump"
    if [ "$(wc -l <<<"$found")" -eq 1 ] && [ "${found% *}" -eq "$1" ]; then
        right "one amandad serves $1 dumps"
    else
        wrong "$1 dumps have these amandads: $found"
    fi
}

# image_bytes NAME...: how large the dumps were, one number a line.
image_bytes() {
    local name
    for name; do
        sed -nE "s/^SUCCESS dumper localhost $name [0-9]+ 0 [0-9a-f]+:([0-9]+) .*/\1/p" "$(newest_log)"
    done
}

# ticks PID...: processor time, user's and system's, in clock ticks. The name in parentheses holds no blank.
ticks() {
    local pid
    for pid; do cat "/proc/$pid/stat"; done | gawk '{ sum += $14 + $15 } END { print sum + 0 }'
}

# How often the threads of amandad have gone to sleep of their own accord: once for each time they woke up.
wake_ups() { gawk '/^voluntary_ctxt_switches/ { sum += $2 } END { print sum }' "/proc/$amandad_pid/task"/*/status; }

# What amandad has cost so far: a metric and its value a line.
costs() {
    local clients
    mapfile -t clients < <(client_processes)
    printf 'amandad: resident MiB\t%s\n' "$(gawk '/^VmRSS/ { printf "%.1f", $2 / 1024 }' "/proc/$amandad_pid/status")"
    printf 'amandad: CPU ticks\t%s\n' "$(ticks "$amandad_pid")"
    printf 'amandad: wake-ups\t%s\n' "$(wake_ups)"
    printf 'all client processes: CPU ticks\t%s\n' "$(ticks "${clients[@]}")"
}

# Whether nothing of amandad or of its dumps has used the processor for three seconds.
is_quiet() {
    local before
    before=$(costs)
    sleep 3
    [ "$(costs)" = "$before" ]
}
