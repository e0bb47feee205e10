# shellcheck shell=bash disable=SC2154
# How the server reaches amandad: inetd for bsd, bsdudp, bsdtcp and krb5, the user's login for ssh, nothing for local.

daemon_pid=''

# The services amandad offers: dumps to the server, index and tapes to amrecover.
services='amdump amindexd amidxtaped restore'

inetd_line() {
    local amandad=$AMANDA_PREFIX/libexec/amanda/amandad
    case $AUTH in
        bsd | bsdudp) echo "amanda dgram udp wait $AMANDA_USER $amandad amandad -auth=$AUTH $services" ;;
        bsdtcp | ssl | krb5) echo "amanda stream tcp nowait $AMANDA_USER $amandad amandad -auth=$AUTH $services" ;;
    esac
}

start_network() {
    case $AUTH in
        local) ;;
        ssh) start_sshd ;;
        *) start_inetd ;;
    esac
}

start_inetd() {
    inetd_line >"$run/etc/inetd.conf"
    "$build/tools/usr/sbin/inetd" -d "$run/etc/inetd.conf" >"$run/logs/inetd.log" 2>&1 &
    daemon_pid=$!
}

stop_network() {
    [ -n "$daemon_pid" ] || return 0
    kill "$daemon_pid"
    wait "$daemon_pid" || :
    daemon_pid=''
}

server_auth_settings() { :; }
