#!/bin/bash
# test-amanda.sh [FILE...] [PYTEST-ARGUMENT...]: the tests of tests/amanda against a real Amanda.
#
# Each test file (all of them unless some are named) runs in a sandbox of its own, as many at once as there are processors.
# Arguments such as -k EXPRESSION are pytest's. What pytest prints, and its JUnit reports, are in build/run/VARIANT-tests.
# Variables: see lib/common.sh; and JOBS, how many files run at once.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
reports=$build/run/$variant-tests
here=$repository/scripts/test-amanda.sh

# inside FILE ARGUMENT...: in the sandbox, with the python that Debian's python3-pytest belongs to.
inside() {
    cd "$repository"
    PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -m pytest -p no:cacheprovider "$@"
}

# one_file FILE ARGUMENT...: output is shown at the end, so that files that run at once do not mix.
one_file() {
    local name status=0
    name=$(basename "$1" .py)
    as_root "$repository/scripts/sandbox.sh" --private-path "$here" --inside "$@" "--junit-xml=$reports/$name.xml" \
        >"$reports/$name.log" 2>&1 || status=$?
    # Status 5: the arguments chose no test of this file.
    if [ $status -ne 0 ] && [ $status -ne 5 ]; then
        cat "$reports/$name.log"
        say "$name FAILED"
        return 1
    fi
    say "$name: $(tail -n 1 "$reports/$name.log")"
}

case ${1-} in
    --inside) inside "${@:2}" ;;
    --file)
        one_file "${@:2}"
        exit
        ;;
esac
build_for_backup openbsd-inetd
mkdir -p "$reports"
files=() arguments=()
for argument; do
    if [[ $argument = *.py ]]; then files+=("$argument"); else arguments+=("$argument"); fi
done
[ ${#files[@]} -gt 0 ] || files=(tests/amanda/test_*.py)
cd "$repository"
printf '%s\0' "${files[@]}" | BUILT=yes xargs -0 -P "${JOBS:-$(nproc)}" -I '{}' "$here" --file '{}' "${arguments[@]}"
