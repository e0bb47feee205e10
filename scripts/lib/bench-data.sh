# shellcheck shell=bash disable=SC2154
# The data of the measurements: made once, kept in build/bench, read before it is used so that it comes from the page cache.

# use_data big|small: sets $tree and $label. AMRELAY_BENCH_QUICK=yes: half the data.
use_data() {
    local part=1 make
    [ "$AMRELAY_BENCH_QUICK" != yes ] || part=2
    case $1 in
        big)
            label="4 files of $((512 / part)) MiB"
            make="make_big_files $((512 / part))"
            ;;
        small)
            label="$((100000 / part)) files of 4 KiB"
            make="make_small_files $((100000 / part))"
            ;;
        *) die "no such data: $1" ;;
    esac
    tree=$build/bench/data/${label// /-}
    if [ ! -d "$tree" ]; then
        say "Making $label" >&2
        rm -rf "$tree.new"
        mkdir -p "$tree.new"
        (cd "$tree.new" && $make)
        mv "$tree.new" "$tree"
    fi
    find "$tree" -type f -exec cat {} + >/dev/null
}

# make_big_files MEGABYTES
make_big_files() {
    local name
    for name in one two three four; do head -c "$1M" /dev/urandom >"$name"; done
}

# make_small_files COUNT: 500 per folder.
make_small_files() {
    local folder
    for ((folder = 0; folder < $1 / 500; folder++)); do
        mkdir "folder$folder"
        head -c $((500 * 4096)) /dev/urandom | split -b 4096 -a 3 -d - "folder$folder/file"
    done
}

# measure_data PROGRAM ARGUMENT...: has PROGRAM, of tests/amanda, measure the data of AMRELAY_BENCH_CASES in the sandbox.
measure_data() {
    local program=$1 data trees=()
    shift
    for data in $AMRELAY_BENCH_CASES; do
        use_data "$data"
        trees+=("$tree")
    done
    measure_in_sandbox "$program" "$@" "${trees[@]}"
}
