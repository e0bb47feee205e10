# shellcheck shell=bash disable=SC1003,SC2154
# What a run ends with: some of the index, and the table.

# The lines of an index that had to be quoted, or its first ones.
print_index() {
    local index=$run/logs/index-$1-$2.server
    printf '\nThe index of level %s of %s, %s lines, among them:\n' "$2" "$1" "$(wc -l <"$index")"
    { grep -F '\' "$index" || cat "$index"; } | cut -c 1-100 | head -n 8 | sed 's/^/    /' || :
}

print_table() {
    local level name
    printf '\n%-8s %5s %8s %12s %8s %8s\n' DLE level entries bytes seconds MB/s
    for level in 0 1; do
        for name in "${names[@]}"; do
            print_row "$name" $level
            print_times "$name" $level
        done
    done
}

# The seconds are the dumper's; its clock runs from the start of the dump to the last message.
print_row() {
    local bytes seconds
    bytes=$(stat -c %s "$run/images/$1.$2")
    seconds=$(sed -nE "s/^(SUCCESS|STRANGE) dumper localhost $1 .*\[sec ([0-9.]+) .*/\2/p" "$run/logs/amdump-$2.log")
    printf '%-8s %5s %8s %12s %8s %8s\n' "$1" "$2" "$(wc -l <"$run/logs/index-$1-$2.server")" "$bytes" "$seconds" \
        "$(gawk "BEGIN { printf \"%.1f\", $bytes / $seconds / 1e6 }")"
}

# Where the time of one dump went, as sendbackup's and amandad's debug files tell it, one line for each stream.
print_times() {
    { sendbackup_debug "$1" "$2"; amandad_debug "$1" "$2"; } | xargs sed -n 's/^.*: \([a-z]*\): amrelay: \(.* bytes .*\)/         \1: \2/p'
}

# The debug file of the amandad that started the dump of NAME at LEVEL.
amandad_debug() {
    grep -lF 'SERVICE sendbackup' "$run"/debug/amandad/*.debug | xargs grep -lF "<disk>$1</disk>" |
        xargs grep -lF "<level>$2</level>"
}
