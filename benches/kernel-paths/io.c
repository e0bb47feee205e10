/* Calls that wait, and end the program if they fail. */
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

void wait_for(int fd, short events)
{
    struct pollfd entry = {fd, events, 0};
    while (poll(&entry, 1, -1) == -1)
        if (errno != EINTR)
            die("poll");
}

size_t readable(int fd)
{
    int count;
    if (ioctl(fd, FIONREAD, &count) == -1)
        die("FIONREAD");
    return (size_t)count;
}

size_t capacity_of(int pipe)
{
    int size = fcntl(pipe, F_GETPIPE_SZ);
    return size == -1 ? 0 : (size_t)size;
}

void set_nonblocking(int fd)
{
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == -1)
        die("O_NONBLOCK");
}

void write_all(int fd, const void *bytes, size_t length)
{
    const char *next = bytes;
    while (length > 0) {
        ssize_t count = write(fd, next, length);
        if (count >= 0) {
            next += count;
            length -= (size_t)count;
        } else if (errno == EAGAIN) {
            wait_for(fd, POLLOUT);
        } else {
            die("write");
        }
    }
}
