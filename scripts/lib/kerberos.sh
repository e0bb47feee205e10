# shellcheck shell=bash disable=SC2154
# A Kerberos realm of the sandbox's own, for AUTH=krb5: its KDC, the client's key and that of the server.

realm=LOOPBACK
# Whom the server's keytab lets it be.
server_principal=amanda/localhost

# Everything is in one file, for the KDC as well; what it keeps is the run's.
write_kerberos_config() {
    cat <<END
[libdefaults]
    default_realm = $realm
    dns_lookup_kdc = false
    dns_lookup_realm = false
    dns_canonicalize_hostname = false
    default_rcache_name = file2:$run/etc/kerberos/replay
[realms]
    $realm = {
        kdc = 127.0.0.1
        database_name = $run/etc/kerberos/principal
        key_stash_file = $run/etc/kerberos/stash
        database_module = db2
        kdc_listen = 127.0.0.1:88
        kdc_tcp_listen = 127.0.0.1:88
    }
[dbmodules]
    db_module_dir = $(find "$build/tools/usr/lib" -type d -path '*/krb5/plugins/kdb')
    db2 = {
        db_library = db2
    }
END
}

# amandad is a host's service, whose key is root's.
make_realm() {
    local programs=$build/tools/usr/sbin keytab=$run/etc/kerberos/keytab
    mkdir -p "$run/etc/kerberos"
    write_kerberos_config >/etc/krb5.conf
    {
        "$programs/kdb5_util" create -s -P "$(openssl rand -hex 16)"
        "$programs/kadmin.local" addprinc -randkey host/localhost
        "$programs/kadmin.local" ktadd -k /etc/krb5.keytab host/localhost
        "$programs/kadmin.local" addprinc -randkey "$server_principal"
        "$programs/kadmin.local" ktadd -k "$keytab" "$server_principal"
    } >"$run/logs/kerberos.log" 2>&1
    chown "$AMANDA_USER:$AMANDA_USER" "$keytab"
}

start_kdc() {
    "$build/tools/usr/sbin/krb5kdc" -n >"$run/logs/kdc.log" 2>&1 &
    daemon_pids+=($!)
    # It says so once it listens.
    until grep -q 'starting\.\.\.' "$run/logs/kdc.log"; do
        kill -0 $! 2>/dev/null || die "krb5kdc ended: $(cat "$run/logs/kdc.log")"
        sleep 0.1
    done
}
