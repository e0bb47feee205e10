# shellcheck shell=bash disable=SC2034,SC2154
# What the measurements need: both Amandas, the programs of benches/*.c, and memory.

programs=$build/bench/programs

# Each kind of Amanda goes to its own default prefix.
build_for_bench() {
    local kind
    "$repository/scripts/packages.sh" bench
    for kind in yes upstream; do
        env -u AMANDA_PREFIX "AMRELAY=$kind" "$repository/scripts/amanda.sh"
    done
    "$repository/scripts/tools.sh" openbsd-inetd
}

# need_memory_for PART: ends if the machine has too little: it would swap, or dumps would fail. A dump goes to a holding disk in
# memory, and reads from the page cache; for stalls three go there at once, and their data is in memory as well.
need_memory_for() {
    local needed available part=1
    [ "$AMRELAY_BENCH_QUICK" != yes ] || part=2
    case $1 in
        backup | ambsdtar | amgtar) needed=$((2304 + 2048 / part)) ;;
        stalls) needed=$((6 * ${MEGABYTES:-1024 / part})) ;;
        ways) needed=3072 ;;
        *) return ;;
    esac
    # Plus the processes.
    needed=$((needed + 512))
    available=$(gawk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
    [ "$available" -ge $needed ] || die "the part $1 needs $needed MiB of memory; $available are available"
}

build_programs() {
    local name
    mkdir -p "$programs"
    for name in client-cpu delayed-link floor refuse-splice; do
        cc -std=gnu11 -O2 -Wall -Wextra "$repository/benches/$name.c" -o "$programs/$name" -lisal
    done
}

# prepare_backups: builds what measurements of whole backups need, and keeps their data for them alone.
prepare_backups() {
    : "${AMRELAY_BENCH_ROUNDS:=5}" "${AMRELAY_BENCH_QUICK:=no}" "${AMRELAY_BENCH_CASES:=big small}"
    need_memory_for backup
    mkdir -p "$build/run" "$build/bench/data"
    use_alone "$build/bench/data"
    [ "$BUILT" = yes ] || build_for_bench >&2
    build_programs
}

# measure_in_sandbox PROGRAM ARGUMENT...: runs a program of tests/amanda.
measure_in_sandbox() {
    as_root "$repository/scripts/sandbox.sh" --private-path env --chdir="$repository" PYTHONDONTWRITEBYTECODE=1 \
        /usr/bin/python3 "tests/amanda/$1" "${@:2}"
}
