/* Links: control frames, closing, freeing, callback links. */
#include "relay.h"

/* The largest frame that Amanda's receivers take. */
enum { MOST = 128 * 32768 };

static amrelay_link_options link_options(uint32_t kind, int fd, struct told *told)
{
    amrelay_link_options options = {0};
    options.size = sizeof options;
    options.kind = kind;
    options.fd = fd;
    options.on_error = told_end;
    options.on_closed = told_closed;
    options.arg = told;
    return options;
}

static amrelay_link *new_link(amrelay_loop *loop, uint32_t kind, int fd, struct told *told)
{
    amrelay_link_options options = link_options(kind, fd, told);
    amrelay_link *link = NULL;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), 0);
    return link;
}

static void control_frames_go_out_in_order(void)
{
    int ends[2];
    uint32_t handle;
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_send(link, 5, "first", 5), 0);
    CHECK_CODE(amrelay_link_send(link, 0x01020304, "second", 6), 0);
    CHECK_CODE(amrelay_link_send(link, 5, NULL, 0), 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    expect_frame(ends[1], 5, "first");
    expect_frame(ends[1], 0x01020304, "second");
    CHECK(read_header(ends[1], &handle) == 0 && handle == 5);
    amrelay_link_free(link);
    CHECK(told.ends == 0 && told.closed == 0);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

static void close_flushes_though_the_descriptor_is_closed(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_send(link, 7, "last words", 10), 0);
    CHECK_CODE(amrelay_link_close(link), 0);
    close(ends[0]);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(told.closed == 1 && told.ends == 0);
    expect_frame(ends[1], 7, "last words");
    expect_end_of_file(ends[1]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

static void a_peer_that_has_gone_is_told_once_and_raises_no_signal(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    close(ends[1]);
    CHECK_CODE(amrelay_link_send(link, 5, "nobody", 6), 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(told.ends == 1 && told.code == -EPIPE);
    CHECK_CODE(amrelay_link_send(link, 5, "nobody", 6), -EPIPE);
    amrelay_link_free(link);
    CHECK(told.ends == 1 && told.closed == 0);
    close(ends[0]);
    amrelay_loop_free(loop);
}

static void too_much_is_refused(void)
{
    int ends[2];
    struct told told = {0};
    char *big = calloc(1, MOST + 1);
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    CHECK(big != NULL);
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_send(link, 5, big, MOST + 1), AMRELAY_E_LIMIT);
    CHECK_CODE(amrelay_link_send(link, 5, big, MOST), 0);
    CHECK_CODE(amrelay_link_send(link, 5, big, MOST), AMRELAY_E_LIMIT);
    CHECK_CODE(amrelay_link_send(link, 5, big, (size_t)-1), AMRELAY_E_ARGUMENT);
    amrelay_link_free(link);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
    free(big);
}

static void a_raw_link_has_no_control_frames(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_RAW, ends[0], &told);
    CHECK_CODE(amrelay_link_send(link, 5, "x", 1), AMRELAY_E_STATE);
    CHECK_CODE(amrelay_link_close(link), 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(told.closed == 1);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

/* The host's side of a callback link: answers in turn. */
struct writer {
    struct told told; /* first: the callbacks of struct told are used too */
    int fd, calls, sealed, freed;
    int64_t answers[4];
    char first[64];
    const void *refused;
};

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
    int ends[2];
    struct writer writer = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link_options options;
    amrelay_link *link = NULL;
    connect_pair(ends);
    writer.fd = ends[0];
    writer.answers[0] = AMRELAY_WANT_WRITE;
    writer.answers[1] = 3;
    writer.answers[2] = AMRELAY_WANT_READ;
    options = link_options(AMRELAY_LINK_CALLBACK, ends[0], &writer.told);
    options.write = answer_in_turn;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), 0);
    CHECK_CODE(amrelay_link_send(link, 9, "hello", 5), 0);
    CHECK(write(ends[1], "r", 1) == 1); /* so that the library's side becomes readable */
    CHECK_CODE(amrelay_link_close(link), 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(writer.calls == 4 && writer.told.closed == 1 && writer.told.ends == 0);
    expect_frame(ends[1], 9, "hello");
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
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
        int ends[2];
        struct writer writer = {0};
        amrelay_loop *loop = new_loop();
        amrelay_link_options options;
        amrelay_link *link = NULL;
        connect_pair(ends);
        writer.answers[0] = cases[i].answer;
        options = link_options(AMRELAY_LINK_CALLBACK, ends[0], &writer.told);
        options.write = answer_only;
        CHECK_CODE(amrelay_link_new(loop, &options, &link), 0);
        CHECK_CODE(amrelay_link_send(link, 9, "hello", 5), 0);
        CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
        CHECK(writer.told.ends == 1);
        CHECK_CODE(writer.told.code, cases[i].code);
        amrelay_link_free(link);
        close(ends[0]);
        close(ends[1]);
        amrelay_loop_free(loop);
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

static int seal_fails(void *arg, const void *in, size_t in_len, void **out, size_t *out_len)
{
    (void)arg, (void)in, (void)in_len, (void)out, (void)out_len;
    return -ENOKEY;
}

static void payloads_are_sealed_and_the_seal_is_freed(void)
{
    int ends[2];
    uint32_t handle;
    struct writer writer = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link_options options;
    amrelay_link *link = NULL;
    connect_pair(ends);
    writer.fd = ends[0];
    options = link_options(AMRELAY_LINK_CALLBACK, ends[0], &writer.told);
    options.write = answer_in_turn;
    options.seal = seal;
    options.seal_free = seal_free;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), 0);
    CHECK_CODE(amrelay_link_send(link, 9, "secret", 6), 0);
    CHECK_CODE(amrelay_link_send(link, 9, NULL, 0), 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    expect_frame(ends[1], 9, "<secret>");
    CHECK(read_header(ends[1], &handle) == 0);
    CHECK(writer.sealed == 1 && writer.freed == 1);
    amrelay_link_free(link);

    options.seal = seal_fails;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), 0);
    CHECK_CODE(amrelay_link_send(link, 9, "secret", 6), 0);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK(writer.told.ends == 1 && writer.told.code == -ENOKEY);
    amrelay_link_free(link);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

/* A link that is freed or closed by its own callback. */
struct suicide {
    amrelay_link *link;
    int called;
};

static int64_t free_while_writing(void *arg, const void *buf, size_t len)
{
    struct suicide *suicide = arg;
    (void)buf;
    suicide->called++;
    amrelay_link_free(suicide->link);
    return (int64_t)len;
}

static int64_t close_while_writing(void *arg, const void *buf, size_t len)
{
    struct suicide *suicide = arg;
    (void)buf;
    if (suicide->called++ == 0)
        CHECK_CODE(amrelay_link_close(suicide->link), 0);
    return (int64_t)len;
}

static void free_on_error(void *arg, int code)
{
    struct suicide *suicide = arg;
    CHECK(code == -EPIPE);
    suicide->called++;
    amrelay_link_free(suicide->link);
}

static void callbacks_may_free_or_close_their_link(void)
{
    int64_t (*const writers[])(void *, const void *, size_t) = {free_while_writing, close_while_writing};
    size_t i;
    for (i = 0; i < 3; i++) {
        int ends[2];
        struct suicide suicide = {NULL, 0};
        amrelay_loop *loop = new_loop();
        amrelay_link_options options = {0};
        connect_pair(ends);
        options.size = sizeof options;
        options.kind = i < 2 ? AMRELAY_LINK_CALLBACK : AMRELAY_LINK_FRAMED;
        options.fd = ends[0];
        options.write = i < 2 ? writers[i] : NULL;
        options.on_error = free_on_error;
        options.arg = &suicide;
        CHECK_CODE(amrelay_link_new(loop, &options, &suicide.link), 0);
        CHECK_CODE(amrelay_link_send(suicide.link, 1, "abc", 3), 0);
        if (i == 2)
            close(ends[1]);
        CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
        CHECK(suicide.called == 1);
        close(ends[0]);
        if (i < 2)
            close(ends[1]);
        amrelay_loop_free(loop);
    }
}

static void a_link_outlives_its_loop(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    amrelay_loop_free(loop);
    CHECK_CODE(amrelay_link_send(link, 1, "x", 1), 0);
    amrelay_link_free(link);
    close(ends[0]);
    close(ends[1]);
}

/* What a closed link still has to write is nobody's when the loop goes: its duplicate must not stay open for ever. */
static void a_loop_that_is_freed_takes_a_closing_link_along(void)
{
    enum { MORE_THAN_FITS = 4 * 1024 * 1024 };
    int ends[2];
    char byte;
    struct told told = {0};
    char *big = calloc(1, MORE_THAN_FITS);
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    CHECK(big != NULL);
    connect_pair(ends);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_send(link, 7, big, MORE_THAN_FITS), 0);
    CHECK_CODE(amrelay_link_close(link), 0);
    close(ends[0]);
    CHECK_CODE(amrelay_loop_turns(loop, 1), 0);
    amrelay_loop_free(loop);
    CHECK(told.closed == 0 && told.ends == 0);
    while (read(ends[1], &byte, 1) == 1)
        read(ends[1], big, MORE_THAN_FITS);
    expect_end_of_file(ends[1]);
    close(ends[1]);
    free(big);
}

static void wrong_options_are_refused(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link = NULL;
    amrelay_link_options options;
    connect_pair(ends);
    options = link_options(3, ends[0], &told);
    CHECK_CODE(amrelay_link_new(loop, &options, &link), AMRELAY_E_ARGUMENT);
    options = link_options(AMRELAY_LINK_FRAMED, -1, &told);
    CHECK_CODE(amrelay_link_new(loop, &options, &link), AMRELAY_E_ARGUMENT);
    options = link_options(AMRELAY_LINK_CALLBACK, ends[0], &told);
    CHECK_CODE(amrelay_link_new(loop, &options, &link), AMRELAY_E_NULL);
    options = link_options(AMRELAY_LINK_FRAMED, ends[0], &told);
    options.frame_size = MOST + 1;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), AMRELAY_E_LIMIT);
    options.frame_size = MOST;
    options.size = 0;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), AMRELAY_E_SIZE);
    options.size = sizeof options + 8;
    CHECK_CODE(amrelay_link_new(loop, &options, &link), AMRELAY_E_SIZE);
    close(ends[0]);
    close(ends[1]);
    options = link_options(AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_new(loop, &options, &link), -EBADF);
    CHECK(link == NULL && told.ends == 0);
    amrelay_loop_free(loop);
}

static void null_is_refused(void)
{
    int ends[2];
    struct told told = {0};
    amrelay_loop *loop = new_loop();
    amrelay_link *link;
    amrelay_link_options options;
    connect_pair(ends);
    options = link_options(AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_new(NULL, &options, &link), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_new(loop, NULL, &link), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_new(loop, &options, NULL), AMRELAY_E_NULL);
    link = new_link(loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    CHECK_CODE(amrelay_link_send(NULL, 0, "x", 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_send(link, 0, NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_link_close(NULL), AMRELAY_E_NULL);
    amrelay_link_free(NULL);
    amrelay_link_free(link);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(loop);
}

struct foreign {
    amrelay_loop *loop;
    amrelay_link *link;
    int fd;
};

static void *use_from_another_thread(void *arg)
{
    struct foreign *foreign = arg;
    struct told told = {0};
    amrelay_link *link = NULL;
    amrelay_link_options options = link_options(AMRELAY_LINK_FRAMED, foreign->fd, &told);
    CHECK_CODE(amrelay_link_new(foreign->loop, &options, &link), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_link_send(foreign->link, 1, "x", 1), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_link_close(foreign->link), AMRELAY_E_THREAD);
    amrelay_link_free(foreign->link);
    return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void)
{
    int ends[2];
    struct told told = {0};
    struct foreign foreign;
    connect_pair(ends);
    foreign.loop = new_loop();
    foreign.fd = ends[0];
    foreign.link = new_link(foreign.loop, AMRELAY_LINK_FRAMED, ends[0], &told);
    in_another_thread(use_from_another_thread, &foreign);
    CHECK_CODE(amrelay_link_send(foreign.link, 2, "still there", 11), 0);
    CHECK_CODE(amrelay_loop_turns(foreign.loop, 0), 0);
    expect_frame(ends[1], 2, "still there");
    amrelay_link_free(foreign.link);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(foreign.loop);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(control_frames_go_out_in_order),
        CASE(close_flushes_though_the_descriptor_is_closed),
        CASE(a_peer_that_has_gone_is_told_once_and_raises_no_signal),
        CASE(too_much_is_refused),
        CASE(a_raw_link_has_no_control_frames),
        CASE(a_callback_link_asks_again_with_the_same_bytes),
        CASE(errors_and_wrong_answers_end_a_callback_link),
        CASE(payloads_are_sealed_and_the_seal_is_freed),
        CASE(callbacks_may_free_or_close_their_link),
        CASE(a_link_outlives_its_loop),
        CASE(a_loop_that_is_freed_takes_a_closing_link_along),
        CASE(wrong_options_are_refused),
        CASE(null_is_refused),
        CASE(another_thread_is_refused_and_changes_nothing),
    };
    return RUN(cases);
}
