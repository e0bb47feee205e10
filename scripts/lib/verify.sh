# shellcheck shell=bash disable=SC2154
# What must be true of a dump besides that it can be restored.

wrong() {
    printf '  WRONG: %s\n' "$*"
    failures=$((failures + 1))
}
right() { printf '  %s\n' "$*"; }

# error_lines FILE...: what in debug files tells of an error. Left out: amandad's children are reaped by whoever waits
# first; the last, empty frame of a stream that is being closed may find the peer gone; applications list the messages they know; an
# option of tar and one of the compiler have the word in their names.
error_lines() {
    gawk '{ gsub(/--ignore-failed-read|-Wno-error[-=a-z]*/, "") }
        match($0, /security_stream_close\((0x[0-9a-f]+)\)/, stream) { closed[FILENAME, stream[1]] = 1 }
        match($0, /security_stream_seterr\((0x[0-9a-f]+), write error to/, stream) && closed[FILENAME, stream[1]] { next }
        /(amgtar|ambsdtar): (NORMAL|ERROR) +[^ ]/ { next }
        /Waitpid for process [0-9]+ failed: No child processes$/ { next }
        tolower($0) ~ /error|fatal|critical|failed|panic|assert/' "$@"
}

# The debug files of the client's side of dumps. (amrecover's tell of every port it found in use.)
verify_debug_files() {
    local files found
    mapfile -t files < <(find "$run/debug/amandad" "$run/debug/client" -type f ! -name 'amrecover.*')
    found=$(error_lines "${files[@]}")
    if [ -n "$found" ]; then
        wrong "the client's debug files tell of errors:"
        head -n 10 <<<"$found"
    else
        right "no error in ${#files[@]} debug files of the client"
    fi
}

# Once inetd is gone, nothing of Amanda may be left: no process, no shared memory.
verify_nothing_left() {
    local left
    left=$(find /dev/shm -mindepth 1)
    [ -z "$left" ] || wrong "left in shared memory: $left"
    left=$(ps -e -o pid=,comm=,args= | gawk -v script="${0##*/}" '$2 != script && $2 !~ /^(ps|gawk|bash)$/')
    if [ -n "$left" ]; then
        wrong "still running:"
        echo "$left"
    else
        right "nothing left running, no shared memory left"
    fi
}
