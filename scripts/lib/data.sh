# shellcheck shell=bash disable=SC1003,SC2016,SC2154,SC2164
# The data that is backed up: made, described for comparison.

# write_random FILE MEGABYTES: bytes that no compression or zero detection can shorten.
write_random() { head -c "$2M" /dev/urandom >"$1"; }

# Names that have to be quoted in an index, or that do not fit into a plain tar header.
make_awkward_names() {
    local hundred name name_of_255 long=$1
    hundred=$(printf 'n%.0s' {1..100})
    name_of_255=$(printf 'm%.0s' {1..255})
    # restore(8) cuts a name of this length short.
    [ "$PROGRAM" != DUMP ] || name_of_255=${name_of_255:1}
    for name in 'with space' ' leading and trailing ' $'new\nline' $'tab\there' 'back\slash' 'ends with \' '"double"' \
        "'single'" $'bell\a' $'delete\177' $'octal\\012 spelled out' '-rf' '--delete' '*?[a-z]' '$(false)' 'semi;colon' \
        'päivä' '日本語' $'latin1-\xe9\xff' $'cut-utf8-\xe6\x97' '#hash' '~tilde' "$hundred" "$name_of_255"; do
        printf '%s' "$name" >"$1/$name"
        mkdir "$1/directory $name" 2>/dev/null || continue
        printf '%s' "$name" >"$1/directory $name/inside"
    done
    long=$long/long${hundred:4}/$hundred/$hundred
    mkdir -p "$long"
    echo 'a path of more than 255 bytes' >"$long/file"
    ln -s "$hundred$hundred" "$long/link with a long target"
    ln "$long/file" "$long/hard link to a long path"
}

make_special_files() {
    mkdir "$1/empty directory" "$1/nested" "$1/nested/empty" "$1/closed"
    : >"$1/empty file"
    mkfifo "$1/fifo"
    ln -s 'with space' "$1/symbolic link"
    ln -s $'../no such\nfile' "$1/dangling symbolic link"
    echo linked >"$1/hard link one"
    ln "$1/hard link one" "$1/nested/hard link two"
    ln "$1/hard link one" "$1/hard link three"
    echo 'set-uid' >"$1/set-uid"
    chmod 4755 "$1/set-uid"
    chmod 700 "$1/closed"
    touch -d '1971-02-03 04:05:06.789' "$1/empty file"
    chown 12345:54321 "$1/empty directory"
}

# A data, a hole, a data, a hole to the end.
make_sparse_file() {
    truncate -s 64M "$1"
    head -c 5000 /dev/urandom | dd of="$1" bs=1M seek=10 conv=notrunc status=none
    head -c 70000 /dev/urandom | dd of="$1" bs=1M seek=40 conv=notrunc status=none
}

# make_many DIRECTORY COUNT: small files of 0 to about 8 KiB, 200 in a folder, and everything awkward.
make_many() {
    local i line
    mkdir -p "$1"
    line=$(head -c 6000 /dev/urandom | base64 -w 0)
    for ((i = 0; i < $2; i++)); do
        [ $((i % 200)) -ne 0 ] || mkdir "$1/folder $((i / 200))"
        printf '%s' "${line:0:i * 37 % 8000}" >"$1/folder $((i / 200))/file $i"
    done
    make_awkward_names "$1"
    make_special_files "$1"
}

# make_big DIRECTORY MEGABYTES: four big files, a sparse one, a few links.
make_big() {
    local i
    mkdir -p "$1"
    for i in 1 2 3 4; do write_random "$1/big $i" $((($2 + 3) / 4)); done
    make_sparse_file "$1/sparse"
    mkdir "$1/few"
    echo few >"$1/few/file"
    ln "$1/few/file" "$1/few/hard link"
    ln -s "../big 1" "$1/few/symbolic link"
}

# describe_tree DIRECTORY: one record for each name, ended by NUL: type, mode, owner, time, size, link target, the first
# name it is hard-linked to; then the checksums. Two trees that print the same are the same, as far as an archive can tell:
# tar keeps whole seconds only.
describe_tree() {
    (
        cd "$1"
        find . -printf '%y %m %U:%G %T@ %s %i %n %l\t%p\0' | LC_ALL=C sort -z -t $'\t' -k 2 |
            LC_ALL=C gawk 'BEGIN { RS = "\0"; ORS = "\0" } {
                tab = match($0, /\t\.(\/|$)/); name = substr($0, tab + 1); split($0, field, " ")
                sub(/\..*/, "", field[4])
                if (field[1] == "d") { field[5] = "-"; field[7] = 1 }
                if (!(field[6] in first)) first[field[6]] = name
                target = substr($0, 1, tab - 1); for (i = 0; i < 7; i++) sub(/^[^ ]* /, "", target)
                print field[1], field[2], field[3], field[4], field[5], target, (field[7] > 1 ? first[field[6]] : ""), name
            }'
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum -z
    )
}
