/*
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * amrelay-relay: sends the output of several commands over one connection into as many files.
 *
 *     amrelay-relay send 'tar --create --file=- .' 'ls -lR' 'date' |
 *         ssh host amrelay-relay receive data.tar list.txt date.txt
 *
 * The connection is the sender's standard output and the receiver's standard input: a pipe or a socket. It carries
 * frames: 4 bytes length, 4 bytes stream number, both big-endian, then that many bytes of the stream. Length 0 ends
 * the stream.
 *
 * Each side is one thread with an event loop. Nothing in it blocks: while one command is silent, the others' output
 * goes on; while the connection is full, nothing more is read from any of them.
 *
 * Ends with status 0; with 1 and messages if a command failed or data was lost; with 2 if it is used wrongly.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <amrelay.h>

enum { FAILED = 1, USAGE = 2, MOST_STREAMS = 16 };

static void complain(const char *what, const char *why)
{
    fprintf(stderr, "amrelay-relay: %s: %s\n", what, why);
}

static void give_up(const char *what, const char *why)
{
    complain(what, why);
    exit(FAILED);
}

static void check(int code)
{
    if (code < 0)
        give_up("libamrelay", amrelay_error());
}

/* ---- The sender: a stream for each command, all in one link. ---- */

struct command {
    const char *text;
    FILE *pipe;
    amrelay_stream *stream;
    int failed;
};

/* The connection has taken all of a command's output, or will take no more of it. */
static void command_ended(void *arg, int code)
{
    struct command *command = arg;
    if (code < 0) {
        complain(command->text, amrelay_strerror(code));
        command->failed = 1;
    }
    amrelay_stream_free(command->stream);
}

static void start_command(struct command *command, uint32_t number, amrelay_link *link)
{
    amrelay_stream_options options = AMRELAY_STREAM_OPTIONS_INIT;
    command->pipe = popen(command->text, "r");
    if (command->pipe == NULL)
        give_up(command->text, strerror(errno));
    options.fd = fileno(command->pipe);
    options.handle = number;
    /*
     * The first command has the gigabytes: its frames are large, the others' frames go first, and its bytes are not
     * copied where that can be avoided. So it must write with write(2), as tar does: see AMRELAY_STREAM_BULK.
     */
    options.flags = number == 1 ? AMRELAY_STREAM_BULK : 0;
    options.on_end = command_ended;
    options.arg = command;
    check(amrelay_stream_start(link, &options, &command->stream));
}

/* Waits for a command. SIGPIPE ends one whose output nobody takes any more. */
static int has_failed(struct command *command)
{
    if (pclose(command->pipe) != 0 && !command->failed) {
        complain(command->text, "the command has failed");
        command->failed = 1;
    }
    return command->failed;
}

static int send_commands(char **texts, int count)
{
    struct command commands[MOST_STREAMS] = {{0}};
    amrelay_link_options options = AMRELAY_LINK_OPTIONS_INIT;
    amrelay_link *link = NULL;
    amrelay_loop *loop = NULL;
    int i, status = 0;

    check(amrelay_loop_new(&loop));
    options.kind = AMRELAY_LINK_FRAMED;
    options.fd = STDOUT_FILENO;
    check(amrelay_link_new(loop, &options, &link));
    for (i = 0; i < count; i++) {
        commands[i].text = texts[i];
        start_command(&commands[i], (uint32_t)i + 1, link);
    }
    /* Returns when all streams have ended and the connection has taken everything. */
    check(amrelay_loop_turns(loop, 0));
    amrelay_link_free(link);
    amrelay_loop_free(loop);

    for (i = 0; i < count; i++)
        if (has_failed(&commands[i]))
            status = FAILED;
    return status;
}

/* ---- The receiver: decodes the frames, and has a sink for each file. ---- */

enum { HEADER_SIZE = 8, LARGEST_FRAME = 4 << 20 };

struct file {
    struct receiver *receiver;
    const char *name;
    amrelay_sink *sink; /* NULL: it has ended */
    int is_done;        /* its stream has ended */
    int is_full;        /* it takes no more for now */
};

struct receiver {
    amrelay_loop *loop;
    amrelay_event readable; /* the event on the connection; 0: none, it is not read */
    struct file files[MOST_STREAMS];
    int count, full, status;

    unsigned char header[HEADER_SIZE]; /* of the next frame, as far as it has arrived */
    size_t header_length;
    struct file *file; /* whose frame it is */
    size_t left;       /* bytes of the frame still to come */
};

static void read_connection(void *arg);

static void start_reading(struct receiver *receiver)
{
    check(amrelay_event_create(receiver->loop, AMRELAY_EVENT_READ, STDIN_FILENO, read_connection, receiver,
                               &receiver->readable));
    check(amrelay_event_activate(receiver->loop, receiver->readable));
}

static void stop_reading(struct receiver *receiver)
{
    check(amrelay_event_release(receiver->loop, receiver->readable));
    receiver->readable = 0;
}

/* The sink is above its high-water mark: its sender must wait, and with it the whole connection. */
static void file_is_full(struct file *file)
{
    if (file->is_full)
        return;
    file->is_full = 1;
    if (file->receiver->full++ == 0)
        stop_reading(file->receiver);
}

static void file_has_room(void *arg)
{
    struct file *file = arg;
    if (!file->is_full)
        return;
    file->is_full = 0;
    if (--file->receiver->full == 0)
        start_reading(file->receiver);
}

/* Everything is written, or writing failed. Later bytes for a failed file are dropped; the other files go on. */
static void file_ended(void *arg, int code)
{
    struct file *file = arg;
    if (code < 0) {
        complain(file->name, amrelay_strerror(code));
        file->receiver->status = FAILED;
    }
    amrelay_sink_free(file->sink);
    file->sink = NULL;
    file_has_room(file);
}

static void open_file(struct file *file)
{
    amrelay_sink_options options = AMRELAY_SINK_OPTIONS_INIT;
    options.fd = open(file->name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (options.fd == -1)
        give_up(file->name, strerror(errno));
    options.flags = AMRELAY_SINK_TAKE;
    options.on_resume = file_has_room;
    options.on_end = file_ended;
    options.arg = file;
    check(amrelay_sink_new(file->receiver->loop, &options, &file->sink));
}

/* Bytes already read are pushed even if the file is full: a sink takes 4 MiB beyond its high-water mark. */
static void write_to(struct file *file, const unsigned char *bytes, size_t length)
{
    int code = file->sink == NULL ? 0 : amrelay_sink_push(file->sink, bytes, length);
    if (code == 1)
        file_is_full(file);
    else if (code < 0)
        file->receiver->status = FAILED; /* file_ended says why */
}

static void finish(struct file *file)
{
    file->is_done = 1;
    if (file->sink != NULL && amrelay_sink_finish(file->sink) < 0)
        file->receiver->status = FAILED;
}

static uint32_t big_endian(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void begin_frame(struct receiver *receiver)
{
    uint32_t length = big_endian(receiver->header), number = big_endian(receiver->header + 4);
    if (length > LARGEST_FRAME)
        give_up("connection", "what comes is no frame");
    if (number < 1 || number > (uint32_t)receiver->count || receiver->files[number - 1].is_done)
        give_up("connection", "a frame of a stream that has no file");
    receiver->header_length = 0;
    receiver->file = &receiver->files[number - 1];
    receiver->left = length;
    if (length == 0)
        finish(receiver->file);
}

/* Takes as many bytes as belong to one header or one payload, and returns their number. */
static size_t take_apart(struct receiver *receiver, const unsigned char *bytes, size_t length)
{
    size_t wanted = receiver->left > 0 ? receiver->left : HEADER_SIZE - receiver->header_length;
    size_t count = length < wanted ? length : wanted;
    if (receiver->left > 0) {
        receiver->left -= count;
        write_to(receiver->file, bytes, count);
        return count;
    }
    memcpy(receiver->header + receiver->header_length, bytes, count);
    receiver->header_length += count;
    if (receiver->header_length == HEADER_SIZE)
        begin_frame(receiver);
    return count;
}

/* The connection has ended: what is queued is still written, but a stream without its end is cut off. */
static void connection_ended(struct receiver *receiver)
{
    int i;
    stop_reading(receiver);
    for (i = 0; i < receiver->count; i++)
        if (!receiver->files[i].is_done) {
            complain(receiver->files[i].name, "the connection has ended too early");
            receiver->status = FAILED;
            finish(&receiver->files[i]);
        }
}

static void read_connection(void *arg)
{
    static unsigned char buffer[1 << 16];
    struct receiver *receiver = arg;
    ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    size_t used, length = (size_t)got;
    if (got == -1 && (errno == EAGAIN || errno == EINTR))
        return; /* retried later */
    if (got == -1)
        give_up("connection", strerror(errno));
    if (got == 0)
        connection_ended(receiver);
    for (used = 0; used < length;)
        used += take_apart(receiver, buffer + used, length - used);
}

static int receive_files(char **names, int count)
{
    static struct receiver receiver;
    int i;

    check(amrelay_loop_new(&receiver.loop));
    receiver.count = count;
    for (i = 0; i < count; i++) {
        receiver.files[i].receiver = &receiver;
        receiver.files[i].name = names[i];
        open_file(&receiver.files[i]);
    }
    start_reading(&receiver);
    /* Returns when the connection has ended and all is written. */
    check(amrelay_loop_turns(receiver.loop, 0));
    amrelay_loop_free(receiver.loop);
    return receiver.status;
}

static int usage(FILE *out, int status)
{
    fputs("usage: amrelay-relay send COMMAND... > connection\n"
          "       amrelay-relay receive FILE... < connection\n", out);
    return status;
}

int main(int argc, char **argv)
{
    int count = argc - 2;
    if (count >= 1 && count <= MOST_STREAMS && strcmp(argv[1], "send") == 0)
        return send_commands(argv + 2, count);
    if (count >= 1 && count <= MOST_STREAMS && strcmp(argv[1], "receive") == 0)
        return receive_files(argv + 2, count);
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0))
        return printf("amrelay-relay %s\n", amrelay_version()) < 0;
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout, 0);
    return usage(stderr, USAGE);
}
