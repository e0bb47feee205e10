/*
 * The relay of src/relay with one stream: an 8-byte header before each frame, moved into a socket in one of many ways.
 */
#include "relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LEAST_SPLICE = 32 * 1024, COPIED_FRAME = 64 * 1024 };

void put_header(unsigned char *bytes, size_t length)
{
    uint32_t words[2] = {htonl((uint32_t)length), htonl(7)};
    memcpy(bytes, words, HEADER);
}

size_t read_payload(int in, unsigned char *bytes, size_t most, struct outcome *outcome)
{
    ssize_t count = read(in, bytes, most);
    outcome->calls++;
    if (count == -1 && errno == EAGAIN)
        return NOTHING_YET;
    if (count == -1)
        die("read");
    return (size_t)count;
}

void send_all(int out, const unsigned char *bytes, size_t length, int flags, struct outcome *outcome)
{
    while (length > 0) {
        ssize_t count = send(out, bytes, length, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
        outcome->calls++;
        if (count == -1) {
            if (errno != EAGAIN && errno != ENOBUFS)
                die("send");
            wait_for(out, POLLOUT);
            continue;
        }
        bytes += count;
        length -= (size_t)count;
    }
}

void splice_all(int in, int out, size_t length, size_t most, unsigned flags, struct outcome *outcome)
{
    while (length > 0) {
        size_t wanted = length < most ? length : most;
        ssize_t count = splice(in, NULL, out, NULL, wanted, SPLICE_F_NONBLOCK | SPLICE_F_MOVE | flags);
        outcome->calls++;
        if (count == -1) {
            if (errno != EAGAIN)
                die("splice");
            wait_for(out, POLLOUT);
            continue;
        }
        length -= (size_t)count;
    }
}

static void cork(int out, int on)
{
    setsockopt(out, IPPROTO_TCP, TCP_CORK, &on, sizeof on);
}

static void splice_frame(const struct relay *relay, int in, int out, size_t length, struct outcome *outcome)
{
    unsigned char head[HEADER];
    if (relay->header == CORKED)
        cork(out, 1);
    put_header(head, length);
    if (relay->header != BARE)
        send_all(out, head, HEADER, relay->header == WITHOUT_MORE ? 0 : MSG_MORE, outcome);
    unsigned flags = relay->header == SPLICED_MORE ? SPLICE_F_MORE : 0;
    splice_all(in, out, length, relay->most > 0 ? relay->most : length, flags, outcome);
    if (relay->header == CORKED)
        cork(out, 0);
}

/* Returns the bytes it sent, 0 at the end of the stream, NOTHING_YET. */
static size_t copy_frame(const struct relay *relay, int in, int out, unsigned char *buffer, size_t most,
                         struct outcome *outcome)
{
    size_t room = relay->header == BARE ? 0 : HEADER;
    size_t count = read_payload(in, buffer + room, most, outcome);
    if (count == 0 || count == NOTHING_YET)
        return count;
    if (room > 0)
        put_header(buffer, count);
    send_all(out, buffer, room + count, 0, outcome);
    return count;
}

static bool splices(const struct relay *relay)
{
    return relay->way == SPLICE || relay->way == VMSPLICE_HEADER || relay->way == URING_SPLICE;
}

/* What is too short to be spliced is copied in each of the ways. */
static size_t pass_frame(const struct relay *relay, struct special *special, unsigned char *buffer,
                         struct outcome *outcome)
{
    int in = special->in, out = special->out;
    size_t ready = splices(relay) ? readable(in) : 0;
    size_t length = ready < relay->frame ? ready : relay->frame;
    if (splices(relay) && ready < LEAST_SPLICE)
        return copy_frame(relay, in, out, buffer, COPIED_FRAME, outcome);
    switch (relay->way) {
    case SPLICE: splice_frame(relay, in, out, length, outcome); return length;
    case VMSPLICE_HEADER: header_by_vmsplice(special, length, outcome); return length;
    case URING_SPLICE: splice_by_uring(special, length, outcome); return length;
    case VMSPLICE_DATA: return data_by_vmsplice(special, outcome);
    case ZEROCOPY: return send_zerocopy(special, outcome);
    case URING_COPY: return copy_by_uring(special, outcome);
    case COPY: break;
    }
    return copy_frame(relay, in, out, buffer, relay->frame, outcome);
}

static void prepare_socket(const struct relay *relay, int out)
{
    const int *unsent = &relay->unsent, *busy = &relay->busy;
    if (*unsent > 0 && setsockopt(out, IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent, sizeof *unsent) == -1)
        die("TCP_NOTSENT_LOWAT");
    if (*busy > 0 && setsockopt(out, SOL_SOCKET, SO_BUSY_POLL, busy, sizeof *busy) == -1)
        die("SO_BUSY_POLL");
}

void run_relay(const void *how, int in, int out, struct outcome *outcome)
{
    const struct relay *relay = how;
    struct special special = special_start(relay, in, out);
    unsigned char *buffer = malloc(HEADER + (relay->frame > COPIED_FRAME ? relay->frame : COPIED_FRAME));
    size_t taken = 0;
    struct pacer pacer;
    if (buffer == NULL)
        die("malloc");
    /* io_uring waits in the kernel. */
    if (relay->way != URING_COPY)
        set_nonblocking(in);
    if (relay->way != URING_COPY && relay->way != URING_SPLICE)
        set_nonblocking(out);
    prepare_socket(relay, out);
    pacer_start(&pacer, &relay->pacing, in);
    for (;;) {
        size_t sent = pass_frame(relay, &special, buffer, outcome);
        if (sent == 0)
            break;
        if (sent == NOTHING_YET) {
            pacer_in_vain(&pacer);
            wait_for(in, POLLIN);
            outcome->calls++;
            continue;
        }
        outcome->bytes += sent;
        taken += sent;
        if (relay->pacing.rule != EAGER && (taken >= pacer.capacity || readable(in) == 0)) {
            pacer_nap(&pacer, taken);
            taken = 0;
        }
    }
    special_end(&special, outcome);
    outcome->naps = pacer.naps;
}
