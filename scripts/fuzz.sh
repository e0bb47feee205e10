#!/bin/bash
# fuzz.sh SECONDS [TARGET...]: fuzzes each target for that many seconds. Without a name it fuzzes all targets that can be built;
# "library" stands for all except Amanda's.
#
#   index_parser               any archive; new inputs are then compared with the system's tar (index_tar)
#   frames, sink, link         frames, sinks and links, under any partial reads and writes
#   tee                        a tee between failing descriptors, and readers that are slow or leave
#   event_loop, c_abi          sequences of actions in the event loop, and of calls of the C ABI
#   recv_token                 Amanda's reader of tokens, as patched (needs what scripts/amanda.sh has built)
#
# It needs no nightly compiler and no cargo-fuzz: the flags below give libFuzzer its coverage with any compiler. New inputs are kept in
# build/fuzz/corpus-TARGET for the next run, inputs that fail in build/fuzz/TARGET-*.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
seconds=${1:?how many seconds?}
shift
targets=("$@")
library=(index_parser frames sink link tee event_loop c_abi)
amanda=$build/amanda-relay/source/common-src
if [ "$*" = library ]; then
    targets=("${library[@]}")
elif [ $# -eq 0 ]; then
    targets=("${library[@]}")
    [ ! -e "$amanda/.libs/libamanda.so" ] || targets+=(recv_token)
fi

wanted() { [[ " ${targets[*]} " = *" $1 "* ]]; }

host=$(rustc -vV | sed -n 's/^host: //p')
programs=$build/fuzz/target/$host/release
instrument="--cfg fuzzing -Cdebug-assertions -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4"
instrument+=" -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table"
instrument+=" -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1"

# rust_targets NAME...: builds them. With an explicit target the flags do not reach build scripts, which could not be linked with them.
rust_targets() {
    local names=() name
    for name; do
        [ "$name" = recv_token ] || names+=(--bin "$name")
    done
    [ ${#names[@]} -eq 0 ] || RUSTFLAGS=$instrument cargo build --quiet --locked --release --target "$host" \
        --manifest-path "$repository/fuzz/Cargo.toml" --target-dir "$build/fuzz/target" "${names[@]}"
}

# variables NAME...: the values of these variables of Amanda's Makefile.
variables() {
    local references
    # make expands the dollar signs.
    # shellcheck disable=SC2016
    references=$(printf '$(%s) ' "$@")
    make -s -C "$amanda" --no-print-directory --eval "told:; @echo $references" told
}

# Compiles the function's file again, instrumented; the rest is the library as it was built.
recv_token() {
    local compile link
    [ -e "$amanda/.libs/libamanda.so" ] || die "recv_token needs Amanda; scripts/amanda.sh builds it"
    read -ra compile < <(variables DEFS DEFAULT_INCLUDES INCLUDES AM_CPPFLAGS CPPFLAGS)
    read -ra link < <(variables LDFLAGS LIBS)
    mkdir -p "$programs"
    # Warnings about Amanda's own code do not matter here.
    (cd "$amanda" && logged "$build/logs/fuzz-recv_token-build.log" clang -w -g -O1 -fsanitize=fuzzer,address "${compile[@]}" \
        "$repository/fuzz/amanda/recv_token.c" -o "$programs/recv_token" -L.libs -lamanda "-Wl,-rpath,$amanda/.libs" "${link[@]}")
}

# The targets' seeds, and how long an input may be: short sequences and connections are better.
seeds() {
    case $1 in
        index_parser) echo "$build/fuzz/seeds/archives" ;;
        recv_token) echo "$build/fuzz/seeds/tokens" ;;
        *) echo "$build/fuzz/seeds/programs" ;;
    esac
}
longest() { if [ "$1" = index_parser ]; then echo 8192; else echo 512; fi; }

# fuzz TARGET
fuzz() {
    local target=$1 log=$build/logs/fuzz-$1.log runs=0 took=1
    mkdir -p "$build/fuzz/corpus-$target"
    if ! "$programs/$target" -max_total_time="$seconds" -max_len="$(longest "$target")" -timeout=60 \
        -artifact_prefix="$build/fuzz/$target-" "$build/fuzz/corpus-$target" "$(seeds "$target")" >"$log" 2>&1; then
        tail -n 60 "$log"
        die "$target failed; the input is in build/fuzz"
    fi
    read -r runs took < <(sed -n 's/^Done \([0-9]*\) runs in \([0-9]*\) second.*/\1 \2/p' "$log") || :
    # Without coverage the target would run, but find nothing.
    grep -q 'cov: ' "$log" || die "$target covered no code; see $log"
    [ "${runs:-0}" -gt 0 ] || die "$target ran no input; see $log"
    say "$target: $runs inputs ($((runs * 3600 / took)) an hour), coverage $(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$log" | tail -n 1)"
}

# Only inputs that reached something new go to tar, once: a process for each is a thousand times as slow.
compare_with_tar() {
    local log=$build/logs/fuzz-index_tar.log compared=$build/fuzz/compared since=() new
    [ ! -e "$compared" ] || since=(-newer "$compared")
    touch "$compared.next"
    mapfile -d '' new < <(find "$build/fuzz/corpus-index_parser" "$build/fuzz/seeds/archives" -type f "${since[@]}" -print0)
    if [ ${#new[@]} -gt 0 ] && ! printf '%s\0' "${new[@]}" | xargs -0 "$programs/index_tar" -timeout=60 \
        -artifact_prefix="$build/fuzz/index_tar-" >"$log" 2>&1; then
        tail -n 60 "$log"
        die "tar and the index differ; see $log"
    fi
    mv "$compared.next" "$compared"
    say "index_tar: ${#new[@]} new inputs, compared with tar"
}

mkdir -p "$build/fuzz" "$build/logs"
"$repository/scripts/fuzz-corpus.sh" "$build/fuzz/seeds"
rust=("${targets[@]}")
! wanted index_parser || rust+=(index_tar)
rust_targets "${rust[@]}"
! wanted recv_token || recv_token
for target in "${targets[@]}"; do
    fuzz "$target"
    [ "$target" != index_parser ] || compare_with_tar
done
