# shellcheck shell=bash disable=SC2154
# A dump by an application whose server leaves after the reply has come, before it has acknowledged that.

# Asks amandad for a dump of $data/one in the tokens of auth bsdtcp (`tcpm_send_token`: length and handle in the network's order, then
# the payload, whose first byte is the type of packet, REQ 0 and REP 1), and leaves when the reply has come.
leave_after_reply() {
    # All that a server can say of itself.
    local features=ffffffffffffffffffffffffffffffffffffffff
    # The variables are Perl's.
    # shellcheck disable=SC2016
    local program='
        my ($user, $port, $server, $header, $reply) = (shift, 800);
        $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1", PeerPort => "amanda(10080)", LocalPort => $port++)
            until $server || $port == 900;
        my $dle = do { local $/; <STDIN> } =~ s{>\s+<}{><}gr;
        my $request = "\0SECURITY USER $user\nSERVICE sendbackup\n$dle\0";
        print $server pack("NN", length $request, 1), $request;
        do {
            read $server, $header, 8 or die "amandad has left first\n";
            read $server, $reply, unpack "N", $header;
        } until $reply =~ s/^\x01//;
        print $reply =~ tr{\0}{}dr'
    timeout "$LIMIT" perl -MIO::Socket::INET -e "$program" "$server_user" >"$run/logs/reply" < <(
        echo "OPTIONS features=$features;hostname=localhost;config=daily;"
        entry one '<program>APPLICATION</program><backup-program><plugin>amgtar</plugin></backup-program>'
    )
    grep -q '^CONNECT DATA [0-9]' "$run/logs/reply" || die "amandad made no such reply; see ${run#"$repository"/}"
    right "amandad made a reply that nobody acknowledges: $(grep '^CONNECT' "$run/logs/reply")"
}
