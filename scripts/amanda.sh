#!/bin/bash
# Downloads, patches, builds and installs a private Amanda. When run again, it redoes only what a change made necessary.
#
# The functions below are the recipe for a packager; the calls at the end show their order.
# Variables: see lib/common.sh. Log files: build/logs/amanda-*.log.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"
# shellcheck source=lib/source.sh
. "$repository/scripts/lib/source.sh"

work=$build/amanda-$variant
tree=$work/source
library=$build/amrelay
logs=$build/logs
# Where the loader finds the library: with a prefix elsewhere, there. ambsdtar is set-uid root; from this checkout, `make clean` would
# remove its library, and the checkout's owner could replace it.
loaded=$library/lib
[[ $AMANDA_PREFIX/ == "$build"/* ]] || loaded=$AMANDA_PREFIX/lib

# done_before STEP KEY: whether STEP was last completed with the same KEY.
done_before() { [ "$(cat "$work/$1.done" 2>/dev/null)" = "$2" ]; }
now_done() { echo "$2" >"$work/$1.done"; }
digest() { sha256sum | cut -d ' ' -f 1; }

build_library() {
    [ "$AMRELAY" = yes ] || return 0
    say "Building libamrelay into ${library#"$repository"/}"
    # `install` alone judges by time stamps whether there is something to build; cargo knows.
    logged "$logs/libamrelay.log" make --no-print-directory -C "$repository" library install "PREFIX=$library" DESTDIR=
}

# Compares the tree file by file with a freshly patched one: what no patch has changed keeps its time stamp.
prepare_source() {
    local tarball key names
    tarball=$(find_tarball)
    names=$(patch_names)
    key=$({ echo "$amanda_sha256"; cat "$repository/scripts/lib/source.sh"; for name in $names; do cat "$amanda_patches/$name"; done; } | digest)
    source_key=$key
    ! done_before source "$key" || return 0
    say "Unpacking Amanda $amanda_version${names:+ and applying $(wc -w <<<"$names") patches}"
    rm -f "$work/source.done"
    logged "$logs/amanda-patch-$variant.log" patched_tree "$tarball" "$work/fresh"
    mkdir -p "$tree"
    update_tree "$work/fresh" "$tree" "$work/manifest" >"$work/changed"
    if grep -qE '\.(ac|am|m4)$|^\./(autogen|VERSION|config/)' "$work/changed"; then
        rm -f "$work/autogen.done"
    fi
    rm -rf "$work/fresh"
    now_done source "$key"
}

# Amanda's runtar runs only one tar, and needs its name without symbolic links.
set_configure_options() {
    # The commas belong to port ranges.
    # shellcheck disable=SC2054
    options=(
        --prefix="$AMANDA_PREFIX" --with-user="$AMANDA_USER" --with-group="$AMANDA_USER"
        --localstatedir="$AMANDA_PREFIX/var" --sysconfdir="$AMANDA_PREFIX/etc" --without-amperldir
        --with-tmpdir="$AMANDA_PREFIX/tmp" --with-debugging="$AMANDA_PREFIX/debug"
        --with-gnutar="$(realpath "$(command -v tar)")" --with-gnutar-listdir="$AMANDA_PREFIX/var/gnutar-lists"
        --with-rundump --with-config=daily --with-index-server=localhost --with-tape-server=localhost
        --with-bsdtcp-security --with-bsdudp-security --with-rsh-security --with-ssh-security
        --with-ssl-security --with-krb5-security
        --with-low-tcpportrange=880,1010 --with-tcpportrange=11000,11300 --with-udpportrange=900,1000
        --without-rest-server --disable-s3-device --disable-dvdrw-device
        --disable-manpage-build --disable-nls --disable-static
    )
    # Amanda 3.5 mixes char ** and const char **, which GCC 14 treats as an error.
    environment=("KRB5_SPOTS=$work/krb5" "CFLAGS=-g -O2 -Wno-error=incompatible-pointer-types")
    case $AMRELAY in
        yes)
            options+=(--with-amrelay)
            environment+=("PKG_CONFIG_PATH=$library/lib/pkgconfig" "LDFLAGS=-Wl,-rpath,$loaded")
            ;;
        no) options+=(--without-amrelay) ;;
    esac
}

# configure looks for Kerberos in DIR/lib only, and Debian keeps libraries one level deeper.
gather_kerberos() {
    local libraries
    libraries=/usr/lib/$(gcc -print-multiarch)
    mkdir -p "$work/krb5/lib" "$work/krb5/include"
    ln -sf "$libraries"/lib{krb5,gssapi_krb5,k5crypto,krb5support,com_err}.so "$work/krb5/lib/"
}

configure_amanda() {
    local key
    gather_kerberos
    set_configure_options
    if [ ! -f "$work/autogen.done" ]; then
        say "Generating configure"
        rm -f "$work/configure.done"
        (cd "$tree" && logged "$logs/amanda-autogen-$variant.log" ./autogen)
        touch "$work/autogen.done"
    fi
    key=$(printf '%s\n' "${options[@]}" "${environment[@]}" | digest)
    configure_key=$key
    ! done_before configure "$key" || return 0
    say "Configuring Amanda ($variant)"
    rm -f "$work/configure.done"
    (cd "$tree" && logged "$logs/amanda-configure-$variant.log" env "${environment[@]}" ./configure "${options[@]}")
    now_done configure "$key"
}

build_amanda() {
    local key header=/dev/null
    [ "$AMRELAY" != yes ] || header=$library/include/amrelay.h
    key="$source_key $configure_key $(digest <"$header")"
    build_key=$key
    ! done_before build "$key" || return 0
    say "Compiling Amanda ($variant); the first time takes some minutes"
    rm -f "$work/build.done"
    logged "$logs/amanda-make-$variant.log" make -C "$tree" -j "$(nproc)"
    now_done build "$key"
}

# Only into a prefix elsewhere.
install_library() {
    local key
    [ "$AMRELAY" = yes ] && [ "$loaded" != "$library/lib" ] || return 0
    key="$loaded $(digest <"$library/lib/libamrelay.so")"
    ! done_before library "$key" || return 0
    as_root install -d "$loaded"
    as_root cp --no-dereference --remove-destination "$library"/lib/libamrelay.so.* "$loaded"
    now_done library "$key"
}

# Amanda's installation changes the owner of files to its user and makes programs set-uid root; the sandbox has the user.
install_amanda() {
    ! done_before install "$build_key" || return 0
    say "Installing Amanda ($variant) in $AMANDA_PREFIX"
    rm -f "$work/install.done"
    logged "$logs/amanda-install-$variant.log" "$repository/scripts/sandbox.sh" make -C "$tree" install
    now_done install "$build_key"
}

[[ $repository$AMANDA_PREFIX != *[[:space:]]* ]] || die "Amanda's build fails if the folder's name contains white space"
"$repository/scripts/packages.sh" amanda
mkdir -p "$work" "$logs"
use_alone "$build/amanda"
build_library
prepare_source
configure_amanda
build_amanda
install_library
install_amanda
