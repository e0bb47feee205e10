# shellcheck shell=bash disable=SC2154
# Amanda's source: fetching the tarball, patching it, and bringing a built tree up to date.

amanda_version=3.5.4
amanda_sha256=94b023b638813e0e39bc17e9ae50ed200592b873841fc784225917f56278efbe
amanda_patches=$repository/patches/amanda-3.5

right_tarball() { [ -f "$1" ] && echo "$amanda_sha256  $1" | sha256sum --check --status; }

# The base address of the Debian archive this machine already uses.
debian_archive() {
    # apt expands the dollar signs.
    # shellcheck disable=SC2016
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | sed -n 's/^Debian //p' | head -n 1
}

# apt_source_uris DIRECTORY: what apt would fetch for the source package. Keeps its lists and its one line of
# configuration in DIRECTORY, so that the machine's own are neither used nor touched.
apt_source_uris() {
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg signed='' archive
    archive=$(debian_archive)
    [ -n "$archive" ] || die "apt knows no Debian archive; name the tarball with AMANDA_TARBALL"
    [ ! -f $keyring ] || signed="[signed-by=$keyring]"
    mkdir -p "$1/lists/partial"
    echo "deb-src $signed $archive trixie main" >"$1/sources.list"
    local apt=(apt-get -o "Dir::Etc::SourceList=$1/sources.list" -o Dir::Etc::SourceParts=/dev/null
        -o "Dir::State::Lists=$1/lists" -o Dir::Cache::srcpkgcache= -o Dir::Cache::pkgcache=)
    logged "$build/logs/amanda-source.log" "${apt[@]}" update
    "${apt[@]}" source --print-uris --download-only --only-source amanda
}

# Prints the name of a tarball with the right checksum; fetches it once.
find_tarball() {
    local tarball=$cache/amanda_$amanda_version.orig.tar.gz uri
    if [ -n "$AMANDA_TARBALL" ]; then
        right_tarball "$AMANDA_TARBALL" || die "$AMANDA_TARBALL is not the tarball of Amanda $amanda_version (sha256 $amanda_sha256)"
        echo "$AMANDA_TARBALL"
        return
    fi
    if ! right_tarball "$tarball"; then
        say "Fetching the source of Amanda $amanda_version" >&2
        mkdir -p "$cache"
        uri=$(apt_source_uris "$cache/apt" | sed -n "s/^'\([^']*\.orig\.tar\.gz\)' .*/\1/p")
        [ -n "$uri" ] || die "the archive offers no such tarball; name one with AMANDA_TARBALL"
        logged "$build/logs/amanda-download.log" /usr/lib/apt/apt-helper download-file "$uri" "$tarball" "SHA256:$amanda_sha256"
        right_tarball "$tarball" || die "the checksum of $uri is not $amanda_sha256"
    fi
    echo "$tarball"
}

# The patches that apply to the wanted kind of tree, in order.
patch_names() {
    [ "$AMRELAY" = upstream ] && return
    [ -s "$amanda_patches/series" ] || die "$amanda_patches/series names no patch; only AMRELAY=upstream can be built"
    sed -e 's/#.*//' -e 's/[[:space:]].*//' -e '/^$/d' "$amanda_patches/series"
}

# Two places that Perl 5.40 no longer accepts: Amanda::Message exports nothing, and importing names from it warns, which
# Amanda counts as a failure; and a call without its arrow is a syntax error.
fit_for_perl() {
    grep -rlZ 'use Amanda::Message qw(' "$1" | xargs -0 sed -i 's/^use Amanda::Message qw(.*);/use Amanda::Message;/' || return
    # shellcheck disable=SC2016 # Perl's variables
    sed -i 's/return \$finished_cb();/return $finished_cb->();/' "$1/perl/Amanda/Taper/Scribe.pm"
}

# patched_tree TARBALL DIRECTORY: makes a fresh tree, adapted to current Perl, with every patch applied; a patch that needs fuzz is
# an error. For `logged`, within which no failure ends the script by itself.
patched_tree() {
    local name
    rm -rf "$2"
    mkdir -p "$2"
    tar -xzf "$1" -C "$2" --strip-components=1 || return
    fit_for_perl "$2" || return
    while read -r name; do
        patch -d "$2" -p1 --fuzz=0 --no-backup-if-mismatch <"$amanda_patches/$name" || return
    done < <(patch_names)
}

manifest_of_tree() { (cd "$1" && find . -type f -exec sha256sum {} + | LC_ALL=C sort); }

# update_tree FRESH TREE MANIFEST: makes TREE equal to FRESH but touches only files that differ, so that make builds
# only what depends on them. MANIFEST lists the files TREE had from its last update. Prints the names that changed.
update_tree() {
    local name
    manifest_of_tree "$1" >"$3.new"
    [ -f "$3" ] || : >"$3"
    { LC_ALL=C comm -3 "$3" "$3.new" | sed 's/^\t*[0-9a-f]*  //' | LC_ALL=C sort -u; } >"$3.changed"
    while IFS= read -r name; do
        if [ -f "$1/$name" ]; then
            mkdir -p "$(dirname "$2/$name")"
            cp --preserve=mode "$1/$name" "$2/$name"
        else
            rm -f "$2/$name"
        fi
        echo "$name"
    done <"$3.changed"
    mv "$3.new" "$3"
}
