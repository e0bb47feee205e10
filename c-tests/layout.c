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

SAME(index_complete, AMRELAY_INDEX_COMPLETE, 0);
SAME(index_damaged, AMRELAY_INDEX_DAMAGED, 1);

/* Every struct begins with its size. */
SAME(index_result_first, offsetof(amrelay_index_result, size), 0);

#if UINTPTR_MAX == UINT64_MAX
SAME(index_result_size, sizeof(amrelay_index_result), 32);
#endif

int main(void)
{
    return 0;
}
