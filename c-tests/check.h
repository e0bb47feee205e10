/*
 * Shared by the C tests: checks, and a runner for the cases of a file.
 *
 * A program runs its cases in order and ends with status 0, or with status 1 at the first check that
 * fails. Each case must leave as many descriptors open as it found.
 */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <amrelay.h>

/* A hanging case must not hang the whole run; valgrind makes everything slow. */
#define WATCHDOG_SECONDS 300

#define CHECK(condition)                                                          \
    do {                                                                          \
        if (!(condition)) {                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                              \
        }                                                                         \
    } while (0)

/* Checks the result of a library call. */
#define CHECK_CODE(call, expected) check_code((call), (expected), #call, __FILE__, __LINE__)

static inline void check_code(long code, long expected, const char *call, const char *file, int line)
{
    if (code != expected) {
        fprintf(stderr, "%s:%d: %s is %ld (%s), not %ld; last failure: %s\n", file, line, call, code,
                amrelay_strerror((int)code), expected, amrelay_error());
        exit(1);
    }
}

struct test_case {
    const char *name;
    void (*run)(void);
};

#define CASE(function) { #function, function }

/* The number of a directory's entries, including `.` and `..`. */
static inline int entries_of(const char *path)
{
    DIR *directory = opendir(path);
    int count = 0;
    CHECK(directory != NULL);
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count;
}

static inline int open_descriptors(void)
{
    return entries_of("/proc/self/fd");
}

static inline int run_cases(const struct test_case *cases, size_t count)
{
    size_t i;
    alarm(WATCHDOG_SECONDS);
    for (i = 0; i < count; i++) {
        int before = open_descriptors(), after;
        printf("%s\n", cases[i].name);
        fflush(stdout);
        cases[i].run();
        after = open_descriptors();
        if (after != before) {
            fprintf(stderr, "%s: %d descriptors before, %d after\n", cases[i].name, before, after);
            return 1;
        }
    }
    return 0;
}

#define RUN(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))

static inline amrelay_loop *new_loop(void)
{
    amrelay_loop *loop = NULL;
    CHECK_CODE(amrelay_loop_new(&loop), 0);
    CHECK(loop != NULL);
    return loop;
}

/* Runs a function to its end in another thread. */
static inline void in_another_thread(void *(*function)(void *), void *arg)
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, function, arg) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

#endif
