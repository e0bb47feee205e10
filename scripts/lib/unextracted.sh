# shellcheck shell=bash disable=SC2154
# A restore on the client (amfetchdump --extract-client) whose tar reads nothing for a while.

# start_restore NAME: of its level 0, where `restore` puts it; waits until tar is at the gate.
start_restore() {
    local target=$run/restored/$1
    close_gate
    mkdir -p "$target"
    as_server "$server_programs/amfetchdump" -a --extract-client=localhost --target "$target" daily localhost "$1" \
        >"$run/logs/amfetchdump.out" 2>&1 &
    restore_pid=$!
    wait_until at_gate 1 || die "the restore did not start; see ${run#"$repository"/}"
}

# What all amandads have read so far.
bytes_read() {
    local pid
    for pid in $(pgrep -x amandad); do cat "/proc/$pid/io"; done | gawk '/^rchar/ { sum += $2 } END { print sum }'
}

# Whether amandad has read nothing more for a second.
stands_still() {
    local before
    before=$(bytes_read)
    sleep 1
    [ "$(bytes_read)" = "$before" ]
}

expect_restored() {
    local status=0
    wait "$restore_pid" || status=$?
    if [ $status -eq 0 ]; then
        right "amfetchdump ended with status 0"
    else
        wrong "amfetchdump ended with status $status"
        tail -n 10 "$run/logs/amfetchdump.out"
    fi
}
