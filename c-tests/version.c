/* The version, the texts of codes, the last failure, and the log. */
#include "check.h"

static void version_is_that_of_the_header(void)
{
    char expected[64];
    snprintf(expected, sizeof expected, "%d.%d.%d", AMRELAY_VERSION_MAJOR, AMRELAY_VERSION_MINOR,
             AMRELAY_VERSION_PATCH);
    CHECK(strcmp(amrelay_version(), expected) == 0);
}

static void every_code_has_a_text_of_its_own(void)
{
    const int codes[] = {0, AMRELAY_E_NULL, AMRELAY_E_ARGUMENT, AMRELAY_E_SIZE, AMRELAY_E_STATE,
                         AMRELAY_E_LIMIT, AMRELAY_E_PANIC, AMRELAY_E_POISONED, AMRELAY_E_THREAD,
                         AMRELAY_E_DAMAGED, AMRELAY_E_COMMAND, AMRELAY_E_OMITTED};
    const size_t count = sizeof codes / sizeof codes[0];
    size_t i, j;
    for (i = 0; i < count; i++) {
        CHECK(amrelay_strerror(codes[i])[0] != '\0');
        CHECK(strstr(amrelay_strerror(codes[i]), "nknown") == NULL);
        for (j = 0; j < i; j++)
            CHECK(strcmp(amrelay_strerror(codes[i]), amrelay_strerror(codes[j])) != 0);
    }
}

static void system_errors_have_the_text_of_the_system(void)
{
    CHECK(strcmp(amrelay_strerror(-EPIPE), strerror(EPIPE)) == 0);
    CHECK(strcmp(amrelay_strerror(-ENOSPC), strerror(ENOSPC)) == 0);
    CHECK(strcmp(amrelay_strerror(5), "not an error code") == 0);
    CHECK(amrelay_strerror(-99999)[0] != '\0');
    CHECK(amrelay_strerror((int)(-2147483647 - 1))[0] != '\0');
}

static void *last_failure_is_empty(void *arg)
{
    (void)arg;
    CHECK(strcmp(amrelay_error(), "") == 0);
    return NULL;
}

static void last_failure_names_the_function_and_stays_in_its_thread(void)
{
    CHECK(strcmp(amrelay_error(), "") == 0);
    CHECK_CODE(amrelay_loop_new(NULL), AMRELAY_E_NULL);
    CHECK(strcmp(amrelay_error(), "amrelay_loop_new: out is NULL") == 0);
    in_another_thread(last_failure_is_empty, NULL);
}

struct log_lines {
    int count, level;
    char text[300];
};

static void keep_line(void *arg, int level, const char *message)
{
    struct log_lines *lines = arg;
    lines->count++;
    lines->level = level;
    snprintf(lines->text, sizeof lines->text, "%s", message);
}

static void fail_again(void *arg, int level, const char *message)
{
    keep_line(arg, level, message);
    CHECK_CODE(amrelay_tee_start(NULL, NULL), AMRELAY_E_NULL);
}

static void *fail_once(void *arg)
{
    (void)arg;
    CHECK_CODE(amrelay_loop_new(NULL), AMRELAY_E_NULL);
    return NULL;
}

static void a_log_function_that_calls_what_fails_is_not_called_for_that(void)
{
    struct log_lines lines = {0, 0, ""};
    CHECK_CODE(amrelay_set_log(fail_again, &lines), 0);
    fail_once(NULL);
    CHECK(lines.count == 1);
    CHECK(strcmp(amrelay_error(), "amrelay_tee_start: options is NULL") == 0);
    fail_once(NULL);
    in_another_thread(fail_once, NULL);
    CHECK(lines.count == 3);
    CHECK_CODE(amrelay_set_log(NULL, NULL), 0);
}

static void log_lines_go_to_the_function_until_it_is_taken_away(void)
{
    struct log_lines lines = {0, 0, ""};
    CHECK_CODE(amrelay_set_log(keep_line, &lines), 0);
    CHECK_CODE(amrelay_loop_new(NULL), AMRELAY_E_NULL);
    CHECK(lines.count == 1);
    CHECK(lines.level == AMRELAY_LOG_DEBUG);
    CHECK(strcmp(lines.text, "amrelay_loop_new: out is NULL (-7001)") == 0);
    CHECK_CODE(amrelay_set_log(NULL, NULL), 0);
    CHECK_CODE(amrelay_loop_new(NULL), AMRELAY_E_NULL);
    CHECK(lines.count == 1);
    CHECK_CODE(amrelay_set_log(keep_line, &lines), 0);
    CHECK_CODE(amrelay_loop_new(NULL), AMRELAY_E_NULL);
    CHECK(lines.count == 2);
    CHECK_CODE(amrelay_set_log(NULL, NULL), 0);
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(version_is_that_of_the_header),
        CASE(every_code_has_a_text_of_its_own),
        CASE(system_errors_have_the_text_of_the_system),
        CASE(last_failure_names_the_function_and_stays_in_its_thread),
        CASE(log_lines_go_to_the_function_until_it_is_taken_away),
        CASE(a_log_function_that_calls_what_fails_is_not_called_for_that),
    };
    return RUN(cases);
}
