/* Where the bytes come from, and where they end. */
#include "bench.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_DELAYS = 1 << 20 };

/* Sleeps until `bytes` may have passed at this rate. */
static void keep_rate(size_t rate, double start, uint64_t bytes)
{
    double ahead = start + (double)bytes / (double)rate - now();
    if (ahead > 0) {
        struct timespec pause = {(time_t)ahead, (long)((ahead - (double)(time_t)ahead) * 1e9)};
        nanosleep(&pause, NULL);
    }
}

void run_writer(const void *how, int in, int out, struct outcome *outcome)
{
    const struct writer *writer = how;
    double start = now();
    (void)in;
    if (writer->command != NULL) {
        dup2(out, STDOUT_FILENO);
        close(out);
        execvp(writer->command[0], writer->command);
        die(writer->command[0]);
    }
    /* As many different bytes as tar would have read last from files: they do not stay in the first cache. */
    size_t size = 2 * MIB, next = 0;
    unsigned char *bytes = malloc(size + writer->piece);
    if (bytes == NULL)
        die("malloc");
    for (size_t i = 0; i < size + writer->piece; i++)
        bytes[i] = (unsigned char)(i * 2654435761u >> 24);
    while (outcome->bytes < writer->total) {
        if (writer->stamps) {
            double time = now();
            memcpy(bytes + next, &time, sizeof time);
        }
        write_all(out, bytes + next, writer->piece);
        outcome->bytes += writer->piece;
        outcome->calls++;
        next = (next + writer->piece) % size;
        if (writer->rate > 0)
            keep_rate(writer->rate, start, outcome->bytes);
    }
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

struct delays {
    double *list;
    size_t count;
};

/* Looks for the stamps in bytes that begin at `position` of the stream. */
static void take_stamps(struct delays *delays, const unsigned char *bytes, size_t length, uint64_t position,
                        size_t distance)
{
    size_t next = (distance - position % distance) % distance;
    double time = now(), stamp;
    for (; next + sizeof stamp <= length && delays->count < MOST_DELAYS; next += distance) {
        memcpy(&stamp, bytes + next, sizeof stamp);
        delays->list[delays->count++] = (time - stamp) * 1e6;
    }
}

void run_reader(const void *how, int in, int out, struct outcome *outcome)
{
    const struct reader *reader = how;
    struct delays delays = {NULL, 0};
    unsigned char *buffer = malloc(reader->piece);
    double start = now();
    (void)out;
    if (reader->stamps)
        delays.list = malloc(MOST_DELAYS * sizeof *delays.list);
    if (buffer == NULL || (reader->stamps && delays.list == NULL))
        die("malloc");
    for (;;) {
        ssize_t count = reader->drops ? recv(in, buffer, reader->piece, MSG_TRUNC) : read(in, buffer, reader->piece);
        outcome->calls++;
        if (count == 0)
            break;
        if (count == -1)
            die("read");
        if (reader->stamps)
            take_stamps(&delays, buffer, (size_t)count, outcome->bytes, reader->stamped);
        outcome->bytes += (uint64_t)count;
        if (reader->rate > 0)
            keep_rate(reader->rate, start, outcome->bytes);
    }
    if (delays.count > 0) {
        qsort(delays.list, delays.count, sizeof *delays.list, by_size);
        outcome->median = delays.list[delays.count / 2];
        outcome->p99 = delays.list[delays.count * 99 / 100];
    }
}
