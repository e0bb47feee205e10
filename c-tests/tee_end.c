/* Ending tees from outside, and waiting for their end in an event loop. */
#include "tee.h"

#include <poll.h>
#include <sys/wait.h>

static int is_readable(int fd, int milliseconds)
{
    struct pollfd entry = {0};
    entry.fd = fd;
    entry.events = POLLIN;
    return poll(&entry, 1, milliseconds);
}

/* A tee between pipes that has passed three bytes on and waits for more. */
static amrelay_tee *start_waiting(int *writer, int *reader)
{
    int in[2], out[2];
    char got[3];
    amrelay_tee_options options;
    amrelay_tee *tee;
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    options = tee_options(AMRELAY_TEE_CRC | AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT, in[0], out[1]);
    tee = start(&options);
    CHECK(write(in[1], "abc", 3) == 3);
    CHECK(read(out[0], got, 3) == 3);
    *writer = in[1];
    *reader = out[0];
    return tee;
}

static void a_cancelled_tee_says_so_and_closes_what_it_took(void)
{
    int writer, reader;
    char byte = 0;
    amrelay_tee *tee = start_waiting(&writer, &reader);
    struct bytes passed = {NULL, 0};
    amrelay_tee_result result;
    append(&passed, "abc", 3);
    CHECK(is_readable(amrelay_tee_ended_fd(tee), 0) == 0);
    CHECK_CODE(amrelay_tee_cancel(tee), 0);
    CHECK_CODE(amrelay_tee_cancel(tee), 0);
    result = wait_for(tee, -ECANCELED);
    CHECK(strncmp(amrelay_error(), "amrelay_tee_wait: output: ", 26) == 0);
    CHECK(result.output_code == -ECANCELED && result.input_code == 0 && result.index_code == 0);
    CHECK(result.stats.bytes == 3 && result.read_bytes == 3 && result.crc32c == crc32c(passed));
    CHECK(read(reader, &byte, 1) == 0);
    CHECK(write(writer, &byte, 1) == -1 && errno == EPIPE);
    CHECK_CODE(amrelay_tee_cancel(tee), 0);
    CHECK(wait_for(tee, -ECANCELED).stats.bytes == 3);
    amrelay_tee_free(tee);
    close(reader);
    close(writer);
    free(passed.data);
}

static void a_cancelled_index_leaves_the_data_whole(void)
{
    struct reader output, index;
    amrelay_tee_options options;
    amrelay_tee_result result;
    amrelay_tee *tee;
    start_reader(&output);
    start_reader(&index);
    options = tee_options(AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX, pipe_with("abc"),
                          output.ends[1]);
    options.index = AMRELAY_INDEX_COMMAND;
    options.index_command = "exec sleep 1000";
    options.index_fd = index.ends[1];
    tee = start(&options);
    expect_text(join_reader(&output), "abc");
    CHECK_CODE(amrelay_tee_cancel(tee), 0);
    result = wait_for(tee, 0);
    CHECK(result.output_code == 0 && result.index_code == -ECANCELED && result.stats.bytes == 3);
    CHECK(amrelay_tee_index_message(tee)[0] != '\0');
    amrelay_tee_free(tee);
    expect_text(join_reader(&index), "");
}

/* A loop that waits for a tee, and what it found. */
struct waiting {
    amrelay_loop *loop;
    amrelay_tee *tee;
    amrelay_event event;
    int writer, ends;
};

static void take_result(void *arg)
{
    struct waiting *waiting = arg;
    CHECK(wait_for(waiting->tee, 0).stats.bytes == 3);
    CHECK_CODE(amrelay_event_release(waiting->loop, waiting->event), 0);
    waiting->ends++;
}

static void close_writer(void *arg)
{
    struct waiting *waiting = arg;
    CHECK(waiting->ends == 0);
    close(waiting->writer);
    CHECK_CODE(amrelay_event_release(waiting->loop, waiting->event), 0);
    CHECK_CODE(amrelay_event_create(waiting->loop, AMRELAY_EVENT_READ, amrelay_tee_ended_fd(waiting->tee), take_result,
                                    waiting, &waiting->event), 0);
    CHECK_CODE(amrelay_event_activate(waiting->loop, waiting->event), 0);
}

static void a_loop_learns_of_the_end(void)
{
    struct waiting waiting = {NULL, NULL, 0, -1, 0};
    int reader;
    waiting.tee = start_waiting(&waiting.writer, &reader);
    waiting.loop = new_loop();
    CHECK_CODE(amrelay_event_create(waiting.loop, AMRELAY_EVENT_TIME, 0, close_writer, &waiting, &waiting.event), 0);
    CHECK_CODE(amrelay_event_activate(waiting.loop, waiting.event), 0);
    CHECK_CODE(amrelay_loop_turns(waiting.loop, 0), 0);
    CHECK(waiting.ends == 1);
    amrelay_tee_free(waiting.tee);
    amrelay_loop_free(waiting.loop);
    close(reader);
}

/* A child forked while the tee ran has all of the tee's descriptors open. */
static void a_child_of_the_host_does_not_hide_the_end(void)
{
    int writer, reader, status;
    amrelay_tee *tee = start_waiting(&writer, &reader);
    pid_t child = fork();
    CHECK(child != -1);
    if (child == 0) {
        pause();
        _exit(0);
    }
    CHECK_CODE(amrelay_tee_cancel(tee), 0);
    CHECK(is_readable(amrelay_tee_ended_fd(tee), -1) == 1);
    wait_for(tee, -ECANCELED);
    amrelay_tee_free(tee);
    CHECK(kill(child, SIGKILL) == 0 && waitpid(child, &status, 0) == child);
    close(writer);
    close(reader);
}

static void cancel(amrelay_tee *tee)
{
    CHECK_CODE(amrelay_tee_cancel(tee), 0);
    CHECK(is_readable(amrelay_tee_ended_fd(tee), 0) == 0);
}

static void the_write_function_may_cancel_its_tee(void)
{
    struct own_tee own = {NULL, 0, PTHREAD_MUTEX_INITIALIZER, cancel};
    start_own(&own, pipe_with("abc"));
    CHECK(wait_for(own.tee, -ECANCELED).stats.bytes == 3);
    CHECK(own.calls == 1);
    amrelay_tee_free(own.tee);
}

static void null_is_refused(void)
{
    CHECK_CODE(amrelay_tee_cancel(NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_tee_ended_fd(NULL), AMRELAY_E_NULL);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(a_cancelled_tee_says_so_and_closes_what_it_took),
        CASE(a_cancelled_index_leaves_the_data_whole),
        CASE(a_loop_learns_of_the_end),
        CASE(a_child_of_the_host_does_not_hide_the_end),
        CASE(the_write_function_may_cancel_its_tee),
        CASE(null_is_refused),
    };
    signal(SIGPIPE, SIG_IGN); /* of the tests' own writes */
    return RUN(cases);
}
