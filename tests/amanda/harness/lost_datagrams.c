/* For LD_PRELOAD: while the file named in LOST_DATAGRAMS exists, no datagram can be sent. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

ssize_t
sendto(int fd, const void *bytes, size_t size, int flags, const struct sockaddr *address, socklen_t length)
{
    ssize_t (*real)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
    const char *control = getenv("LOST_DATAGRAMS");
    int type = 0;
    socklen_t type_size = sizeof(type);

    if (control && access(control, F_OK) == 0 && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 &&
        type == SOCK_DGRAM) {
        errno = ECONNREFUSED;
        return -1;
    }
    return real(fd, bytes, size, flags, address, length);
}
