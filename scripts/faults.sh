#!/bin/bash
# faults.sh [FAULT...]: what a real Amanda makes of a backup that goes wrong. The faults, all of them unless some are named:
#   dies, fails, garbage  tar is killed half-way, ends with status 2 half-way, writes what is no archive
#   server                the server goes away in the middle
#   terminated            sendbackup gets SIGTERM in the middle
#   index                 the reader of the index goes away when its pipe is full
#
# Each must be reported as upstream's Amanda reports it (the patterns were taken from it; but see write_garbage), and must
# leave no process and no shared memory. Upstream itself leaves both, for five minutes, when the server or sendbackup is gone.
#   LIMIT  seconds after which something counts as hanging (default 60)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
: "${AUTH:=bsdtcp}" "${LIMIT:=60}"
faults=(none dies fails garbage server terminated index)
run=$build/run/$variant-faults-$AUTH

if [ "${1-}" != --inside ]; then
    build_for_backup openbsd-inetd openssh-server
    export AUTH LIMIT
    handed_on+=(AUTH LIMIT)
    [ $# -gt 0 ] || set -- "${faults[@]}"
    use_alone "$run"
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/faults.sh" --inside "$@"
    exit
fi

# shellcheck disable=SC2034 # used by the parts below
SERVER=private PROGRAM=GNUTAR COMPRESS=none ENCRYPT=none
data=$run/data
failures=0
# Set by the parts below.
# shellcheck disable=SC2034 # server_state is used by the parts alone
server_state='' amdump_pid=''
for part in server config kerberos network data dump verify client; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done

# start_dump NAME TAR: starts a dump whose tar behaves as TAR says.
start_dump() {
    echo "$2" >/run/amrelay/fault
    rm -f /run/amrelay/started /run/amrelay/descriptors
    force_level 0
    begin_amdump "$run/logs/$1.out" timeout --kill-after=5 "$LIMIT" amdump daily || die "$1: the dump did not start"
}

started() { [ -e /run/amrelay/started ]; }
# See begin_amdump. Every tar of a dump leaves this file.
begun() { [ -e /run/amrelay/descriptors ]; }

# expect NAME PATTERN: the dump ends in time, its log has a line like PATTERN, and nothing is left.
expect() {
    local status=0 log
    wait "$amdump_pid" || status=$?
    log=$(newest_log)
    if [ $status -eq 124 ] || [ $status -eq 137 ]; then
        wrong "$1: amdump hung"
    elif ! grep -qE "$2" "$log"; then
        wrong "$1: no line like '$2' in the log, but:"
        grep -vE '^(INFO|START|STATS|FINISH|DISK|PART)' "$log" || :
    else
        right "$1: $(grep -E "$2" "$log" | head -n 1)"
    fi
    cp "$log" "$run/logs/$1.log"
    expect_nothing_left "$1"
}

expect_nothing_left() {
    cp /run/amrelay/descriptors "$run/logs/$1.descriptors"
    # runtar gives tar the pipe in which it asked for tar's version; what matters is what comes from sendbackup.
    local stray
    stray=$(grep -v '^[012] ' /run/amrelay/descriptors | grep -Ff /run/amrelay/descriptors-of-sendbackup || :)
    [ -z "$stray" ] || wrong "$1: tar was given descriptors of sendbackup's: $stray"
    wait_until no_client_process || wrong "$1: still running: $(describe_client_processes)"
    wait_until no_shared_memory || wrong "$1: left in shared memory: $(find /dev/shm -type f | wc -l) files"
}

# Starts a dump that takes half a minute, and waits until data flows.
start_slow_dump() {
    start_dump "$1" slow
    wait_until started || wrong "$1: the dump did not start"
}

# Upstream does not notice: its index pipeline ends with sed, whose status is 0. With libamrelay the index tells of it, and
# the dump fails: nothing could be restored of it.
write_garbage() {
    local line='SUCCESS dumper localhost many '
    [ "$AMRELAY" != yes ] || line='FAIL dumper localhost many .*the archive is damaged'
    start_dump garbage garbage
    expect garbage "^$line"
}

# Every process of the server is killed: the client sees its connections close, and has nobody to report to.
server_goes_away() {
    start_slow_dump server
    # The sandbox holds no processes but ours.
    local server pid
    mapfile -t server < <(ps -e -o pid=,comm= | gawk '$2 ~ /^(amdump|driver|planner|dumper|chunker|taper)$/ { print $1 }')
    # Some end when others do.
    kill -KILL "${server[@]}" 2>/dev/null || :
    wait "$amdump_pid" || :
    # What the killed processes shared among themselves they could not remove; its names tell whose it is.
    for pid in "${server[@]}"; do rm -f /dev/shm/*-"$pid"-*; done
    expect_nothing_left server
    right "server: the client ended"
}

# The oldest sendbackup is the one amandad started.
terminate_sendbackup() {
    start_slow_dump terminated
    # The server tries once more; that dump may succeed.
    echo none >/run/amrelay/fault
    pgrep --oldest -x sendbackup | xargs kill -TERM
    expect terminated '^FAIL dumper localhost many '
}

try_fault() {
    case $1 in
        none) start_dump none none && expect none '^SUCCESS dumper localhost many ' ;;
        dies) start_dump dies dies && expect dies '^FAIL dumper localhost many .*tar got signal 9' ;;
        fails) start_dump fails fails && expect fails '^FAIL dumper localhost many .*tar returned 2' ;;
        garbage) write_garbage ;;
        server) server_goes_away ;;
        terminated) terminate_sendbackup ;;
        index) abandon_index ;;
        *) die "no such fault: $1" ;;
    esac
}

# sendbackup as amandad runs it, with a reader of the index that leaves when the pipe is full. The dump must be whole.
abandon_index() {
    local work=$run/tmp/index stream readers=()
    mkdir -p "$work"
    echo none >/run/amrelay/fault
    for stream in data index; do mkfifo "$work/$stream"; done
    cat "$work/data" >"$work/image" &
    readers+=($!)
    # Leaves when the pipe has been filled as far as the writer fills it. 0x541B is Linux's FIONREAD.
    perl -e 'open(F, "<", shift); for ($last = $same = 0; $same < 50; select(undef, undef, undef, 0.02)) {
        $n = pack("i", 0); ioctl(F, 0x541B, $n); $n = unpack("i", $n);
        $same = $n > 0 && $n == $last ? $same + 1 : 0; $last = $n }' "$work/index" &
    readers+=($!)
    write_request >"$work/request"
    as_server timeout --kill-after=5 "$LIMIT" "$AMANDA_PREFIX/libexec/amanda/sendbackup" amandad bsdtcp \
        <"$work/request" >"$work/reply" 2>"$work/errors" 150>"$work/data" 152>"$work/messages" 154>"$work/index" \
        156>"$work/state" || right "index: sendbackup ended with status $?"
    # The second one has left before sendbackup ends, or never will.
    kill "${readers[1]}" 2>/dev/null || :
    wait "${readers[@]}" || :
    if ! grep -q '^sendbackup: end' "$work/messages"; then
        wrong "index: sendbackup did not come to its end"
        cat "$work/messages" "$work/errors"
    elif ! tar -df "$work/image" -C "$data/many" >"$run/logs/index.differences" 2>&1; then
        wrong "index: the dump is not whole"
        head -n 5 "$run/logs/index.differences"
    elif ! grep -q '^? ' "$work/messages"; then
        wrong "index: no message tells of the failed index"
    else
        right "index: the dump is whole; the message: $(grep '^? ' "$work/messages" | paste -sd ';')"
    fi
    expect_nothing_left index
}

# What amandad hands to sendbackup. The features are those of this Amanda.
write_request() {
    cat <<END
OPTIONS features=ffffffff9efefbfffffffffffffff3fffbf79f00;maxdumps=1;hostname=localhost;config=daily;
<dle>
  <program>GNUTAR</program>
  <disk>many</disk>
  <diskdevice>$data/many</diskdevice>
  <level>0</level>
  <auth>bsdtcp</auth>
  <record>NO</record>
  <index>YES</index>
  <datapath>AMANDA</datapath>
</dle>
END
}

shift
prepare_run
make_many "$data/many" 300
write_random "$data/many/big" 32
# An index of more than a pipe holds.
mkdir "$data/many/names"
(cd "$data/many/names" && touch "$(printf 'forty bytes of a name %.0s' 1 2)"{1..3000})
add_disk many "$data/many"
replace_tar "$repository/scripts/lib/faulty-tar"
trap 'stop_network' EXIT
start_network
for fault; do try_fault "$fault"; done
stop_network
[ "$failures" -eq 0 ] || die "$failures checks failed; see ${run#"$repository"/}"
say "Every fault is reported and nothing is left"
