# shellcheck shell=bash disable=SC2154
# The client's processes in the sandbox, which holds none but ours; and something in the place of its tar.

# wait_until COMMAND...: false if it is still false after LIMIT seconds.
wait_until() {
    local deadline=$((SECONDS + LIMIT))
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.1
    done
}

# is_stopped PID: by SIGSTOP.
is_stopped() { [[ $(<"/proc/$1/stat") = *") T "* ]]; }

# The processes of dumps, if they still run.
client_processes() { ps -e -o pid=,comm= | gawk '$2 ~ /^(amandad|sendbackup|runtar|tar|sed)$/ { print $1 }'; }

# replace_tar PROGRAM: from now on PROGRAM is run for tar; the true one is still there as /run/amrelay/tar.
replace_tar() {
    local tar copy=/run/amrelay/${1##*/}
    tar=$(realpath "$(command -v tar)")
    touch /run/amrelay/tar
    mount --bind "$tar" /run/amrelay/tar
    # A checkout's may be its owner's alone.
    install -m 755 "$1" "$copy"
    mount --bind "$copy" "$tar"
    chmod 1777 /run/amrelay
}
