/* Shared by the tests of links, streams and sinks. */
#ifndef RELAY_H
#define RELAY_H

#include "check.h"

#include <arpa/inet.h>
#include <sys/socket.h>

/* The largest payload of a frame that Amanda's receivers take (NETWORK_BLOCK_BYTES of tcpm_recv_token, 128 times). */
enum { LARGEST_PAYLOAD = 128 * 32768 };

/* What the callbacks of a handle were told. */
struct told {
    int ends, code, closed, resumed;
    size_t tapped;
    char tap[256];
};

static inline void told_end(void *arg, int code)
{
    struct told *told = arg;
    told->ends++;
    told->code = code;
}

static inline void told_closed(void *arg)
{
    struct told *told = arg;
    told->closed++;
}

static inline void told_tap(void *arg, const void *buf, size_t len)
{
    struct told *told = arg;
    CHECK(told->tapped + len < sizeof told->tap);
    memcpy(told->tap + told->tapped, buf, len);
    told->tapped += len;
}

/* A connection: [0] is the library's side, [1] the peer's. */
static inline void connect_pair(int ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

/* Closes a descriptor unless it is -1, as the test or the library has closed it. */
static inline void close_end(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

static inline amrelay_link_options link_options(uint32_t kind, int fd, struct told *told)
{
    amrelay_link_options options = AMRELAY_LINK_OPTIONS_INIT;
    options.kind = kind;
    options.fd = fd;
    options.on_error = told_end;
    options.on_closed = told_closed;
    options.arg = told;
    return options;
}

static inline amrelay_link *new_link(amrelay_loop *loop, uint32_t kind, int fd, struct told *told)
{
    amrelay_link_options options = link_options(kind, fd, told);
    amrelay_link *link = NULL;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), 0);
    return link;
}

static inline void read_exactly(int fd, void *buffer, size_t length)
{
    char *at = buffer;
    while (length > 0) {
        ssize_t got = read(fd, at, length);
        CHECK(got > 0);
        at += got;
        length -= (size_t)got;
    }
}

/* Reads one frame's header from the peer's side; returns the length of its payload. */
static inline uint32_t read_header(int fd, uint32_t *handle)
{
    uint32_t header[2];
    read_exactly(fd, header, sizeof header);
    *handle = ntohl(header[1]);
    return ntohl(header[0]);
}

static inline void expect_frame(int fd, uint32_t handle, const char *payload)
{
    char buffer[4096];
    uint32_t got_handle, length = read_header(fd, &got_handle);
    CHECK(got_handle == handle);
    CHECK(length == strlen(payload));
    read_exactly(fd, buffer, length);
    CHECK(memcmp(buffer, payload, length) == 0);
}

static inline void expect_end_of_file(int fd)
{
    char byte;
    CHECK(read(fd, &byte, 1) == 0);
}

#endif
