#!/bin/bash
# Backs up generated data with a real Amanda over the loopback interface, restores and compares it, and shows where time went.
#
# Dumps two disk list entries at the same time, at level 0 and, after changes, at level 1. Then checks everything, as
# tests/amanda/harness/whole_backup.py says. Ends with status 0 only if nothing differs.
#
# Variables, in addition to those of lib/common.sh:
#   AUTH      how the server reaches the client: bsd, bsdudp, bsdtcp (default), local, ssh, ssl or krb5
#   PROGRAM   what reads the data: GNUTAR (default), amgtar or ambsdtar (applications) or DUMP (file systems in loop devices)
#   COMPRESS  none (default) or client
#   ENCRYPT   none (default), client, or kerberos (with AUTH=krb5: everything between amandad and the dumper)
#   SERVER    private (default) or debian: Debian's unpatched amanda-server asks for the dumps
#   FILES     how many small files (default 20000)
#   MEGABYTES how much data in big files (default 1000)
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
: "${AUTH:=bsdtcp}" "${PROGRAM:=GNUTAR}" "${COMPRESS:=none}" "${ENCRYPT:=none}" "${SERVER:=private}" "${FILES:=20000}" "${MEGABYTES:=1000}"

if [ "${1-}" != --inside ]; then
    build_for_backup openbsd-inetd openssh-server
    [ "$BUILT" = yes ] || "$repository/scripts/packages.sh" tests
    [ "$AUTH" != krb5 ] || "$repository/scripts/tools.sh" krb5-kdc krb5-admin-server
    [ "$SERVER" = private ] || "$repository/scripts/tools.sh" amanda-common amanda-server amanda-client
    RUN=$build/run/$variant-$AUTH-$PROGRAM-$COMPRESS-$ENCRYPT-$SERVER
    export AUTH PROGRAM COMPRESS ENCRYPT SERVER FILES MEGABYTES RUN
    handed_on+=(AUTH PROGRAM COMPRESS ENCRYPT SERVER FILES MEGABYTES RUN)
    use_alone "$RUN"
    as_root rm -rf "$RUN"
    as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/backup.sh" --inside
    say "Everything agrees"
    exit
fi
cd "$repository"
PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -m pytest -p no:cacheprovider --no-header --capture=no --verbose tests/amanda/backup.py
