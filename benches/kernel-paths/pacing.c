/* Should a reader nap while its pipe fills, and who should? */
#include "cases.h"

static const struct tee eager = {{EAGER, 0, 0}, 128 * KIB, false},
                        fixed_150 = {{FIXED, 150, 0}, 128 * KIB, false},
                        fixed_700 = {{FIXED, 700, 0}, 128 * KIB, false},
                        adaptive_200 = {{ADAPTIVE, 200, 20}, 128 * KIB, false},
                        adaptive = {{ADAPTIVE, 500, 20}, 128 * KIB, false},
                        adaptive_2000 = {{ADAPTIVE, 2000, 20}, 128 * KIB, false},
                        by_rate = {{BY_RATE, 500, 20}, 128 * KIB, false},
                        copy = {{EAGER, 0, 0}, 128 * KIB, true},
                        copy_adaptive = {{ADAPTIVE, 500, 20}, 128 * KIB, true};
static const struct relay relay = {{EAGER, 0, 0}, 256 * KIB, SPLICE, true},
                          relay_adaptive = {{ADAPTIVE, 500, 20}, 256 * KIB, SPLICE, true},
                          relay_copy = {{EAGER, 0, 0}, 64 * KIB, COPY, true},
                          relay_copy_adaptive = {{ADAPTIVE, 500, 20}, 64 * KIB, COPY, true},
                          bare = {{EAGER, 0, 0}, 256 * KIB, SPLICE, false};

static const struct arrangement whole[] = {
    {"eager", MIB, &eager, &relay},
    {"tee naps, at most 500 us", MIB, &adaptive, &relay},
    {"tee naps, at most 200 us", MIB, &adaptive_200, &relay},
    {"tee naps, at most 2 ms", MIB, &adaptive_2000, &relay},
    {"tee naps 150 us", MIB, &fixed_150, &relay},
    {"tee naps 700 us", MIB, &fixed_700, &relay},
    {"tee naps by rate", MIB, &by_rate, &relay},
    {"relay naps", MIB, &eager, &relay_adaptive},
    {"both nap", MIB, &adaptive, &relay_adaptive},
    {"tee copies", MIB, &copy, &relay},
};
static const struct arrangement slow[] = {
    {"eager", MIB, &eager, &relay},
    {"tee naps, at most 500 us", MIB, &adaptive, &relay},
    {"tee naps, at most 2 ms", MIB, &adaptive_2000, &relay},
    {"relay naps", MIB, &eager, &relay_adaptive},
};
static const struct arrangement refused[] = {
    {"eager", 64 * KIB, &copy, &relay_copy},
    {"tee naps", 64 * KIB, &copy_adaptive, &relay_copy},
    {"both nap", 64 * KIB, &copy_adaptive, &relay_copy_adaptive},
};
static const struct arrangement without_tee[] = {
    {"splice, eager", MIB, NULL, &relay},
    {"splice, naps", MIB, NULL, &relay_adaptive},
    {"copy from 64 KiB, eager", 64 * KIB, NULL, &relay_copy},
    {"copy from 64 KiB, naps", 64 * KIB, NULL, &relay_copy_adaptive},
};
static const struct arrangement tee_alone[] = {
    {"eager", MIB, &eager, NULL},
    {"naps", MIB, &adaptive, NULL},
    {"copies, eager", MIB, &copy, NULL},
    {"copies, naps", MIB, &copy_adaptive, NULL},
};
static const struct arrangement delayed[] = {
    {"eager", MIB, &eager, &bare},
    {"tee naps, at most 500 us", MIB, &adaptive, &bare},
    {"tee naps, at most 2 ms", MIB, &adaptive_2000, &bare},
};

void measure_pacing(void)
{
    char *const tar_small[] = {"tar", "--create", "--file=-", "--directory", small_files(), ".", NULL};
    char *const tar_big[] = {"tar", "--create", "--file=-", "--directory", big_files(), "one", "two", NULL};
    const struct writer records = {.piece = 10 * KIB, .total = 768 * MIB},
                        disk = {.piece = 10 * KIB, .total = 150 * MIB, .rate = 150000000},
                        small = {.command = tar_small}, big = {.command = tar_big},
                        short_stream = {.piece = 10 * KIB, .total = 200 * MIB},
                        sparse = {.piece = 10 * KIB, .total = 10 * MIB, .rate = 10000000, .stamps = true},
                        busy = {.piece = 10 * KIB, .total = 100 * MIB, .rate = 100000000, .stamps = true};
    const struct reader gigabit = {256 * KIB, 117000000, true, false, 0},
                        stamped = {256 * KIB, 0, false, true, 10 * KIB},
                        pipe_reader = {128 * KIB, 0, false, false, 0};
    if (small_files() != NULL && big_files() != NULL) {
        COMPARE("pacing", "tar of small files", &small, whole, &far_server);
        COMPARE("pacing", "tar of big files", &big, whole, &far_server);
        COMPARE("pacing", "tar of small files, no tee", &small, without_tee, &far_server);
        COMPARE("pacing", "tar of small files, 64 KiB pipes", &small, refused, &far_server);
        COMPARE("pacing", "tar of big files, 64 KiB pipes", &big, refused, &far_server);
    }
    COMPARE("pacing", "10 KiB writes", &records, whole, &far_server);
    if (quick)
        return;
    COMPARE("pacing", "10 KiB writes, no tee", &records, without_tee, &far_server);
    COMPARE("pacing", "10 KiB writes, tee alone", &records, tee_alone, &pipe_reader);
    COMPARE("pacing", "10 KiB writes at 150 MB/s", &disk, slow, &far_server);
    COMPARE("pacing", "10 KiB writes, 1 Gbit/s", &short_stream, slow, &gigabit);
    COMPARE("pacing", "delay at 10 MB/s", &sparse, delayed, &stamped);
    COMPARE("pacing", "delay at 100 MB/s", &busy, delayed, &stamped);
}
