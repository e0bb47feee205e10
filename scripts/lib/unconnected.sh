# shellcheck shell=bash disable=SC2154
# A dump of which nobody takes the streams: Amanda's own amservice asks for it, is told the ports, acknowledges that and, as it was
# given no descriptors to put the streams to, leaves.

# limit_ports COUNT: amandad may listen for the connections of so many dumps at once. A port that has its connection is free again.
limit_ports() {
    echo "unreserved-tcp-port 11000,$((11000 + $1 * connections_of_dump - 1))" >>"$run/etc/amanda/amanda-client.conf"
}

ask_for_unwanted_dump() {
    local acknowledged before
    acknowledged='received ACK pkt:'
    before=$(amandad_wrote "$acknowledged")
    # It ends with an error: streams without descriptors are one.
    as_server timeout "$LIMIT" amservice localhost "$AUTH" sendbackup >"$run/logs/amservice.out" 2>&1 \
        < <(entry unwanted '<program>GNUTAR</program>') || :
    grep -q '^CONNECT DATA [0-9]' "$run/logs/amservice.out" || die "amservice was told no ports; see ${run#"$repository"/}"
    wait_until amandad_wrote_more "$before" "$acknowledged" || die "amandad did not see that its reply has come"
    right "the same amandad made a reply that nobody follows: $(grep '^CONNECT' "$run/logs/amservice.out")"
}

# A connection from the port that amandad takes from nobody.
refuse_port_20() {
    local ports
    read -ra ports < <(grep '^CONNECT' "$run/logs/amservice.out")
    perl -MIO::Socket::INET -e 'IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => shift, LocalPort => 20) or die "$@\n"' \
        "${ports[2]}"
    if wait_until amandad_wrote_more 0 'remote port is 20: ignored'; then
        right "a connection from port 20 is not taken"
    else
        wrong "a connection from port 20 is not refused"
    fi
}

# expect_waiting COUNT: the amandad that is still waiting has had COUNT dumps beside the one that nobody connects to.
expect_waiting() {
    local begun given_up
    begun=$(amandad_wrote 'creating new service: sendbackup')
    given_up=$(amandad_wrote 'stream [0-9] accept failed')
    if [ "$begun" -ne $(($1 + 1)) ]; then
        wrong "of $(($1 + 1)) dumps this amandad made $begun"
    elif [ "$given_up" -ne 0 ]; then
        wrong "amandad did not serve the others before it had given up $given_up connections"
    else
        right "all that while amandad waited for connections"
    fi
}

# Once the time is over, all four streams of the dump are dropped; with them it ends, and amandad too, as that was its last.
expect_given_up() {
    if ! wait_until amandad_wrote_more 3 'stream [0-9] accept failed'; then
        wrong "amandad did not give up all streams that nobody has connected to"
    else
        expect_no_client_process "then it gave the dump up, and ended"
    fi
}
