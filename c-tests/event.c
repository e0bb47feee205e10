/* The event loop. */
#include "check.h"

#include <sys/resource.h>

/* The argument says what a callback does. */
struct probe {
    amrelay_loop *loop;
    amrelay_event event;
    int fired;
    int fd;
};

static amrelay_event add(amrelay_loop *loop, uint32_t kind, int64_t id, amrelay_event_fn fn, void *arg)
{
    amrelay_event event = 0;
    CHECK_CODE(amrelay_event_create(loop, kind, id, fn, arg, &event), 0);
    CHECK(event != 0);
    CHECK_CODE(amrelay_event_activate(loop, event), 0);
    return event;
}

static void watch(struct probe *probe, uint32_t kind, int64_t id, amrelay_event_fn fn)
{
    probe->event = add(probe->loop, kind, id, fn, probe);
}

static void count(void *arg)
{
    struct probe *probe = arg;
    probe->fired++;
}

static void count_and_release(void *arg)
{
    struct probe *probe = arg;
    probe->fired++;
    CHECK_CODE(amrelay_event_release(probe->loop, probe->event), 0);
}

static void read_and_release_at_end(void *arg)
{
    struct probe *probe = arg;
    char byte;
    if (read(probe->fd, &byte, 1) == 1)
        probe->fired++;
    else
        CHECK_CODE(amrelay_event_release(probe->loop, probe->event), 0);
}

static void read_events_fire_for_bytes_and_for_the_end(void)
{
    int ends[2];
    struct probe probe = {new_loop(), 0, 0, -1};
    CHECK(pipe(ends) == 0);
    probe.fd = ends[0];
    watch(&probe, AMRELAY_EVENT_READ, ends[0], read_and_release_at_end);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 1), 0);
    CHECK(probe.fired == 0);
    CHECK(write(ends[1], "abc", 3) == 3);
    close(ends[1]);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 3);
    close(ends[0]);
    amrelay_loop_free(probe.loop);
}

static void write_events_fire_when_there_is_room(void)
{
    int ends[2];
    struct probe probe = {new_loop(), 0, 0, -1};
    CHECK(pipe(ends) == 0);
    watch(&probe, AMRELAY_EVENT_WRITE, ends[1], count_and_release);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 1);
    close(ends[0]);
    close(ends[1]);
    amrelay_loop_free(probe.loop);
}

static void regular_files_are_always_ready(void)
{
    struct probe probe = {new_loop(), 0, 0, -1};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK(fd >= 0);
    watch(&probe, AMRELAY_EVENT_READ, fd, count_and_release);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 1);
    close(fd);
    amrelay_loop_free(probe.loop);
}

static void timers_repeat_until_released(void)
{
    struct probe probe = {new_loop(), 0, 0, -1};
    watch(&probe, AMRELAY_EVENT_TIME, 0, count);
    while (probe.fired < 3)
        CHECK_CODE(amrelay_loop_turns(probe.loop, 1), 0);
    CHECK_CODE(amrelay_event_release(probe.loop, probe.event), 0);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 1), 0);
    CHECK(probe.fired == 3);
    watch(&probe, AMRELAY_EVENT_TIME, 1, count_and_release);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 4);
    amrelay_loop_free(probe.loop);
}

/* The second is far off, the third beyond all clocks. */
static void timers_count_milliseconds(void)
{
    struct probe probe = {new_loop(), 0, 0, -1}, later = {probe.loop, 0, 0, -1}, never = {probe.loop, 0, 0, -1};
    watch(&never, AMRELAY_EVENT_TIME, INT64_MAX, count);
    watch(&later, AMRELAY_EVENT_TIME, 60 * 60 * 1000, count);
    watch(&probe, AMRELAY_EVENT_TIME, 2, count);
    while (probe.fired < 100)
        CHECK_CODE(amrelay_event_wait(probe.loop, probe.event), 0);
    CHECK(later.fired == 0 && never.fired == 0);
    amrelay_loop_free(probe.loop);
}

/* Without a byte being written. */
static void a_read_event_on_a_writing_end_tells_that_its_reader_has_gone(void)
{
    int ends[2];
    struct probe probe = {new_loop(), 0, 0, -1};
    CHECK(pipe(ends) == 0);
    watch(&probe, AMRELAY_EVENT_READ, ends[1], count_and_release);
    CHECK(write(ends[1], "x", 1) == 1);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 1), 0);
    CHECK(probe.fired == 0);
    close(ends[0]);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 1);
    close(ends[1]);
    amrelay_loop_free(probe.loop);
}

static void watch_the_same_id_again(void *arg)
{
    struct probe *probe = arg;
    probe->fired++;
    probe->event = add(probe->loop, AMRELAY_EVENT_WAIT, 7, watch_the_same_id_again, probe);
}

static void wakeup_fires_at_once_and_tells_how_many(void)
{
    amrelay_loop *loop = new_loop();
    struct probe first = {loop, 0, 0, -1}, second = {loop, 0, 0, -1}, other = {loop, 0, 0, -1};
    CHECK_CODE(amrelay_event_wakeup(loop, 7), 0);
    watch(&first, AMRELAY_EVENT_WAIT, 7, watch_the_same_id_again);
    watch(&second, AMRELAY_EVENT_WAIT, 7, count);
    watch(&other, AMRELAY_EVENT_WAIT, -8, count);
    CHECK_CODE(amrelay_event_wakeup(loop, 7), 2);
    CHECK(first.fired == 1 && second.fired == 1 && other.fired == 0);
    CHECK_CODE(amrelay_event_wakeup(loop, 7), 3);
    CHECK_CODE(amrelay_event_wakeup(loop, -8), 1);
    /* Wait events alone do not keep the loop going. */
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    amrelay_loop_free(loop);
}

static void wake_up_99(void *arg)
{
    struct probe *probe = arg;
    CHECK_CODE(amrelay_event_release(probe->loop, probe->event), 0);
    CHECK_CODE(amrelay_event_wakeup(probe->loop, 99), 1);
}

static void wait_returns_when_the_event_has_fired_or_is_released(void)
{
    amrelay_loop *loop = new_loop();
    struct probe waited = {loop, 0, 0, -1}, waker = {loop, 0, 0, -1};
    watch(&waited, AMRELAY_EVENT_TIME, 0, count);
    CHECK_CODE(amrelay_event_wait(loop, waited.event), 0);
    CHECK(waited.fired == 1);
    CHECK_CODE(amrelay_event_release(loop, waited.event), 0);
    watch(&waker, AMRELAY_EVENT_TIME, 0, wake_up_99);
    watch(&waited, AMRELAY_EVENT_WAIT, 99, count_and_release);
    CHECK_CODE(amrelay_event_wait(loop, waited.event), 0);
    CHECK(waited.fired == 2);
    amrelay_loop_free(loop);
}

static void wait_for_a_timer(void *arg)
{
    struct probe *probe = arg, timer = {probe->loop, 0, 0, -1};
    watch(&timer, AMRELAY_EVENT_TIME, 0, count_and_release);
    CHECK_CODE(amrelay_event_wait(timer.loop, timer.event), 0);
    CHECK(timer.fired == 1);
    count_and_release(probe);
}

static void callbacks_may_turn_the_loop(void)
{
    struct probe probe = {new_loop(), 0, 0, -1};
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    watch(&probe, AMRELAY_EVENT_READ, fd, wait_for_a_timer);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 1);
    close(fd);
    amrelay_loop_free(probe.loop);
}

static void quit(void *arg)
{
    struct probe *probe = arg;
    probe->fired++;
    CHECK_CODE(amrelay_loop_quit(probe->loop), 0);
}

static void run_ends_by_quit_only(void)
{
    struct probe probe = {new_loop(), 0, 0, -1};
    watch(&probe, AMRELAY_EVENT_TIME, 0, quit);
    CHECK_CODE(amrelay_loop_quit(probe.loop), 0);
    CHECK_CODE(amrelay_loop_run(probe.loop), 0);
    CHECK(probe.fired == 1);
    amrelay_loop_free(probe.loop);
}

static void free_the_loop(void *arg)
{
    struct probe *probe = arg;
    probe->fired++;
    amrelay_loop_free(probe->loop);
}

static void a_callback_may_free_the_loop(void)
{
    struct probe probe = {new_loop(), 0, 0, -1};
    watch(&probe, AMRELAY_EVENT_TIME, 0, free_the_loop);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 0), 0);
    CHECK(probe.fired == 1);
    probe.loop = new_loop();
    watch(&probe, AMRELAY_EVENT_TIME, 0, free_the_loop);
    CHECK_CODE(amrelay_loop_run(probe.loop), 0);
    CHECK(probe.fired == 2);
    probe.loop = new_loop();
    watch(&probe, AMRELAY_EVENT_WAIT, 1, free_the_loop);
    CHECK_CODE(amrelay_event_wakeup(probe.loop, 1), 1);
    CHECK(probe.fired == 3);
}

static void a_descriptor_may_be_closed_before_its_event_is_released(void)
{
    int ends[2];
    struct probe probe = {new_loop(), 0, 0, -1};
    CHECK(pipe(ends) == 0);
    watch(&probe, AMRELAY_EVENT_READ, ends[0], count);
    close(ends[1]);
    close(ends[0]);
    CHECK_CODE(amrelay_loop_turns(probe.loop, 1), 0);
    CHECK(probe.fired == 0);
    CHECK_CODE(amrelay_event_release(probe.loop, probe.event), 0);
    amrelay_loop_free(probe.loop);
}

static void events_without_a_callback_work(void)
{
    amrelay_loop *loop = new_loop();
    amrelay_event event = add(loop, AMRELAY_EVENT_TIME, 0, NULL, NULL);
    CHECK_CODE(amrelay_event_wait(loop, event), 0);
    amrelay_loop_free(loop);
}

static void a_loop_that_gets_no_descriptor_is_not_made(void)
{
    struct rlimit limit, none;
    amrelay_loop *loop = NULL;
    CHECK(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    none = limit;
    none.rlim_cur = 0;
    CHECK(setrlimit(RLIMIT_NOFILE, &none) == 0);
    CHECK_CODE(amrelay_loop_new(&loop), -EMFILE);
    CHECK(loop == NULL);
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    amrelay_loop_free(new_loop());
}

static void wrong_arguments_are_refused(void)
{
    amrelay_loop *loop = new_loop();
    amrelay_event event = 77;
    CHECK_CODE(amrelay_event_create(loop, 4, 0, count, NULL, &event), AMRELAY_E_ARGUMENT);
    CHECK_CODE(amrelay_event_create(loop, AMRELAY_EVENT_READ, -1, count, NULL, &event), AMRELAY_E_ARGUMENT);
    CHECK_CODE(amrelay_event_create(loop, AMRELAY_EVENT_WRITE, -1, count, NULL, &event), AMRELAY_E_ARGUMENT);
    CHECK_CODE(amrelay_event_create(loop, AMRELAY_EVENT_READ, 1LL << 32, count, NULL, &event),
               AMRELAY_E_ARGUMENT);
    CHECK_CODE(amrelay_event_create(loop, AMRELAY_EVENT_TIME, -1, count, NULL, &event), AMRELAY_E_ARGUMENT);
    CHECK(event == 77);
    amrelay_loop_free(loop);
}

static void an_event_on_a_closed_descriptor_is_not_activated(void)
{
    amrelay_loop *loop = new_loop();
    amrelay_event event = 0;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd);
    CHECK_CODE(amrelay_event_create(loop, AMRELAY_EVENT_READ, fd, count, NULL, &event), 0);
    CHECK_CODE(amrelay_event_activate(loop, event), -EBADF);
    CHECK_CODE(amrelay_loop_turns(loop, 0), 0);
    CHECK_CODE(amrelay_event_release(loop, event), 0);
    amrelay_loop_free(loop);
}

static void unknown_events_are_refused(void)
{
    amrelay_loop *loop = new_loop();
    amrelay_event released = add(loop, AMRELAY_EVENT_WAIT, 1, count, NULL);
    amrelay_event unknown[3];
    size_t i;
    CHECK_CODE(amrelay_event_release(loop, released), 0);
    unknown[0] = 0;
    unknown[1] = released;
    unknown[2] = (amrelay_event)-1;
    for (i = 0; i < 3; i++) {
        CHECK_CODE(amrelay_event_activate(loop, unknown[i]), AMRELAY_E_STATE);
        CHECK_CODE(amrelay_event_release(loop, unknown[i]), AMRELAY_E_STATE);
        CHECK_CODE(amrelay_event_wait(loop, unknown[i]), AMRELAY_E_STATE);
    }
    amrelay_loop_free(loop);
}

static void null_is_refused(void)
{
    amrelay_loop *loop = new_loop();
    amrelay_event event = 0;
    CHECK_CODE(amrelay_loop_new(NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_event_create(NULL, AMRELAY_EVENT_WAIT, 0, count, NULL, &event), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_event_create(loop, AMRELAY_EVENT_WAIT, 0, count, NULL, NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_event_activate(NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_event_release(NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_event_wakeup(NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_event_wait(NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_loop_turns(NULL, 1), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_loop_run(NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_loop_quit(NULL), AMRELAY_E_NULL);
    amrelay_loop_free(NULL);
    amrelay_loop_free(loop);
}

static void *use_from_another_thread(void *arg)
{
    struct probe *probe = arg;
    amrelay_event event = 0;
    CHECK_CODE(amrelay_event_create(probe->loop, AMRELAY_EVENT_WAIT, 0, count, NULL, &event), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_event_activate(probe->loop, probe->event), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_event_release(probe->loop, probe->event), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_event_wakeup(probe->loop, 5), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_event_wait(probe->loop, probe->event), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_loop_turns(probe->loop, 1), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_loop_run(probe->loop), AMRELAY_E_THREAD);
    CHECK_CODE(amrelay_loop_quit(probe->loop), AMRELAY_E_THREAD);
    amrelay_loop_free(probe->loop);
    CHECK(strcmp(amrelay_error(), "amrelay_loop_free: the handle belongs to another thread") == 0);
    return NULL;
}

static void another_thread_is_refused_and_changes_nothing(void)
{
    struct probe probe = {new_loop(), 0, 0, -1};
    watch(&probe, AMRELAY_EVENT_WAIT, 5, count);
    in_another_thread(use_from_another_thread, &probe);
    CHECK_CODE(amrelay_event_wakeup(probe.loop, 5), 1);
    CHECK(probe.fired == 1);
    amrelay_loop_free(probe.loop);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(read_events_fire_for_bytes_and_for_the_end),
        CASE(write_events_fire_when_there_is_room),
        CASE(regular_files_are_always_ready),
        CASE(timers_repeat_until_released),
        CASE(timers_count_milliseconds),
        CASE(a_read_event_on_a_writing_end_tells_that_its_reader_has_gone),
        CASE(wakeup_fires_at_once_and_tells_how_many),
        CASE(wait_returns_when_the_event_has_fired_or_is_released),
        CASE(callbacks_may_turn_the_loop),
        CASE(run_ends_by_quit_only),
        CASE(a_callback_may_free_the_loop),
        CASE(a_descriptor_may_be_closed_before_its_event_is_released),
        CASE(events_without_a_callback_work),
        CASE(a_loop_that_gets_no_descriptor_is_not_made),
        CASE(wrong_arguments_are_refused),
        CASE(an_event_on_a_closed_descriptor_is_not_activated),
        CASE(unknown_events_are_refused),
        CASE(null_is_refused),
        CASE(another_thread_is_refused_and_changes_nothing),
    };
    return RUN(cases);
}
