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
