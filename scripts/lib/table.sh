# shellcheck shell=bash disable=SC2154
# The closing table.

print_table() {
    local level name
    printf '\n%-8s %5s %8s %12s %8s %8s  %s\n' DLE level entries bytes seconds MB/s 'where time went'
    for level in 0 1; do
        for name in "${names[@]}"; do print_row "$name" $level; done
    done
}

# The seconds and kilobytes are the dumper's; its clock runs from the start of the dump to the last message.
print_row() {
    local bytes seconds
    bytes=$(stat -c %s "$run/images/$1.$2")
    seconds=$(sed -nE "s/^(SUCCESS|STRANGE) dumper localhost $1 .*\[sec ([0-9.]+) .*/\2/p" "$run/logs/amdump-$2.log")
    printf '%-8s %5s %8s %12s %8s %8s' "$1" "$2" "$(wc -l <"$run/logs/index-$1-$2.server")" "$bytes" "$seconds" \
        "$(gawk "BEGIN { printf \"%.1f\", $bytes / $seconds / 1e6 }")"
    sed -n 's/.*amrelay: stream/  /p' "$(sendbackup_debug "$1" "$2")" | tr '\n' ';'
    echo
}
