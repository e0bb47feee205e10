/* Chains of writer, tee, relay and reader. */
#include "bench.h"

enum { MOST_VARIANTS = 16 };

static struct chain chain_of(const struct writer *writer, const struct arrangement *arrangement,
                             const struct reader *reader)
{
    struct chain chain = {arrangement->variant, !writer->stamps, 0, {{0}}, {{0}}};
    chain.stage[chain.stages++] = (struct stage){"writer", run_writer, writer, true};
    chain.hop[0] = (struct hop){BY_PIPE, arrangement->pipe};
    if (arrangement->tee != NULL) {
        chain.hop[chain.stages] = (struct hop){BY_PIPE, arrangement->pipe};
        chain.stage[chain.stages++] = (struct stage){"tee", run_tee, arrangement->tee, true};
    }
    if (arrangement->relay != NULL) {
        chain.hop[chain.stages] = (struct hop){BY_TCP, 0};
        chain.stage[chain.stages++] = (struct stage){"relay", run_relay, arrangement->relay, true};
    }
    chain.stage[chain.stages++] = (struct stage){"reader", run_reader, reader, false};
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
