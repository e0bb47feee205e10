/* Sinks: bytes from the network written to pipes. */
#include "relay.h"

static amrelay_sink_options sink_options(int fd, uint32_t flags, struct told *told)
{
    amrelay_sink_options options = {0};
    options.size = sizeof options;
    options.fd = fd;
    options.flags = flags;
    options.on_resume = NULL;
    options.on_end = told_end;
    options.arg = told;
    return options;
}

static void told_resume(void *arg)
{
    struct told *told = arg;
    told->resumed++;
}

static amrelay_sink *new_sink(amrelay_loop *loop, const amrelay_sink_options *options)
{
    amrelay_sink *sink = NULL;
    CHECK_CODE(amrelay_sink_new(loop, options, &sink), 0);
    return sink;
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

static void bytes_are_written_and_the_end_is_told(void)
{
    int ends[2];
    char bytes[10];
    struct told told = {0};
    amrelay_stats stats = {0};
    amrelay_loop *loop = new_loop();
    amrelay_sink_options options;
    amrelay_sink *sink;
    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], 0, &told);
    sink = new_sink(loop, &options);
    CHECK_CODE(amrelay_sink_push(sink, "some ", 5), 0);
    CHECK_CODE(amrelay_sink_push(sink, NULL, 0), 0);
    CHECK_CODE(amrelay_sink_push(sink, "bytes", 5), 0);
    CHECK_CODE(amrelay_sink_finish(sink), 0);
    CHECK_CODE(amrelay_sink_finish(sink), AMRELAY_E_STATE);
    CHECK_CODE(amrelay_sink_push(sink, "x", 1), AMRELAY_E_STATE);
    CHECK(told.ends == 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(told.ends == 1 && told.code == 0);
    CHECK(is_open(ends[1]));
    read_exactly(ends[0], bytes, 10);
    CHECK(memcmp(bytes, "some bytes", 10) == 0);
    stats.size = sizeof stats;
    CHECK_CODE(amrelay_sink_stats(sink, &stats), 0);
    CHECK(stats.bytes == 10 && stats.method == AMRELAY_METHOD_COPY);
    amrelay_sink_free(sink);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

static void a_taken_descriptor_is_closed_before_the_end_is_told(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_sink_options options;
    amrelay_sink *sink;
    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], AMRELAY_SINK_TAKE, &told);
    sink = new_sink(loop, &options);
    CHECK_CODE(amrelay_sink_finish(sink), 0);
    CHECK(told.ends == 0 && !is_open(ends[1])); /* nothing was queued */
    expect_end_of_file(ends[0]);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(told.ends == 1);
    amrelay_sink_free(sink);
    close(ends[0]);

    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], AMRELAY_SINK_TAKE, &told);
    sink = new_sink(loop, &options);
    amrelay_sink_free(sink);
    CHECK(told.ends == 1 && !is_open(ends[1]));
    close(ends[0]);
    amrelay_loop_free(loop);
}

static void a_descriptor_is_not_taken_by_a_failure(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_sink_options options;
    amrelay_sink *sink = NULL;
    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], AMRELAY_SINK_TAKE, &told);
    options.high_water = 10;
    options.low_water = 11;
    CHECK_CODE(amrelay_sink_new(loop, &options, &sink), AMRELAY_E_ARGUMENT);
    CHECK(sink == NULL && is_open(ends[1]) && told.ends == 0);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

static void a_full_sink_asks_for_a_pause_and_ends_it(void)
{
    enum { PIPE = 4096, HIGH = 10000, MOST = 128 * 32768 };
    int ends[2];
    size_t total = 0;
    ssize_t got;
    static char block[MOST];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_sink_options options;
    amrelay_sink *sink;
    CHECK(pipe(ends) == 0);
    CHECK(fcntl(ends[1], F_SETPIPE_SZ, PIPE) == PIPE);
    CHECK(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    options = sink_options(ends[1], 0, &told);
    options.on_resume = told_resume;
    options.high_water = HIGH;
    options.low_water = 1;
    sink = new_sink(loop, &options);
    CHECK_CODE(amrelay_sink_push(sink, block, PIPE), 0);
    CHECK_CODE(amrelay_sink_push(sink, block, HIGH), 0);
    CHECK_CODE(amrelay_sink_push(sink, block, 1), 1);
    CHECK_CODE(amrelay_sink_push(sink, block, MOST), AMRELAY_E_LIMIT);
    CHECK_CODE(amrelay_sink_push(sink, block, (size_t)-1), AMRELAY_E_ARGUMENT);
    CHECK(told.resumed == 0);
    while (total < PIPE + HIGH + 1) {
        CHECK_CODE(amrelay_loop_turns(loop, 1), 0);
        while ((got = read(ends[0], block, sizeof block)) > 0)
            total += (size_t)got;
    }
    CHECK_CODE(amrelay_loop_turns(loop, 1), 0);
    CHECK(told.resumed == 1 && told.ends == 0);
    CHECK_CODE(amrelay_sink_push(sink, "x", 1), 0);
    amrelay_sink_free(sink);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

static void a_reader_that_has_gone_is_told_once_and_raises_no_signal(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_sink_options options;
    amrelay_sink *sink;
    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], 0, &told);
    sink = new_sink(loop, &options);
    close(ends[0]);
    CHECK_CODE(amrelay_sink_push(sink, "x", 1), -EPIPE);
    CHECK(told.ends == 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(told.ends == 1 && told.code == -EPIPE);
    CHECK_CODE(amrelay_sink_push(sink, "x", 1), -EPIPE);
    CHECK_CODE(amrelay_sink_finish(sink), -EPIPE);
    amrelay_sink_free(sink);
    close(ends[1]);
    amrelay_loop_free(loop);
}

struct suicide {
    amrelay_loop *loop;
    amrelay_sink *sink;
    int ends;
};

static void free_sink_and_loop(void *arg, int code)
{
    struct suicide *suicide = arg;
    CHECK(code == 0);
    suicide->ends++;
    amrelay_sink_free(suicide->sink);
    amrelay_loop_free(suicide->loop);
}

static void the_end_may_free_the_sink(void)
{
    int ends[2];
    struct suicide suicide = {NULL, NULL, 0};
    amrelay_sink_options options;
    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], AMRELAY_SINK_TAKE, NULL);
    options.on_end = free_sink_and_loop;
    options.arg = &suicide;
    suicide.loop = new_loop();
    suicide.sink = new_sink(suicide.loop, &options);
    CHECK_CODE(amrelay_sink_finish(suicide.sink), 0);
    CHECK_CODE(amrelay_loop_turns(suicide.loop, 0), 0);
    CHECK(suicide.ends == 1);
    close(ends[0]);
}

static void wrong_options_are_refused(void)
{
    struct told told = {0};
    amrelay_stats stats = {0};
    amrelay_loop *loop = new_loop();
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    amrelay_sink_options options = sink_options(fd, 0, &told);
    amrelay_sink *sink = NULL;
    options.size = 1;
    CHECK_CODE(amrelay_sink_new(loop, &options, &sink), AMRELAY_E_SIZE);
    options = sink_options(fd, 2, &told);
    CHECK_CODE(amrelay_sink_new(loop, &options, &sink), AMRELAY_E_ARGUMENT);
    options = sink_options(-1, 0, &told);
    CHECK_CODE(amrelay_sink_new(loop, &options, &sink), AMRELAY_E_ARGUMENT);
    options = sink_options(fd, 0, &told);
    sink = new_sink(loop, &options);
    CHECK_CODE(amrelay_sink_stats(sink, &stats), AMRELAY_E_SIZE);
    amrelay_sink_free(sink);
    close(fd);
    CHECK_CODE(amrelay_sink_new(loop, &options, &sink), -EBADF);
    amrelay_loop_free(loop);
}

static void null_is_refused(void)
{
    struct told told = {0};
    amrelay_stats stats = {0};
    amrelay_loop *loop = new_loop();
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    amrelay_sink_options options = sink_options(fd, 0, &told);
    amrelay_sink *sink = NULL;
    stats.size = sizeof stats;
    CHECK_CODE(amrelay_sink_new(NULL, &options, &sink), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_new(loop, NULL, &sink), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_new(loop, &options, NULL), AMRELAY_E_NULL);
    sink = new_sink(loop, &options);
    CHECK_CODE(amrelay_sink_push(NULL, "x", 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_push(sink, NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_finish(NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_stats(NULL, &stats), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_stats(sink, NULL), AMRELAY_E_NULL);
    amrelay_sink_free(NULL);
    amrelay_sink_free(sink);
    close(fd);
    amrelay_loop_free(loop);
}

struct foreign {
    amrelay_loop *loop;
    amrelay_sink *sink;
    int fd;
};

static void *use_from_another_thread(void *arg)
{
    struct foreign *foreign = arg;
    struct told told = {0};
    amrelay_sink_options options = sink_options(foreign->fd, 0, &told);
    amrelay_sink *sink = NULL;
    amrelay_stats stats = {0};
    stats.size = sizeof stats;
    CHECK_CODE(amrelay_sink_new(foreign->loop, &options, &sink), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_sink_push(foreign->sink, "x", 1), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_sink_finish(foreign->sink), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_sink_stats(foreign->sink, &stats), AMRELAY_E_THREAD);
    amrelay_sink_free(foreign->sink);
    return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void)
{
    int ends[2];
    struct told told = {0};
    struct foreign foreign;
    amrelay_sink_options options;
    CHECK(pipe(ends) == 0);
    options = sink_options(ends[1], 0, &told);
    foreign.fd = ends[1];
    foreign.loop = new_loop();
    foreign.sink = new_sink(foreign.loop, &options);
    in_another_thread(use_from_another_thread, &foreign);
    CHECK_CODE(amrelay_sink_push(foreign.sink, "x", 1), 0);
    amrelay_sink_free(foreign.sink);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(foreign.loop);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(bytes_are_written_and_the_end_is_told),
        CASE(a_taken_descriptor_is_closed_before_the_end_is_told),
        CASE(a_descriptor_is_not_taken_by_a_failure),
        CASE(a_full_sink_asks_for_a_pause_and_ends_it),
        CASE(a_reader_that_has_gone_is_told_once_and_raises_no_signal),
        CASE(the_end_may_free_the_sink),
        CASE(wrong_options_are_refused),
        CASE(null_is_refused),
        CASE(another_thread_is_refused_and_changes_nothing),
    };
    return RUN(cases);
}
