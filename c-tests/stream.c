/* Streams: pipes read into links. */
#include "relay.h"

/* A loop, a connection and a link on it, a pipe as the source of a stream. */
struct setting {
    amrelay_loop *loop;
    int connection[2], source[2];
    struct told link_told, told;
    amrelay_link *link;
    amrelay_stream *stream;
};

static void set_up(struct setting *setting, uint32_t kind)
{
    memset(setting, 0, sizeof *setting);
    setting->loop = new_loop();
    connect_pair(setting->connection);
    CHECK(pipe(setting->source) == 0);
    setting->link = new_link(setting->loop, kind, setting->connection[0], &setting->link_told);
}

static void tear_down(struct setting *setting)
{
    amrelay_stream_free(setting->stream);
    amrelay_link_free(setting->link);
    amrelay_loop_free(setting->loop);
    close(setting->source[0]);
    close(setting->connection[0]);
    close(setting->connection[1]);
}

static amrelay_stream_options stream_options(struct setting *setting, uint32_t handle)
{
    amrelay_stream_options options = AMRELAY_STREAM_OPTIONS_INIT;
    options.fd = setting->source[0];
    options.handle = handle;
    options.on_end = told_end;
    options.arg = &setting->told;
    return options;
}

static void start(struct setting *setting, const amrelay_stream_options *options)
{
    CHECK_CODE(amrelay_stream_start(setting->link, options, &setting->stream), 0);
}

static amrelay_stats stats_of(const amrelay_stream *stream)
{
    amrelay_stats stats = AMRELAY_STATS_INIT;
    CHECK_CODE(amrelay_stream_stats(stream, &stats), 0);
    return stats;
}

static void framed_streams_end_with_an_empty_frame(void)
{
    struct setting setting;
    amrelay_stream_options options;
    amrelay_stats stats;
    uint32_t handle;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 11);
    options.tap = told_tap;
    CHECK(write(setting.source[1], "some bytes", 10) == 10);
    close(setting.source[1]);
    start(&setting, &options);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == 0);
    CHECK(setting.told.tapped == 10 && memcmp(setting.told.tap, "some bytes", 10) == 0);
    expect_frame(setting.connection[1], 11, "some bytes");
    CHECK(read_header(setting.connection[1], &handle) == 0 && handle == 11);
    stats = stats_of(setting.stream);
    CHECK(stats.size == sizeof stats && stats.bytes == 10 && stats.method == AMRELAY_METHOD_COPY);
    CHECK(stats.writer_ns + stats.output_ns + stats.index_ns <= stats.elapsed_ns);
    tear_down(&setting);
}

static void raw_streams_are_sent_as_they_are(void)
{
    struct setting setting;
    amrelay_stream_options options;
    amrelay_stream *second = NULL;
    char bytes[10];
    set_up(&setting, AMRELAY_LINK_RAW);
    options = stream_options(&setting, 0);
    CHECK(write(setting.source[1], "some bytes", 10) == 10);
    start(&setting, &options);
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &second), AMRELAY_E_STATE);
    close(setting.source[1]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == 0 && second == NULL);
    read_exactly(setting.connection[1], bytes, 10);
    CHECK(memcmp(bytes, "some bytes", 10) == 0);
    tear_down(&setting);
}

static void *write_32_megabytes(void *arg)
{
    int fd = *(int *)arg;
    size_t i;
    static char block[1 << 16];
    for (i = 0; i < sizeof block; i++)
        block[i] = (char)(i * 7);
    for (i = 0; i < 512; i++)
        CHECK(write(fd, block, sizeof block) == (ssize_t)sizeof block);
    close(fd);
    return NULL;
}

static void *read_frames_to_the_end(void *arg)
{
    static char payload[LARGEST_PAYLOAD];
    int fd = *(int *)arg;
    uint32_t handle, length;
    uint64_t total = 0;
    while ((length = read_header(fd, &handle)) > 0) {
        size_t i;
        CHECK(handle == 3 && length <= sizeof payload);
        read_exactly(fd, payload, length);
        for (i = 0; i < length; i += 997)
            CHECK(payload[i] == (char)((total + i) % 65536 * 7));
        total += length;
    }
    CHECK(total == 512ULL << 16);
    return NULL;
}

static void bulk_streams_arrive_whole(void)
{
    struct setting setting;
    amrelay_stream_options options;
    pthread_t writer, reader;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 3);
    options.flags = AMRELAY_STREAM_BULK;
    start(&setting, &options);
    CHECK(pthread_create(&writer, NULL, write_32_megabytes, &setting.source[1]) == 0);
    CHECK(pthread_create(&reader, NULL, read_frames_to_the_end, &setting.connection[1]) == 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(pthread_join(writer, NULL) == 0);
    CHECK(pthread_join(reader, NULL) == 0);
    CHECK(setting.told.ends == 1 && setting.told.code == 0);
    CHECK(stats_of(setting.stream).bytes == 512ULL << 16);
    tear_down(&setting);
}

static void streams_end_when_the_connection_fails(void)
{
    struct setting setting;
    amrelay_stream_options options;
    amrelay_stream *late = NULL;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    start(&setting, &options);
    shutdown(setting.connection[1], SHUT_RD);
    CHECK(write(setting.source[1], "x", 1) == 1);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == -EPIPE);
    CHECK(setting.link_told.ends == 1 && setting.link_told.code == -EPIPE);
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &late), -EPIPE);
    CHECK(late == NULL);
    close(setting.source[1]);
    tear_down(&setting);
}

static void streams_end_when_the_link_is_closed(void)
{
    struct setting setting;
    amrelay_stream_options options;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    start(&setting, &options);
    CHECK_CODE(amrelay_link_close(setting.link), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == -ECANCELED);
    CHECK(stats_of(setting.stream).bytes == 0);
    setting.link = NULL;
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    close(setting.source[1]);
    tear_down(&setting);
}

static void a_freed_stream_reads_nothing_and_tells_nothing(void)
{
    struct setting setting;
    amrelay_stream_options options;
    char byte;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    start(&setting, &options);
    amrelay_stream_free(setting.stream);
    setting.stream = NULL;
    CHECK(write(setting.source[1], "x", 1) == 1);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 0);
    CHECK(read(setting.source[0], &byte, 1) == 1);
    close(setting.source[1]);
    tear_down(&setting);
}

static void free_everything(struct setting *setting)
{
    amrelay_stream_free(setting->stream);
    amrelay_link_free(setting->link);
    amrelay_loop_free(setting->loop);
    setting->stream = NULL;
    setting->link = NULL;
    setting->loop = NULL;
    setting->told.ends++;
}

static void free_everything_at_end(void *arg, int code)
{
    CHECK(code == 0);
    free_everything(arg);
}

static void free_everything_at_tap(void *arg, const void *buf, size_t len)
{
    CHECK(len == 3 && memcmp(buf, "abc", 3) == 0);
    free_everything(arg);
}

static void callbacks_may_free_everything(void)
{
    int at_tap;
    for (at_tap = 0; at_tap < 2; at_tap++) {
        struct setting setting;
        amrelay_stream_options options;
        set_up(&setting, AMRELAY_LINK_FRAMED);
        options = stream_options(&setting, 1);
        options.tap = at_tap ? free_everything_at_tap : NULL;
        options.on_end = free_everything_at_end;
        options.arg = &setting;
        start(&setting, &options);
        CHECK(write(setting.source[1], "abc", 3) == 3);
        close(setting.source[1]);
        CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
        CHECK(setting.told.ends == 1);
        tear_down(&setting);
    }
}

static void wrong_options_are_refused(void)
{
    struct setting setting;
    amrelay_stream_options options;
    amrelay_stats stats = {0};
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    options.size--;
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &setting.stream), AMRELAY_E_SIZE);
    options = stream_options(&setting, 1);
    options.flags = 2;
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &setting.stream), AMRELAY_E_ARGUMENT);
    options = stream_options(&setting, 1);
    options.fd = -1;
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &setting.stream), AMRELAY_E_ARGUMENT);
    options.fd = dup(setting.source[0]);
    close(options.fd);
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &setting.stream), -EBADF);
    CHECK(setting.stream == NULL);
    options = stream_options(&setting, 1);
    start(&setting, &options);
    CHECK_CODE(amrelay_stream_stats(setting.stream, &stats), AMRELAY_E_SIZE);
    close(setting.source[1]);
    tear_down(&setting);
}

static void a_handle_is_one_stream_s_until_that_has_ended(void)
{
    const uint32_t kinds[] = {AMRELAY_LINK_FRAMED, AMRELAY_LINK_RAW};
    size_t i;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct setting setting;
        amrelay_stream_options options;
        amrelay_stream *second = NULL;
        int source[2];
        set_up(&setting, kinds[i]);
        CHECK(pipe(source) == 0);
        options = stream_options(&setting, 1);
        start(&setting, &options);
        options.fd = source[0];
        CHECK_CODE(amrelay_stream_start(setting.link, &options, &second), AMRELAY_E_STATE);
        CHECK_CODE(amrelay_link_send(setting.link, 1, "mixed", 5), AMRELAY_E_STATE);
        CHECK_CODE(amrelay_link_send(setting.link, 1, NULL, 0), AMRELAY_E_STATE);
        close(setting.source[1]);
        CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
        CHECK(setting.told.ends == 1 && setting.told.code == 0);
        CHECK_CODE(amrelay_stream_start(setting.link, &options, &second), 0);
        amrelay_stream_free(second);
        CHECK_CODE(amrelay_stream_start(setting.link, &options, &second), 0);
        amrelay_stream_free(second);
        close(source[0]);
        close(source[1]);
        tear_down(&setting);
    }
}

static void a_stream_that_could_never_end_is_refused(void)
{
    struct setting setting;
    amrelay_stream_options options;
    amrelay_link *link;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    options.fd = setting.source[1]; /* the writing end */
    CHECK_CODE(amrelay_stream_start(setting.link, &options, &setting.stream), AMRELAY_E_ARGUMENT);
    CHECK(fcntl(setting.source[1], F_GETFL) == O_WRONLY);
    link = new_link(setting.loop, AMRELAY_LINK_RAW, setting.source[1], &setting.link_told);
    options = stream_options(&setting, 1); /* the pipe that its link writes to */
    CHECK_CODE(amrelay_stream_start(link, &options, &setting.stream), AMRELAY_E_ARGUMENT);
    CHECK(setting.stream == NULL && setting.told.ends == 0);
    amrelay_link_free(link);
    close(setting.source[1]);
    tear_down(&setting);
}

static void null_is_refused(void)
{
    struct setting setting;
    amrelay_stream_options options;
    amrelay_stats stats = AMRELAY_STATS_INIT;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    CHECK_CODE(amrelay_stream_start(NULL, &options, &setting.stream), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_stream_start(setting.link, NULL, &setting.stream), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_stream_start(setting.link, &options, NULL), AMRELAY_E_NULL);
    start(&setting, &options);
    CHECK_CODE(amrelay_stream_stats(NULL, &stats), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_stream_stats(setting.stream, NULL), AMRELAY_E_NULL);
    amrelay_stream_free(NULL);
    close(setting.source[1]);
    tear_down(&setting);
}

static void *use_from_another_thread(void *arg)
{
    struct setting *setting = arg;
    amrelay_stream_options options = stream_options(setting, 2);
    amrelay_stream *stream = NULL;
    amrelay_stats stats = AMRELAY_STATS_INIT;
    CHECK_CODE(amrelay_stream_start(setting->link, &options, &stream), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_stream_stats(setting->stream, &stats), AMRELAY_E_THREAD);
    amrelay_stream_free(setting->stream);
    return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void)
{
    struct setting setting;
    amrelay_stream_options options;
    set_up(&setting, AMRELAY_LINK_FRAMED);
    options = stream_options(&setting, 1);
    start(&setting, &options);
    in_another_thread(use_from_another_thread, &setting);
    CHECK(write(setting.source[1], "x", 1) == 1);
    close(setting.source[1]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1);
    expect_frame(setting.connection[1], 1, "x");
    tear_down(&setting);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(framed_streams_end_with_an_empty_frame),
        CASE(raw_streams_are_sent_as_they_are),
        CASE(bulk_streams_arrive_whole),
        CASE(streams_end_when_the_connection_fails),
        CASE(streams_end_when_the_link_is_closed),
        CASE(a_freed_stream_reads_nothing_and_tells_nothing),
        CASE(callbacks_may_free_everything),
        CASE(wrong_options_are_refused),
        CASE(a_handle_is_one_stream_s_until_that_has_ended),
        CASE(a_stream_that_could_never_end_is_refused),
        CASE(null_is_refused),
        CASE(another_thread_is_refused_and_changes_nothing),
    };
    return RUN(cases);
}
