/*
 * The groups of measurements; each compares variants in cases of its own. The first variant of each is the present
 * choice.
 */
#ifndef CASES_H
#define CASES_H

#include "bench.h"

#define COMPARE(group, name, writer, arrangements, reader) \
    compare_arrangements(group, name, writer, arrangements, sizeof(arrangements) / sizeof *(arrangements), reader)

void measure_pacing(void);
void measure_sizes(void);

/* Takes what came from the socket as if it had gone to another machine. */
extern const struct reader far_server;

/* Folders with many small files, and with big files called one and two; NULL if the environment names none. */
char *small_files(void);
char *big_files(void);

/* Whether this user may have pipes of 4 MiB. */
bool large_pipes(void);

#endif
