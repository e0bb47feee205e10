#!/bin/bash
# Backs up, with a real Amanda over the loopback interface, data made for it; restores and compares it.
#
# Two disk list entries are dumped at the same time, at level 0 and, after changes, at level 1. Everything is then
# checked: the index against tar's own listing, the checksums of both sides, a restore of both levels, the processes the client
# used, the debug files. Ends with status 0 only if nothing differs.
#
# Variables, beside those of lib/common.sh:
#   AUTH      how the server reaches the client: bsd, bsdudp, bsdtcp (default), local, ssh, ssl or krb5
#   PROGRAM   what reads the data: GNUTAR (default), amgtar or ambsdtar (applications) or DUMP (file systems of its own in loop devices)
#   COMPRESS  none (default) or client
#   ENCRYPT   none (default), client, or kerberos (with AUTH=krb5: all that amandad and the dumper say to each other)
#   SERVER    private (default) or debian: Debian's unpatched amanda-server asks for the dumps
#   FILES     how many small files (default 20000)
#   MEGABYTES how much data in big files (default 1000)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
: "${AUTH:=bsdtcp}" "${PROGRAM:=GNUTAR}" "${COMPRESS:=none}" "${ENCRYPT:=none}" "${SERVER:=private}" "${FILES:=20000}" "${MEGABYTES:=1000}"

run=$build/run/$variant-$AUTH-$PROGRAM-$COMPRESS-$ENCRYPT-$SERVER
if [ "${1-}" != --inside ]; then
    build_for_backup openbsd-inetd openssh-server
    [ "$AUTH" != krb5 ] || "$repository/scripts/tools.sh" krb5-kdc krb5-admin-server
    [ "$SERVER" = private ] || "$repository/scripts/tools.sh" amanda-common amanda-server amanda-client
    export AUTH PROGRAM COMPRESS ENCRYPT SERVER FILES MEGABYTES
    handed_on+=(AUTH PROGRAM COMPRESS ENCRYPT SERVER FILES MEGABYTES)
    use_alone "$run"
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/backup.sh" --inside
    exit
fi

data=$run/data
names=(many big)
failures=0
for part in server config kerberos network data dump verify restore table; do
    # shellcheck source=/dev/null
    . "$repository/scripts/lib/$part.sh"
done

# dump_and_verify LEVEL
dump_and_verify() {
    local name
    say "Dumping at level $1"
    force_level "$1"
    dump "$1"
    say "Verifying level $1"
    for name in "${names[@]}"; do
        fetch_image "$name" "$1"
        verify_index "$name" "$1"
        verify_checksums "$name" "$1"
        verify_times "$name" "$1"
        [ "$ENCRYPT" != kerberos ] || verify_sealing "$name" "$1"
    done
    verify_processes "$1"
}

describe_sources() {
    local name
    for name in "${names[@]}"; do describe_tree "$data/$name" >"$run/logs/tree-$name-$1"; done
}

trap 'stop_network' EXIT
prepare_run
if [ "$PROGRAM" = DUMP ]; then
    mount_filesystem "$data/many" $((100 + FILES / 20))
    mount_filesystem "$data/big" $((200 + MEGABYTES * 2))
fi
say "Making $FILES small files and $MEGABYTES MiB of big ones"
make_many "$data/many" "$FILES"
make_big "$data/big" "$MEGABYTES"
# With these, upstream's ambsdtar and the bsdtar that it feeds and reads wait for each other for ever.
[ "$PROGRAM-$AMRELAY" != ambsdtar-yes ] || make_long_listing "$data/many"
describe_sources 0
for name in "${names[@]}"; do add_disk "$name" "$data/$name"; done
start_network

dump_and_verify 0
# amrecover would ask amandad for the index, and so the private Amanda's server.
if [ "$SERVER" = private ]; then
    say "Recovering level 0 over the network"
    recover big "$run/logs/tree-big-0"
fi

say "Changing the data"
change_many "$data/many"
change_big "$data/big"
describe_sources 1
dump_and_verify 1
say "Restoring both levels"
for name in "${names[@]}"; do restore_levels "$name" "$run/logs/tree-$name-1"; done

stop_network
verify_debug_files
verify_nothing_left
for name in "${names[@]}"; do print_index "$name" 0; done
print_table
[ "$failures" -eq 0 ] || die "$failures checks failed; see ${run#"$repository"/}"
say "Everything agrees"
