/*
 * Naps of a reader that has emptied its pipe.
 *
 * Who asks for more at once meets the writer in the middle of its write(2), and is woken for every piece the writer
 * writes. The rules differ in how long they nap; none naps when the pipe is empty for good, since a reader waits for
 * the first bytes in poll(2) as ever.
 */
#include "bench.h"

#include <time.h>

enum { MOST_IN_VAIN = 8 };

void pacer_start(struct pacer *pacer, const struct pacing *how, int pipe)
{
    *pacer = (struct pacer){.how = how, .capacity = capacity_of(pipe), .nap = how->rule == FIXED ? (double)how->most : 0,
                            .since = now()};
}

static void nap_for(struct pacer *pacer, double microseconds)
{
    struct timespec pause = {0, (long)(microseconds * 1000)};
    nanosleep(&pause, NULL);
    pacer->naps++;
    pacer->napped = true;
}

/* Longer when less than half of the pipe was full, shorter when more than 7/8 were. */
static void adapt(struct pacer *pacer, size_t taken)
{
    if (taken >= pacer->capacity / 8 * 7)
        pacer->nap -= pacer->nap / 4;
    else if (taken < pacer->capacity / 2)
        pacer->nap += pacer->nap / 4 + 5;
    if (pacer->nap > (double)pacer->how->most)
        pacer->nap = (double)pacer->how->most;
}

/* As long as the writer will need for five eighths of the pipe, going by the bytes and the time since the last nap. */
static void follow_rate(struct pacer *pacer, size_t taken)
{
    double time = now();
    double passed = (time - pacer->since) * 1e6;
    double pace = passed > 0 ? (double)taken / passed : pacer->pace;
    /* A pipe that was full may have been so for long: the writer is at least this fast. */
    if (taken >= pacer->capacity / 8 * 7)
        pace *= 1.25;
    pacer->pace = pacer->pace > 0 ? (3 * pacer->pace + pace) / 4 : pace;
    pacer->since = time;
    pacer->nap = pacer->pace > 0 ? (double)pacer->capacity * 5 / 8 / pacer->pace : 0;
    if (pacer->nap > (double)pacer->how->most)
        pacer->nap = (double)pacer->how->most;
}

/* The reader has emptied the pipe, of `taken` bytes since the last nap. */
void pacer_nap(struct pacer *pacer, size_t taken)
{
    if (pacer->napped)
        pacer->in_vain = 0;
    pacer->napped = false;
    switch (pacer->how->rule) {
    case EAGER: return;
    case FIXED: break;
    case ADAPTIVE: adapt(pacer, taken); break;
    case BY_RATE: follow_rate(pacer, taken); break;
    }
    if (pacer->rest > 0)
        pacer->rest--;
    else if (pacer->nap >= (double)pacer->how->least)
        nap_for(pacer, pacer->nap);
}

/*
 * There was nothing to read. If that was behind the longest nap, the writer is slower than that, and it only cost a switch: naps
 * become rare.
 */
void pacer_in_vain(struct pacer *pacer)
{
    if (pacer->napped && pacer->how->rule == ADAPTIVE && pacer->nap >= (double)pacer->how->most) {
        if (pacer->in_vain < MOST_IN_VAIN)
            pacer->in_vain++;
        pacer->rest = (1u << pacer->in_vain) - 1;
    }
    pacer->napped = false;
}
