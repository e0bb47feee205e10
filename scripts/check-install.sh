#!/bin/bash
# Installs the library and builds a C program outside the tree with only pkg-config, shared and static.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
# From cargo, not from the makefile under test.
version=$(cargo pkgid --manifest-path "$repository/Cargo.toml")
version=${version##*[#@]}

install_library() { make --no-print-directory --silent -C "$repository" install "$@"; }

# expect_files FOLDER NAME...: the folder has these files and no others.
expect_files() {
    local folder=$1
    shift
    diff <(cd "$folder" && find . ! -type d -printf '%P\n' | sort) <(printf '%s\n' "$@" | sort) ||
        die "the installed files are not the expected ones"
}

check_files() {
    install_library "DESTDIR=$place/stage" PREFIX=/usr LIBDIR=/usr/lib/somewhere
    pages=$(cd "$repository/build/man" && find man* -type f)
    html=
    [ ! -d "$repository/build/docs/html" ] ||
        html=$(find "$repository/build/docs/html" -type f -printf 'share/doc/amrelay/html/%P\n')
    # Each page is a word.
    # shellcheck disable=SC2086
    expect_files "$place/stage/usr" bin/amrelay-{index,relay,tee,why} include/amrelay.h lib/somewhere/pkgconfig/amrelay.pc \
        lib/somewhere/libamrelay.{a,so,so.0,"so.$version"} share/doc/amrelay/LICENSE-{APACHE,MIT} \
        ${pages//man[13]\//share/man/&} $html
    [ "$(pkg "$place/stage/usr/lib/somewhere" --variable=libdir)" = /usr/lib/somewhere ] ||
        die "the pkg-config file names DESTDIR, or another folder"
}

# pkg LIBDIR OPTION...: pkg-config as a user of that installation sees it.
pkg() {
    local libdir=$1
    shift
    env PKG_CONFIG_LIBDIR="$libdir/pkgconfig" pkg-config "$@" amrelay
}

check_library() {
    local library=$1/libamrelay.so
    readelf --dynamic "$library" | grep -q 'SONAME.*\[libamrelay\.so\.0\]' || die "the SONAME is not libamrelay.so.0"
    diff <(nm -D --defined-only --format=posix "$library" | cut -d' ' -f1 | sort) "$repository/tests/symbols.txt" ||
        die "the exported symbols are not those in tests/symbols.txt"
}

# Each program that has a page runs with the installed library, and its page has its usage.
check_programs() {
    local program page
    for program in "$1"/bin/*; do
        page=$1/share/man/man1/${program##*/}.1
        [ "$(LD_LIBRARY_PATH=$1/lib "$program" --version)" = "${program##*/} $version" ] || die "$program --version is wrong"
        LD_LIBRARY_PATH=$1/lib "$program" --help | sed 's/^usage: //; s/^ *//' >"$place/usage"
        [ -s "$place/usage" ] || die "$program --help prints nothing"
        diff "$place/usage" <(mandoc -T utf8 "$page" | col -b | sed -n '/^SYNOPSIS/,/^DESCRIPTION/{s/^ *//;/^amrelay-/p}') ||
            die "$page has another usage than $program --help"
    done
}

write_program() {
    cat > "$place/program.c" <<'PROGRAM'
#include <amrelay.h>
#include <stdio.h>
#include <string.h>

static void tick(void *arg)
{
    amrelay_loop_quit(arg);
}

int main(void)
{
    amrelay_loop *loop;
    amrelay_event event;
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", AMRELAY_VERSION_MAJOR, AMRELAY_VERSION_MINOR, AMRELAY_VERSION_PATCH);
    if (strcmp(version, amrelay_version()) != 0)
        return 1;
    if (amrelay_loop_new(&loop) != 0
        || amrelay_event_create(loop, AMRELAY_EVENT_TIME, 0, tick, loop, &event) != 0
        || amrelay_event_activate(loop, event) != 0 || amrelay_loop_run(loop) != 0)
        return 2;
    amrelay_loop_free(loop);
    return 0;
}
PROGRAM
}

# build NAME shared|static COMPILER-OPTION...
build() {
    local name=$1 options=(--cflags --libs) flags
    [ "$2" = shared ] || options+=(--static)
    shift 2
    read -ra flags < <(pkg "$libdir" "${options[@]}")
    (cd "$place" && "${CC:-cc}" -Wall -Werror "$@" program.c -o "$name" "${flags[@]}")
}

check_files
libdir=$place/installed/lib
install_library DESTDIR= "PREFIX=$place/installed"
check_library "$libdir"
check_programs "$place/installed"
[ "$(pkg "$libdir" --modversion)" = "$version" ] || die "the pkg-config file has another version"
write_program

build shared shared
env LD_LIBRARY_PATH="$libdir" "$place/shared" || die "the program does not run with the shared library"
readelf --dynamic "$place/shared" | grep -q 'NEEDED.*\[libamrelay\.so\.0\]' || die "the program is not linked to the shared library"

build static static -static
env -i "$place/static" || die "the statically linked program does not run"

rm "$libdir"/libamrelay.so*
build archive static
env -i "$place/archive" || die "the program with the static library does not run"
