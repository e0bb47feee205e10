/* What the tests of links, streams and sinks share. */
#ifndef RELAY_H
#define RELAY_H

#include "check.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#define HEADER_SIZE 8

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

static inline amrelay_loop *new_loop(void)
{
    amrelay_loop *loop = NULL;
    CHECK_CODE(amrelay_loop_new(&loop), 0);
    return loop;
}

/* A connection: [0] is the library's side, [1] the peer's. */
static inline void connect_pair(int ends[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
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
