/*
 * The relay of src/relay with one stream: an 8-byte header before each frame, moved into a socket spliced or copied.
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEADER = 8, LEAST_SPLICE = 32 * 1024, COPIED_FRAME = 64 * 1024 };
#define NOTHING_YET SIZE_MAX

static void put_header(unsigned char *bytes, size_t length)
{
    uint32_t words[2] = {htonl((uint32_t)length), htonl(7)};
    memcpy(bytes, words, HEADER);
}

/* Reads at most `most` bytes of a frame: how many, 0 at the end of the stream, or NOTHING_YET. */
static size_t read_payload(int in, unsigned char *bytes, size_t most, struct outcome *outcome)
{
    ssize_t count = read(in, bytes, most);
    outcome->calls++;
    if (count == -1 && errno == EAGAIN)
        return NOTHING_YET;
    if (count == -1)
        die("read");
    return (size_t)count;
}

static void send_all(int out, const unsigned char *bytes, size_t length, int flags, struct outcome *outcome)
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

static void splice_all(int in, int out, size_t length, struct outcome *outcome)
{
    while (length > 0) {
        ssize_t count = splice(in, NULL, out, NULL, length, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
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

static void splice_frame(const struct relay *relay, int in, int out, size_t length, struct outcome *outcome)
{
    unsigned char head[HEADER];
    put_header(head, length);
    if (relay->heads)
        send_all(out, head, HEADER, MSG_MORE, outcome);
    splice_all(in, out, length, outcome);
}

/* Returns the bytes it sent, 0 at the end of the stream, NOTHING_YET. */
static size_t copy_frame(const struct relay *relay, int in, int out, unsigned char *buffer, size_t most,
                         struct outcome *outcome)
{
    size_t room = relay->heads ? HEADER : 0;
    size_t count = read_payload(in, buffer + room, most, outcome);
    if (count == 0 || count == NOTHING_YET)
        return count;
    if (room > 0)
        put_header(buffer, count);
    send_all(out, buffer, room + count, 0, outcome);
    return count;
}

/* What is too short to be spliced is copied. */
static size_t pass_frame(const struct relay *relay, int in, int out, unsigned char *buffer, struct outcome *outcome)
{
    if (relay->way == COPY)
        return copy_frame(relay, in, out, buffer, relay->frame, outcome);
    size_t ready = readable(in), length = ready < relay->frame ? ready : relay->frame;
    if (ready < LEAST_SPLICE)
        return copy_frame(relay, in, out, buffer, COPIED_FRAME, outcome);
    splice_frame(relay, in, out, length, outcome);
    return length;
}

void run_relay(const void *how, int in, int out, struct outcome *outcome)
{
    const struct relay *relay = how;
    unsigned char *buffer = malloc(HEADER + (relay->frame > COPIED_FRAME ? relay->frame : COPIED_FRAME));
    size_t taken = 0;
    struct pacer pacer;
    if (buffer == NULL)
        die("malloc");
    set_nonblocking(in);
    set_nonblocking(out);
    pacer_start(&pacer, &relay->pacing, in);
    for (;;) {
        size_t sent = pass_frame(relay, in, out, buffer, outcome);
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
    outcome->naps = pacer.naps;
}
