/* Numbers and layouts that compiled programs rely on: they never change. Also compiled as C++. */
#include <amrelay.h>

/* Included twice, as headers are. */
#include <amrelay.h>

#define SAME(name, actual, expected) typedef char name[(actual) == (expected) ? 1 : -1]

SAME(major_version, AMRELAY_VERSION_MAJOR, 0);

SAME(e_null, AMRELAY_E_NULL, -7001);
SAME(e_argument, AMRELAY_E_ARGUMENT, -7002);
SAME(e_size, AMRELAY_E_SIZE, -7003);
SAME(e_state, AMRELAY_E_STATE, -7004);
SAME(e_limit, AMRELAY_E_LIMIT, -7005);
SAME(e_panic, AMRELAY_E_PANIC, -7006);
SAME(e_poisoned, AMRELAY_E_POISONED, -7007);
SAME(e_thread, AMRELAY_E_THREAD, -7008);

SAME(e_damaged, AMRELAY_E_DAMAGED, -7009);
SAME(e_command, AMRELAY_E_COMMAND, -7010);
SAME(e_omitted, AMRELAY_E_OMITTED, -7011);
SAME(e_no_archive, AMRELAY_E_NO_ARCHIVE, -7012);

SAME(log_error, AMRELAY_LOG_ERROR, 1);
SAME(log_debug, AMRELAY_LOG_DEBUG, 2);

SAME(event_read, AMRELAY_EVENT_READ, 0);
SAME(event_write, AMRELAY_EVENT_WRITE, 1);
SAME(event_time, AMRELAY_EVENT_TIME, 2);
SAME(event_wait, AMRELAY_EVENT_WAIT, 3);
SAME(event_number, sizeof(amrelay_event), sizeof(void *));

SAME(method_copy, AMRELAY_METHOD_COPY, 0);
SAME(method_splice, AMRELAY_METHOD_SPLICE, 1);

SAME(link_raw, AMRELAY_LINK_RAW, 0);
SAME(link_framed, AMRELAY_LINK_FRAMED, 1);
SAME(link_callback, AMRELAY_LINK_CALLBACK, 2);
SAME(want_write, AMRELAY_WANT_WRITE, -7101);
SAME(want_read, AMRELAY_WANT_READ, -7102);

SAME(stream_bulk, AMRELAY_STREAM_BULK, 1);
SAME(sink_take, AMRELAY_SINK_TAKE, 1);

SAME(tee_crc, AMRELAY_TEE_CRC, 1);
SAME(tee_take_input, AMRELAY_TEE_TAKE_INPUT, 2);
SAME(tee_take_output, AMRELAY_TEE_TAKE_OUTPUT, 4);
SAME(tee_take_index, AMRELAY_TEE_TAKE_INDEX, 8);
SAME(tee_zero_copy, AMRELAY_TEE_ZERO_COPY, 16);

SAME(index_none, AMRELAY_INDEX_NONE, 0);
SAME(index_tar, AMRELAY_INDEX_TAR, 1);
SAME(index_command, AMRELAY_INDEX_COMMAND, 2);

SAME(format_tar, AMRELAY_FORMAT_TAR, 0);
SAME(format_detect, AMRELAY_FORMAT_DETECT, 1);

/* Every struct begins with its size. */
SAME(stats_first, offsetof(amrelay_stats, size), 0);
SAME(link_options_first, offsetof(amrelay_link_options, size), 0);
SAME(stream_options_first, offsetof(amrelay_stream_options, size), 0);
SAME(sink_options_first, offsetof(amrelay_sink_options, size), 0);
SAME(index_options_first, offsetof(amrelay_index_options, size), 0);
SAME(index_result_first, offsetof(amrelay_index_result, size), 0);
SAME(tee_options_first, offsetof(amrelay_tee_options, size), 0);
SAME(tee_result_first, offsetof(amrelay_tee_result, size), 0);

#if UINTPTR_MAX == UINT64_MAX
SAME(stats_size, sizeof(amrelay_stats), 56);
SAME(link_options_size, sizeof(amrelay_link_options), 88);
SAME(stream_options_size, sizeof(amrelay_stream_options), 48);
SAME(sink_options_size, sizeof(amrelay_sink_options), 56);
SAME(index_options_size, sizeof(amrelay_index_options), 16);
SAME(index_result_size, sizeof(amrelay_index_result), 32);
SAME(tee_options_size, sizeof(amrelay_tee_options), 80);
SAME(tee_result_size, sizeof(amrelay_tee_result), 104);
#endif

/* The initializers are for C and C++, and name every field: the compiler warns if one is missing. */
static const amrelay_stats no_stats = AMRELAY_STATS_INIT;
static const amrelay_link_options no_link = AMRELAY_LINK_OPTIONS_INIT;
static const amrelay_stream_options no_stream = AMRELAY_STREAM_OPTIONS_INIT;
static const amrelay_sink_options no_sink = AMRELAY_SINK_OPTIONS_INIT;
static const amrelay_index_options no_format = AMRELAY_INDEX_OPTIONS_INIT;
static const amrelay_index_result no_index = AMRELAY_INDEX_RESULT_INIT;
static const amrelay_tee_options no_tee = AMRELAY_TEE_OPTIONS_INIT;
static const amrelay_tee_result no_result = AMRELAY_TEE_RESULT_INIT;

/* Whether the bytes after the size field are zero, except for descriptors and the unknown end mark, which are -1. */
static int is_empty(const void *start, size_t length, const int *fds, int count)
{
    const char *bytes = (const char *)start;
    size_t i;
    int fd, skip;
    for (i = sizeof(size_t); i < length; i++) {
        skip = 0;
        for (fd = 0; fd < count; fd++)
            skip |= i >= (size_t)fds[fd] && i < (size_t)fds[fd] + sizeof(int);
        if (bytes[i] != (skip ? -1 : 0))
            return 0;
    }
    return 1;
}

#define NO_FDS NULL, 0
#define OFFSET(type, field) (int)offsetof(type, field)

static int initializers_are_right(void)
{
    const int link_fds[] = {OFFSET(amrelay_link_options, fd)};
    const int stream_fds[] = {OFFSET(amrelay_stream_options, fd)};
    const int sink_fds[] = {OFFSET(amrelay_sink_options, fd)};
    const int tee_fds[] = {OFFSET(amrelay_tee_options, input_fd), OFFSET(amrelay_tee_options, output_fd),
                           OFFSET(amrelay_tee_options, index_fd), OFFSET(amrelay_tee_options, error_fd)};
    const int end_mark[] = {OFFSET(amrelay_tee_result, index_end_mark)};
    const size_t in_result = offsetof(amrelay_tee_result, stats);
    return no_stats.size == sizeof no_stats && is_empty(&no_stats, sizeof no_stats, NO_FDS)
        && no_link.size == sizeof no_link && is_empty(&no_link, sizeof no_link, link_fds, 1)
        && no_stream.size == sizeof no_stream && is_empty(&no_stream, sizeof no_stream, stream_fds, 1)
        && no_sink.size == sizeof no_sink && is_empty(&no_sink, sizeof no_sink, sink_fds, 1)
        && no_format.size == sizeof no_format && is_empty(&no_format, sizeof no_format, NO_FDS)
        && no_index.size == sizeof no_index && is_empty(&no_index, sizeof no_index, NO_FDS)
        && no_tee.size == sizeof no_tee && is_empty(&no_tee, sizeof no_tee, tee_fds, 4)
        && no_result.size == sizeof no_result && is_empty(&no_result, in_result, end_mark, 1)
        && no_result.stats.size == sizeof no_stats && is_empty(&no_result.stats, sizeof no_stats, NO_FDS);
}

int main(void)
{
    return initializers_are_right() ? 0 : 1;
}
