#!/bin/bash
# fuzz.sh SECONDS [TARGET...]: fuzzes the index for so many seconds with each target (all of them if none is named).
#
# It needs no nightly compiler and no cargo-fuzz: the flags below give libFuzzer its coverage with any. What it finds is
# kept in build/fuzz/corpus-TARGET for the next run, what fails in build/fuzz/TARGET-*.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
seconds=${1:?how many seconds?}
shift
targets=("$@")
[ $# -gt 0 ] || targets=(index_parser index_tar)

host=$(rustc -vV | sed -n 's/^host: //p')
instrument="--cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
instrument+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
instrument+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"

mkdir -p "$build/fuzz" "$build/logs"
"$repository/scripts/fuzz-corpus.sh" "$build/fuzz/seeds"
for target in "${targets[@]}"; do
    # Named explicitly, the target's flags do not reach build scripts, which could not be linked with them.
    RUSTFLAGS=$instrument cargo build --quiet --locked --release --target "$host" \
        --manifest-path "$repository/fuzz/Cargo.toml" --target-dir "$build/fuzz/target" --bin "$target"
    mkdir -p "$build/fuzz/corpus-$target"
    log=$build/logs/fuzz-$target.log
    if ! "$build/fuzz/target/$host/release/$target" -max_total_time="$seconds" -max_len=61440 -timeout=60 \
        -artifact_prefix="$build/fuzz/$target-" "$build/fuzz/corpus-$target" "$build/fuzz/seeds" >"$log" 2>&1; then
        tail -n 60 "$log"
        die "$target failed; the input is in build/fuzz"
    fi
    runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
    # Without coverage it would still run, but find nothing.
    grep -q 'cov: ' "$log" || die "$target reached nothing; see $log"
    [ "${runs:-0}" -gt 0 ] || die "$target ran no input; see $log"
    say "$target: $runs inputs, coverage $(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)"
done
