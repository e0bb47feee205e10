/* kernel-paths [GROUP...]: which ways through the kernel carry a backup stream cheapest; see docs/performance.md. */
#include "cases.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const struct reader far_server = {256 * KIB, 0, true, false, 0};

static const struct {
    const char *name;
    void (*measure)(void);
} groups[] = {
    {"pacing", measure_pacing},
    {"sizes", measure_sizes},
};

char *small_files(void)
{
    return getenv("KERNEL_PATHS_SMALL_FILES");
}

char *big_files(void)
{
    return getenv("KERNEL_PATHS_BIG_FILES");
}

bool large_pipes(void)
{
    int ends[2];
    if (pipe(ends) == -1)
        die("pipe");
    bool granted = fcntl(ends[0], F_SETPIPE_SZ, (int)(4 * MIB)) != -1;
    close(ends[0]);
    close(ends[1]);
    if (!granted)
        fprintf(stderr, "kernel-paths: no pipes of 4 MiB: not measured\n");
    return granted;
}

static bool wanted(const char *group, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], group) == 0)
            return true;
    return argc <= 1;
}

int main(int argc, char **argv)
{
    const char *setting = getenv("AMRELAY_BENCH_QUICK");
    quick = setting != NULL && strcmp(setting, "yes") == 0;
    crc_prepare();
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (wanted(groups[i].name, argc, argv))
            groups[i].measure();
    return EXIT_SUCCESS;
}
