/* The relay's ways of moving a frame. */
#ifndef RELAY_H
#define RELAY_H

#include "bench.h"

enum { HEADER = 8 };
#define NOTHING_YET SIZE_MAX

void put_header(unsigned char *bytes, size_t length);
/* Reads at most `most` bytes of a frame: how many, 0 at the end of the stream, or NOTHING_YET. */
size_t read_payload(int in, unsigned char *bytes, size_t most, struct outcome *outcome);
void send_all(int out, const unsigned char *bytes, size_t length, int flags, struct outcome *outcome);
void splice_all(int in, int out, size_t length, size_t most, unsigned flags, struct outcome *outcome);

/* What the ways that were tried and not kept need between frames. */
struct special {
    const struct relay *relay;
    int in, out;
    int side[2];             /* a pipe of its own */
    unsigned char *memory;   /* a ring of buffers that the kernel may still refer to */
    size_t slots, slot, room;
    uint32_t sent, done;     /* MSG_ZEROCOPY: calls, and those whose bytes the kernel no longer needs */
    uint64_t copied;         /* of these, the ones whose bytes it has copied after all */
    struct uring *uring;
    size_t ahead;            /* io_uring: bytes in the buffer that was filled meanwhile */
};
struct special special_start(const struct relay *relay, int in, int out);
void special_end(struct special *special, struct outcome *outcome);
void header_by_vmsplice(struct special *special, size_t length, struct outcome *outcome);
size_t data_by_vmsplice(struct special *special, struct outcome *outcome);
size_t send_zerocopy(struct special *special, struct outcome *outcome);

/* uring.c */
struct uring *uring_start(void);
void splice_by_uring(struct special *special, size_t length, struct outcome *outcome);
size_t copy_by_uring(struct special *special, struct outcome *outcome);

#endif
