#!/bin/bash
# test-amanda.sh [FILE...] [PYTEST-ARGUMENT...]: runs the tests of tests/amanda against a real Amanda.
#
# Each test file (by default all), or each class of a file with classes, runs in its own sandbox, as many at once as there are
# processors. FILE::TEST is one test or class; arguments such as -k EXPRESSION are pytest's. pytest's output and its JUnit reports
# are in build/run/VARIANT-tests.
# Variables: see lib/common.sh, and JOBS, the number of files that run at once.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
reports=$build/run/$variant-tests
here=$repository/scripts/test-amanda.sh
# These take a minute or more: start them first, so that no processor waits for one of them at the end.
longest=(progress installcheck whole abandoned lookups strangers backup faults)

# inside FILE ARGUMENT...: runs pytest in the sandbox, with the Python of Debian's python3-pytest.
inside() {
    cd "$repository"
    PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -m pytest -p no:cacheprovider "$@"
}

# one_file FILE ARGUMENT...: shows output at the end, so that that of concurrent files does not mix.
one_file() {
    local name status=0
    name=${1##*/test_}
    name=test_${name//[^[:alnum:]_-]/-}
    name=${name%-py}
    as_root "$repository/scripts/sandbox.sh" --private-path "$here" --inside "$@" "--junit-xml=$reports/$name.xml" \
        >"$reports/$name.log" 2>&1 || status=$?
    # The arguments may select no test of this file. Without arguments, a file without tests is a mistake.
    if [ $status -eq 5 ] && [ $# -gt 1 ]; then
        rm -f "$reports/$name.xml"
        return
    fi
    if [ $status -ne 0 ]; then
        cat "$reports/$name.log"
        say "$name FAILED"
        return 1
    fi
    say "$name: $(tail -n 1 "$reports/$name.log")"
}

# by_class FILE...: prints each file, or its classes.
by_class() {
    local file
    for file; do
        if [[ $file != *::* ]] && grep -qs '^class Test' "$file"; then
            sed -n "s|^class \(Test[A-Za-z]*\).*|$file::\1|p" "$file"
        else
            echo "$file"
        fi
    done
}

case ${1-} in
    --inside) inside "${@:2}" ;;
    --file)
        one_file "${@:2}"
        exit
        ;;
esac
[ "$BUILT" = yes ] || "$repository/scripts/packages.sh" tests
build_for_backup openbsd-inetd openssh-server samba smbclient krb5-kdc krb5-admin-server amanda-common amanda-server amanda-client
use_alone "$reports"
mkdir -p "$reports"
rm -f "$reports"/*.xml
files=() arguments=()
for argument; do
    case $argument in
        *.py | *.py::*) files+=("$argument") ;;
        *) arguments+=("$argument") ;;
    esac
done
cd "$repository"
if [ ${#files[@]} -eq 0 ]; then
    files=("${longest[@]/#/tests/amanda/test_}")
    files=("${files[@]/%/.py}")
    mapfile -t -O ${#files[@]} files < <(printf '%s\n' tests/amanda/test_*.py | grep -vxFf <(printf '%s\n' "${files[@]}"))
fi
mapfile -t files < <(by_class "${files[@]}")
keep_sudo
printf '%s\0' "${files[@]}" | BUILT=yes xargs -0 -P "${JOBS:-$(nproc)}" -I '{}' "$here" --file '{}' "${arguments[@]}"
# pytest's report of every file with a test that was run.
compgen -G "$reports/*.xml" >/dev/null || die "no test was chosen"
