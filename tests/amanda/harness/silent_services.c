/* A source of service ports for nsswitch.conf that never answers, like a server that has gone. */
#include <netdb.h>
#include <nss.h>
#include <unistd.h>

enum nss_status
_nss_silent_getservbyport_r(int port, const char *protocol, struct servent *result, char *buffer, size_t size, int *error)
{
    (void)port, (void)protocol, (void)result, (void)buffer, (void)size, (void)error;
    for (;;)
        pause();
}
