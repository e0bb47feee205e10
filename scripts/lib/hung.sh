# shellcheck shell=bash disable=SC2154
# Dumps whose processes hang, and whose dumpers leave them. A stopped process stands for one that waits for a slow disk: no
# signal but SIGKILL ends it until it goes on.

hung=()

# The tar of NAME, which waits at the gate.
tar_of() {
    local file
    file=$(grep -lxF "$(folder_of "$1")" "$gate"/tars/*)
    echo "${file##*/}"
}

# The process that amandad started for the dump of NAME: the ancestor of its tar that is a child of amandad.
service_of() {
    local pid parent
    pid=$(tar_of "$1")
    while parent=$(ps -o ppid= -p "$pid") && parent=${parent// /} && [ "$parent" -ne "$amandad_pid" ]; do pid=$parent; done
    echo "$pid"
}

hang() {
    kill -STOP "$1"
    hung+=("$1")
    wait_until is_stopped "$1" || die "process $1 does not stop"
}

# kill_dumpers NAME...: amandad notices of the first one at least that DATA and INDEX have closed, and ends that service.
kill_dumpers() {
    local name killed=() before closed='process_writenetfd [0-9]+: (0|-1)$'
    before=$(amandad_wrote "$closed")
    for name; do killed+=("$(dumper_of "$name")"); done
    kill -KILL "${killed[@]}"
    wait_until amandad_wrote_more $((before + 1)) "$closed" || die "amandad did not see that the dumper has gone"
}

# Upstream's words are the second ones.
is_given_up() { amandad_wrote_more 0 "[Pp]rocess $1 (does not end: given up|failed to exit)"; }

# expect_hung PID: amandad has not yet given it up.
expect_hung() {
    if is_given_up "$1"; then
        wrong "amandad gave process $1 up first"
    else
        right "all that while amandad waited for process $1"
    fi
}

# expect_terminated PID: it was ended by SIGTERM, and amandad reaped it.
expect_terminated() {
    if wait_until amandad_wrote_more 0 "process $1 has ended after all" && [ "$(amandad_wrote "process $1 does not end: SIGTERM")" -eq 1 ]; then
        right "process $1, whose tar hangs, got SIGTERM and was reaped"
    else
        wrong "process $1, whose tar hangs, did not end by SIGTERM"
    fi
}

# expect_abandoned PID: amandad gave it up. It was its last service: then amandad ends.
expect_abandoned() {
    if ! wait_until is_given_up "$1"; then
        wrong "amandad did not give up process $1"
    elif ! wait_until amandad_ended; then
        wrong "amandad has not ended"
    elif ! is_stopped "$1"; then
        wrong "process $1 does not hang any more"
    else
        right "process $1, which SIGTERM does not end, was given up; then amandad ended"
    fi
}

# What hung goes on, and has nobody left to write to.
expect_ends() {
    kill -CONT "${hung[@]}"
    expect_no_client_process "once they go on, the hung processes end"
}

# Waits until amdump ends, which tells of the dumps that failed. A chunker leaves the memory that it shared with a killed dumper;
# its names tell whose it is.
end_failed_dumps() {
    local pid
    wait "$amdump_pid" || :
    while read -r pid; do
        rm -f /dev/shm/*-"$pid"-*
    done < <(sed -nE 's/^driver: started chunker[0-9]+ pid ([0-9]+)$/\1/p' "$server_state"/log/amdump.2*)
}
