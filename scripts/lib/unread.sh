# shellcheck shell=bash disable=SC2154
# A dump of which the server reads nothing before the client has sent everything.

# Who ends with the last service resets the connection as soon as the server ends a stream of its own.
expect_staying() {
    if ! wait_until has_sent_all; then
        wrong "amandad has not sent everything"
    elif amandad_ended; then
        wrong "amandad has ended before the server has read everything"
    else
        right "amandad has sent everything, and waits until the server has read it"
    fi
}

has_sent_all() { amandad_ended || amandad_wrote_more 0 'no service is left; staying until'; }
