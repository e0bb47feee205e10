#!/bin/bash
# Checks the library alone: format, lints, documents, tests, the C ABI and its installation.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"

# The compiler's flags are those of lib/bench-build.sh and bench-kernel-paths.sh. Only the bench needs ISA-L. In case it is not
# installed, the function that floor.c uses is declared here.
check_benches() {
    local flags=(-Wall -Wextra -Werror -fsyntax-only) isal=$build/check-isal
    mkdir -p "$isal/isa-l"
    echo 'unsigned crc32_iscsi(unsigned char *, int, unsigned);' >"$isal/isa-l/crc.h"
    cc -std=gnu11 "${flags[@]}" -idirafter "$isal" benches/*.c
    # These are for one kind of processor.
    [ "$(uname -m)" != x86_64 ] || cc -std=gnu99 -D_GNU_SOURCE -msse4.2 "${flags[@]}" benches/kernel-paths/*.c
}

# Those that git tracks, to leave out built files.
check_links() {
    local pages
    mapfile -t pages < <(git ls-files "*.md")
    python3 -B scripts/lib/check_links.py "${pages[@]}"
}

# The committed pictures are what the script draws.
check_pictures() {
    local drawn=$build/check-pictures picture
    mkdir -p "$drawn"
    python3 -B scripts/lib/diagrams.py "$drawn"
    for picture in "$drawn"/*.svg; do
        cmp "$picture" "docs/${picture##*/}" || die "run: python3 scripts/lib/diagrams.py docs"
    done
}

# Unlike py_compile, this writes no files.
check_python() {
    python3 -c 'import sys
for name in sys.argv[1:]:
    compile(open(name).read(), name, "exec")' "$@"
}

step "Format" cargo fmt --all --check
step "Lints" cargo clippy --locked --workspace --all-targets -- -D warnings
step "The programs of the measurements" check_benches
step "Python scripts" check_python scripts/lib/*.py tests/amanda/*.py tests/amanda/harness/*.py
step "Links of the documents" check_links
step "Pictures of the documents" check_pictures
step "Documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items
step "Tests, the header and the exported symbols among them" env AMRELAY_CHECK_ALL=yes cargo test --locked --workspace
step "C programs under valgrind" make --no-print-directory check-valgrind
step "Fuzzing, shortly" scripts/fuzz-smoke.sh
step "Reference of the C API" scripts/check-docs.sh
step "Examples" make --no-print-directory examples
step "Installation" scripts/check-install.sh
