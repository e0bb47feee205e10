/* What the kernel offers besides, each against what the relay does. */
#include "cases.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define RELAY(...) &(const struct relay){{EAGER, 0, 0}, __VA_ARGS__}
#define SPLICED RELAY(256 * KIB, SPLICE, WITH_MORE, 0, 0, 0)
#define UNSENT(bytes) RELAY(256 * KIB, SPLICE, WITH_MORE, 0, bytes, 0)
#define COPIED RELAY(64 * KIB, COPY, WITH_MORE, 0, 0, 0)

static const struct tee paced = {{ADAPTIVE, 500, 20}, 128 * KIB, false}, copying = {{EAGER, 0, 0}, 128 * KIB, true};

/* sendfile(2) between a pipe and a socket: what the kernel says to it. */
static void try_sendfile(void)
{
    int pipe_ends[2], socket_ends[2];
    make_pipe(pipe_ends, 64 * KIB);
    make_tcp(socket_ends, &(const struct hop){BY_TCP, 0, 0, NULL});
    write_all(pipe_ends[1], "record", 6);
    ssize_t sent = sendfile(socket_ends[1], pipe_ends[0], NULL, 6);
    emit("tried", "sendfile from a pipe", "sendfile", "errno", sent == -1 ? errno : 0);
    for (int i = 0; i < 2; i++) {
        close(pipe_ends[i]);
        close(socket_ends[i]);
    }
}

static bool bbr_is_here(void)
{
    int probe = socket(AF_INET, SOCK_STREAM, 0);
    bool here = setsockopt(probe, IPPROTO_TCP, TCP_CONGESTION, "bbr", 3) == 0;
    close(probe);
    if (!here)
        fprintf(stderr, "kernel-paths: no bbr here: not measured\n");
    return here;
}

static void try_memory(const struct writer *records)
{
    const struct arrangement memory[] = {
        {"1 MiB pipes", MIB, &paced, SPLICED, 0, 0, {0}, NULL},
        {"512 KiB pipes", 512 * KIB, &paced, SPLICED, 0, 0, {0}, NULL},
        {"256 KiB pipes", 256 * KIB, &paced, SPLICED, 0, 0, {0}, NULL},
        {"128 KiB pipes", 128 * KIB, &paced, SPLICED, 0, 0, {0}, NULL},
        {"1 MiB pipes, buffers 256 KiB", MIB, &paced, SPLICED, 256 * KIB, 256 * KIB, {0}, NULL},
        {"512 KiB pipes, buffers 256 KiB", 512 * KIB, &paced, SPLICED, 256 * KIB, 256 * KIB, {0}, NULL},
        {"256 KiB pipes, buffers 256 KiB", 256 * KIB, &paced, SPLICED, 256 * KIB, 256 * KIB, {0}, NULL},
        {"128 KiB pipes, buffers 256 KiB", 128 * KIB, &paced, SPLICED, 256 * KIB, 256 * KIB, {0}, NULL},
        {"1 MiB pipes, unsent 256 KiB", MIB, &paced, UNSENT(256 * 1024), 0, 0, {0}, NULL},
        {"64 KiB pipes, copying", 64 * KIB, &copying, COPIED, 0, 0, {0}, NULL},
        {"64 KiB, copying, buffers 256 KiB", 64 * KIB, &copying, COPIED, 256 * KIB, 256 * KIB, {0}, NULL},
    };
    COMPARE("tried", "memory in flight", records, memory, &far_server);
}

static void try_headers(const struct writer *records)
{
    const struct arrangement headers[] = {
        {"MSG_MORE", MIB, &paced, SPLICED, 0, 0, {0}, NULL},
        {"no header at all", MIB, &paced, RELAY(256 * KIB, SPLICE, BARE, 0, 0, 0), 0, 0, {0}, NULL},
        {"no flag", MIB, &paced, RELAY(256 * KIB, SPLICE, WITHOUT_MORE, 0, 0, 0), 0, 0, {0}, NULL},
        {"TCP_CORK", MIB, &paced, RELAY(256 * KIB, SPLICE, CORKED, 0, 0, 0), 0, 0, {0}, NULL},
        {"SPLICE_F_MORE too", MIB, &paced, RELAY(256 * KIB, SPLICE, SPLICED_MORE, 0, 0, 0), 0, 0, {0}, NULL},
        {"vmsplice of the header", MIB, &paced, RELAY(256 * KIB, VMSPLICE_HEADER, WITH_MORE, 0, 0, 0), 0, 0, {0}, NULL},
        {"64 KiB a splice", MIB, &paced, RELAY(256 * KIB, SPLICE, WITH_MORE, 64 * KIB, 0, 0), 0, 0, {0}, NULL},
        {"io_uring", MIB, &paced, RELAY(256 * KIB, URING_SPLICE, WITH_MORE, 0, 0, 0), 0, 0, {0}, NULL},
    };
    COMPARE("tried", "header of a spliced frame", records, headers, &far_server);
}

static void try_copies(const struct writer *records)
{
    const struct arrangement copies[] = {
        {"read and send", 64 * KIB, NULL, COPIED, 0, 0, {0}, NULL},
        {"MSG_ZEROCOPY", 64 * KIB, NULL, RELAY(64 * KIB, ZEROCOPY, WITH_MORE, 0, 0, 0), 0, 0, {0}, NULL},
        {"vmsplice of the data", 64 * KIB, NULL, RELAY(64 * KIB, VMSPLICE_DATA, WITH_MORE, 0, 0, 0), 0, 0, {0}, NULL},
        {"io_uring", 64 * KIB, NULL, RELAY(64 * KIB, URING_COPY, WITH_MORE, 0, 0, 0), 0, 0, {0}, NULL},
    };
    COMPARE("tried", "copied frame", records, copies, &far_server);
}

static void try_sockets(const struct writer *records)
{
    const struct arrangement sockets[] = {
        {"the kernel's choice", MIB, &paced, SPLICED, 0, 0, {0}, NULL},
        {"both buffers 256 KiB", MIB, &paced, SPLICED, 256 * KIB, 256 * KIB, {0}, NULL},
        {"both buffers 1 MiB", MIB, &paced, SPLICED, MIB, MIB, {0}, NULL},
        {"both buffers 4 MiB", MIB, &paced, SPLICED, 4 * MIB, 4 * MIB, {0}, NULL},
        {"SO_SNDBUF 256 KiB", MIB, &paced, SPLICED, 256 * KIB, 0, {0}, NULL},
        {"SO_SNDBUF 1 MiB", MIB, &paced, SPLICED, MIB, 0, {0}, NULL},
        {"SO_SNDBUF 4 MiB", MIB, &paced, SPLICED, 4 * MIB, 0, {0}, NULL},
        {"TCP_NOTSENT_LOWAT 128 KiB", MIB, &paced, UNSENT(128 * 1024), 0, 0, {0}, NULL},
        {"TCP_NOTSENT_LOWAT 256 KiB", MIB, &paced, UNSENT(256 * 1024), 0, 0, {0}, NULL},
        {"SO_BUSY_POLL 50 us", MIB, &paced, RELAY(256 * KIB, SPLICE, WITH_MORE, 0, 0, 50), 0, 0, {0}, NULL},
    };
    COMPARE("tried", "socket", records, sockets, &far_server);
}

static void try_congestion(const struct writer *records)
{
    const struct arrangement congestion[] = {
        {"cubic", MIB, &paced, SPLICED, 0, 0, {0}, "cubic"},
        {"reno", MIB, &paced, SPLICED, 0, 0, {0}, "reno"},
        {"bbr", MIB, &paced, SPLICED, 0, 0, {0}, "bbr"},
    };
    COMPARE("tried", "congestion control", records, congestion, &far_server);
}

static void try_processors(const struct writer *records)
{
    const struct arrangement processors[] = {
        {"the scheduler's choice", MIB, NULL, SPLICED, 0, 0, {0, 0, 0}, NULL},
        {"writer beside relay and reader", MIB, NULL, SPLICED, 0, 0, {1, 2, 2}, NULL},
        {"writer with relay, reader apart", MIB, NULL, SPLICED, 0, 0, {1, 1, 2}, NULL},
        {"all on one", MIB, NULL, SPLICED, 0, 0, {1, 1, 1}, NULL},
    };
    COMPARE("tried", "processors", records, processors, &far_server);
}

void measure_tried(void)
{
    const struct writer records = {.piece = 10 * KIB, .total = 512 * MIB};
    try_sendfile();
    try_memory(&records);
    try_headers(&records);
    try_copies(&records);
    try_sockets(&records);
    if (quick)
        return;
    if (bbr_is_here())
        try_congestion(&records);
    try_processors(&records);
}
