/* io_uring, by its system calls: see io_uring_setup(2), io_uring_enter(2). */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ENTRIES = 8, READ_TAG = 1, SEND_TAG = 2 };

struct uring {
    int fd;
    unsigned *submission_tail, *submission_mask, *submission_array;
    unsigned *completion_head, *completion_tail, *completion_mask;
    struct io_uring_sqe *requests;
    struct io_uring_cqe *completions;
    unsigned prepared;
    int results[3];    /* by tag */
};

static void *map(int fd, size_t length, off_t what)
{
    void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, what);
    if (memory == MAP_FAILED)
        die("io_uring mmap");
    return memory;
}

struct uring *uring_start(void)
{
    struct io_uring_params params = {0};
    struct uring *uring = calloc(1, sizeof *uring);
    if (uring == NULL)
        die("calloc");
    uring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
    if (uring->fd == -1)
        die("io_uring_setup");
    size_t submission_size = params.sq_off.array + params.sq_entries * sizeof(unsigned);
    size_t completion_size = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
    char *submission = map(uring->fd, submission_size, IORING_OFF_SQ_RING);
    char *completion = map(uring->fd, completion_size, IORING_OFF_CQ_RING);
    uring->requests = map(uring->fd, params.sq_entries * sizeof(struct io_uring_sqe), IORING_OFF_SQES);
    uring->submission_tail = (unsigned *)(submission + params.sq_off.tail);
    uring->submission_mask = (unsigned *)(submission + params.sq_off.ring_mask);
    uring->submission_array = (unsigned *)(submission + params.sq_off.array);
    uring->completion_head = (unsigned *)(completion + params.cq_off.head);
    uring->completion_tail = (unsigned *)(completion + params.cq_off.tail);
    uring->completion_mask = (unsigned *)(completion + params.cq_off.ring_mask);
    uring->completions = (struct io_uring_cqe *)(completion + params.cq_off.cqes);
    return uring;
}

static struct io_uring_sqe *prepare(struct uring *uring, int operation, int fd, uint64_t tag)
{
    unsigned index = (*uring->submission_tail + uring->prepared++) & *uring->submission_mask;
    struct io_uring_sqe *request = &uring->requests[index];
    memset(request, 0, sizeof *request);
    uring->submission_array[index] = index;
    request->opcode = (uint8_t)operation;
    request->fd = fd;
    request->user_data = tag;
    return request;
}

/* Hands in what was prepared, and waits until all of it is done. */
static void enter(struct uring *uring, struct outcome *outcome)
{
    unsigned count = uring->prepared, seen = 0;
    __atomic_store_n(uring->submission_tail, *uring->submission_tail + count, __ATOMIC_RELEASE);
    uring->prepared = 0;
    for (unsigned submit = count; seen < count; submit = 0) {
        long result = syscall(SYS_io_uring_enter, uring->fd, submit, count - seen, IORING_ENTER_GETEVENTS, NULL, 0);
        if (result == -1 && errno != EINTR)
            die("io_uring_enter");
        outcome->calls++;
        unsigned head = *uring->completion_head;
        for (; head != __atomic_load_n(uring->completion_tail, __ATOMIC_ACQUIRE); head++, seen++) {
            const struct io_uring_cqe *completion = &uring->completions[head & *uring->completion_mask];
            uring->results[completion->user_data] = completion->res;
        }
        __atomic_store_n(uring->completion_head, head, __ATOMIC_RELEASE);
    }
}

static struct io_uring_sqe *prepare_send(struct uring *uring, int out, const void *bytes, size_t length, int flags)
{
    struct io_uring_sqe *request = prepare(uring, IORING_OP_SEND, out, SEND_TAG);
    request->addr = (uint64_t)(uintptr_t)bytes;
    request->len = (uint32_t)length;
    request->msg_flags = (uint32_t)flags;
    return request;
}

/* Header and payload by one call. */
void splice_by_uring(struct special *special, size_t length, struct outcome *outcome)
{
    struct uring *uring = special->uring;
    unsigned char head[HEADER];
    put_header(head, length);
    prepare_send(uring, special->out, head, HEADER, MSG_MORE | MSG_WAITALL | MSG_NOSIGNAL)->flags = IOSQE_IO_LINK;
    do {
        struct io_uring_sqe *request = prepare(uring, IORING_OP_SPLICE, special->out, READ_TAG);
        request->splice_fd_in = special->in;
        request->splice_off_in = UINT64_MAX;
        request->off = UINT64_MAX;
        request->len = (uint32_t)length;
        request->splice_flags = SPLICE_F_MOVE;
        enter(uring, outcome);
        int count = uring->results[READ_TAG];
        if (count <= 0) {
            errno = -count;
            die("io_uring splice");
        }
        length -= (size_t)count;
    } while (length > 0);
}

/* Sends one buffer while the other is filled, both by one call. */
size_t copy_by_uring(struct special *special, struct outcome *outcome)
{
    struct uring *uring = special->uring;
    unsigned char *full = special->memory + special->slot * special->room;
    unsigned char *empty = special->memory + (1 - special->slot) * special->room;
    size_t length = special->ahead;
    struct io_uring_sqe *request = prepare(uring, IORING_OP_READ, special->in, READ_TAG);
    request->addr = (uint64_t)(uintptr_t)(empty + HEADER);
    request->len = (uint32_t)special->relay->frame;
    request->off = UINT64_MAX;
    if (length > 0) {
        put_header(full, length);
        prepare_send(uring, special->out, full, HEADER + length, MSG_WAITALL | MSG_NOSIGNAL);
    }
    enter(uring, outcome);
    if (uring->results[READ_TAG] < 0 || (length > 0 && uring->results[SEND_TAG] <= 0))
        die("io_uring read or send");
    if (length > 0) {
        size_t sent = (size_t)uring->results[SEND_TAG];
        send_all(special->out, full + sent, HEADER + length - sent, 0, outcome);
    }
    special->ahead = (size_t)uring->results[READ_TAG];
    special->slot = 1 - special->slot;
    /* The first call only reads. */
    return length > 0 ? length : special->ahead > 0 ? NOTHING_YET : 0;
}
