/*
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Amanda's reader of tokens, tcpm_recv_token, on what a stranger may send: however the bytes are cut, the same tokens come,
 * which are those that the bytes hold; none is longer than allowed, and no call reads on where there is nothing to read.
 * Each token is then taken for a packet, as the first ones of a connection are.
 *
 * Built and run by scripts/fuzz.sh.
 */
#include "amanda.h"

/* What the connection's reads come from, in the place of read(2). */
static ssize_t read_some(int fd, void *buffer, size_t size);
#define read(fd, buffer, size) read_some(fd, buffer, size)
#include "security-util.c"
#undef read

#define HEADER_BYTES 8
#define MAX_TOKEN (128 * NETWORK_BLOCK_BYTES)
#define CUTS 8
/* What a call may read of a connection that says no more: a header, a payload, and a line of garbage for its message. */
#define MOST_READS 104

/* The connection: its bytes, and in how many reads they come. */
static struct {
    int            fd; /* what a poll tells of: always readable */
    const uint8_t *bytes;
    size_t         left;
    const uint8_t *cuts; /* CUTS lengths, in turn; NULL: all at once */
    size_t         cut;
    size_t         cut_left;
    unsigned       reads; /* in this call */
} connection;

static void
require(gboolean holds, const char *what)
{
    if (!holds) {
	fprintf(stderr, "recv_token: %s\n", what);
	abort();
    }
}

/* Reads as a non-blocking socket: what has come, or "later", and at the end 0. */
static ssize_t
read_some(int fd, void *buffer, size_t size)
{
    size_t count;

    require(fd == connection.fd, "another descriptor was read");
    require(++connection.reads <= MOST_READS, "a call goes on reading");
    if (connection.left == 0)
	return 0;
    if (connection.cuts && connection.cut_left == 0) {
	connection.cut_left = (size_t)connection.cuts[connection.cut++ % CUTS] + 1;
	errno = EAGAIN;
	return -1;
    }
    count = MIN(size, connection.left);
    if (connection.cuts)
	count = MIN(count, connection.cut_left);
    memcpy(buffer, connection.bytes, count);
    connection.bytes += count;
    connection.left -= count;
    connection.cut_left -= connection.cuts ? count : 0;
    return (ssize_t)count;
}

/* Whether the bytes begin with a whole token, and which. */
static ssize_t
expected(const uint8_t *bytes, size_t left, int *handle)
{
    uint32_t header[2];

    if (left < HEADER_BYTES)
	return -2;
    memcpy(header, bytes, HEADER_BYTES);
    *handle = (int)ntohl(header[1]);
    if (ntohl(header[0]) > MAX_TOKEN)
	return -1;
    return left - HEADER_BYTES < ntohl(header[0]) ? -2 : (ssize_t)ntohl(header[0]);
}

static void
check_packet(const char *token, ssize_t size)
{
    pkt_t packet = { 0 };

    parse_pkt(&packet, token, (size_t)size);
    require(packet.size < packet.packet_size, "a packet's text does not end");
    g_free(packet.body);
}

/* Reads the whole connection, and compares each token with the bytes. */
static void
receive(const uint8_t *bytes, size_t left, const uint8_t *cuts)
{
    static const security_driver_t driver = { .name = "fuzz", .data_read = generic_data_read };
    struct tcp_conn conn = { .driver = &driver, .read = connection.fd, .write = -1 };
    struct tcp_conn *rc = &conn;

    connection.bytes = bytes;
    connection.left = left;
    connection.cuts = cuts;
    connection.cut = connection.cut_left = 0;
    for (;;) {
	int     handle = 0;
	ssize_t wanted = expected(bytes, left, &handle), got;

	do {
	    connection.reads = 0;
	    got = tcpm_recv_token(rc, &rc->handle, &rc->errmsg, &rc->pkt, &rc->pktlen);
	} while (got == -2);
	if (got < 0) {
	    require(wanted == -1, "a sound token was refused");
	    break;
	}
	if (got == 0 && rc->handle == H_EOF && connection.left == 0) {
	    /* A token may end a stream that has just this number. */
	    if (wanted == 0 && handle == H_EOF)
		goto next;
	    require(wanted == -2, "a token was lost");
	    break;
	}
	require(got == wanted && rc->pktlen == wanted && rc->handle == handle, "another token");
	if (got > 0) {
	    require(memcmp(rc->pkt, bytes + HEADER_BYTES, (size_t)got) == 0, "other bytes");
	    check_packet(rc->pkt, got);
	}
next:
	bytes += HEADER_BYTES + got;
	left -= HEADER_BYTES + (size_t)got;
    }
    g_free(rc->pkt);
    g_free(rc->buffer);
    g_free(rc->errmsg);
}

/* In the place of libamanda's: the texts are made, and go nowhere. */
void
debug_printf(const char *format, ...)
{
    char    text[512];
    va_list arguments;

    va_start(arguments, format);
    g_vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
}

static void
say_nothing(const char *domain G_GNUC_UNUSED, GLogLevelFlags level G_GNUC_UNUSED, const char *text G_GNUC_UNUSED,
	    void *data G_GNUC_UNUSED)
{
}

int
LLVMFuzzerInitialize(int *argc G_GNUC_UNUSED, char ***argv G_GNUC_UNUSED)
{
    g_log_set_default_handler(say_nothing, NULL);
    debug_auth = 9;
    connection.fd = open("/dev/zero", O_RDONLY);
    require(connection.fd >= 0, "no /dev/zero");
    return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < CUTS)
	return -1;
    receive(data + CUTS, size - CUTS, data);
    receive(data + CUTS, size - CUTS, NULL);
    return 0;
}
