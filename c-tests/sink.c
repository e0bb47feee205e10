/* Sinks: bytes from the network written to pipes. */
#include "relay.h"

static void told_resume(void *arg)
{
    struct told *told = arg;
    told->resumed++;
}

static amrelay_sink_options sink_options(int fd, uint32_t flags, struct told *told)
{
    amrelay_sink_options options = AMRELAY_SINK_OPTIONS_INIT;
    options.fd = fd;
    options.flags = flags;
    options.on_resume = told_resume;
    options.on_end = told_end;
    options.arg = told;
    return options;
}

/* A loop, a pipe, and a sink that writes into it. */
struct setting {
    amrelay_loop *loop;
    int ends[2];
    struct told told;
    amrelay_sink_options options;
    amrelay_sink *sink;
};

static void set_up(struct setting *setting, uint32_t flags)
{
    memset(setting, 0, sizeof *setting);
    setting->loop = new_loop();
    CHECK(pipe(setting->ends) == 0);
    setting->options = sink_options(setting->ends[1], flags, &setting->told);
}

static void start(struct setting *setting)
{
    CHECK_CODE(amrelay_sink_new(setting->loop, &setting->options, &setting->sink), 0);
}

static void tear_down(struct setting *setting)
{
    amrelay_sink_free(setting->sink);
    amrelay_loop_free(setting->loop);
    close_end(&setting->ends[0]);
    close_end(&setting->ends[1]);
}

static int is_open(int fd)
{
    return fcntl(fd, F_GETFD) != -1;
}

/* The library has closed the descriptor that it took. */
static void expect_closed(int *fd)
{
    CHECK(!is_open(*fd));
    *fd = -1;
}

static void bytes_are_written_and_the_end_is_told(void)
{
    struct setting setting;
    char bytes[10];
    amrelay_stats stats = AMRELAY_STATS_INIT;
    set_up(&setting, 0);
    start(&setting);
    CHECK_CODE(amrelay_sink_push(setting.sink, "some ", 5), 0);
    CHECK_CODE(amrelay_sink_push(setting.sink, NULL, 0), 0);
    CHECK_CODE(amrelay_sink_push(setting.sink, "bytes", 5), 0);
    CHECK_CODE(amrelay_sink_finish(setting.sink), 0);
    CHECK_CODE(amrelay_sink_finish(setting.sink), AMRELAY_E_STATE);
    CHECK_CODE(amrelay_sink_push(setting.sink, "x", 1), AMRELAY_E_STATE);
    CHECK(setting.told.ends == 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == 0 && setting.told.resumed == 0);
    CHECK(is_open(setting.ends[1]));
    read_exactly(setting.ends[0], bytes, 10);
    CHECK(memcmp(bytes, "some bytes", 10) == 0);
    CHECK_CODE(amrelay_sink_stats(setting.sink, &stats), 0);
    CHECK(stats.bytes == 10 && stats.method == AMRELAY_METHOD_COPY);
    tear_down(&setting);
}

static void a_taken_descriptor_is_closed_before_the_end_is_told(void)
{
    struct setting setting;
    set_up(&setting, AMRELAY_SINK_TAKE);
    start(&setting);
    CHECK_CODE(amrelay_sink_finish(setting.sink), 0);
    CHECK(setting.told.ends == 0);
    expect_closed(&setting.ends[1]); /* nothing was queued */
    expect_end_of_file(setting.ends[0]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1);
    tear_down(&setting);
}

static void a_freed_sink_closes_what_it_took_and_tells_nothing(void)
{
    struct setting setting;
    set_up(&setting, AMRELAY_SINK_TAKE);
    start(&setting);
    amrelay_sink_free(setting.sink);
    setting.sink = NULL;
    expect_closed(&setting.ends[1]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 0);
    tear_down(&setting);
}

static void a_descriptor_is_not_taken_by_a_failure(void)
{
    struct setting setting;
    set_up(&setting, AMRELAY_SINK_TAKE);
    setting.options.high_water = 10;
    setting.options.low_water = 11;
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, &setting.sink), AMRELAY_E_ARGUMENT);
    CHECK(setting.sink == NULL && is_open(setting.ends[1]) && setting.told.ends == 0);
    tear_down(&setting);
}

static void a_full_sink_asks_for_a_pause_and_ends_it(void)
{
    enum { PIPE = 4096, HIGH = 10000 };
    struct setting setting;
    size_t total = 0;
    ssize_t got;
    static char block[LARGEST_PAYLOAD];
    set_up(&setting, 0);
    CHECK(fcntl(setting.ends[1], F_SETPIPE_SZ, PIPE) == PIPE);
    CHECK(fcntl(setting.ends[0], F_SETFL, O_NONBLOCK) == 0);
    setting.options.high_water = HIGH;
    setting.options.low_water = 1;
    start(&setting);
    CHECK_CODE(amrelay_sink_push(setting.sink, block, PIPE), 0);
    CHECK_CODE(amrelay_sink_push(setting.sink, block, HIGH), 0);
    CHECK_CODE(amrelay_sink_push(setting.sink, block, 1), 1);
    CHECK_CODE(amrelay_sink_push(setting.sink, block, LARGEST_PAYLOAD), AMRELAY_E_LIMIT);
    CHECK_CODE(amrelay_sink_push(setting.sink, block, (size_t)-1), AMRELAY_E_ARGUMENT);
    CHECK(setting.told.resumed == 0);
    while (total < PIPE + HIGH + 1) {
        CHECK_CODE(amrelay_loop_turns(setting.loop, 1), 0);
        while ((got = read(setting.ends[0], block, sizeof block)) > 0)
            total += (size_t)got;
    }
    CHECK_CODE(amrelay_loop_turns(setting.loop, 1), 0);
    CHECK(setting.told.resumed == 1 && setting.told.ends == 0);
    CHECK_CODE(amrelay_sink_push(setting.sink, "x", 1), 0);
    tear_down(&setting);
}

static void a_reader_that_has_gone_is_told_once_and_raises_no_signal(void)
{
    struct setting setting;
    set_up(&setting, 0);
    start(&setting);
    close_end(&setting.ends[0]);
    CHECK_CODE(amrelay_sink_push(setting.sink, "x", 1), -EPIPE);
    CHECK(setting.told.ends == 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == -EPIPE);
    CHECK_CODE(amrelay_sink_push(setting.sink, "x", 1), -EPIPE);
    CHECK_CODE(amrelay_sink_finish(setting.sink), -EPIPE);
    tear_down(&setting);
}

static void a_paused_sink_that_fails_tells_its_end_alone(void)
{
    struct setting setting;
    static char block[LARGEST_PAYLOAD];
    set_up(&setting, 0);
    start(&setting);
    CHECK_CODE(amrelay_sink_push(setting.sink, block, LARGEST_PAYLOAD), 1);
    close_end(&setting.ends[0]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == -EPIPE && setting.told.resumed == 0);
    tear_down(&setting);
}

static void free_sink_and_loop(void *arg, int code)
{
    struct setting *setting = arg;
    CHECK(code == 0);
    setting->told.ends++;
    amrelay_sink_free(setting->sink);
    amrelay_loop_free(setting->loop);
    setting->sink = NULL;
    setting->loop = NULL;
}

static void the_end_may_free_the_sink(void)
{
    struct setting setting;
    set_up(&setting, AMRELAY_SINK_TAKE);
    setting.options.on_end = free_sink_and_loop;
    setting.options.arg = &setting;
    start(&setting);
    CHECK_CODE(amrelay_sink_finish(setting.sink), 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1);
    expect_closed(&setting.ends[1]);
    tear_down(&setting);
}

static void wrong_options_are_refused(void)
{
    struct setting setting;
    amrelay_stats stats = {0};
    set_up(&setting, 0);
    setting.options.size = 1;
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, &setting.sink), AMRELAY_E_SIZE);
    setting.options = sink_options(setting.ends[1], 2, &setting.told);
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, &setting.sink), AMRELAY_E_ARGUMENT);
    setting.options = sink_options(setting.ends[0], 0, &setting.told); /* the reading end */
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, &setting.sink), AMRELAY_E_ARGUMENT);
    setting.options = sink_options(-1, 0, &setting.told);
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, &setting.sink), AMRELAY_E_ARGUMENT);
    setting.options = sink_options(setting.ends[1], 0, &setting.told);
    start(&setting);
    CHECK_CODE(amrelay_sink_stats(setting.sink, &stats), AMRELAY_E_SIZE);
    amrelay_sink_free(setting.sink);
    setting.sink = NULL;
    close_end(&setting.ends[1]);
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, &setting.sink), -EBADF);
    CHECK(setting.sink == NULL);
    tear_down(&setting);
}

static void null_is_refused(void)
{
    struct setting setting;
    amrelay_stats stats = AMRELAY_STATS_INIT;
    set_up(&setting, 0);
    CHECK_CODE(amrelay_sink_new(NULL, &setting.options, &setting.sink), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_new(setting.loop, NULL, &setting.sink), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_new(setting.loop, &setting.options, NULL), AMRELAY_E_NULL);
    start(&setting);
    CHECK_CODE(amrelay_sink_push(NULL, "x", 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_push(setting.sink, NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_finish(NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_stats(NULL, &stats), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_sink_stats(setting.sink, NULL), AMRELAY_E_NULL);
    amrelay_sink_free(NULL);
    tear_down(&setting);
}

static void *use_from_another_thread(void *arg)
{
    struct setting *setting = arg;
    amrelay_sink *sink = NULL;
    amrelay_stats stats = AMRELAY_STATS_INIT;
    CHECK_CODE(amrelay_sink_new(setting->loop, &setting->options, &sink), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_sink_push(setting->sink, "x", 1), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_sink_finish(setting->sink), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_sink_stats(setting->sink, &stats), AMRELAY_E_THREAD);
    amrelay_sink_free(setting->sink);
    return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void)
{
    struct setting setting;
    set_up(&setting, 0);
    start(&setting);
    in_another_thread(use_from_another_thread, &setting);
    CHECK_CODE(amrelay_sink_push(setting.sink, "x", 1), 0);
    tear_down(&setting);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(bytes_are_written_and_the_end_is_told),
        CASE(a_taken_descriptor_is_closed_before_the_end_is_told),
        CASE(a_freed_sink_closes_what_it_took_and_tells_nothing),
        CASE(a_descriptor_is_not_taken_by_a_failure),
        CASE(a_full_sink_asks_for_a_pause_and_ends_it),
        CASE(a_paused_sink_that_fails_tells_its_end_alone),
        CASE(a_reader_that_has_gone_is_told_once_and_raises_no_signal),
        CASE(the_end_may_free_the_sink),
        CASE(wrong_options_are_refused),
        CASE(null_is_refused),
        CASE(another_thread_is_refused_and_changes_nothing),
    };
    return RUN(cases);
}
