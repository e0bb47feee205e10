# shellcheck shell=bash disable=SC2154
# How the server reaches amandad: through inetd (bsd, bsdudp, bsdtcp).

daemon_pids=()

# The services amandad offers: dumps to the server, index and tapes to amrecover.
services='amdump amindexd amidxtaped restore'

inetd_line() {
    local amandad=$AMANDA_PREFIX/libexec/amanda/amandad
    case $AUTH in
        bsd | bsdudp) echo "amanda dgram udp wait $AMANDA_USER $amandad amandad -auth=$AUTH $services" ;;
        bsdtcp) echo "amanda stream tcp nowait $AMANDA_USER $amandad amandad -auth=$AUTH $services" ;;
    esac
}

# For measurements: Linux's own congestion control, or what comes next to it where a namespace may not have that. The machine's
# may be bbr, which sets a timer for every burst.
use_usual_congestion_control() {
    sysctl -qw net.ipv4.tcp_congestion_control=cubic 2>/dev/null || sysctl -qw net.ipv4.tcp_congestion_control=reno
}

start_network() {
    inetd_line >"$run/etc/inetd.conf"
    "$build/tools/usr/sbin/inetd" -d "$run/etc/inetd.conf" >"$run/logs/inetd.log" 2>&1 &
    daemon_pids+=($!)
}

stop_network() {
    local pid
    for pid in "${daemon_pids[@]}"; do
        kill "$pid" 2>/dev/null || :
        wait "$pid" || :
    done
    daemon_pids=()
}
