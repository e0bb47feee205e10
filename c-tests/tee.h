/* Shared by the tests of tees. */
#ifndef TEE_H
#define TEE_H

#include "bytes.h"

/* CRC-32C bit by bit, from its polynomial. */
static inline uint32_t crc32c(struct bytes bytes)
{
    uint32_t crc = 0xffffffff;
    size_t i;
    int bit;
    for (i = 0; i < bytes.length; i++) {
        crc ^= (unsigned char)bytes.data[i];
        for (bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0x82f63b78 : crc >> 1;
    }
    return ~crc;
}

/* A reader of a pipe in another thread. */
struct reader {
    pthread_t thread;
    int ends[2];
    struct bytes got;
};

static inline void *run_reader(void *arg)
{
    struct reader *reader = arg;
    reader->got = read_all(reader->ends[0]);
    return NULL;
}

static inline void start_reader(struct reader *reader)
{
    CHECK(pipe(reader->ends) == 0);
    CHECK(fcntl(reader->ends[1], F_SETFD, FD_CLOEXEC) == 0);
    CHECK(pthread_create(&reader->thread, NULL, run_reader, reader) == 0);
}

static inline struct bytes join_reader(struct reader *reader)
{
    CHECK(pthread_join(reader->thread, NULL) == 0);
    close(reader->ends[0]);
    return reader->got;
}

/* The reading end of a pipe that holds this text, without a writer. */
static inline int pipe_with(const char *text)
{
    int ends[2];
    size_t length = strlen(text);
    CHECK(pipe(ends) == 0);
    CHECK(write(ends[1], text, length) == (ssize_t)length);
    close(ends[1]);
    return ends[0];
}

/* Compares and frees. */
static inline void expect_text(struct bytes got, const char *expected)
{
    CHECK(strcmp(got.data, expected) == 0);
    free(got.data);
}

static inline amrelay_tee_options tee_options(uint32_t flags, int input_fd, int output_fd)
{
    amrelay_tee_options options = AMRELAY_TEE_OPTIONS_INIT;
    options.flags = flags;
    options.input_fd = input_fd;
    options.output_fd = output_fd;
    return options;
}

static inline amrelay_tee *start(const amrelay_tee_options *options)
{
    amrelay_tee *tee = NULL;
    CHECK_CODE(amrelay_tee_start(options, &tee), 0);
    return tee;
}

/* A tee with a write function that uses it. */
struct own_tee {
    amrelay_tee *tee;
    int calls;
    pthread_mutex_t started;
    void (*use)(amrelay_tee *tee);
};

static inline int write_and_use(void *arg, const void *buf, size_t len)
{
    struct own_tee *own = arg;
    (void)buf, (void)len;
    pthread_mutex_lock(&own->started); /* `tee` is known now */
    own->use(own->tee);
    own->calls++;
    pthread_mutex_unlock(&own->started);
    return 0;
}

static inline void start_own(struct own_tee *own, int input_fd)
{
    amrelay_tee_options options = tee_options(AMRELAY_TEE_TAKE_INPUT, input_fd, -1);
    options.write = write_and_use;
    options.arg = own;
    pthread_mutex_lock(&own->started);
    own->tee = start(&options);
    pthread_mutex_unlock(&own->started);
}

static inline amrelay_tee_result wait_for(amrelay_tee *tee, int expected)
{
    amrelay_tee_result result = AMRELAY_TEE_RESULT_INIT;
    CHECK_CODE(amrelay_tee_wait(tee, &result), expected);
    return result;
}

#endif
