/*
 * delayed-link MILLISECONDS: a link between this network namespace (10.99.0.1) and a new one (10.99.0.2), which is this process's
 * and ends with it: /proc/PID/ns/net. Each packet arrives that much later; the order is kept. At most PACKETS are on their way in
 * each direction; a further one is lost, as in a router. Writes a line once the link is up.
 *
 * It stands in for the queueing discipline netem, which not every kernel has.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BILLION INT64_C(1000000000)

enum { PACKETS = 32768, MTU = 1500 };

struct packet {
    int64_t due; /* in nanoseconds */
    ssize_t length;
    unsigned char bytes[MTU];
};

/* One direction: a ring. */
struct way {
    unsigned first, count;
    struct packet packets[PACKETS];
};

static struct way ways[2];

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * BILLION + time.tv_nsec;
}

static void set(int any, struct ifreq *request, unsigned long what, const char *address)
{
    struct sockaddr_in *in = (struct sockaddr_in *)&request->ifr_addr;

    memset(&request->ifr_addr, 0, sizeof request->ifr_addr);
    in->sin_family = AF_INET;
    inet_pton(AF_INET, address, &in->sin_addr);
    if (ioctl(any, what, request) != 0)
        fail("the address of a device");
}

/* Makes a device with this address in the current network namespace; returns what reads and writes its packets. */
static int device(const char *address)
{
    struct ifreq request = {.ifr_name = "delayed", .ifr_flags = IFF_TUN | IFF_NO_PI};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), any = socket(AF_INET, SOCK_DGRAM, 0);

    if (fd < 0 || any < 0 || ioctl(fd, TUNSETIFF, &request) != 0)
        fail("/dev/net/tun");
    set(any, &request, SIOCSIFADDR, address);
    set(any, &request, SIOCSIFNETMASK, "255.255.255.0");
    request.ifr_qlen = PACKETS;
    if (ioctl(any, SIOCSIFTXQLEN, &request) != 0)
        fail("the queue of a device");
    request.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(any, SIOCSIFFLAGS, &request) != 0)
        fail("a device");
    close(any);
    return fd;
}

static void take(struct way *way, int fd, int64_t delay)
{
    unsigned char lost[MTU];
    struct packet *packet;

    for (;;) {
        if (way->count == PACKETS) {
            if (read(fd, lost, sizeof lost) <= 0)
                return;
            continue;
        }
        packet = &way->packets[(way->first + way->count) % PACKETS];
        packet->length = read(fd, packet->bytes, sizeof packet->bytes);
        if (packet->length <= 0)
            return;
        packet->due = now() + delay;
        way->count++;
    }
}

/* Hands out what is due; returns when the next one is, at the latest at `next`. */
static int64_t give(struct way *way, int fd, int64_t next)
{
    struct packet *packet;

    for (; way->count > 0; way->count--, way->first = (way->first + 1) % PACKETS) {
        packet = &way->packets[way->first];
        if (packet->due > now())
            return packet->due < next ? packet->due : next;
        if (write(fd, packet->bytes, (size_t)packet->length) < 0 && errno != EAGAIN && errno != ENOBUFS)
            fail("write");
    }
    return next;
}

int main(int argc, char **argv)
{
    struct pollfd ends[2] = {{.events = POLLIN}, {.events = POLLIN}};
    int64_t delay, next, rest;
    struct timespec timeout;
    int end;

    if (argc != 2) {
        fprintf(stderr, "usage: delayed-link MILLISECONDS\n");
        return EXIT_FAILURE;
    }
    delay = atoi(argv[1]) * (BILLION / 1000);
    ends[0].fd = device("10.99.0.1");
    if (unshare(CLONE_NEWNET) != 0)
        fail("unshare");
    ends[1].fd = device("10.99.0.2");
    puts("the link is up");
    fflush(stdout);
    for (;;) {
        next = now() + BILLION;
        for (end = 0; end < 2; end++) {
            take(&ways[end], ends[end].fd, delay);
            next = give(&ways[end], ends[1 - end].fd, next);
        }
        rest = next - now();
        if (rest < 0)
            rest = 0;
        timeout.tv_sec = rest / BILLION;
        timeout.tv_nsec = rest % BILLION;
        if (ppoll(ends, 2, &timeout, NULL) < 0 && errno != EINTR)
            fail("poll");
    }
}
