# shellcheck shell=bash disable=SC2154
# One run of the server.

# as_server COMMAND...: as the server's user, in its home, with nothing of root's environment.
as_server() {
    local home
    home=$(getent passwd "$server_user" | cut -d : -f 6)
    (cd "$home" && setpriv --reuid "$server_user" --regid "$server_user" --init-groups env -i "HOME=$home" LC_ALL=C \
        "PATH=$server_programs:/usr/bin:/bin" "$@")
}

# run_amdump OUTPUT: again where the driver has lost its holding disk.
run_amdump() {
    local attempt status
    for attempt in 1 2 3; do
        status=0
        as_server amdump daily >"$1" 2>&1 || status=$?
        [ $status -ne 0 ] || break
        lost_holding_disk || break
        say "The driver lost its holding disk to the planner (attempt $attempt)" >&2
    done
    return $status
}

# begin_amdump OUTPUT COMMAND...: the same in the background, as $amdump_pid: begins amdump, which the command runs, and waits until
# `begun`, a function of the caller's, succeeds. False if it does not.
begin_amdump() {
    local output=$1 attempt
    shift
    for attempt in 1 2 3; do
        rm -f "$server_state"/log/{log,amdump}.2*
        as_server "$@" >"$output" 2>&1 &
        amdump_pid=$!
        wait_until begun_or_lost || return 1
        ! begun || return 0
        say "The driver lost its holding disk to the planner (attempt $attempt)" >&2
        wait "$amdump_pid" || :
    done
    return 1
}

begun_or_lost() { begun || lost_holding_disk; }

# Whether the newest run's driver has no holding disk, so that nothing is dumped. Planner and driver both tidy it up when they
# start, and may meet there (upstream's 3.5 and its Debian package): one finds the lock that the other has just made, or the
# planner removes the folder that the driver has just made.
lost_holding_disk() {
    grep -qsE "Can't create '.*/pid': (File exists|No such file or directory)" "$(newest_log)"
}

# Log files are named by the time of the run; the log of the newest run sorts last.
newest_log() {
    local logs=("$server_state"/log/log.2*)
    [ ! -f "${logs[-1]}" ] || echo "${logs[-1]}"
}

# force_level LEVEL: makes the next run dump every entry at that level.
force_level() {
    local option=force
    [ "$1" -eq 0 ] || option=force-level-1
    as_server amadmin daily $option localhost >>"$run/logs/amadmin.out"
}
