#!/bin/bash
# storm.sh SECONDS [SEED [ROUND]]: injects random faults at random moments into real dumps for that long. tests/amanda/storm.py
# says what must hold. SEED repeats a storm's choices, ROUND only one of its rounds. If anything was wrong, it prints what, ends
# with status 1, and leaves the logs in build/run/VARIANT-tests. Variables: see lib/common.sh.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

if [ "${1-}" = --inside ]; then
    cd "$repository"
    PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 tests/amanda/storm.py "${@:2}"
fi
reports=$build/run/$variant-tests
[ "$BUILT" = yes ] || "$repository/scripts/packages.sh" tests
build_for_backup openbsd-inetd
# Files that a storm keeps belong to root; the folder does not, as the tests write there, too.
mkdir -p "$reports"
arguments=("--seconds=${1:?for how many seconds?}")
[ -z "${2-}" ] || arguments+=("--seed=$2")
[ -z "${3-}" ] || arguments+=("--round=$3")
as_root "$repository/scripts/sandbox.sh" --private-path "$repository/scripts/storm.sh" --inside "${arguments[@]}"
