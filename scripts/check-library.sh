#!/bin/bash
# What must hold for the library alone: format, lints, documentation, tests, the C ABI and its installation.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
cd "$repository"

step "Format" cargo fmt --check
step "Lints" cargo clippy --locked --all-targets -- -D warnings
step "Documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items
step "Tests, the header and the exported symbols among them" cargo test --locked
step "C programs under valgrind" make --no-print-directory check-valgrind
step "Fuzzing, shortly" scripts/fuzz-smoke.sh
step "Examples" make --no-print-directory examples
step "Installation" scripts/check-install.sh
