# shellcheck shell=bash disable=SC2154
# What must be true of a dump besides that it can be restored.

wrong() {
    printf '  WRONG: %s\n' "$*"
    failures=$((failures + 1))
}
right() { printf '  %s\n' "$*"; }

# fetch_image NAME LEVEL: the dump as the backup program wrote it, decoded if need be, in $run/images.
fetch_image() {
    local log=$run/logs/amfetchdump-$1-$2.out try
    mkdir -p "$run/images"
    # amfetchdump checks the checksums of tape, header and log on its way. On a busy machine upstream's restore can find
    # itself asked for a part before it has noted that it is paused, and aborts: that, and nothing else, is tried again.
    for try in 1 2 3; do
        as_server amfetchdump -a -p daily localhost "$1" "$(cat "$run/logs/stamp-$2")" "$2" \
            >"$run/images/$1.$2" 2>"$log" && return
        grep -q 'start_part_impl: assertion failed' "$log" || break
    done
    cat "$log"
    die "amfetchdump could not read level $2 of $1 (try $try)"
}

# The index of one dump as the server keeps it. It is sorted only when somebody asks for it.
server_index() {
    local base
    base=$server_state/index/localhost/$1/$(cat "$run/logs/stamp-$2")_$2
    if [ -f "$base-unsorted.gz" ]; then
        gzip -dc "$base-unsorted.gz" | LC_ALL=C sort
    else
        gzip -dc "$base-sorted.gz"
    fi
}

# What upstream's index pipeline prints for an image, whatever made it.
expected_index() {
    case $PROGRAM in
        GNUTAR | amgtar) LC_ALL=C tar -tf - 2>/dev/null <"$1" | LC_ALL=C sed -e 's/^\.//' ;;
        ambsdtar) LC_ALL=C bsdtar tf - 2>/dev/null <"$1" | LC_ALL=C sed -e 's/^.//' ;;
        DUMP)
            # The sed script is LEAF_AND_DIRS of Amanda's client-src/sendbackup-dump.c.
            LC_ALL=C restore -tvf - 2>&1 <"$1" | LC_ALL=C sed -e 's/^leaf[ \t]*[0-9]*[ \t]*\.//' -e t \
                -e '/^dir[ \t]/ {' -e 's/^dir[ \t]*[0-9]*[ \t]*\.//' -e 's%$%/%' -e t -e '}' -e d
            ;;
    esac
}

verify_index() {
    local wanted=$run/logs/index-$1-$2.expected got=$run/logs/index-$1-$2.server
    expected_index "$run/images/$1.$2" | LC_ALL=C sort >"$wanted"
    server_index "$1" "$2" >"$got"
    if [ ! -s "$wanted" ]; then
        wrong "level $2 of $1: nothing to compare the index with"
    elif cmp -s "$wanted" "$got"; then
        right "level $2 of $1: the index of $(wc -l <"$got") lines equals tar's listing"
    else
        wrong "level $2 of $1: the index differs from tar's listing"
        diff "$wanted" "$got" | head -n 10 || :
    fi
}

# The debug file of the sendbackup that dumped NAME at LEVEL.
sendbackup_debug() {
    grep -lF "disk \`$1'" "$run"/debug/client/daily/sendbackup.*.debug | xargs grep -lE " level $2\$"
}

# reported_crc native|client DEBUG-FILE: the checksum and, behind a colon, how many bytes it is of.
reported_crc() { sed -n "s/.*sendbackup: $1-CRC //p" "$2"; }

# The checksums sendbackup computed must be those in the server's log, which come from its dumper and its taper; the native
# one must count the image's bytes.
verify_checksums() {
    local debug native client image
    debug=$(sendbackup_debug "$1" "$2")
    native=$(reported_crc native "$debug")
    client=$(reported_crc client "$debug")
    image=$(stat -c %s "$run/images/$1.$2")
    if [ "${native#*:}" != "$image" ]; then
        wrong "level $2 of $1: the native checksum '$native' is not of an image of $image bytes"
    elif [[ $COMPRESS$ENCRYPT = *client* ]] && [ "$native" = "$client" ]; then
        wrong "level $2 of $1: the client filtered nothing"
    elif ! grep -qE "^(SUCCESS|STRANGE) dumper localhost $1 ([0-9]+ )?$2 $native $client " "$run/logs/amdump-$2.log" ||
        ! grep -qE "^DONE taper .* localhost $1 [0-9]+ 1 $2 $native $client $client " "$run/logs/amdump-$2.log"; then
        wrong "level $2 of $1: the server's checksums are not the client's, $native and $client"
        grep -E "(dumper|DONE taper .*) localhost $1 " "$run/logs/amdump-$2.log"
    else
        right "level $2 of $1: checksums agree (native $native, client $client)"
    fi
}

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
