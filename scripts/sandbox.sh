#!/bin/bash
# sandbox.sh [--private-path] COMMAND...: runs COMMAND as root in its own namespaces.
#
# COMMAND sees only a loopback interface (every port is free and nothing leaves the machine), a private /etc with Amanda's user
# and services added, an empty /run and /dev/shm, and its own processes, which all end with it. It cannot reach the machine's own
# configuration, processes and ports.
#
# Amanda's user must be able to enter all directories above the build folder, which a home directory may forbid.
# --private-path replaces these directories by others, with the same contents below. It also gives COMMAND a private /tmp: Amanda
# leaves files there, some with a pid in their names, which is the same in many sandboxes.
set -euo pipefail
. "$(dirname "$0")/lib/common.sh"

inside=/run/amrelay

enter() {
    # as_root, or sudo, reports a user who cannot become root.
    as_root true
    as_root unshare --mount --net --pid --ipc --uts true 2>/dev/null ||
        die "cannot make namespaces here (unshare failed): a container needs the right to mount (CAP_SYS_ADMIN), and \
the root of a chroot must be a mount point"
    as_root unshare --mount --propagation private --net --pid --ipc --uts --fork --kill-child --mount-proc \
        "$repository/scripts/sandbox.sh" --inside "$@"
}

# The lowest id from 63000 that is free both as a user and as a group.
free_id() {
    local id=63000
    while getent passwd $id >/dev/null || getent group $id >/dev/null; do id=$((id + 1)); done
    echo $id
}

# add_user NAME ID HOME SHELL: puts NAME into the private /etc, in place of a user of that name.
add_user() {
    sed -i "/^$1:/d" $inside/etc/passwd $inside/etc/group $inside/etc/shadow
    echo "$1:x:$2:$2::$3:$4" >>$inside/etc/passwd
    echo "$1:x:$2:" >>$inside/etc/group
    echo "$1:*:19000:0:99999:7:::" >>$inside/etc/shadow
}

private_etc() {
    local id
    mkdir $inside/etc $inside/home
    cp -a /etc/. $inside/etc/
    rm -f $inside/etc/hosts $inside/etc/nsswitch.conf
    touch $inside/etc/shadow
    id=$(id -u "$AMANDA_USER" 2>/dev/null || free_id)
    add_user "$AMANDA_USER" "$id" $inside/home /bin/bash
    chown "$id:$id" $inside/home
    # sshd drops its privileges to this user.
    grep -q ^sshd: $inside/etc/passwd || add_user sshd $((id + 1)) /run/sshd /usr/sbin/nologin
    echo '127.0.0.1 localhost' >$inside/etc/hosts
    printf '%s: files\n' passwd group shadow hosts services protocols >$inside/etc/nsswitch.conf
    sed -i '/^k\?5\?amanda\|^amidx/d' $inside/etc/services
    printf '%s\n' 'amanda 10080/tcp' 'amanda 10080/udp' 'k5amanda 10081/tcp' 'amandaidx 10082/tcp' 'amidxtape 10083/tcp' \
        >>$inside/etc/services
    mount --bind $inside/etc /etc
}

# Prints the topmost directory above the build folder that not everybody can enter.
first_unfit_directory() {
    local path='' part IFS=/
    for part in ${build#/}; do
        path=$path/$part
        if [ $((0$(stat -c %a "$path") & 1)) -ne 1 ]; then
            echo "$path"
            return
        fi
    done
}

private_tmp() {
    local kept
    mkdir $inside/tmp
    mount -t tmpfs -o mode=1777 tmpfs $inside/tmp
    # Needed directories below /tmp stay where they are.
    for kept in "$repository" "$AMANDA_PREFIX"; do
        [[ $kept/ == /tmp/* ]] || continue
        mkdir -p "$inside$kept"
        mount --bind "$kept" "$inside$kept"
    done
    mount --rbind $inside/tmp /tmp
}

private_path() {
    local unfit child
    unfit=$(first_unfit_directory)
    [ -n "$unfit" ] || return 0
    mkdir $inside/repository
    mount --bind "$repository" $inside/repository
    if [[ $AMANDA_PREFIX/ == "$unfit"/* ]]; then
        mkdir $inside/prefix
        mount --bind "$AMANDA_PREFIX" $inside/prefix
    fi
    mount -t tmpfs -o mode=755 tmpfs "$unfit"
    mkdir -p "$build"
    for child in scripts tests; do
        mkdir -p "$repository/$child"
        mount --bind "$inside/repository/$child" "$repository/$child"
    done
    for child in "$inside"/repository/build/*/; do
        child=$(basename "$child")
        mkdir "$build/$child"
        mount --bind "$inside/repository/build/$child" "$build/$child"
    done
    if [ -d $inside/prefix ]; then
        mkdir -p "$AMANDA_PREFIX"
        mount --bind $inside/prefix "$AMANDA_PREFIX"
    fi
}

if [ "${1-}" != --inside ]; then
    enter "$@"
    exit
fi
shift
umask 022
hostname localhost
ip link set lo up
# Amanda may look names up with AI_ADDRCONFIG, which finds nothing if there are only loopback addresses.
# This address is for documentation (RFC 5737).
ip address add 192.0.2.1/32 dev lo
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mkdir $inside /run/lock
private_etc
if [ "${1-}" = --private-path ]; then
    shift
    private_tmp
    private_path
    # The current directory is covered if it is below one of them.
    cd "$repository"
fi
exec "$@"
