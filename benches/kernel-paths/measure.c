/* Runs chains of processes, turn by turn, and prints what they cost. */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

bool quick;

enum { MOST_DESCRIPTORS = 64 };

struct cost {
    double processor;  /* seconds */
    double switches;
};

void die(const char *what)
{
    fprintf(stderr, "kernel-paths: %s: %s\n", what, strerror(errno));
    exit(EXIT_FAILURE);
}

int rounds(void)
{
    const char *wanted = getenv("AMRELAY_BENCH_ROUNDS");
    int count = wanted == NULL ? 5 : atoi(wanted);
    return count > 0 ? count : 5;
}

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

void emit(const char *group, const char *name, const char *variant, const char *metric, double value)
{
    printf("%s\t%s\t%s\t%s\t%.6g\n", group, name, variant, metric, value);
    fflush(stdout);
}

void make_pipe(int ends[2], size_t size)
{
    if (pipe(ends) == -1)
        die("pipe");
    if (fcntl(ends[0], F_SETPIPE_SZ, (int)size) == -1)
        die("F_SETPIPE_SZ");
}

/*
 * Chooses cubic, Linux's default, whatever this machine's choice is. An algorithm that paces (bbr) costs a timer for each
 * burst, which hides what is to be seen.
 */
static void set_congestion(int fd)
{
    if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) == -1)
        die("TCP_CONGESTION");
}

/* Reading end first, as with pipe(2). */
static void make_tcp(int ends[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ends[1] = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1 || ends[1] == -1)
        die("socket");
    set_congestion(ends[1]);
    if (bind(listener, (struct sockaddr *)&address, length) == -1 || listen(listener, 1) == -1 ||
        getsockname(listener, (struct sockaddr *)&address, &length) == -1 ||
        connect(ends[1], (struct sockaddr *)&address, length) == -1)
        die("connect");
    ends[0] = accept(listener, NULL, NULL);
    if (ends[0] == -1)
        die("accept");
    close(listener);
}

static void close_others(int in, int out)
{
    for (int fd = STDERR_FILENO + 1; fd < MOST_DESCRIPTORS; fd++)
        if (fd != in && fd != out)
            close(fd);
}

static pid_t start(const struct stage *stage, int in, int out, struct outcome *outcome)
{
    pid_t child = fork();
    if (child == -1)
        die("fork");
    if (child > 0)
        return child;
    close_others(in, out);
    stage->run(stage->how, in, out, outcome);
    _exit(EXIT_SUCCESS);
}

static struct cost cost_of(pid_t child, const char *name)
{
    struct rusage usage;
    int status;
    if (wait4(child, &status, 0, &usage) == -1)
        die("wait4");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
        fprintf(stderr, "kernel-paths: %s failed\n", name);
        exit(EXIT_FAILURE);
    }
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    return (struct cost){seconds, (double)(usage.ru_nvcsw + usage.ru_nivcsw)};
}

/*
 * Prints what one run cost for each GiB that the second stage passed: the first may be a program that does not count.
 */
static void report(const char *group, const char *name, const struct chain *chain, const struct cost *costs,
                   const struct outcome *outcomes, double elapsed)
{
    double gib = (double)outcomes[1].bytes / (double)GIB, sum = 0;
    char metric[80];
    for (int i = 0; i < chain->stages; i++) {
        const struct outcome *outcome = &outcomes[i];
        snprintf(metric, sizeof metric, "%s CPU s/GiB", chain->stage[i].name);
        emit(group, name, chain->variant, metric, costs[i].processor / gib);
        snprintf(metric, sizeof metric, "%s switches/GiB", chain->stage[i].name);
        emit(group, name, chain->variant, metric, costs[i].switches / gib);
        snprintf(metric, sizeof metric, "%s calls/GiB", chain->stage[i].name);
        if (outcome->calls > 0)
            emit(group, name, chain->variant, metric, (double)outcome->calls / gib);
        snprintf(metric, sizeof metric, "%s naps/GiB", chain->stage[i].name);
        if (outcome->naps > 0)
            emit(group, name, chain->variant, metric, (double)outcome->naps / gib);
        if (outcome->p99 > 0) {
            emit(group, name, chain->variant, "delay us median", outcome->median);
            emit(group, name, chain->variant, "delay us p99", outcome->p99);
        }
        if (chain->stage[i].counted)
            sum += costs[i].processor;
    }
    emit(group, name, chain->variant, "client CPU s/GiB", sum / gib);
    emit(group, name, chain->variant, "GB/s", gib * (double)GIB / elapsed / 1e9);
}

static void run_chain(const char *group, const char *name, const struct chain *chain, struct outcome *outcomes)
{
    pid_t children[MOST_STAGES];
    struct cost costs[MOST_STAGES];
    int ends[MOST_STAGES][2], in = NO_DESCRIPTOR;
    memset(outcomes, 0, MOST_STAGES * sizeof *outcomes);
    for (int i = 0; i + 1 < chain->stages; i++)
        if (chain->hop[i].kind == BY_PIPE)
            make_pipe(ends[i], chain->hop[i].size);
        else
            make_tcp(ends[i]);
    double begin = now();
    for (int i = 0; i < chain->stages; i++) {
        int out = i + 1 < chain->stages ? ends[i][1] : NO_DESCRIPTOR;
        children[i] = start(&chain->stage[i], in, out, &outcomes[i]);
        in = i + 1 < chain->stages ? ends[i][0] : NO_DESCRIPTOR;
    }
    for (int i = 0; i + 1 < chain->stages; i++) {
        close(ends[i][0]);
        close(ends[i][1]);
    }
    for (int i = 0; i < chain->stages; i++)
        costs[i] = cost_of(children[i], chain->stage[i].name);
    report(group, name, chain, costs, outcomes, now() - begin);
}

/* All variants must have computed the same checksum of the same bytes. */
static void check(const struct chain *chain, const struct outcome *outcomes, uint32_t *crc)
{
    for (int i = 1; i < chain->stages; i++) {
        if (outcomes[i].bytes < outcomes[1].bytes) {
            fprintf(stderr, "kernel-paths: %s: bytes are missing\n", chain->variant);
            exit(EXIT_FAILURE);
        }
        if (outcomes[i].crc == 0 || !chain->repeats)
            continue;
        if (*crc != 0 && *crc != outcomes[i].crc) {
            fprintf(stderr, "kernel-paths: %s: the checksums differ\n", chain->variant);
            exit(EXIT_FAILURE);
        }
        *crc = outcomes[i].crc;
    }
}

void compare(const char *group, const char *name, struct chain *chains, int count)
{
    struct outcome *outcomes = mmap(NULL, MOST_STAGES * sizeof *outcomes, PROT_READ | PROT_WRITE,
                                    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    uint32_t crc = 0;
    if (outcomes == MAP_FAILED)
        die("mmap");
    signal(SIGPIPE, SIG_DFL);
    for (int round = 0; round < rounds(); round++) {
        fprintf(stderr, "%s, %s: round %d\n", group, name, round + 1);
        /* Each second round backwards, so that none always follows the same one. */
        for (int i = 0; i < count; i++) {
            const struct chain *chain = &chains[round % 2 == 0 ? i : count - 1 - i];
            run_chain(group, name, chain, outcomes);
            check(chain, outcomes, &crc);
        }
    }
    munmap(outcomes, MOST_STAGES * sizeof *outcomes);
}
