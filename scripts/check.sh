#!/bin/bash
# Everything that must hold before a change is accepted; stops at the first step that fails.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"

# step NAME COMMAND...: says what is being checked; its output is shown as it comes.
step() {
    say "$1"
    shift
    "$@"
}

# A short backup: enough files and bytes for several pipe buffers, not for a measurement.
short_backup() { env FILES=300 MEGABYTES=8 "$@" scripts/backup.sh; }

scripts/packages.sh check
step "Shell scripts" shellcheck -x scripts/*.sh scripts/lib/*.sh .ci/run
for auth in bsdtcp bsd bsdudp local ssh ssl; do
    step "Backup over $auth" short_backup AUTH=$auth
done
