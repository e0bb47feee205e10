/*
 * floor [--alone | --one-hop] COMMAND...: a backup client's work in a bare chain. Prints the processor time, user and system, and
 * the elapsed time, in seconds, and the number of bytes in the stream.
 *
 * COMMAND (tar) writes to a pipe. What a client must do with its stream is done by two processes, as in Amanda, with as
 * few instructions as the kernel allows: the first (sendbackup) duplicates the stream with tee(2), reads the copy for
 * its CRC-32C and splices the original on into a second pipe; the other (amandad) splices from there in frames to a TCP
 * connection on the loopback interface. There is no index, no message, no event loop, no limit and no care for errors
 * of the peer. Counted are these two and COMMAND; not counted is the process that reads from the connection.
 *
 * --one-hop: the first process sends the frames itself, and there is no other.
 *
 * --alone: nothing but COMMAND is counted, and its output is dropped by splicing it to /dev/null.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <isa-l/crc.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The most an unprivileged user may ask for, unless the machine's pipe-max-size says otherwise. */
enum { pipe_size = 1 << 20, frame_size = 256 << 10, crc_block = 128 << 10 };

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

/* check(RESULT, WHAT): RESULT, unless it tells of an error. */
static ssize_t check(ssize_t result, const char *what)
{
    if (result < 0)
        fail(what);
    return result;
}

static pid_t start(void)
{
    return (pid_t)check(fork(), "fork");
}

static void make_pipe(int ends[2])
{
    check(pipe2(ends, O_CLOEXEC), "pipe2");
    check(fcntl(ends[0], F_SETPIPE_SZ, pipe_size), "F_SETPIPE_SZ");
}

/* Both ends of one TCP connection. */
static void connect_loopback(int *client, int *server)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t length = sizeof address;
    int listener = (int)check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

    check(bind(listener, (struct sockaddr *)&address, sizeof address), "bind");
    check(listen(listener, 1), "listen");
    check(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
    *client = (int)check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    check(connect(*client, (struct sockaddr *)&address, sizeof address), "connect");
    *server = (int)check(accept4(listener, NULL, NULL, SOCK_CLOEXEC), "accept");
    close(listener);
}

static pid_t start_command(char **command, int output)
{
    pid_t child = start();

    if (child == 0) {
        check(dup2(output, STDOUT_FILENO), "dup2");
        execvp(command[0], command);
        fail(command[0]);
    }
    close(output);
    return child;
}

static void read_everything(int connection)
{
    static char buffer[frame_size];

    while (check(read(connection, buffer, sizeof buffer), "read") > 0)
        ;
}

/* tcpm's frame is the length and a handle, both big-endian, and then the bytes, which are in the pipe. */
static void send_frame(int input, int connection, ssize_t length)
{
    uint32_t header[2] = { htonl((uint32_t)length), htonl(1) };

    check(send(connection, header, sizeof header, MSG_MORE | MSG_NOSIGNAL), "send");
    while (length > 0)
        length -= check(splice(input, NULL, connection, NULL, (size_t)length, SPLICE_F_MOVE), "splice to the connection");
}

static void send_frames(int input, int connection)
{
    for (;;) {
        struct pollfd ready = { .fd = input, .events = POLLIN };
        int available;

        check(poll(&ready, 1, -1), "poll");
        check(ioctl(input, FIONREAD, &available), "FIONREAD");
        if (available == 0)
            return;
        send_frame(input, connection, available < frame_size ? available : frame_size);
    }
}

static uint32_t checksum(int side, ssize_t length, uint32_t crc)
{
    static unsigned char buffer[crc_block];

    while (length > 0) {
        ssize_t count = check(read(side, buffer, sizeof buffer), "read");

        crc = crc32_iscsi(buffer, (int)count, crc);
        length -= count;
    }
    return crc;
}

/* The output is a pipe, or a connection that is sent frames. */
static uint32_t pass_on(int input, int output, bool framed, uint64_t *bytes)
{
    int side[2];
    uint32_t crc = UINT32_MAX;
    ssize_t length;

    make_pipe(side);
    while ((length = check(tee(input, side[1], pipe_size, 0), "tee")) > 0) {
        crc = checksum(side[0], length, crc);
        *bytes += (uint64_t)length;
        while (length > 0) {
            ssize_t part = length < frame_size ? length : frame_size;

            if (framed)
                send_frame(input, output, part);
            else
                part = check(splice(input, NULL, output, NULL, (size_t)length, SPLICE_F_MOVE), "splice");
            length -= part;
        }
    }
    return ~crc;
}

static uint64_t drop(int input)
{
    uint64_t bytes = 0;
    ssize_t length;
    int nowhere = (int)check(open("/dev/null", O_WRONLY | O_CLOEXEC), "/dev/null");

    while ((length = check(splice(input, NULL, nowhere, NULL, pipe_size, SPLICE_F_MOVE), "splice")) > 0)
        bytes += (uint64_t)length;
    return bytes;
}

static void add(struct timeval *sum, struct timeval more)
{
    timeradd(sum, &more, sum);
}

/* Waits for a child that has to succeed, and adds what it used. */
static void count(pid_t child, struct rusage *sum)
{
    struct rusage usage;
    int status;

    check(wait4(child, &status, 0, &usage), "wait4");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fprintf(stderr, "floor: a process failed (status %d)\n", status);
        exit(EXIT_FAILURE);
    }
    add(&sum->ru_utime, usage.ru_utime);
    add(&sum->ru_stime, usage.ru_stime);
}

/* Starts amandad's part: what comes through the pipe that is returned goes to the connection. */
static pid_t start_sender(int client, const int data[2], int *output)
{
    int onward[2];
    pid_t sender;

    make_pipe(onward);
    if ((sender = start()) == 0) {
        close(onward[1]);
        close(data[0]);
        close(data[1]);
        send_frames(onward[0], client);
        _exit(EXIT_SUCCESS);
    }
    close(client);
    close(onward[0]);
    *output = onward[1];
    return sender;
}

/* Adds what the processes of the chain use, this one among them; returns the stream's CRC. */
static uint32_t run_chain(char **command, bool one_hop, struct rusage *sum, uint64_t *bytes)
{
    int data[2], client, server, output;
    pid_t reader, sender = 0, writer;
    struct rusage own, ignored = { 0 };
    uint32_t crc;

    connect_loopback(&client, &server);
    if ((reader = start()) == 0) {
        close(client);
        read_everything(server);
        _exit(EXIT_SUCCESS);
    }
    close(server);
    make_pipe(data);
    output = client;
    if (!one_hop)
        sender = start_sender(client, data, &output);
    writer = start_command(command, data[1]);
    crc = pass_on(data[0], output, one_hop, bytes);
    close(output);
    count(writer, sum);
    if (!one_hop)
        count(sender, sum);
    count(reader, &ignored);
    check(getrusage(RUSAGE_SELF, &own), "getrusage");
    add(&sum->ru_utime, own.ru_utime);
    add(&sum->ru_stime, own.ru_stime);
    return crc;
}

static uint64_t run_alone(char **command, struct rusage *sum)
{
    int data[2];
    pid_t writer;
    uint64_t bytes;

    make_pipe(data);
    writer = start_command(command, data[1]);
    bytes = drop(data[0]);
    count(writer, sum);
    return bytes;
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static double now(void)
{
    struct timespec time;

    check(clock_gettime(CLOCK_MONOTONIC, &time), "clock_gettime");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    bool alone = argc > 1 && strcmp(argv[1], "--alone") == 0;
    bool one_hop = argc > 1 && strcmp(argv[1], "--one-hop") == 0;
    char **command = argv + 1 + (alone || one_hop);
    struct rusage sum = { 0 };
    uint64_t bytes = 0;
    double begin = now();

    if (command[0] == NULL) {
        fprintf(stderr, "usage: floor [--alone | --one-hop] COMMAND...\n");
        return EXIT_FAILURE;
    }
    if (alone)
        bytes = run_alone(command, &sum);
    else
        fprintf(stderr, "floor: CRC %08x\n", run_chain(command, one_hop, &sum, &bytes));
    printf("%.6f %.6f %.6f %" PRIu64 "\n", seconds(sum.ru_utime), seconds(sum.ru_stime), now() - begin, bytes);
    return EXIT_SUCCESS;
}
