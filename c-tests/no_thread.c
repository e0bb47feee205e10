/* A tee whose thread cannot be started. */
#include "check.h"

static void nothing_is_taken(void)
{
    int fds[3], code, i;
    amrelay_tee *tee = NULL;
    amrelay_tee_options options = {0};
    for (i = 0; i < 3; i++)
        fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
    options.size = sizeof options;
    options.flags = AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX;
    options.input_fd = fds[0];
    options.output_fd = fds[1];
    options.index_fd = fds[2];
    options.index = AMRELAY_INDEX_TAR;
    code = amrelay_tee_start(&options, &tee);
    CHECK(code == -EAGAIN || code == -EINVAL); /* EINVAL is what valgrind makes of it */
    CHECK(tee == NULL);
    for (i = 0; i < 3; i++) {
        CHECK(fcntl(fds[i], F_GETFD) != -1);
        close(fds[i]);
    }
}

int main(void)
{
    const struct test_case cases[] = {CASE(nothing_is_taken)};
    /* Rust's library asks for this much stack, once: more than there are addresses. */
    setenv("RUST_MIN_STACK", "140737488355328", 1);
    return RUN(cases);
}
