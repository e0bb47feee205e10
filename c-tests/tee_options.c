/* Options of a tee that are refused, with a message, and with no descriptor taken. */
#include "tee.h"

#include <sys/socket.h>

/* Two pipes and a device, open for the tests to name. */
static int in[2], out[2], device, closed;

static void refuse(const amrelay_tee_options *options, int code, const char *words)
{
    amrelay_tee *tee = NULL;
    CHECK_CODE(amrelay_tee_start(options, &tee), code);
    CHECK(tee == NULL);
    if (strstr(amrelay_error(), words) == NULL) {
        fprintf(stderr, "'%s' is not in: %s\n", words, amrelay_error());
        exit(1);
    }
    CHECK(fcntl(in[0], F_GETFD) != -1 && fcntl(out[1], F_GETFD) != -1 && fcntl(device, F_GETFD) != -1);
}

static void open_all(void)
{
    CHECK(pipe(in) == 0 && pipe(out) == 0);
    device = open("/dev/null", O_RDWR | O_CLOEXEC);
    closed = dup(device);
    close(closed);
}

static void close_all(void)
{
    close(in[0]);
    close(in[1]);
    close(out[0]);
    close(out[1]);
    close(device);
}

static amrelay_tee_options indexed(uint32_t index, int index_fd)
{
    amrelay_tee_options options = tee_options(0, in[0], out[1]);
    options.index = index;
    options.index_fd = index_fd;
    options.index_command = index == AMRELAY_INDEX_COMMAND ? "cat" : NULL;
    return options;
}

static int write_nowhere(void *arg, const void *buf, size_t len)
{
    (void)arg, (void)buf, (void)len;
    return 0;
}

static void what_is_unknown(void)
{
    amrelay_tee_options options;
    open_all();
    options = tee_options(0, in[0], out[1]);
    options.size += 4;
    refuse(&options, AMRELAY_E_SIZE, "options.size");
    options = tee_options(32, in[0], out[1]);
    refuse(&options, AMRELAY_E_ARGUMENT, "unknown flags 0x20");
    options = indexed(3, device);
    refuse(&options, AMRELAY_E_ARGUMENT, "3 is not a kind of index");
    close_all();
}

static void descriptors_that_cannot_be_used(void)
{
    amrelay_tee_options options;
    open_all();
    options = tee_options(0, -1, out[1]);
    refuse(&options, AMRELAY_E_ARGUMENT, "input_fd is -1");
    options = tee_options(0, in[0], -2);
    refuse(&options, AMRELAY_E_ARGUMENT, "output_fd is -2");
    options = tee_options(0, closed, out[1]);
    refuse(&options, -EBADF, "input_fd");
    options = tee_options(0, in[0], closed);
    refuse(&options, -EBADF, "output_fd");
    /* The wrong end: no data would ever flow. */
    options = tee_options(0, in[1], out[1]);
    refuse(&options, -EBADF, "not open for reading");
    options = tee_options(0, in[0], out[0]);
    refuse(&options, -EBADF, "not open for writing");
    options = indexed(AMRELAY_INDEX_TAR, out[0]);
    refuse(&options, -EBADF, "index_fd");
    options = indexed(AMRELAY_INDEX_TAR, -1);
    refuse(&options, AMRELAY_E_ARGUMENT, "index_fd is -1");
    options = indexed(AMRELAY_INDEX_TAR, closed);
    refuse(&options, -EBADF, "index_fd");
    options = indexed(AMRELAY_INDEX_COMMAND, device);
    options.error_fd = closed;
    refuse(&options, -EBADF, "error_fd");
    close_all();
}

static void what_was_left_out(void)
{
    amrelay_tee_options options;
    open_all();
    options = tee_options(0, in[0], -1);
    refuse(&options, AMRELAY_E_NULL, "options.write is NULL");
    options = indexed(AMRELAY_INDEX_TAR, 0);
    refuse(&options, AMRELAY_E_ARGUMENT, "index_fd is 0");
    options = indexed(AMRELAY_INDEX_COMMAND, 0);
    refuse(&options, AMRELAY_E_ARGUMENT, "index_fd is 0");
    options = indexed(AMRELAY_INDEX_COMMAND, device);
    options.error_fd = 0;
    refuse(&options, AMRELAY_E_ARGUMENT, "error_fd is 0");
    options = indexed(AMRELAY_INDEX_COMMAND, device);
    options.index_command = NULL;
    refuse(&options, AMRELAY_E_NULL, "options.index_command is NULL");
    /* Otherwise the index would silently be missing. */
    options = indexed(AMRELAY_INDEX_NONE, device);
    refuse(&options, AMRELAY_E_ARGUMENT, "index is none");
    options = tee_options(0, in[0], out[1]);
    options.index_command = "cat";
    refuse(&options, AMRELAY_E_ARGUMENT, "an index_command");
    options = indexed(AMRELAY_INDEX_TAR, device);
    options.index_command = "cat";
    refuse(&options, AMRELAY_E_ARGUMENT, "an index_command");
    close_all();
}

static void two_outputs(void)
{
    amrelay_tee_options options;
    open_all();
    options = tee_options(0, in[0], out[1]);
    options.write = write_nowhere;
    refuse(&options, AMRELAY_E_ARGUMENT, "write is set");
    /* A missing output_fd. */
    options.output_fd = 0;
    refuse(&options, AMRELAY_E_ARGUMENT, "write is set");
    close_all();
}

static void what_cannot_be_taken(void)
{
    amrelay_tee_options options;
    open_all();
    options = tee_options(AMRELAY_TEE_TAKE_INDEX, in[0], out[1]);
    refuse(&options, AMRELAY_E_ARGUMENT, "index_fd is taken, but there is none");
    options = tee_options(AMRELAY_TEE_TAKE_OUTPUT, in[0], -1);
    options.write = write_nowhere;
    refuse(&options, AMRELAY_E_ARGUMENT, "output_fd is taken, but there is none");
    options = tee_options(AMRELAY_TEE_TAKE_INPUT, device, device);
    refuse(&options, AMRELAY_E_ARGUMENT, "which is to be taken");
    options = indexed(AMRELAY_INDEX_TAR, device);
    options.output_fd = device;
    options.flags = AMRELAY_TEE_TAKE_INDEX;
    refuse(&options, AMRELAY_E_ARGUMENT, "which is to be taken");
    options.input_fd = device;
    options.output_fd = out[1];
    refuse(&options, AMRELAY_E_ARGUMENT, "which is to be taken");
    options = indexed(AMRELAY_INDEX_COMMAND, device);
    options.error_fd = device;
    options.flags = AMRELAY_TEE_TAKE_INDEX;
    refuse(&options, AMRELAY_E_ARGUMENT, "which is to be taken");
    close_all();
}

/* It would never end, or mix its output into its input. */
static void a_tee_into_itself(void)
{
    const char *words = "ends of the same pipe";
    char name[] = "/tmp/amrelay-XXXXXX";
    int file = mkstemp(name), again = open(name, O_RDWR | O_CLOEXEC);
    amrelay_tee_options options;
    open_all();
    options = tee_options(0, in[0], in[1]);
    refuse(&options, AMRELAY_E_ARGUMENT, words);
    options = indexed(AMRELAY_INDEX_TAR, in[1]);
    refuse(&options, AMRELAY_E_ARGUMENT, words);
    options = indexed(AMRELAY_INDEX_COMMAND, in[1]);
    refuse(&options, AMRELAY_E_ARGUMENT, words);
    options = indexed(AMRELAY_INDEX_COMMAND, device);
    options.error_fd = in[1];
    refuse(&options, AMRELAY_E_ARGUMENT, words);
    options = tee_options(0, file, again);
    refuse(&options, AMRELAY_E_ARGUMENT, "the same file");
    close(file);
    close(again);
    unlink(name);
    close_all();
}

static void an_index_between_the_data(void)
{
    int ends[2], more;
    amrelay_tee_options options;
    open_all();
    more = dup(out[1]);
    options = indexed(AMRELAY_INDEX_TAR, more);
    refuse(&options, AMRELAY_E_ARGUMENT, "ends of the same pipe");
    options = indexed(AMRELAY_INDEX_COMMAND, device);
    options.error_fd = more;
    refuse(&options, AMRELAY_E_ARGUMENT, "ends of the same pipe");
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    options = indexed(AMRELAY_INDEX_TAR, ends[0]);
    options.output_fd = ends[0];
    refuse(&options, AMRELAY_E_ARGUMENT, "the same socket");
    close(more);
    close(ends[0]);
    close(ends[1]);
    close_all();
}

/* A device, and the two directions of a socket, are no loop. */
static void what_is_allowed(void)
{
    int ends[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
    amrelay_tee_options options = tee_options(0, null, null);
    amrelay_tee *tee;
    char got[3];
    options.index = AMRELAY_INDEX_COMMAND;
    options.index_command = "cat";
    options.index_fd = options.error_fd = null;
    tee = start(&options);
    wait_for(tee, 0);
    amrelay_tee_free(tee);
    close(null);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    CHECK(write(ends[1], "abc", 3) == 3 && shutdown(ends[1], SHUT_WR) == 0);
    options = tee_options(0, ends[0], ends[0]);
    tee = start(&options);
    wait_for(tee, 0);
    amrelay_tee_free(tee);
    CHECK(read(ends[1], got, 3) == 3 && memcmp(got, "abc", 3) == 0);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(what_is_unknown),
        CASE(descriptors_that_cannot_be_used),
        CASE(what_was_left_out),
        CASE(two_outputs),
        CASE(what_cannot_be_taken),
        CASE(a_tee_into_itself),
        CASE(an_index_between_the_data),
        CASE(what_is_allowed),
    };
    return RUN(cases);
}
