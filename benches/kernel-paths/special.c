/* Ways that lend the kernel pages of this process: vmsplice(2) and MSG_ZEROCOPY. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/*
 * So much that a page is not written again while a socket can still refer to it: more than both socket buffers may
 * hold.
 */
#define LENT_MEMORY (64 * MIB)
#define PAGE ((size_t)4096)

struct special special_start(const struct relay *relay, int in, int out)
{
    struct special special = {.relay = relay, .in = in, .out = out};
    int on = 1;
    /* Frames begin in the middle of the first page, so that a header has room before them. */
    special.room = relay->way == VMSPLICE_HEADER ? PAGE : relay->frame + PAGE;
    special.slots = LENT_MEMORY / special.room;
    if (relay->way == VMSPLICE_HEADER || relay->way == VMSPLICE_DATA)
        make_pipe(special.side, MIB);
    if (relay->way == ZEROCOPY && setsockopt(out, SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on) == -1)
        die("SO_ZEROCOPY");
    if (relay->way == URING_SPLICE || relay->way == URING_COPY)
        special.uring = uring_start();
    special.memory =
        mmap(NULL, special.slots * special.room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (special.memory == MAP_FAILED)
        die("mmap");
    return special;
}

static unsigned char *next_slot(struct special *special)
{
    special->slot = (special->slot + 1) % special->slots;
    return special->memory + special->slot * special->room;
}

static void lend(struct special *special, unsigned char *bytes, size_t length, struct outcome *outcome)
{
    struct iovec piece = {bytes, length};
    while (piece.iov_len > 0) {
        ssize_t count = vmsplice(special->side[1], &piece, 1, 0);
        if (count == -1)
            die("vmsplice");
        outcome->calls++;
        piece.iov_base = (char *)piece.iov_base + count;
        piece.iov_len -= (size_t)count;
    }
}

/* Header and payload meet in a pipe, and go into the socket together. */
void header_by_vmsplice(struct special *special, size_t length, struct outcome *outcome)
{
    unsigned char *head = next_slot(special);
    size_t waiting = HEADER;
    put_header(head, length);
    lend(special, head, HEADER, outcome);
    while (length > 0 || waiting > 0) {
        if (length > 0) {
            ssize_t count =
                splice(special->in, NULL, special->side[1], NULL, length, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
            outcome->calls++;
            if (count == -1)
                die("splice");
            length -= (size_t)count;
            waiting += (size_t)count;
        }
        splice_all(special->side[0], special->out, waiting, waiting, 0, outcome);
        waiting = 0;
    }
}

/* Copied once, into pages that go to the socket as they are. */
size_t data_by_vmsplice(struct special *special, struct outcome *outcome)
{
    unsigned char *bytes = next_slot(special) + PAGE / 2;
    size_t count = read_payload(special->in, bytes + HEADER, special->relay->frame, outcome);
    if (count == 0 || count == NOTHING_YET)
        return count;
    put_header(bytes, count);
    lend(special, bytes, HEADER + count, outcome);
    splice_all(special->side[0], special->out, HEADER + count, MIB, 0, outcome);
    return count;
}

/* Reads what the kernel says of the buffers it has been lent. */
static void reap(struct special *special)
{
    char control[128];
    struct msghdr message = {.msg_control = control, .msg_controllen = sizeof control};
    while (recvmsg(special->out, &message, MSG_ERRQUEUE) != -1) {
        for (struct cmsghdr *head = CMSG_FIRSTHDR(&message); head != NULL; head = CMSG_NXTHDR(&message, head)) {
            struct sock_extended_err error;
            memcpy(&error, CMSG_DATA(head), sizeof error);
            if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY)
                continue;
            special->done = error.ee_data + 1;
            if (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED)
                special->copied += error.ee_data - error.ee_info + 1;
        }
        message.msg_controllen = sizeof control;
    }
}

size_t send_zerocopy(struct special *special, struct outcome *outcome)
{
    unsigned char *bytes = next_slot(special);
    size_t count = read_payload(special->in, bytes + HEADER, special->relay->frame, outcome);
    if (count == 0 || count == NOTHING_YET)
        return count;
    put_header(bytes, count);
    size_t left = HEADER + count;
    while (left > 0) {
        ssize_t sent = send(special->out, bytes, left, MSG_ZEROCOPY | MSG_DONTWAIT | MSG_NOSIGNAL);
        outcome->calls++;
        if (sent == -1) {
            if (errno != EAGAIN && errno != ENOBUFS)
                die("send");
            reap(special);
            wait_for(special->out, POLLOUT);
            continue;
        }
        special->sent++;
        bytes += sent;
        left -= (size_t)sent;
    }
    if (special->sent % 16 == 0) {
        reap(special);
        outcome->calls++;
    }
    return count;
}

void special_end(struct special *special, struct outcome *outcome)
{
    if (special->relay->way != ZEROCOPY)
        return;
    while (special->done != special->sent) {
        wait_for(special->out, 0);
        reap(special);
    }
    outcome->copied = (double)special->copied / special->sent;
}
