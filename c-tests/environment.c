/* Settings that the environment must not change: a set-uid host gets it from its caller. */
#include "tee.h"

static void the_stack_of_the_tees_thread(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    amrelay_tee_options options = tee_options(0, null, null);
    amrelay_tee *tee;
    tee = start(&options);
    wait_for(tee, 0);
    amrelay_tee_free(tee);
    close(null);
}

int main(void)
{
    const struct test_case cases[] = {CASE(the_stack_of_the_tees_thread)};
    /* Rust's library reads this once, as the stack size of threads without one: more than there are addresses. */
    setenv("RUST_MIN_STACK", "1000000000000000", 1);
    return RUN(cases);
}
