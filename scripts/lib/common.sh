# shellcheck shell=bash disable=SC2034
# What all scripts share: paths, messages, becoming root.
#
# Variables a caller may set:
#   AMRELAY        which Amanda: yes (patched, with libamrelay), no (patched, configured --without-amrelay),
#                  upstream (the tarball as it is)
#   AMANDA_PREFIX  where that Amanda is installed; each kind has its own default under build/
#   AMANDA_USER    the user Amanda runs as; need not exist on this machine
#   AMANDA_TARBALL the source tarball, if there is one
#   BUILT          yes: packages and Amanda are known to be installed (for a caller that runs several scripts at once)

# Amanda's user must be able to read the build, and measurements must not depend on a locale's number format.
umask 022
export LC_ALL=C.UTF-8

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
build=$repository/build
cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/amrelay

: "${AMRELAY:=yes}" "${AMANDA_USER:=amandabackup}" "${AMANDA_TARBALL:=}" "${BUILT:=no}"

say() { printf '==> %s\n' "$*"; }

# step NAME COMMAND...: announces a check and runs it; its output is shown as it comes.
step() {
    say "$1"
    shift
    "$@"
}

die() {
    printf '%s: error: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

case $AMRELAY in
    yes) variant=relay ;;
    no) variant=plain ;;
    upstream) variant=upstream ;;
    *) die "AMRELAY is '$AMRELAY'; it must be yes, no or upstream" ;;
esac
: "${AMANDA_PREFIX:=$build/prefix-$variant}"

# The variables to pass to a command run as root: sudo drops them, and its policy may forbid --preserve-env.
handed_on=(HOME XDG_CACHE_HOME LC_ALL http_proxy https_proxy no_proxy AMRELAY AMANDA_PREFIX AMANDA_USER)
export AMRELAY AMANDA_PREFIX AMANDA_USER

# Commands run as root do not hold the lock of use_alone: sudo closes descriptors, and without sudo this does.
as_root() {
    local name settings=()
    if [ "$(id -u)" -eq 0 ]; then
        "$@" 9>&-
        return
    fi
    command -v sudo >/dev/null || die "this needs root, and there is no sudo"
    for name in "${handed_on[@]}"; do
        [ -z "${!name-}" ] || settings+=("$name=${!name}")
    done
    sudo env "${settings[@]}" "$@"
}

# For scripts that become root repeatedly, maybe several times at once: asks for the password now, and keeps sudo's cached
# credentials fresh until the script ends, however it does.
keep_sudo() {
    [ "$(id -u)" -ne 0 ] || return 0
    as_root true
    while kill -0 $$ 2>/dev/null; do
        sudo --non-interactive true || :
        sleep 30
    done >/dev/null 2>&1 9>&- &
    # shellcheck disable=SC2064 # its id is known now
    trap "kill $!" EXIT
}

# logged FILE COMMAND...: the command's output goes to FILE; its end is shown if the command fails.
logged() {
    local file=$1 status=0
    shift
    mkdir -p "$(dirname "$file")"
    "$@" >"$file" 2>&1 || status=$?
    if [ "$status" -ne 0 ]; then
        grep -hE "error|Error|\*\*\*" "$file" | cut -c 1-300 | tail -n 10 >&2 || :
        tail -n 15 "$file" | cut -c 1-300 >&2
        printf '%s: error: "%s" ended with status %s; all of its output: %s\n' "${0##*/}" "$*" "$status" "$file" >&2
    fi
    return "$status"
}

# use_alone FOLDER: waits until no other script uses it. Descriptor 9 is the lock: it lasts until the script ends, or uses another folder.
use_alone() {
    mkdir -p "$(dirname "$1")"
    exec 9>"$1.lock"
    flock --nonblock 9 && return
    say "Another run uses ${1#"$repository"/}; waiting for its end" >&2
    flock 9
}

# build_for_backup TOOL...: installs and builds all that a backup needs.
build_for_backup() {
    mkdir -p "$build/run"
    [ "$BUILT" = yes ] && return
    "$repository/scripts/packages.sh" backup
    "$repository/scripts/amanda.sh"
    "$repository/scripts/tools.sh" "$@"
}
