/* The tee of src/tee: passes a stream on and computes its CRC-32C. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static void look(int side, size_t left, unsigned char *buffer, size_t size, struct outcome *outcome)
{
    while (left > 0) {
        ssize_t count = read(side, buffer, left < size ? left : size);
        if (count <= 0)
            die("side pipe");
        outcome->calls++;
        outcome->crc = crc_update(outcome->crc, buffer, (size_t)count);
        left -= (size_t)count;
    }
}

static size_t splice_some(int in, int out, size_t length, struct outcome *outcome)
{
    ssize_t count = splice(in, NULL, out, NULL, length, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
    outcome->calls++;
    if (count == -1 && errno != EAGAIN)
        die("splice");
    return count == -1 ? 0 : (size_t)count;
}

static void pass_by_reference(const struct tee *variant, int in, int out, struct outcome *outcome)
{
    unsigned char *buffer = malloc(variant->buffer);
    struct pacer pacer;
    int side[2];
    if (buffer == NULL)
        die("malloc");
    make_pipe(side, MIB);
    pacer_start(&pacer, &variant->pacing, in);
    for (;;) {
        ssize_t count = tee(in, side[1], MIB, SPLICE_F_NONBLOCK);
        outcome->calls++;
        if (count == 0)
            break;
        if (count == -1) {
            if (errno != EAGAIN)
                die("tee");
            pacer_in_vain(&pacer);
            wait_for(in, POLLIN);
            outcome->calls++;
            continue;
        }
        size_t left = (size_t)count;
        bool held_up = false;
        left -= splice_some(in, out, left, outcome);
        look(side[0], (size_t)count, buffer, variant->buffer, outcome);
        while (left > 0) {
            size_t moved = splice_some(in, out, left, outcome);
            left -= moved;
            if (moved == 0) {
                wait_for(out, POLLOUT);
                held_up = true;
            }
        }
        outcome->bytes += (uint64_t)count;
        /* While the output was full, the input could fill. */
        if (!held_up)
            pacer_nap(&pacer, (size_t)count);
    }
    outcome->naps = pacer.naps;
}

static void pass_by_copy(const struct tee *variant, int in, int out, struct outcome *outcome)
{
    unsigned char *buffer = malloc(variant->buffer);
    struct pacer pacer;
    size_t taken = 0;
    if (buffer == NULL)
        die("malloc");
    pacer_start(&pacer, &variant->pacing, in);
    for (;;) {
        ssize_t count = read(in, buffer, variant->buffer);
        outcome->calls++;
        if (count == 0)
            break;
        if (count == -1)
            die("read");
        outcome->crc = crc_update(outcome->crc, buffer, (size_t)count);
        write_all(out, buffer, (size_t)count);
        outcome->calls++;
        outcome->bytes += (uint64_t)count;
        taken += (size_t)count;
        if ((size_t)count < variant->buffer || taken >= pacer.capacity) {
            pacer_nap(&pacer, taken);
            taken = 0;
        }
    }
    outcome->naps = pacer.naps;
}

void run_tee(const void *how, int in, int out, struct outcome *outcome)
{
    const struct tee *variant = how;
    if (variant->copies)
        pass_by_copy(variant, in, out, outcome);
    else
        pass_by_reference(variant, in, out, outcome);
}
