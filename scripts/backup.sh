#!/bin/bash
# Backs up, with a real Amanda over the loopback interface, data made for it; restores and compares it.
#
# Two disk list entries are dumped at the same time, at level 0 and, after changes, at level 1. Everything is then
# checked: the index against tar's own listing, the checksums of both sides, a restore of both levels, the processes the client
# used, the debug files. Ends with status 0 only if nothing differs.
#
# Variables, beside those of lib/common.sh:
#   AUTH      bsd, bsdudp, bsdtcp (default), local, ssh or ssl
#   FILES     how many small files (default 20000)
#   MEGABYTES how much data in big files (default 1000)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
: "${AUTH:=bsdtcp}" "${FILES:=20000}" "${MEGABYTES:=1000}"

if [ "${1-}" != --inside ]; then
    "$repository/scripts/packages.sh" backup
    "$repository/scripts/amanda.sh"
    "$repository/scripts/tools.sh" openbsd-inetd
    mkdir -p "$build/run"
    export AUTH FILES MEGABYTES
    handed_on+=(AUTH FILES MEGABYTES)
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/backup.sh" --inside
    exit
fi

run=$build/run/$variant-$AUTH
data=$run/data
server_programs=$AMANDA_PREFIX/sbin
dumptype_settings() { :; }
# shellcheck source=lib/config.sh
. "$repository/scripts/lib/config.sh"
# shellcheck source=lib/network.sh
. "$repository/scripts/lib/network.sh"
# shellcheck source=lib/data.sh
. "$repository/scripts/lib/data.sh"
# shellcheck source=lib/dump.sh
. "$repository/scripts/lib/dump.sh"

prepare_run
say "Making $FILES small files and $MEGABYTES MiB of big ones"
make_many "$data/many" "$FILES"
make_big "$data/big" "$MEGABYTES"
add_disk many "$data/many"
add_disk big "$data/big"
start_network
say "Dumping at level 0"
dump 0
