/* Links: control frames, closing, freeing, callback links. */
#include "relay.h"

/* A loop, a connection whose side [0] is the library's, and perhaps a link on it. */
struct setting {
    amrelay_loop *loop;
    int ends[2];
    struct told told;
    amrelay_link *link;
};

static void set_up(struct setting *setting)
{
    memset(setting, 0, sizeof *setting);
    setting->loop = new_loop();
    connect_pair(setting->ends);
}

static void set_up_link(struct setting *setting, uint32_t kind)
{
    set_up(setting);
    setting->link = new_link(setting->loop, kind, setting->ends[0], &setting->told);
}

static void tear_down(struct setting *setting)
{
    amrelay_link_free(setting->link);
    amrelay_loop_free(setting->loop);
    close_end(&setting->ends[0]);
    close_end(&setting->ends[1]);
}

/* Closes the link, which takes its handle. */
static void close_link(struct setting *setting)
{
    CHECK_CODE(amrelay_link_close(setting->link), 0);
    setting->link = NULL;
}

static void control_frames_go_out_in_order(void)
{
    struct setting setting;
    uint32_t handle;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    CHECK_CODE(amrelay_link_send(setting.link, 5, "first", 5), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 0x01020304, "second", 6), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 5, NULL, 0), 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    expect_frame(setting.ends[1], 5, "first");
    expect_frame(setting.ends[1], 0x01020304, "second");
    CHECK(read_header(setting.ends[1], &handle) == 0 && handle == 5);
    tear_down(&setting);
    CHECK(setting.told.ends == 0 && setting.told.closed == 0);
}

static void close_flushes_though_the_descriptor_is_closed(void)
{
    struct setting setting;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    CHECK_CODE(amrelay_link_send(setting.link, 7, "last words", 10), 0);
    close_link(&setting);
    close_end(&setting.ends[0]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.closed == 1 && setting.told.ends == 0);
    expect_frame(setting.ends[1], 7, "last words");
    expect_end_of_file(setting.ends[1]);
    tear_down(&setting);
}

static void a_peer_that_has_gone_is_told_once_and_raises_no_signal(void)
{
    struct setting setting;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    close_end(&setting.ends[1]);
    CHECK_CODE(amrelay_link_send(setting.link, 5, "nobody", 6), 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == -EPIPE);
    CHECK_CODE(amrelay_link_send(setting.link, 5, "nobody", 6), -EPIPE);
    tear_down(&setting);
    CHECK(setting.told.ends == 1 && setting.told.closed == 0);
}

static void too_much_is_refused(void)
{
    struct setting setting;
    char *big = calloc(1, LARGEST_PAYLOAD + 1);
    CHECK(big != NULL);
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    CHECK_CODE(amrelay_link_send(setting.link, 5, big, LARGEST_PAYLOAD + 1), AMRELAY_E_LIMIT);
    CHECK_CODE(amrelay_link_send(setting.link, 5, big, LARGEST_PAYLOAD), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 5, big, LARGEST_PAYLOAD), AMRELAY_E_LIMIT);
    CHECK_CODE(amrelay_link_send(setting.link, 5, big, (size_t)-1), AMRELAY_E_ARGUMENT);
    tear_down(&setting);
    free(big);
}

static void packets_for_a_peer_that_never_reads_are_refused_when_the_queue_is_full(void)
{
    struct setting setting;
    size_t queued = 0;
    int code;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    while ((code = amrelay_link_send(setting.link, 5, "refused", 7)) == 0) {
        queued += 7 + 72;
        CHECK(queued <= 1024 * 1024 + 79);
    }
    CHECK_CODE(code, AMRELAY_E_LIMIT);
    CHECK(queued > 1024 * 1024);
    CHECK(setting.told.ends == 0);
    tear_down(&setting);
}

static void a_closing_link_whose_peer_never_reads_is_given_up(void)
{
    struct setting setting;
    amrelay_link_options options;
    char *big = calloc(1, LARGEST_PAYLOAD);
    CHECK(big != NULL);
    set_up(&setting);
    options = link_options(AMRELAY_LINK_FRAMED, setting.ends[0], &setting.told);
    options.close_timeout_ms = 20;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 7, big, LARGEST_PAYLOAD), 0);
    close_link(&setting);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.ends == 1 && setting.told.code == -ETIMEDOUT && setting.told.closed == 1);
    tear_down(&setting);
    free(big);
}

static void a_raw_link_has_no_control_frames(void)
{
    struct setting setting;
    set_up_link(&setting, AMRELAY_LINK_RAW);
    CHECK_CODE(amrelay_link_send(setting.link, 5, "x", 1), AMRELAY_E_STATE);
    close_link(&setting);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(setting.told.closed == 1);
    tear_down(&setting);
}

/* The host's side of a callback link: returns its answers in order. */
struct writer {
    struct told told; /* first: the callbacks of struct told are used too */
    int fd, calls, sealed, freed;
    int64_t answers[4];
    char first[64];
    const void *refused;
};

/* Sets up; returns the options of a link for which this host writes, with only `write` of its functions set. */
static amrelay_link_options set_up_writer(struct setting *setting, struct writer *writer, uint32_t kind,
                                          int64_t (*write)(void *arg, const void *buf, size_t len))
{
    amrelay_link_options options;
    set_up(setting);
    writer->fd = setting->ends[0];
    options = link_options(kind, setting->ends[0], &writer->told);
    options.write = write;
    return options;
}

static int64_t answer_in_turn(void *arg, const void *buf, size_t len)
{
    struct writer *writer = arg;
    int64_t answer = writer->answers[writer->calls++ & 3];
    if (writer->refused != NULL)
        CHECK(writer->refused == buf);
    writer->refused = answer < 0 ? buf : NULL;
    if (answer == 0)
        answer = (int64_t)len;
    if (answer > 0)
        CHECK(write(writer->fd, buf, (size_t)answer) == answer);
    return answer;
}

static void a_callback_link_asks_again_with_the_same_bytes(void)
{
    struct setting setting;
    struct writer writer = {0};
    amrelay_link_options options = set_up_writer(&setting, &writer, AMRELAY_LINK_CALLBACK, answer_in_turn);
    writer.answers[0] = AMRELAY_WANT_WRITE;
    writer.answers[1] = 3;
    writer.answers[2] = AMRELAY_WANT_READ;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 9, "hello", 5), 0);
    CHECK(write(setting.ends[1], "r", 1) == 1); /* makes the library's side readable */
    close_link(&setting);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(writer.calls == 4 && writer.told.closed == 1 && writer.told.ends == 0);
    expect_frame(setting.ends[1], 9, "hello");
    tear_down(&setting);
}

static int64_t answer_only(void *arg, const void *buf, size_t len)
{
    struct writer *writer = arg;
    (void)buf, (void)len;
    return writer->answers[0];
}

static void errors_and_wrong_answers_end_a_callback_link(void)
{
    const struct {
        int64_t answer;
        int code;
    } cases[] = {{-ECONNRESET, -ECONNRESET}, {0, -EIO}, {1000000, -EIO}, {AMRELAY_E_STATE, -EIO}, {INT64_MIN, -EIO}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct setting setting;
        struct writer writer = {0};
        amrelay_link_options options = set_up_writer(&setting, &writer, AMRELAY_LINK_CALLBACK, answer_only);
        writer.answers[0] = cases[i].answer;
        CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), 0);
        CHECK_CODE(amrelay_link_send(setting.link, 9, "hello", 5), 0);
        CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
        CHECK(writer.told.ends == 1);
        CHECK_CODE(writer.told.code, cases[i].code);
        tear_down(&setting);
    }
}

static int seal(void *arg, const void *in, size_t in_len, void **out, size_t *out_len)
{
    struct writer *writer = arg;
    const char *payload = in;
    char *sealed = malloc(in_len + 2);
    CHECK(sealed != NULL);
    sealed[0] = '<';
    memcpy(sealed + 1, payload, in_len);
    sealed[in_len + 1] = '>';
    *out = sealed;
    *out_len = in_len + 2;
    writer->sealed++;
    return 0;
}

static void seal_free(void *arg, void *out)
{
    struct writer *writer = arg;
    writer->freed++;
    free(out);
}

static void payloads_are_sealed_and_the_seal_is_freed(void)
{
    struct setting setting;
    uint32_t handle;
    struct writer writer = {0};
    amrelay_link_options options = set_up_writer(&setting, &writer, AMRELAY_LINK_CALLBACK, answer_in_turn);
    options.seal = seal;
    options.seal_free = seal_free;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 9, "secret", 6), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 9, NULL, 0), 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    expect_frame(setting.ends[1], 9, "<secret>");
    CHECK(read_header(setting.ends[1], &handle) == 0);
    CHECK(writer.sealed == 1 && writer.freed == 1);
    tear_down(&setting);
}

static int seal_fails(void *arg, const void *in, size_t in_len, void **out, size_t *out_len)
{
    (void)arg, (void)in, (void)in_len, (void)out, (void)out_len;
    return -ENOKEY;
}

static void a_seal_that_fails_ends_the_link(void)
{
    struct setting setting;
    struct writer writer = {0};
    amrelay_link_options options = set_up_writer(&setting, &writer, AMRELAY_LINK_CALLBACK, answer_in_turn);
    options.seal = seal_fails;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), 0);
    CHECK_CODE(amrelay_link_send(setting.link, 9, "secret", 6), 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(writer.told.ends == 1 && writer.told.code == -ENOKEY && writer.calls == 0);
    tear_down(&setting);
}

/* A host that frees or closes its link in a callback of that link. */
struct host {
    amrelay_link *link;
    int called;
};

static int64_t free_while_writing(void *arg, const void *buf, size_t len)
{
    struct host *host = arg;
    (void)buf;
    host->called++;
    amrelay_link_free(host->link);
    return (int64_t)len;
}

static int64_t close_while_writing(void *arg, const void *buf, size_t len)
{
    struct host *host = arg;
    (void)buf;
    if (host->called++ == 0)
        CHECK_CODE(amrelay_link_close(host->link), 0);
    return (int64_t)len;
}

static void free_on_error(void *arg, int code)
{
    struct host *host = arg;
    CHECK(code == -EPIPE);
    host->called++;
    amrelay_link_free(host->link);
}

/* Makes a link with these options and sends over it; `peer_gone` says whether the reader has gone. */
static void expect_one_call(amrelay_link_options options, int peer_gone)
{
    struct setting setting;
    struct host host = {NULL, 0};
    set_up(&setting);
    options.fd = setting.ends[0];
    options.arg = &host;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &host.link), 0);
    CHECK_CODE(amrelay_link_send(host.link, 1, "abc", 3), 0);
    if (peer_gone)
        close_end(&setting.ends[1]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    CHECK(host.called == 1);
    tear_down(&setting);
}

static void callbacks_may_free_or_close_their_link(void)
{
    amrelay_link_options options = AMRELAY_LINK_OPTIONS_INIT;
    options.on_error = free_on_error;
    options.kind = AMRELAY_LINK_CALLBACK;
    options.write = free_while_writing;
    expect_one_call(options, 0);
    options.write = close_while_writing;
    expect_one_call(options, 0);
    options.kind = AMRELAY_LINK_FRAMED;
    options.write = NULL;
    expect_one_call(options, 1);
}

static void a_link_outlives_its_loop(void)
{
    struct setting setting;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    amrelay_loop_free(setting.loop);
    setting.loop = NULL;
    CHECK_CODE(amrelay_link_send(setting.link, 1, "x", 1), 0);
    tear_down(&setting);
}

/* When the loop goes, a closed link has lost its owner: its duplicate must not stay open forever. */
static void a_loop_that_is_freed_takes_a_closing_link_along(void)
{
    struct setting setting;
    /* More than the connection holds. */
    char *big = calloc(1, LARGEST_PAYLOAD);
    CHECK(big != NULL);
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    CHECK_CODE(amrelay_link_send(setting.link, 7, big, LARGEST_PAYLOAD), 0);
    close_link(&setting);
    close_end(&setting.ends[0]);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 1), 0);
    amrelay_loop_free(setting.loop);
    setting.loop = NULL;
    CHECK(setting.told.closed == 0 && setting.told.ends == 0);
    while (read(setting.ends[1], big, LARGEST_PAYLOAD) > 0)
        continue;
    expect_end_of_file(setting.ends[1]);
    tear_down(&setting);
    free(big);
}

/* The other way round: no loop is left to write what is queued, or to report it. */
static void a_link_closed_after_its_loop_is_gone_at_once_and_tells_nothing(void)
{
    const uint32_t kinds[] = {AMRELAY_LINK_FRAMED, AMRELAY_LINK_CALLBACK};
    size_t i;
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        struct setting setting;
        struct writer writer = {0};
        amrelay_link_options options =
            set_up_writer(&setting, &writer, kinds[i], kinds[i] == AMRELAY_LINK_CALLBACK ? answer_only : NULL);
        CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), 0);
        CHECK_CODE(amrelay_link_send(setting.link, 7, "lost", 4), 0);
        amrelay_loop_free(setting.loop);
        setting.loop = NULL;
        close_link(&setting);
        CHECK(writer.told.closed == 0 && writer.told.ends == 0);
        close_end(&setting.ends[0]);
        CHECK(fcntl(setting.ends[1], F_SETFL, O_NONBLOCK) == 0);
        expect_end_of_file(setting.ends[1]);
        tear_down(&setting);
    }
}

static void wrong_options_are_refused(void)
{
    struct setting setting;
    amrelay_link_options options;
    set_up(&setting);
    options = link_options(3, setting.ends[0], &setting.told);
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_ARGUMENT);
    options = link_options(AMRELAY_LINK_FRAMED, -1, &setting.told);
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_ARGUMENT);
    options = link_options(AMRELAY_LINK_CALLBACK, setting.ends[0], &setting.told);
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_NULL);
    options = link_options(AMRELAY_LINK_FRAMED, setting.ends[0], &setting.told);
    options.frame_size = LARGEST_PAYLOAD + 1;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_LIMIT);
    options.frame_size = LARGEST_PAYLOAD;
    options.size = 0;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_SIZE);
    options.size = sizeof options + 8;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_SIZE);
    options = link_options(AMRELAY_LINK_FRAMED, setting.ends[0], &setting.told);
    close_end(&setting.ends[0]);
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), -EBADF);
    CHECK(setting.link == NULL && setting.told.ends == 0);
    tear_down(&setting);
}

/* Callbacks that a link would never call, or descriptors that it could not write to. */
static void options_that_do_not_fit_together_are_refused(void)
{
    const uint32_t kinds[] = {AMRELAY_LINK_RAW, AMRELAY_LINK_FRAMED};
    struct setting setting;
    amrelay_link_options options;
    int ends[2];
    size_t i;
    set_up(&setting);
    CHECK(pipe(ends) == 0);
    for (i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        options = link_options(kinds[i], setting.ends[0], &setting.told);
        options.write = answer_only;
        CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_ARGUMENT);
        options = link_options(kinds[i], setting.ends[0], &setting.told);
        options.seal = seal;
        CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_ARGUMENT);
        options = link_options(kinds[i], ends[0], &setting.told);
        CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_ARGUMENT);
        CHECK(fcntl(ends[0], F_GETFL) == O_RDONLY);
    }
    options = link_options(AMRELAY_LINK_CALLBACK, setting.ends[0], &setting.told);
    options.write = answer_only;
    options.seal_free = seal_free;
    CHECK_CODE(amrelay_link_new(setting.loop, &options, &setting.link), AMRELAY_E_ARGUMENT);
    CHECK(setting.link == NULL && setting.told.ends == 0);
    close(ends[0]);
    close(ends[1]);
    tear_down(&setting);
}

static void null_is_refused(void)
{
    struct setting setting;
    amrelay_link_options options;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    options = link_options(AMRELAY_LINK_FRAMED, setting.ends[0], &setting.told);
    CHECK_CODE(amrelay_link_new(NULL, &options, &setting.link), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_new(setting.loop, NULL, &setting.link), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_new(setting.loop, &options, NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_send(NULL, 0, "x", 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_send(setting.link, 0, NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_close(NULL), AMRELAY_E_NULL);
    amrelay_link_free(NULL);
    tear_down(&setting);
}

static void *use_from_another_thread(void *arg)
{
    struct setting *setting = arg;
    amrelay_link *link = NULL;
    amrelay_link_options options = link_options(AMRELAY_LINK_FRAMED, setting->ends[0], &setting->told);
    CHECK_CODE(amrelay_link_new(setting->loop, &options, &link), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_link_send(setting->link, 1, "x", 1), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_link_close(setting->link), AMRELAY_E_THREAD);
    amrelay_link_free(setting->link);
    return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void)
{
    struct setting setting;
    set_up_link(&setting, AMRELAY_LINK_FRAMED);
    in_another_thread(use_from_another_thread, &setting);
    CHECK_CODE(amrelay_link_send(setting.link, 2, "still there", 11), 0);
    CHECK_CODE(amrelay_loop_turns(setting.loop, 0), 0);
    expect_frame(setting.ends[1], 2, "still there");
    tear_down(&setting);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(control_frames_go_out_in_order),
        CASE(close_flushes_though_the_descriptor_is_closed),
        CASE(a_peer_that_has_gone_is_told_once_and_raises_no_signal),
        CASE(too_much_is_refused),
        CASE(packets_for_a_peer_that_never_reads_are_refused_when_the_queue_is_full),
        CASE(a_closing_link_whose_peer_never_reads_is_given_up),
        CASE(a_raw_link_has_no_control_frames),
        CASE(a_callback_link_asks_again_with_the_same_bytes),
        CASE(errors_and_wrong_answers_end_a_callback_link),
        CASE(payloads_are_sealed_and_the_seal_is_freed),
        CASE(a_seal_that_fails_ends_the_link),
        CASE(callbacks_may_free_or_close_their_link),
        CASE(a_link_outlives_its_loop),
        CASE(a_loop_that_is_freed_takes_a_closing_link_along),
        CASE(a_link_closed_after_its_loop_is_gone_at_once_and_tells_nothing),
        CASE(wrong_options_are_refused),
        CASE(options_that_do_not_fit_together_are_refused),
        CASE(null_is_refused),
        CASE(another_thread_is_refused_and_changes_nothing),
    };
    return RUN(cases);
}
