/* The index parser alone, fed with archives made by the system's tar. */
#include "bytes.h"

static amrelay_index *index_of_format(uint32_t format)
{
    amrelay_index_options options = AMRELAY_INDEX_OPTIONS_INIT;
    amrelay_index *index = NULL;
    options.format = format;
    CHECK_CODE(amrelay_index_new(&options, &index), 0);
    return index;
}

static amrelay_index *new_index(void)
{
    return index_of_format(AMRELAY_FORMAT_TAR);
}

static amrelay_index_result finish(amrelay_index *index)
{
    amrelay_index_result result = AMRELAY_INDEX_RESULT_INIT;
    CHECK_CODE(amrelay_index_finish(index, &result), 0);
    return result;
}

static void lines_are_those_of_tar(void)
{
    struct bytes archive = output_of(ARCHIVE), expected = output_of(LISTING), lines = {NULL, 0};
    amrelay_index *index = new_index();
    amrelay_index_result result;
    size_t at, count = 0;
    for (at = 0; at < archive.length; at += 1000) {
        size_t piece = archive.length - at < 1000 ? archive.length - at : 1000;
        CHECK_CODE(amrelay_index_push(index, archive.data + at, piece, append, &lines), 0);
    }
    result = finish(index);
    for (at = 0; at < lines.length; at++)
        count += lines.data[at] == '\n';
    CHECK(result.entries == count);
    CHECK(result.code == 0 && result.offset == 0 && result.end_mark == 1);
    CHECK(strcmp(amrelay_index_message(index), "") == 0);
    amrelay_index_free(index);
    free(archive.data);
    expect_same(lines, expected);
}

static void bodies_need_not_be_shown(void)
{
    struct bytes archive = output_of(ARCHIVE), expected = output_of(LISTING), lines = {NULL, 0};
    amrelay_index *index = new_index();
    size_t at = 0, shown = 0;
    while (at < archive.length) {
        uint64_t skippable = amrelay_index_skippable(index);
        if (skippable > archive.length - at)
            skippable = archive.length - at;
        if (skippable > 0) {
            CHECK_CODE(amrelay_index_skip(index, skippable), 0);
            at += (size_t)skippable;
        } else {
            CHECK_CODE(amrelay_index_push(index, archive.data + at, 512, append, &lines), 0);
            at += 512;
            shown += 512;
        }
    }
    CHECK(finish(index).code == 0);
    CHECK(amrelay_index_skippable(index) == 0);
    CHECK(shown < archive.length / 2);
    amrelay_index_free(index);
    free(archive.data);
    expect_same(lines, expected);
}

static void a_cut_archive_is_damaged_and_told_where(void)
{
    struct bytes archive = output_of("tar --create --file=- include/amrelay.h"), lines = {NULL, 0};
    amrelay_index *index = new_index();
    amrelay_index_result result;
    CHECK_CODE(amrelay_index_push(index, archive.data, 1000, append, &lines), 0);
    result = finish(index);
    CHECK(result.code == AMRELAY_E_DAMAGED && result.entries == 1 && result.end_mark == 0);
    CHECK(result.offset == 1000);
    CHECK(strcmp(lines.data, "include/amrelay.h\n") == 0);
    CHECK(strstr(amrelay_index_message(index), "at byte 1000") != NULL);
    /* The same answer again. */
    CHECK(finish(index).offset == 1000);
    amrelay_index_free(index);
    free(archive.data);
    free(lines.data);
}

static void an_empty_stream_is_no_archive(void)
{
    amrelay_index *index = new_index();
    CHECK_CODE(amrelay_index_push(index, NULL, 0, append, NULL), 0);
    CHECK(strcmp(amrelay_index_message(index), "") == 0);
    CHECK(finish(index).code == AMRELAY_E_DAMAGED);
    CHECK(strcmp(amrelay_index_message(index), "") != 0);
    amrelay_index_free(index);
}

/* The result of indexing a stream with a format: its code, and the number of lines. */
static amrelay_index_result indexed_as(uint32_t format, const char *command, uint64_t *skippable)
{
    struct bytes stream = output_of(command), lines = {NULL, 0};
    amrelay_index *index = index_of_format(format);
    amrelay_index_result result;
    CHECK_CODE(amrelay_index_push(index, stream.data, stream.length, append, &lines), 0);
    *skippable = amrelay_index_skippable(index);
    result = finish(index);
    CHECK((strcmp(amrelay_index_message(index), "") == 0) == (result.code == 0));
    CHECK((lines.length > 0) == (result.entries > 0));
    amrelay_index_free(index);
    free(stream.data);
    free(lines.data);
    return result;
}

static void a_format_is_named_or_detected(void)
{
    const struct {
        const char *command;
        int32_t named, detected;
    } streams[] = {
        {ARCHIVE, 0, 0},
        {ARCHIVE " --format=v7", 0, 0},
        {"head -c 10240 /dev/zero", 0, 0},
        {ARCHIVE " | head -c 2000", AMRELAY_E_DAMAGED, AMRELAY_E_DAMAGED},
        {ARCHIVE " | gzip", AMRELAY_E_DAMAGED, AMRELAY_E_NO_ARCHIVE},
        {"head -c 600 include/amrelay.h", AMRELAY_E_DAMAGED, AMRELAY_E_NO_ARCHIVE},
        {"printf short", AMRELAY_E_DAMAGED, AMRELAY_E_NO_ARCHIVE},
    };
    size_t i;
    for (i = 0; i < sizeof streams / sizeof *streams; i++) {
        const char *command = streams[i].command;
        uint64_t skippable;
        amrelay_index_result named = indexed_as(AMRELAY_FORMAT_TAR, command, &skippable);
        amrelay_index_result detected = indexed_as(AMRELAY_FORMAT_DETECT, command, &skippable);
        CHECK(named.code == streams[i].named && detected.code == streams[i].detected);
        if (detected.code == AMRELAY_E_NO_ARCHIVE)
            CHECK(detected.entries == 0 && detected.end_mark == 0);
        else
            CHECK(detected.entries == named.entries && detected.offset == named.offset);
    }
}

/* GNU tar lists a member after junk; with a detected format the library does not. */
static void junk_in_front_is_no_archive_only_if_detected(void)
{
    const char *junk = "head -c 512 include/amrelay.h; tar --create --file=- include/amrelay.h";
    uint64_t skippable;
    amrelay_index_result result = indexed_as(AMRELAY_FORMAT_TAR, junk, &skippable);
    CHECK(result.code == AMRELAY_E_DAMAGED && result.entries == 1 && result.offset == 0);
    result = indexed_as(AMRELAY_FORMAT_DETECT, junk, &skippable);
    CHECK(result.code == AMRELAY_E_NO_ARCHIVE && result.entries == 0);
    CHECK(skippable == UINT64_MAX);
}

static void lines_out_of_proportion_are_left_out_and_told(void)
{
    struct bytes archive = output_of(RENAMED), lines = {NULL, 0};
    amrelay_index *index = new_index();
    amrelay_index_result result;
    CHECK_CODE(amrelay_index_push(index, archive.data, archive.length, append, &lines), 0);
    result = finish(index);
    CHECK(result.code == AMRELAY_E_OMITTED && result.entries == 1 && result.end_mark == 1);
    CHECK(lines.length == 30001 && result.offset > lines.length);
    CHECK(strstr(amrelay_index_message(index), "3 lines left out") != NULL);
    amrelay_index_free(index);
    free(archive.data);
    free(lines.data);
}

static void nothing_follows_the_end(void)
{
    amrelay_index *index = new_index();
    (void)finish(index);
    CHECK_CODE(amrelay_index_push(index, "x", 1, append, NULL), AMRELAY_E_STATE);
    CHECK_CODE(amrelay_index_skip(index, 0), AMRELAY_E_STATE);
    amrelay_index_free(index);
}

static void call_again(void *arg, const void *data, size_t length)
{
    amrelay_index *index = arg;
    amrelay_index_result result = AMRELAY_INDEX_RESULT_INIT;
    CHECK_CODE(amrelay_index_push(index, data, length, call_again, arg), AMRELAY_E_STATE);
    CHECK_CODE(amrelay_index_skip(index, 0), AMRELAY_E_STATE);
    CHECK_CODE(amrelay_index_finish(index, &result), AMRELAY_E_STATE);
    CHECK(amrelay_index_skippable(index) == 0);
    amrelay_index_free(index);
}

static void the_line_function_may_free_the_index_but_not_use_it(void)
{
    struct bytes archive = output_of("tar --create --file=- include/amrelay.h");
    amrelay_index *index = new_index();
    CHECK_CODE(amrelay_index_push(index, archive.data, archive.length, call_again, index), 0);
    free(archive.data);
}

static void wrong_arguments_are_refused(void)
{
    amrelay_index *index = new_index(), *none = NULL;
    amrelay_index_options options = AMRELAY_INDEX_OPTIONS_INIT;
    amrelay_index_result result = {0};
    options.format = 2;
    CHECK_CODE(amrelay_index_new(&options, &none), AMRELAY_E_ARGUMENT);
    options.format = AMRELAY_FORMAT_TAR;
    options.size--;
    CHECK_CODE(amrelay_index_new(&options, &none), AMRELAY_E_SIZE);
    CHECK(none == NULL);
    CHECK_CODE(amrelay_index_skip(index, 1), AMRELAY_E_ARGUMENT);
    CHECK_CODE(amrelay_index_push(index, "x", (size_t)-1, append, NULL), AMRELAY_E_ARGUMENT);
    CHECK_CODE(amrelay_index_finish(index, &result), AMRELAY_E_SIZE);
    result.size = sizeof result - 1;
    CHECK_CODE(amrelay_index_finish(index, &result), AMRELAY_E_SIZE);
    result.size = sizeof result + 8;
    CHECK_CODE(amrelay_index_finish(index, &result), AMRELAY_E_SIZE);
    CHECK(result.entries == 0);
    amrelay_index_free(index);
}

static void null_is_refused(void)
{
    amrelay_index *index = new_index(), *none = NULL;
    amrelay_index_options options = AMRELAY_INDEX_OPTIONS_INIT;
    amrelay_index_result result = AMRELAY_INDEX_RESULT_INIT;
    CHECK_CODE(amrelay_index_new(NULL, &none), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_index_new(&options, NULL), AMRELAY_E_NULL);
    CHECK(none == NULL);
    CHECK_CODE(amrelay_index_push(NULL, "x", 1, append, NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_index_push(index, NULL, 1, append, NULL), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_index_push(index, "x", 1, NULL, NULL), AMRELAY_E_NULL);
    CHECK(amrelay_index_skippable(NULL) == 0);
    CHECK_CODE(amrelay_index_skip(NULL, 0), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_index_finish(NULL, &result), AMRELAY_E_NULL);
    CHECK_CODE(amrelay_index_finish(index, NULL), AMRELAY_E_NULL);
    CHECK(strcmp(amrelay_index_message(NULL), "") == 0);
    amrelay_index_free(NULL);
    amrelay_index_free(index);
}

static void *finish_and_free(void *arg)
{
    amrelay_index *index = arg;
    CHECK(finish(index).code == AMRELAY_E_DAMAGED);
    amrelay_index_free(index);
    return NULL;
}

static void an_index_may_go_to_another_thread(void)
{
    in_another_thread(finish_and_free, new_index());
}

int main(void)
{
    const struct test_case cases[] = {
        CASE(lines_are_those_of_tar),
        CASE(bodies_need_not_be_shown),
        CASE(a_cut_archive_is_damaged_and_told_where),
        CASE(an_empty_stream_is_no_archive),
        CASE(a_format_is_named_or_detected),
        CASE(junk_in_front_is_no_archive_only_if_detected),
        CASE(lines_out_of_proportion_are_left_out_and_told),
        CASE(nothing_follows_the_end),
        CASE(the_line_function_may_free_the_index_but_not_use_it),
        CASE(wrong_arguments_are_refused),
        CASE(null_is_refused),
        CASE(an_index_may_go_to_another_thread),
    };
    return RUN(cases);
}
