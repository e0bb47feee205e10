# shellcheck shell=bash disable=SC2154
# Restores, and comparison with the source.

# compare_trees NAME WANTED RESTORED: WANTED is a description, RESTORED a folder.
compare_trees() {
    describe_tree "$3" >"$run/logs/tree-$1.restored"
    if [ -s "$2" ] && cmp -s "$2" "$run/logs/tree-$1.restored"; then
        right "$1: the restored tree of $(tr -cd '\0' <"$2" | wc -c) records equals the source"
    else
        wrong "$1: the restored tree differs from the source"
        diff <(tr '\0\n' '\n?' <"$2") <(tr '\0\n' '\n?' <"$run/logs/tree-$1.restored") | head -n 10 || :
    fi
}

# extract IMAGE DIRECTORY: as the backup program's own manual restores a dump.
extract() {
    case $PROGRAM in
        GNUTAR | amgtar) tar --numeric-owner -xpGf - -C "$2" <"$1" ;;
        # As ambsdtar itself does, and as that runs it: in the C locale.
        ambsdtar) LC_ALL=C bsdtar --numeric-owner -xpSf - --directory "$2" <"$1" ;;
        DUMP) (cd "$2" && restore -rf "$1" >>"$run/logs/restore.out" 2>&1) ;;
    esac
}

# complete_levels RESTORED SOURCE: what bsdtar leaves undone. Its dumps do not tell what had gone since the one before; and the time
# of a folder that is already there it sets before it writes into that.
complete_levels() {
    local name
    while IFS= read -r -d '' name; do
        [ -e "$2/$name" ] || [ -L "$2/$name" ] || rm -r "${1:?}/$name"
    done < <(cd "$1" && find . -depth -print0)
    while IFS= read -r -d '' name; do
        touch -r "$2/$name" "$1/$name"
    done < <(cd "$2" && find . -type d -print0)
}

# restore_levels NAME WANTED: level 0, then level 1 over it, which also removes what had gone.
restore_levels() {
    local target=$run/restored/$1
    rm -rf "$target"
    mkdir -p "$target"
    extract "$run/images/$1.0" "$target"
    extract "$run/images/$1.1" "$target"
    [ "$PROGRAM" != ambsdtar ] || complete_levels "$target" "$data/$1"
    if [ "$PROGRAM" = DUMP ]; then
        # restore(8) keeps its notes between levels in the top folder.
        rm "$target/restoresymtable"
        touch -r "$data/$1" "$target"
    fi
    compare_trees "$1" "$2" "$target"
}

# recover NAME WANTED: everything of NAME through amrecover, that is over the network from the server's index and tapes.
recover() {
    local target=$run/recovered/$1
    rm -rf "$target"
    mkdir -p "$target"
    (cd "$target" && printf '%s\n' 'sethost localhost' "setdisk $1" 'add *' extract Y Y quit |
        "$server_programs/amrecover" daily) >"$run/logs/amrecover-$1.out" 2>&1 || {
        tail -n 20 "$run/logs/amrecover-$1.out"
        die "amrecover of $1 failed"
    }
    # amrecover was asked for what is in the top folder, not for the folder itself.
    touch -r "$data/$1" "$target"
    chmod --reference="$data/$1" "$target"
    compare_trees "$1" "$2" "$target"
}
