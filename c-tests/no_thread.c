/* A tee whose thread cannot be started. */
#include "check.h"

#include <sys/resource.h>

/* No more threads, not even for the superuser. */
static void use_up_threads(void)
{
    const struct rlimit none = {0, 0};
    CHECK(getuid() != 0 || setuid(65534) == 0);
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
}

static void nothing_is_taken(void)
{
    int fds[3], i;
    amrelay_tee *tee = NULL;
    amrelay_tee_options options = AMRELAY_TEE_OPTIONS_INIT;
    for (i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    options.flags = AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX;
    options.input_fd = fds[0];
    options.output_fd = fds[1];
    options.index_fd = fds[2];
    options.index = AMRELAY_INDEX_TAR;
    use_up_threads();
    CHECK_CODE(amrelay_tee_start(&options, &tee), -EAGAIN);
    CHECK(tee == NULL);
    for (i = 0; i < 3; i++) {
        CHECK(fcntl(fds[i], F_GETFD) != -1);
        close(fds[i]);
    }
}

int main(void)
{
    const struct test_case cases[] = {CASE(nothing_is_taken)};
    return RUN(cases);
}
