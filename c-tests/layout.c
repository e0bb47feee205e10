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

SAME(log_error, AMRELAY_LOG_ERROR, 1);
SAME(log_warning, AMRELAY_LOG_WARNING, 2);
SAME(log_info, AMRELAY_LOG_INFO, 3);
SAME(log_debug, AMRELAY_LOG_DEBUG, 4);

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
SAME(tee_copy, AMRELAY_TEE_COPY, 16);

SAME(index_none, AMRELAY_INDEX_NONE, 0);
SAME(index_tar, AMRELAY_INDEX_TAR, 1);
SAME(index_command, AMRELAY_INDEX_COMMAND, 2);

SAME(index_complete, AMRELAY_INDEX_COMPLETE, 0);
SAME(index_damaged, AMRELAY_INDEX_DAMAGED, 1);
SAME(index_no_archive, AMRELAY_INDEX_NO_ARCHIVE, 2);
SAME(index_format_tar, AMRELAY_INDEX_FORMAT_TAR, 0);
SAME(index_format_detect, AMRELAY_INDEX_FORMAT_DETECT, 1);

/* Every struct begins with its size. */
SAME(stats_first, offsetof(amrelay_stats, size), 0);
SAME(link_options_first, offsetof(amrelay_link_options, size), 0);
SAME(stream_options_first, offsetof(amrelay_stream_options, size), 0);
SAME(sink_options_first, offsetof(amrelay_sink_options, size), 0);
SAME(index_result_first, offsetof(amrelay_index_result, size), 0);
SAME(tee_options_first, offsetof(amrelay_tee_options, size), 0);
SAME(tee_result_first, offsetof(amrelay_tee_result, size), 0);

#if UINTPTR_MAX == UINT64_MAX
SAME(stats_size, sizeof(amrelay_stats), 56);
SAME(link_options_size, sizeof(amrelay_link_options), 88);
SAME(stream_options_size, sizeof(amrelay_stream_options), 48);
SAME(sink_options_size, sizeof(amrelay_sink_options), 56);
SAME(index_result_size, sizeof(amrelay_index_result), 32);
SAME(tee_options_size, sizeof(amrelay_tee_options), 80);
SAME(tee_result_size, sizeof(amrelay_tee_result), 104);
#endif

int main(void)
{
    return 0;
}
