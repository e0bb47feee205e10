# shellcheck shell=bash disable=SC2034,SC2154
# Which server asks for the dumps: the private Amanda's own, or Debian's packaged one, which no patch of ours has touched.
#   server_user      whom it runs as            server_config    its configuration's folder
#   server_programs  where its programs are     $run/server      its state, index, logs and tapes

choose_server() {
    case $SERVER in
        private)
            server_user=$AMANDA_USER
            server_programs=$AMANDA_PREFIX/sbin
            server_config=$AMANDA_PREFIX/etc/amanda/daily
            ;;
        debian)
            server_user=backup
            server_programs=/usr/sbin
            server_config=/etc/amanda/daily
            install_debian_server
            ;;
        *) die "SERVER is '$SERVER'; it must be private or debian" ;;
    esac
    server_state=$run/server
    mkdir -p "$server_config" "$server_state"/{holding,tapes,index,info,log}
    chown -R "$server_user:$server_user" "$server_config" "$server_state"
}

# Debian's paths are compiled into its programs, so that the unpacked packages are laid over the sandbox's /usr, and the folders
# their installation would make are made. The machine's own /usr is not changed. amfetchdump comes with amanda-client.
install_debian_server() {
    local unpacked=/run/amrelay/debian package
    mkdir -p $unpacked
    for package in amanda-common amanda-server amanda-client; do
        dpkg-deb --extract "$build/tools/packages/$package"_*.deb $unpacked
    done
    mount -t overlay -o "lowerdir=$unpacked/usr:/usr" overlay /usr ||
        die "cannot lay Debian's amanda-server over /usr (no overlayfs here?)"
    mkdir -p /etc/amanda "$run/debug-debian"
    echo 'tcp_port_range=1,65535' >/etc/amanda-security.conf
    mount -t tmpfs -o mode=755 tmpfs /var/log
    mkdir /var/log/amanda
    mount --bind "$run/debug-debian" /var/log/amanda
    chown "$server_user:$server_user" /etc/amanda /var/log/amanda
    say "The server is Debian's amanda-server $(dpkg-deb --field "$build/tools/packages"/amanda-server_*.deb Version)"
}

# warm_holding MEGABYTES: for measurements with a holding disk in memory. What a virtual machine has free, its host may have taken
# away, and who writes to it then waits for it: up to three seconds a gigabyte. What was free until a moment ago is still there.
warm_holding() {
    head -c "$1M" /dev/zero >"$server_state/holding/warm"
    rm "$server_state/holding/warm"
}
