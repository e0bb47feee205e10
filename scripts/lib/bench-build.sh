# shellcheck shell=bash disable=SC2034,SC2154
# What the measurements need built: both Amandas, and the programs of benches/*.c.

programs=$build/bench/programs

# Each kind of Amanda goes into its own default place.
build_for_bench() {
    local kind
    "$repository/scripts/packages.sh" bench
    for kind in yes upstream; do
        env -u AMANDA_PREFIX "AMRELAY=$kind" "$repository/scripts/amanda.sh"
    done
    "$repository/scripts/tools.sh" openbsd-inetd
}

build_programs() {
    local name
    mkdir -p "$programs"
    for name in client-cpu floor; do
        cc -std=gnu11 -O2 -Wall -Wextra "$repository/benches/$name.c" -o "$programs/$name" -lisal
    done
}
