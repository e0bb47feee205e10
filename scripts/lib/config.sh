# shellcheck shell=bash disable=SC2154
# The configuration of the private Amanda: server, client, who may do what.

# A run's own folders take the place of the installation's, so that runs share nothing but programs.
#   $run/etc  the client's configuration    $run/debug   debug files
#   $run/var  the client's state            $run/logs    what this run's commands print
prepare_run() {
    local folder
    rm -rf "$run"
    mkdir -p "$run/logs"
    for folder in debug tmp var etc; do
        mkdir -p "$run/$folder" "$AMANDA_PREFIX/$folder"
        mount --bind "$run/$folder" "$AMANDA_PREFIX/$folder"
    done
    mkdir -p "$run/etc/amanda" "$run/var/gnutar-lists" "$run/var/bsdtar"
    choose_server
    write_server_config >"$server_config/amanda.conf"
    write_client_config >"$run/etc/amanda/amanda-client.conf"
    : >"$server_config/disklist"
    touch "$run/var/amandates"
    # Nothing but the tar and the ports Amanda was configured with. Amanda trusts the file only if all directories above it
    # are root's alone; it follows the link first, and those above the checkout can be anybody's.
    printf '%s\n' tcp_port_range=880,1010 udp_port_range=900,1000 restore_by_amanda_user=yes >/etc/amanda-security-private.conf
    ln -sf /etc/amanda-security-private.conf "$run/etc/amanda-security.conf"
    write_permissions
    write_crypt_program
    chown -R "$AMANDA_USER:$AMANDA_USER" "$run"/{etc/amanda,debug,tmp,var}
}

write_server_config() {
    cat <<END
org "loopback"
mailto ""
dumpuser "$server_user"
inparallel 4
dumporder "ssss"
dumpcycle 30
runspercycle 30
tapecycle 30
runtapes 1
netusage 10 Gbps
etimeout 120
dtimeout 120
ctimeout 30
infofile "$server_state/info"
logdir "$server_state/log"
indexdir "$server_state/index"
define changer vtapes {
    tpchanger "chg-disk:$server_state/tapes"
    property "num-slot" "8"
    property "auto-create-slot" "yes"
}
tpchanger "vtapes"
labelstr "^daily-[0-9][0-9]*$"
autolabel "daily-%%" any
tapetype disk
define tapetype disk {
    length 200 gbytes
}
holdingdisk holding {
    directory "$server_state/holding"
    use -100 mbytes
}
define application-tool amgtar {
    plugin "amgtar"
}
$(ambsdtar_tool)
define dumptype loopback {
    auth "$AUTH"
    index yes
    holdingdisk required
    estimate client
    maxdumps 4
$(dumptype_settings)
}
END
}

# What the variables PROGRAM, COMPRESS and ENCRYPT ask for.
dumptype_settings() {
    case $PROGRAM in
        amgtar | ambsdtar) printf '    %s\n' 'program "APPLICATION"' "application \"$PROGRAM\"" ;;
        *) echo "    program \"$PROGRAM\"" ;;
    esac
    echo "    compress ${COMPRESS/client/client fast}"
    case $ENCRYPT in
        client) printf '    %s\n' 'encrypt client' "client-encrypt \"$run/etc/crypt\"" 'client-decrypt-option "-d"' ;;
    esac
}

# Amanda runs bsdtar in the C locale, where it complains of every name beyond ASCII that it is to translate to UTF-8, in one line
# with the size, which ambsdtar then does not find: names are to be taken as they are.
ambsdtar_tool() {
    cat <<END
define application-tool ambsdtar {
    plugin "ambsdtar"
    property "STATE-DIR" "$AMANDA_PREFIX/var/bsdtar"
    property "COMMAND-OPTIONS" "--options=hdrcharset=BINARY"
}
END
}

# An encryption program as amcrypt is one: standard input to standard output, -d decrypts.
write_crypt_program() {
    cat >"$run/etc/crypt" <<END
#!/bin/sh
exec openssl enc -aes-256-ctr -pbkdf2 -pass pass:loopback "\$@"
END
    chmod 755 "$run/etc/crypt"
}

write_client_config() {
    cat <<END
conf "daily"
index-server "localhost"
tape-server "localhost"
auth "$AUTH"
gnutar-list-dir "$AMANDA_PREFIX/var/gnutar-lists"
amandates "$AMANDA_PREFIX/var/amandates"
amdump-server "localhost"
END
}

# Who may ask amandad for what: the server's dumps, and root's recovery on the client.
write_permissions() {
    local home
    home=$(getent passwd "$AMANDA_USER" | cut -d : -f 6)
    printf 'localhost %s\n' "$server_user amdump restore" "root amindexd amidxtaped" >"$home/.amandahosts"
    chown "$AMANDA_USER:$AMANDA_USER" "$home/.amandahosts"
    chmod 600 "$home/.amandahosts"
}

# add_disk NAME DIRECTORY: a disk list entry.
add_disk() { echo "localhost $1 $2 loopback" >>"$server_config/disklist"; }
