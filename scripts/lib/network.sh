# shellcheck shell=bash disable=SC2154
# How the server reaches amandad: inetd for bsd, bsdudp, bsdtcp and krb5, the user's login for ssh, nothing for local.

daemon_pids=()

# The services amandad offers: dumps to the server, index and tapes to amrecover.
services='amdump amindexd amidxtaped restore'

inetd_line() {
    local amandad=$AMANDA_PREFIX/libexec/amanda/amandad
    case $AUTH in
        bsd | bsdudp) echo "amanda dgram udp wait $AMANDA_USER $amandad amandad -auth=$AUTH $services" ;;
        bsdtcp | ssl) echo "amanda stream tcp nowait $AMANDA_USER $amandad amandad -auth=$AUTH $services" ;;
        # Only root can read the host's key; amandad becomes Amanda's user once it knows who is calling.
        krb5) echo "k5amanda stream tcp nowait root $amandad amandad -auth=krb5 $services" ;;
    esac
}

# For measurements: Linux's own congestion control, or what comes next to it where a namespace may not have that. The machine's
# may be bbr, which sets a timer for every burst.
use_usual_congestion_control() {
    sysctl -qw net.ipv4.tcp_congestion_control=cubic 2>/dev/null || sysctl -qw net.ipv4.tcp_congestion_control=reno
}

start_network() {
    case $AUTH in
        local) ;;
        ssh) start_sshd ;;
        ssl)
            make_certificates
            start_inetd
            ;;
        krb5)
            make_realm
            start_kdc
            start_inetd
            ;;
        *) start_inetd ;;
    esac
}

start_inetd() {
    inetd_line >"$run/etc/inetd.conf"
    "$build/tools/usr/sbin/inetd" -d "$run/etc/inetd.conf" >"$run/logs/inetd.log" 2>&1 &
    daemon_pids+=($!)
}

# An sshd and keys of our own. The sandbox's /etc is private, so that the machine's keys and settings are neither seen nor
# used. Debian's sshd is split in several programs; the settings name those that were unpacked.
start_sshd() {
    local keys=$run/etc/ssh program tools=$build/tools
    mkdir -p "$keys" /run/sshd
    rm -rf /etc/ssh
    mkdir /etc/ssh
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$keys/host"
    ssh-keygen -q -t ed25519 -N '' -C '' -f "$keys/client"
    chown "$AMANDA_USER:$AMANDA_USER" "$keys/client"
    echo "localhost $(cat "$keys/host.pub")" >/etc/ssh/ssh_known_hosts
    printf '%s\n' 'ListenAddress 127.0.0.1' "HostKey $keys/host" "AuthorizedKeysFile $keys/client.pub" \
        'AuthenticationMethods publickey' 'UsePAM no' 'StrictModes no' 'PidFile none' >"$keys/sshd_config"
    for program in session auth; do
        [ ! -x "$tools/usr/lib/openssh/sshd-$program" ] ||
            echo "Sshd${program^}Path $tools/usr/lib/openssh/sshd-$program" >>"$keys/sshd_config"
    done
    "$tools/usr/sbin/sshd" -D -e -f "$keys/sshd_config" >"$run/logs/sshd.log" 2>&1 &
    daemon_pids+=($!)
}

# An authority, and one certificate for both sides, as they are one machine: ssl-dir's layout is amssl's.
make_certificates() {
    local dir=$run/etc/ssl
    mkdir -p "$dir/CA" "$dir/me/private"
    {
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj '/CN=authority' -keyout "$dir/CA/key.pem" -out "$dir/CA/crt.pem"
        openssl req -newkey rsa:2048 -nodes -subj '/CN=localhost' -keyout "$dir/me/private/key.pem" -out "$dir/me/csr.pem"
        openssl x509 -req -days 2 -CA "$dir/CA/crt.pem" -CAkey "$dir/CA/key.pem" -CAcreateserial -in "$dir/me/csr.pem" \
            -out "$dir/me/crt.pem"
    } 2>>"$run/logs/openssl.log"
    chown -R "$AMANDA_USER:$AMANDA_USER" "$dir"
}

stop_network() {
    local pid
    for pid in "${daemon_pids[@]}"; do
        kill "$pid" 2>/dev/null || :
        wait "$pid" || :
    done
    daemon_pids=()
}

# What the configuration says of the connection: on the server in each dump type, on the client for amrecover.
connection_settings() {
    case $AUTH in
        ssh) printf '%s\n' "ssh-keys \"$run/etc/ssh/client\"" "client-username \"$AMANDA_USER\"" ;;
    esac
}

# Settings of no dump type, in the server's and the client's configuration.
common_settings() {
    case $AUTH in
        ssl) echo "ssl-dir \"$run/etc/ssl\"" ;;
        krb5) printf '%s\n' "krb5keytab \"$run/etc/kerberos/keytab\"" "krb5principal \"$server_principal\"" ;;
    esac
}
