/* A tee whose thread cannot be started. */
#include "check.h"

static void nothing_is_taken(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    int code;
    amrelay_tee *tee = NULL;
    amrelay_tee_options options = {0};
    options.size = sizeof options;
    options.flags = AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX;
    options.input_fd = options.output_fd = options.index_fd = fd;
    options.index = AMRELAY_INDEX_TAR;
    code = amrelay_tee_start(&options, &tee);
    CHECK(code == -EAGAIN || code == -EINVAL); /* EINVAL is what valgrind makes of it */
    CHECK(tee == NULL);
    CHECK(fcntl(fd, F_GETFD) != -1);
    close(fd);
}

int main(void)
{
    const struct test_case cases[] = {CASE(nothing_is_taken)};
    /* Rust's library asks for this much stack, once: more than there are addresses. */
    setenv("RUST_MIN_STACK", "140737488355328", 1);
    return RUN(cases);
}
