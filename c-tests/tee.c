/* Tees, with archives made by the system's tar. */
#include "tee.h"

#include <semaphore.h>
#include <sys/wait.h>

static void data_crc_and_index_are_right_both_ways(void)
{
    const uint32_t ways[] = {0, AMRELAY_TEE_ZERO_COPY};
    size_t i;
    for (i = 0; i < 2; i++) {
        struct bytes archive = output_of(ARCHIVE);
        FILE *tar = popen(ARCHIVE, "r");
        struct reader output, index;
        amrelay_tee_options options;
        amrelay_tee_result result;
        amrelay_tee *tee;
        start_reader(&output);
        start_reader(&index);
        options = tee_options(ways[i] | AMRELAY_TEE_CRC | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX,
                              fileno(tar), output.ends[1]);
        options.index = AMRELAY_INDEX_TAR;
        options.index_fd = index.ends[1];
        tee = start(&options);
        result = wait_for(tee, 0);
        CHECK(result.stats.bytes == archive.length);
        CHECK(result.read_bytes == archive.length);
        CHECK(result.stats.size == sizeof result.stats);
        CHECK(result.crc32c == crc32c(archive));
        CHECK(result.input_code == 0 && result.output_code == 0 && result.index_code == 0);
        CHECK(result.entries > 5 && result.index_status == 0 && result.index_end_mark == 1);
        CHECK(ways[i] != 0 || result.stats.method == AMRELAY_METHOD_COPY);
        CHECK(strcmp(amrelay_tee_index_message(tee), "") == 0);
        /* The same answer again. */
        CHECK(wait_for(tee, 0).crc32c == result.crc32c);
        amrelay_tee_free(tee);
        expect_same(join_reader(&output), archive);
        expect_same(join_reader(&index), output_of(LISTING));
        CHECK(pclose(tar) == 0);
    }
}

/* A write function and the bytes it got. */
struct receiver {
    struct bytes got;
    int calls, answer;
};

static int receive(void *arg, const void *buf, size_t len)
{
    struct receiver *receiver = arg;
    receiver->calls++;
    append(&receiver->got, buf, len);
    return receiver->answer;
}

static void output_may_be_a_function(void)
{
    struct bytes archive = output_of(ARCHIVE);
    FILE *tar = popen(ARCHIVE, "r");
    struct receiver receiver = {{NULL, 0}, 0, 0};
    amrelay_tee_options options = tee_options(0, fileno(tar), -1);
    amrelay_tee_result result;
    amrelay_tee *tee;
    options.write = receive;
    options.arg = &receiver;
    tee = start(&options);
    result = wait_for(tee, 0);
    CHECK(result.stats.bytes == archive.length && result.crc32c == 0 && result.entries == 0);
    CHECK(result.stats.method == AMRELAY_METHOD_COPY);
    amrelay_tee_free(tee);
    expect_same(receiver.got, archive);
    CHECK(pclose(tar) == 0);
}

static void a_function_that_fails_ends_the_tee(void)
{
    const struct {
        int answer, code;
    } cases[] = {{-ENOSPC, -ENOSPC}, {-EAGAIN, -EAGAIN}, {5, -EIO}, {AMRELAY_E_NULL, -EIO}};
    size_t i;
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int ends[2];
        struct receiver receiver = {{NULL, 0}, 0, 0};
        amrelay_tee_options options;
        amrelay_tee_result result;
        amrelay_tee *tee;
        receiver.answer = cases[i].answer;
        CHECK(pipe(ends) == 0);
        CHECK(write(ends[1], "abc", 3) == 3);
        options = tee_options(AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_CRC, ends[0], -1);
        options.write = receive;
        options.arg = &receiver;
        tee = start(&options);
        result = wait_for(tee, cases[i].code);
        CHECK(result.output_code == cases[i].code && result.input_code == 0);
        CHECK(result.stats.bytes == 0 && result.read_bytes == 3 && result.crc32c == crc32c(receiver.got));
        CHECK(receiver.calls == 1);
        CHECK(strncmp(amrelay_error(), "amrelay_tee_wait: output: ", 26) == 0);
        amrelay_tee_free(tee);
        CHECK(fcntl(ends[0], F_GETFD) == -1);
        close(ends[1]);
        free(receiver.got.data);
    }
}

static void a_broken_output_ends_the_tee_and_raises_no_signal(void)
{
    int in[2], out[2], index[2];
    amrelay_tee_options options;
    amrelay_tee_result result;
    amrelay_tee *tee;
    CHECK(pipe(in) == 0 && pipe(out) == 0 && pipe(index) == 0);
    close(out[0]);
    CHECK(write(in[1], "abc", 3) == 3);
    options = tee_options(0, in[0], out[1]);
    options.index = AMRELAY_INDEX_TAR;
    options.index_fd = index[1];
    tee = start(&options);
    result = wait_for(tee, -EPIPE);
    CHECK(result.output_code == -EPIPE && result.index_code == -ECANCELED);
    CHECK(amrelay_tee_index_message(tee)[0] != '\0');
    amrelay_tee_free(tee);
    close(in[0]);
    close(in[1]);
    close(out[1]);
    close(index[0]);
    close(index[1]);
}

static void a_damaged_archive_harms_only_the_index(void)
{
    int input = pipe_with("no archive at all");
    struct reader output, index;
    amrelay_tee_options options;
    amrelay_tee_result result;
    amrelay_tee *tee;
    start_reader(&output);
    start_reader(&index);
    options = tee_options(AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX, input, output.ends[1]);
    options.index = AMRELAY_INDEX_TAR;
    options.index_fd = index.ends[1];
    tee = start(&options);
    result = wait_for(tee, 0);
    CHECK(result.stats.bytes == 17 && result.index_code == AMRELAY_E_DAMAGED && result.entries == 0);
    CHECK(result.index_end_mark == -1);
    CHECK(amrelay_tee_index_message(tee)[0] != '\0');
    amrelay_tee_free(tee);
    expect_text(join_reader(&output), "no archive at all");
    expect_text(join_reader(&index), "");
    close(input);
}

static void lines_left_out_are_no_damage(void)
{
    FILE *tar = popen(RENAMED, "r");
    struct reader output, index;
    amrelay_tee_options options;
    amrelay_tee_result result;
    amrelay_tee *tee;
    struct bytes lines;
    start_reader(&output);
    start_reader(&index);
    options = tee_options(AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX, fileno(tar), output.ends[1]);
    options.index = AMRELAY_INDEX_TAR;
    options.index_fd = index.ends[1];
    tee = start(&options);
    result = wait_for(tee, 0);
    CHECK(result.index_code == AMRELAY_E_OMITTED && result.entries == 1 && result.index_end_mark == 1);
    CHECK(strstr(amrelay_tee_index_message(tee), "3 lines left out") != NULL);
    amrelay_tee_free(tee);
    expect_same(join_reader(&output), output_of(RENAMED));
    lines = join_reader(&index);
    CHECK(lines.length == 30001);
    free(lines.data);
    CHECK(pclose(tar) == 0);
}

static void an_archive_without_end_mark_is_told_of(void)
{
    FILE *tar = popen("tar --create --file=- --no-recursion include | head -c 512", "r");
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    amrelay_tee_options options = tee_options(0, fileno(tar), null);
    amrelay_tee_result result;
    amrelay_tee *tee;
    options.index = AMRELAY_INDEX_TAR;
    options.index_fd = null;
    tee = start(&options);
    result = wait_for(tee, 0);
    CHECK(result.index_code == 0 && result.index_end_mark == 0 && result.entries == 1);
    amrelay_tee_free(tee);
    CHECK(pclose(tar) == 0);
    close(null);
}

static void an_index_command_reads_a_copy(void)
{
    struct reader output, index, errors;
    char command[] = "cat; echo complaint >&2; exit 3";
    amrelay_tee_options options;
    amrelay_tee_result result;
    amrelay_tee *tee;
    start_reader(&output);
    start_reader(&index);
    start_reader(&errors);
    options = tee_options(AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX,
                          pipe_with("the data"), output.ends[1]);
    options.index = AMRELAY_INDEX_COMMAND;
    options.index_fd = index.ends[1];
    options.index_command = command;
    options.error_fd = errors.ends[1];
    tee = start(&options);
    memset(command, 'x', sizeof command - 1); /* it was copied */
    result = wait_for(tee, 0);
    close(errors.ends[1]);
    CHECK(result.index_code == AMRELAY_E_COMMAND);
    CHECK(WIFEXITED(result.index_status) && WEXITSTATUS(result.index_status) == 3);
    CHECK(amrelay_tee_index_message(tee)[0] != '\0');
    amrelay_tee_free(tee);
    expect_text(join_reader(&output), "the data");
    expect_text(join_reader(&index), "the data");
    expect_text(join_reader(&errors), "complaint\n");
}

/* A host that waits for all its children takes the command's status before the tee can. */
struct reaper {
    int status;
    sem_t done;
};

static void reap(void *arg, int64_t process_id)
{
    struct reaper *reaper = arg;
    CHECK(waitpid((pid_t)process_id, &reaper->status, 0) == (pid_t)process_id);
    CHECK(sem_post(&reaper->done) == 0);
}

static void index_command_may_be_waited_for_by_the_host(void)
{
    struct reaper reaper = {0};
    amrelay_tee_options options;
    amrelay_tee_result result;
    amrelay_tee *tee;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    CHECK(sem_init(&reaper.done, 0, 0) == 0);
    options = tee_options(AMRELAY_TEE_TAKE_INPUT, pipe_with(""), null);
    options.index = AMRELAY_INDEX_COMMAND;
    options.index_fd = null;
    options.index_command = "exit 3";
    options.index_started = reap;
    options.arg = &reaper;
    tee = start(&options);
    result = wait_for(tee, 0);
    CHECK(WIFEXITED(reaper.status) && WEXITSTATUS(reaper.status) == 3);
    CHECK(result.index_code == 0 && result.index_status == 0);
    CHECK(strcmp(amrelay_tee_index_message(tee), "") == 0);
    amrelay_tee_free(tee);
    close(null);
}

/* Its pid may be another process's by then. */
static void a_command_that_the_host_has_waited_for_is_not_killed(void)
{
    int in[2], out[2], null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    struct reaper reaper = {0};
    amrelay_tee_options options;
    amrelay_tee *tee;
    CHECK(pipe(in) == 0 && pipe(out) == 0 && sem_init(&reaper.done, 0, 0) == 0);
    options = tee_options(AMRELAY_TEE_TAKE_INPUT | AMRELAY_TEE_TAKE_OUTPUT | AMRELAY_TEE_TAKE_INDEX, in[0], out[1]);
    options.index = AMRELAY_INDEX_COMMAND;
    options.index_fd = null;
    options.index_command = "exit 0";
    options.index_started = reap;
    options.arg = &reaper;
    tee = start(&options);
    CHECK(sem_wait(&reaper.done) == 0);
    close(out[0]);
    CHECK(wait_for(tee, -EPIPE).index_code == -ECANCELED);
    amrelay_tee_free(tee);
    close(in[1]);
}

/* The thread's mask, seen in its write function. */
static int look_at_mask(void *arg, const void *buf, size_t len)
{
    (void)buf, (void)len;
    return -pthread_sigmask(SIG_BLOCK, NULL, arg);
}

static void the_thread_takes_no_signals_of_the_host(void)
{
    sigset_t mask;
    amrelay_tee_options options = tee_options(AMRELAY_TEE_TAKE_INPUT, pipe_with("abc"), -1);
    amrelay_tee *tee;
    options.write = look_at_mask;
    options.arg = &mask;
    tee = start(&options);
    wait_for(tee, 0);
    amrelay_tee_free(tee);
    CHECK(sigismember(&mask, SIGALRM) == 1 && sigismember(&mask, SIGCHLD) == 1 && sigismember(&mask, SIGPIPE) == 1);
    CHECK(sigismember(&mask, SIGSEGV) == 0);
    CHECK(pthread_sigmask(SIG_BLOCK, NULL, &mask) == 0);
    CHECK(sigismember(&mask, SIGALRM) == 0 && sigismember(&mask, SIGPIPE) == 0);
}

/*
 * Returns once only this thread is left. A tee freed by its own thread leaves it detached: nobody can join it, and if
 * the program ended first, valgrind would report what the C library keeps for it as a leak.
 */
static void wait_for_other_threads(void)
{
    const struct timespec pause = {0, 1000000};
    while (entries_of("/proc/self/task") > 3) /* `.`, `..` and this thread */
        nanosleep(&pause, NULL);
}

static void wait_and_free_at_once(amrelay_tee *tee)
{
    amrelay_tee_result result = AMRELAY_TEE_RESULT_INIT;
    CHECK_CODE(amrelay_tee_wait(tee, &result), AMRELAY_E_STATE);
    amrelay_tee_free(tee);
}

static void the_write_function_may_free_the_tee_but_not_wait_for_it(void)
{
    int input = pipe_with("abc");
    struct own_tee own = {NULL, 0, PTHREAD_MUTEX_INITIALIZER, wait_and_free_at_once};
    start_own(&own, input);
    wait_for_other_threads();
    CHECK(own.calls == 1);
    CHECK(fcntl(input, F_GETFD) == -1);
}

static void free_waits_for_the_end(void)
{
    int input = pipe_with("abc");
    struct receiver receiver = {{NULL, 0}, 0, 0};
    amrelay_tee_options options = tee_options(0, input, -1);
    options.write = receive;
    options.arg = &receiver;
    amrelay_tee_free(start(&options));
    CHECK(receiver.got.length == 3);
    free(receiver.got.data);
    close(input);
}

static void *wait_and_free(void *arg)
{
    CHECK(wait_for(arg, 0).stats.bytes == 0);
    amrelay_tee_free(arg);
    return NULL;
}

static void another_thread_may_wait(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    amrelay_tee_options options = tee_options(0, fd, fd);
    in_another_thread(wait_and_free, start(&options));
    close(fd);
}

static void null_is_refused(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    amrelay_tee_options options = tee_options(0, fd, fd);
    amrelay_tee_result result = {0};
    amrelay_tee *tee = NULL;
    CHECK_CODE(amrelay_tee_start(NULL, &tee), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_tee_start(&options, NULL), AMRELAY_E_NULL);
    tee = start(&options);
    CHECK_CODE(amrelay_tee_wait(tee, NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_tee_wait(tee, &result), AMRELAY_E_SIZE);
    CHECK_CODE(amrelay_tee_wait(NULL, &result), AMRELAY_E_NULL);
    CHECK(strcmp(amrelay_tee_index_message(NULL), "") == 0);
    CHECK(strcmp(amrelay_tee_index_message(tee), "") == 0);
    amrelay_tee_free(NULL);
    amrelay_tee_free(tee);
    close(fd);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(data_crc_and_index_are_right_both_ways),
        CASE(output_may_be_a_function),
        CASE(a_function_that_fails_ends_the_tee),
        CASE(a_broken_output_ends_the_tee_and_raises_no_signal),
        CASE(a_damaged_archive_harms_only_the_index),
        CASE(lines_left_out_are_no_damage),
        CASE(an_archive_without_end_mark_is_told_of),
        CASE(an_index_command_reads_a_copy),
        CASE(index_command_may_be_waited_for_by_the_host),
        CASE(a_command_that_the_host_has_waited_for_is_not_killed),
        CASE(the_thread_takes_no_signals_of_the_host),
        CASE(free_waits_for_the_end),
        CASE(another_thread_may_wait),
        CASE(null_is_refused),
        CASE(the_write_function_may_free_the_tee_but_not_wait_for_it),
    };
    return RUN(cases);
}
