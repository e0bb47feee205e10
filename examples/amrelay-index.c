/*
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * amrelay-index: a tar archive on standard input, its index on standard output.
 *
 *     tar --create --file=- . | amrelay-index
 *
 * Prints what `LC_ALL=C tar -tf - | sed -e 's/^\.//'` prints.
 *
 *     -d          detect the format: input that does not begin like a tar archive is refused
 *
 * Ends with status 0; with 1 and a message if the archive is damaged, cut off or none, or if lines are left out;
 * with 2 and a message if reading or writing failed.
 *
 * Where the system can drop the contents of files, they do not pass through this program: it seeks over them
 * in a regular file, and splices them from a pipe to /dev/null.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <amrelay.h>

/* One read takes all that the pipe holds: after a partial read the writer would wake and contend for the pipe's lock. */
enum { TROUBLE = 2, PIPE_SIZE = 1 << 20, BUFFER_SIZE = PIPE_SIZE };

/* Less than this costs less in the next read than in a separate call. */
enum { WORTH_DROPPING = 1 << 18 };

/* Bounds of a nap, in nanoseconds: a shorter one costs more than it saves; a longer one would be noticeable. */
enum { SHORTEST_NAP = 20000, LONGEST_NAP = 500000 };

/* One splice(2) moves at most what the pipe holds; any large number will do. */
#define SPLICE_SIZE ((uint64_t)1 << 30)

/* Standard input, and how its bytes can be dropped unread. */
struct input {
    enum { BY_READING, BY_SEEKING, BY_SPLICING } skip;
    off_t size;        /* of a regular file */
    int sink;          /* /dev/null */
    uint64_t capacity; /* of a pipe, in bytes; 0 for anything else */
    uint64_t taken;    /* bytes since the last nap */
    long nap;          /* nanoseconds */
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "amrelay-index: %s: %s\n", what, why);
    exit(TROUBLE);
}

static int usage(FILE *out, int status)
{
    fputs("usage: amrelay-index [-d] < archive.tar\n", out);
    return status;
}

static void check(int code)
{
    if (code < 0)
        fail("libamrelay", amrelay_error());
}

static void print_lines(void *arg, const void *buf, size_t len)
{
    (void)arg;
    if (fwrite(buf, 1, len, stdout) != len)
        fail("standard output", strerror(errno));
}

static struct input open_input(void)
{
    struct input input = {BY_READING, 0, -1, 0, 0, 0};
    struct stat status;
    if (fstat(STDIN_FILENO, &status) != 0)
        fail("standard input", strerror(errno));
    if (S_ISREG(status.st_mode) && lseek(STDIN_FILENO, 0, SEEK_CUR) != -1) {
        input.skip = BY_SEEKING;
        input.size = status.st_size;
    }
#ifdef __linux__
    if (S_ISFIFO(status.st_mode)) {
        input.sink = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (input.sink != -1)
            input.skip = BY_SPLICING;
        /* A refusal does no harm: a small pipe only takes more turns. */
        (void)fcntl(STDIN_FILENO, F_SETPIPE_SZ, PIPE_SIZE);
        input.capacity = (uint64_t)fcntl(STDIN_FILENO, F_GETPIPE_SZ);
    }
#endif
    return input;
}

/* Drops up to `most` bytes by seeking, but never past the end, which comes too early in a truncated archive. */
static uint64_t seek_over(const struct input *input, uint64_t most)
{
    off_t here = lseek(STDIN_FILENO, 0, SEEK_CUR);
    uint64_t left = here < input->size ? (uint64_t)(input->size - here) : 0;
    uint64_t count = most < left ? most : left;
    if (here == -1 || lseek(STDIN_FILENO, (off_t)count, SEEK_CUR) == -1)
        fail("standard input", strerror(errno));
    return count;
}

#ifdef __linux__
static uint64_t splice_away(struct input *input, uint64_t most)
{
    ssize_t count;
    if (most > SPLICE_SIZE)
        most = SPLICE_SIZE;
    do
        count = splice(STDIN_FILENO, NULL, input->sink, NULL, (size_t)most, SPLICE_F_MOVE);
    while (count == -1 && errno == EINTR);
    if (count == -1 && errno == EINVAL) {
        input->skip = BY_READING;
        return 0;
    }
    if (count == -1)
        fail("standard input", strerror(errno));
    return (uint64_t)count;
}
#endif

/*
 * Counts what was taken out of the pipe. If that emptied it, naps while it fills: a reader that reads at once
 * meets the writer in the middle of its write, and two processors then wait for one lock (mutex_spin_on_owner
 * in a profile). The nap follows the writer's speed, so that the pipe is seldom full.
 */
static void took(struct input *input, uint64_t count, int emptied)
{
    struct timespec pause = {0, 0};
    input->taken += count;
    if (!emptied || input->capacity == 0)
        return;
    if (input->taken >= input->capacity / 8 * 7)
        input->nap -= input->nap / 4;
    else if (input->taken < input->capacity / 2)
        input->nap += input->nap / 4 + SHORTEST_NAP / 4;
    if (input->nap > LONGEST_NAP)
        input->nap = LONGEST_NAP;
    input->taken = 0;
    pause.tv_nsec = input->nap;
    if (input->nap >= SHORTEST_NAP)
        nanosleep(&pause, NULL);
}

/* Drops up to `most` bytes unread; 0 if they are few, or must be read. */
static uint64_t drop(struct input *input, uint64_t most)
{
    if (most < WORTH_DROPPING || input->skip == BY_READING)
        return 0;
#ifdef __linux__
    if (input->skip == BY_SPLICING)
        return splice_away(input, most);
#endif
    return seek_over(input, most);
}

/* Reads the archive to its end. */
static void read_archive(amrelay_index *index)
{
    static char buffer[BUFFER_SIZE];
    struct input input = open_input();
    for (;;) {
        uint64_t skippable = amrelay_index_skippable(index);
        uint64_t dropped = drop(&input, skippable);
        ssize_t got;
        if (dropped > 0) {
            check(amrelay_index_skip(index, dropped));
            took(&input, dropped, dropped < skippable);
            continue;
        }
        got = read(STDIN_FILENO, buffer, sizeof buffer);
        if (got == 0)
            break;
        if (got == -1 && errno != EINTR)
            fail("standard input", strerror(errno));
        if (got == -1)
            continue;
        check(amrelay_index_push(index, buffer, (size_t)got, print_lines, NULL));
        took(&input, (uint64_t)got, got < BUFFER_SIZE);
    }
    if (input.sink != -1)
        close(input.sink);
}

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
    amrelay_index *index = NULL;
    amrelay_index_options options = AMRELAY_INDEX_OPTIONS_INIT;
    amrelay_index_result result = AMRELAY_INDEX_RESULT_INIT;
    int option;
    options.format = AMRELAY_FORMAT_TAR;
    while ((option = getopt_long(argc, argv, "dhV", long_options, NULL)) != -1) {
        if (option == 'h')
            return usage(stdout, 0);
        if (option == 'V')
            return printf("amrelay-index %s\n", amrelay_version()) < 0;
        if (option != 'd')
            return usage(stderr, TROUBLE);
        options.format = AMRELAY_FORMAT_DETECT;
    }
    if (optind < argc)
        return usage(stderr, TROUBLE);
    check(amrelay_index_new(&options, &index));
    read_archive(index);
    check(amrelay_index_finish(index, &result));
    if (fflush(stdout) != 0)
        fail("standard output", strerror(errno));
    if (result.code != 0)
        fprintf(stderr, "amrelay-index: %s\n", amrelay_index_message(index));
    amrelay_index_free(index);
    return result.code == 0 ? 0 : 1;
}
