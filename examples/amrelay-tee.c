/*
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * amrelay-tee: passes standard input on to standard output and makes its CRC and index.
 *
 *     tar --create --file=- . | amrelay-tee -i index.txt > backup.tar
 *     dump -0f - /home | amrelay-tee -c 'restore -tf -' -i index.txt > backup.dump
 *
 *     -i FILE     write the index to FILE
 *     -d NUMBER   write the index to the open descriptor of that number, from 2 on
 *     -c COMMAND  have sh run COMMAND on a copy of the data to make the index; without it the data is a tar archive
 *     -z          do not copy the data where the system can avoid it: only if its writer uses write(2) alone, as tar
 *                 and dump do, but not every cat
 *     -t SECONDS  give up after that time
 *
 * CRC-32C, counts and times go to standard error. Ends with status 0; with 1 if not all data was passed on;
 * with 2 if the options are wrong; with 3 if only the index is incomplete.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <amrelay.h>

enum { DATA_LOST = 1, WRONG_OPTIONS = 2, INDEX_INCOMPLETE = 3 };

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {NULL, 0, NULL, 0},
};

static void usage(FILE *out, int status)
{
    fputs("usage: amrelay-tee [-z] [-t SECONDS] [-i FILE | -d NUMBER] [-c COMMAND] < data > output\n", out);
    exit(status);
}

static void print_version(void)
{
    printf("amrelay-tee %s\n", amrelay_version());
    exit(0);
}

/* A file opened while one of these is closed would get its number, and its output. */
static void expect_standard_descriptors(void)
{
    int fd;
    for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) == -1) {
            fprintf(stderr, "amrelay-tee: descriptor %d is closed\n", fd);
            exit(WRONG_OPTIONS);
        }
}

static int open_index(const char *name)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd == -1) {
        fprintf(stderr, "amrelay-tee: %s: %s\n", name, strerror(errno));
        exit(WRONG_OPTIONS);
    }
    return fd;
}

static int number(const char *text, int least)
{
    char *end;
    long value;
    errno = 0;
    value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < least || value > 1000000)
        usage(stderr, WRONG_OPTIONS);
    return (int)value;
}

static amrelay_tee_options parse(int argc, char **argv, int *seconds)
{
    amrelay_tee_options options = AMRELAY_TEE_OPTIONS_INIT;
    int option;
    options.flags = AMRELAY_TEE_CRC | AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT;
    options.input_fd = STDIN_FILENO;
    options.output_fd = STDOUT_FILENO;
    while ((option = getopt_long(argc, argv, "c:d:hi:t:zV", long_options, NULL)) != -1) {
        if (option == 'z')
            options.flags |= AMRELAY_TEE_ZERO_COPY;
        else if (option == 'c')
            options.index_command = optarg;
        else if (option == 't')
            *seconds = number(optarg, 1);
        else if (option == 'i' && options.index_fd == -1) {
            options.index_fd = open_index(optarg);
            options.flags |= AMRELAY_TEE_TAKE_INDEX;
        } else if (option == 'd' && options.index_fd == -1)
            options.index_fd = number(optarg, STDERR_FILENO);
        else if (option == 'V')
            print_version();
        else
            usage(option == 'h' ? stdout : stderr, option == 'h' ? 0 : WRONG_OPTIONS);
    }
    if (optind < argc || (options.index_command != NULL && options.index_fd == -1))
        usage(stderr, WRONG_OPTIONS);
    if (options.index_fd == -1)
        options.index = AMRELAY_INDEX_NONE;
    else
        options.index = options.index_command == NULL ? AMRELAY_INDEX_TAR : AMRELAY_INDEX_COMMAND;
    return options;
}

/* Ends a tee that is not done in time. An event loop could wait for the same descriptor, among others. */
static void limit(amrelay_tee *tee, int seconds)
{
    struct pollfd end = {0};
    end.fd = amrelay_tee_ended_fd(tee);
    end.events = POLLIN;
    if (poll(&end, 1, seconds * 1000) == 0)
        amrelay_tee_cancel(tee);
}

static void report(const amrelay_tee_result *result)
{
    const amrelay_stats *stats = &result->stats;
    fprintf(stderr, "crc32c %08" PRIx32 "\nbytes %" PRIu64 "\nentries %" PRIu64 "\nmethod %s\n", result->crc32c,
            stats->bytes, result->entries, stats->method == AMRELAY_METHOD_SPLICE ? "splice" : "copy");
    fprintf(stderr, "seconds %.3f, waiting for the writer %.3f, the output %.3f, the index %.3f\n",
            (double)stats->elapsed_ns / 1e9, (double)stats->writer_ns / 1e9, (double)stats->output_ns / 1e9,
            (double)stats->index_ns / 1e9);
}

int main(int argc, char **argv)
{
    amrelay_tee_options options;
    amrelay_tee_result result = AMRELAY_TEE_RESULT_INIT;
    amrelay_tee *tee = NULL;
    int seconds = 0, status = 0;
    expect_standard_descriptors();
    options = parse(argc, argv, &seconds);
    if (amrelay_tee_start(&options, &tee) < 0) {
        fprintf(stderr, "amrelay-tee: %s\n", amrelay_error());
        return WRONG_OPTIONS;
    }
    if (seconds > 0)
        limit(tee, seconds);
    if (amrelay_tee_wait(tee, &result) < 0) {
        fprintf(stderr, "amrelay-tee: %s\n", amrelay_error());
        status = DATA_LOST;
    } else if (result.index_code != 0) {
        fprintf(stderr, "amrelay-tee: index: %s\n", amrelay_tee_index_message(tee));
        status = INDEX_INCOMPLETE;
    }
    report(&result);
    amrelay_tee_free(tee);
    return status;
}
