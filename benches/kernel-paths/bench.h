/*
 * What the measurements of benches/kernel-paths share.
 *
 * A measurement is a chain of processes joined by pipes or by TCP on loopback. Each process is a fork of this program
 * that runs one stage; what it cost is what wait4(2) says of it. The variants of a case take turns within each round.
 */
#ifndef BENCH_H
#define BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

enum { MOST_STAGES = 6, NO_DESCRIPTOR = -1 };

/* What a stage leaves behind, in memory that its parent shares. */
struct outcome {
    uint64_t bytes;   /* of payload that passed */
    uint64_t calls;   /* system calls that move bytes, with those that found nothing to move */
    uint64_t naps;
    uint32_t crc;
    double median, p99; /* of the delay of a record, in microseconds; 0 if not measured */
};

struct stage {
    const char *name;
    void (*run)(const void *how, int in, int out, struct outcome *outcome);
    const void *how;
    bool counted;     /* whether its CPU time belongs to the sum */
};

/* What joins a stage to the next. */
struct hop {
    enum { BY_PIPE, BY_TCP } kind;
    size_t size; /* of a pipe */
};

struct chain {
    const char *variant;
    bool repeats;     /* the same bytes each time */
    int stages;
    struct stage stage[MOST_STAGES];
    struct hop hop[MOST_STAGES - 1];
};

/* measure.c */
extern bool quick;
void die(const char *what) __attribute__((noreturn));
int rounds(void);
void compare(const char *group, const char *name, struct chain *chains, int count);
void emit(const char *group, const char *name, const char *variant, const char *metric, double value);
double now(void);
void make_pipe(int ends[2], size_t size);

/*
 * chain.c: writer -> [tee ->] [relay ->] reader, with the variants of the middle. Pipes are of `pipe` bytes; behind a
 * relay there is TCP.
 */
struct writer;
struct reader;
struct tee {
    struct pacing {
        enum { EAGER, FIXED, ADAPTIVE, BY_RATE } rule;
        long most;        /* the longest nap, the nap itself if FIXED, in microseconds */
        long least;       /* shorter naps are not taken */
    } pacing;
    size_t buffer;        /* for the look at the bytes */
    bool copies;          /* read and write instead of tee and splice */
};
struct relay {
    struct pacing pacing;
    size_t frame;
    enum { SPLICE, COPY } way;
    bool heads;           /* sends a header before each frame */
};
struct arrangement {
    const char *variant;
    size_t pipe;
    const struct tee *tee;
    const struct relay *relay;
};
void compare_arrangements(const char *group, const char *name, const struct writer *writer,
                          const struct arrangement *arrangements, size_t count, const struct reader *reader);

/* stream.c: where bytes come from, and where they end */
struct writer {
    size_t piece, total;
    size_t rate;          /* bytes a second, kept by sleeping, as a tar waits for its disk; 0: as fast as it goes */
    bool stamps;          /* begins each piece with the time */
    char *const *command; /* instead of all that: a program and its arguments */
};
void run_writer(const void *how, int in, int out, struct outcome *outcome);

struct reader {
    size_t piece;
    size_t rate;          /* as the writer's */
    bool drops;           /* lets the kernel drop what has come, as if it had gone to another machine: sockets only */
    bool stamps;
    size_t stamped;       /* distance of the stamps */
};
void run_reader(const void *how, int in, int out, struct outcome *outcome);

/* pace.c */
struct pacer {
    const struct pacing *how;
    size_t capacity;      /* of the pipe */
    double nap;           /* microseconds */
    bool napped;          /* just now */
    unsigned in_vain;     /* ADAPTIVE: how many of the longest naps in a row brought nothing */
    unsigned rest;        /* ADAPTIVE: how many of the next transfers go without */
    double since, pace;   /* BY_RATE: when the pipe was empty last; bytes a microsecond */
    uint64_t naps;
};
void pacer_start(struct pacer *pacer, const struct pacing *how, int pipe);
void pacer_nap(struct pacer *pacer, size_t taken);
void pacer_in_vain(struct pacer *pacer);

/* crc.c */
void crc_prepare(void);
uint32_t crc_update(uint32_t crc, const void *bytes, size_t length);

/* tee.c, relay.c */
void run_tee(const void *how, int in, int out, struct outcome *outcome);
void run_relay(const void *how, int in, int out, struct outcome *outcome);

/* io.c: calls that wait, and end the program if they fail */
void wait_for(int fd, short events);
size_t readable(int fd);
size_t capacity_of(int pipe);
void set_nonblocking(int fd);
void write_all(int fd, const void *bytes, size_t length);

#endif
