#!/bin/bash
# Builds the reference of the C API and fails if a function or a struct has no man page or no entry in the HTML pages, or if a man
# page is not valid.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"

functions() { cat tests/symbols.txt; }
structs() { sed -n 's/^typedef struct \(amrelay_[a-z_]*\) {$/\1/p' include/amrelay.h; }

# check_page NAME: a page of that name, or an alias of one, declares it.
check_page() {
    local page=build/man/man3/$1.3 target
    [ -f "$page" ] || die "$1 has no man page"
    target=$(sed -n 's/^\.so //p' "$page")
    [ -z "$target" ] || page=build/man/$target
    grep -q "^\.SS $1\$" "$page" || die "${page#"$repository"/} does not describe $1"
    grep -rqE "</span>$1\(\)</h2>|<title>[^<]* $1 Struct Reference" build/docs/html || die "the HTML reference does not have $1"
}

# Aliases have no text, and pages have no date, so that the same source gives the same pages.
check_syntax() {
    local found
    found=$(grep -Lr '^\.so ' build/man --include='*.[13]' | xargs mandoc -Tlint -Wwarning | grep -v 'missing date' || true)
    [ -z "$found" ] || die "man pages are not valid:"$'\n'"$found"
}

make --no-print-directory --silent docs
mapfile -t names < <(functions && structs)
[ ${#names[@]} -gt 1 ] || die "neither functions nor structs were found"
for name in "${names[@]}"; do check_page "$name"; done
for program in examples/*.c amrelay-why; do
    [ -f "build/man/man1/$(basename "$program" .c).1" ] || die "$program has no man page"
done
check_syntax
say "The reference has all ${#names[@]} functions and structs"
