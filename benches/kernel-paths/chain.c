/* Chains of writer, tee, relay and reader. */
#include "bench.h"

enum { MOST_VARIANTS = 16 };

static struct chain chain_of(const struct writer *writer, const struct arrangement *arrangement,
                             const struct reader *reader)
{
    const int *processors = arrangement->processors;
    struct chain chain = {arrangement->variant, !writer->stamps, 0, {{0}}, {{0}}};
    chain.stage[chain.stages++] = (struct stage){"writer", run_writer, writer, true, processors[0]};
    chain.hop[0] = (struct hop){BY_PIPE, arrangement->pipe, 0, NULL};
    if (arrangement->tee != NULL) {
        chain.hop[chain.stages] = (struct hop){BY_PIPE, arrangement->pipe, 0, NULL};
        chain.stage[chain.stages++] = (struct stage){"tee", run_tee, arrangement->tee, true, processors[1]};
    }
    if (arrangement->relay != NULL) {
        chain.hop[chain.stages] =
            (struct hop){BY_TCP, arrangement->sending, arrangement->receiving, arrangement->congestion};
        chain.stage[chain.stages++] = (struct stage){"relay", run_relay, arrangement->relay, true, processors[1]};
    }
    chain.stage[chain.stages++] = (struct stage){"reader", run_reader, reader, false, processors[2]};
    return chain;
}

void compare_arrangements(const char *group, const char *name, const struct writer *writer,
                          const struct arrangement *arrangements, size_t count, const struct reader *reader)
{
    struct chain chains[MOST_VARIANTS];
    if (count > MOST_VARIANTS)
        die("too many variants");
    for (size_t i = 0; i < count; i++)
        chains[i] = chain_of(writer, &arrangements[i], reader);
    compare(group, name, chains, (int)count);
}
