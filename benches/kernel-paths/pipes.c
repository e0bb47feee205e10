/* Sizes: of pipes, of frames, of the writer's pieces, of the buffer in which the tee looks at the bytes. */
#include "cases.h"

#define SPLICED(frame) &(const struct relay){{EAGER, 0, 0}, frame, SPLICE, true}
#define COPIED(frame) &(const struct relay){{EAGER, 0, 0}, frame, COPY, true}
#define TEE(buffer) &(const struct tee){{EAGER, 0, 0}, buffer, false}
#define PACED(buffer) &(const struct tee){{ADAPTIVE, 500, 20}, buffer, false}
#define COPYING(buffer) &(const struct tee){{EAGER, 0, 0}, buffer, true}

static void pipes_to_tcp(const char *name, const struct writer *writer)
{
    const struct arrangement sizes[] = {
        {"splice, 1 MiB pipe", MIB, NULL, SPLICED(256 * KIB)},
        {"splice, 64 KiB pipe", 64 * KIB, NULL, SPLICED(256 * KIB)},
        {"splice, 256 KiB pipe", 256 * KIB, NULL, SPLICED(256 * KIB)},
        {"splice, 512 KiB pipe", 512 * KIB, NULL, SPLICED(256 * KIB)},
        {"copy, 4 KiB pipe", 4 * KIB, NULL, COPIED(64 * KIB)},
        {"copy, 64 KiB pipe", 64 * KIB, NULL, COPIED(64 * KIB)},
        {"copy, 256 KiB pipe", 256 * KIB, NULL, COPIED(64 * KIB)},
        {"copy, 1 MiB pipe", MIB, NULL, COPIED(64 * KIB)},
        {"splice, 4 MiB pipe", 4 * MIB, NULL, SPLICED(256 * KIB)},
    };
    compare_arrangements("pipe to TCP", name, writer, sizes, large_pipes() ? 9 : 8, &far_server);
}

static void frames(void)
{
    const struct writer records = {.piece = 10 * KIB, .total = 512 * MIB};
    const struct arrangement spliced[] = {
        {"256 KiB", MIB, TEE(128 * KIB), SPLICED(256 * KIB)},
        {"32 KiB", MIB, TEE(128 * KIB), SPLICED(32 * KIB)},
        {"64 KiB", MIB, TEE(128 * KIB), SPLICED(64 * KIB)},
        {"128 KiB", MIB, TEE(128 * KIB), SPLICED(128 * KIB)},
        {"512 KiB", MIB, TEE(128 * KIB), SPLICED(512 * KIB)},
        {"1 MiB", MIB, TEE(128 * KIB), SPLICED(MIB)},
    };
    const struct arrangement copied[] = {
        {"64 KiB", 64 * KIB, NULL, COPIED(64 * KIB)},
        {"32 KiB", 64 * KIB, NULL, COPIED(32 * KIB)},
        {"16 KiB", 64 * KIB, NULL, COPIED(16 * KIB)},
        {"64 KiB of 1 MiB", MIB, NULL, COPIED(64 * KIB)},
        {"256 KiB of 1 MiB", MIB, NULL, COPIED(256 * KIB)},
        {"1 MiB of 1 MiB", MIB, NULL, COPIED(MIB)},
    };
    COMPARE("frames", "spliced, behind a tee", &records, spliced, &far_server);
    COMPARE("frames", "copied", &records, copied, &far_server);
}

static void pipe_to_pipe(const char *name, const struct writer *writer)
{
    const struct reader reader = {128 * KIB, 0, false, false, 0};
    const struct arrangement sizes[] = {
        {"tee, 1 MiB", MIB, TEE(128 * KIB), NULL},
        {"tee, 64 KiB", 64 * KIB, TEE(128 * KIB), NULL},
        {"tee, 256 KiB", 256 * KIB, TEE(128 * KIB), NULL},
        {"tee, 512 KiB", 512 * KIB, TEE(128 * KIB), NULL},
        {"copy, 4 KiB", 4 * KIB, COPYING(128 * KIB), NULL},
        {"copy, 64 KiB", 64 * KIB, COPYING(128 * KIB), NULL},
        {"copy, 256 KiB", 256 * KIB, COPYING(128 * KIB), NULL},
        {"copy, 1 MiB", MIB, COPYING(128 * KIB), NULL},
    };
    COMPARE("pipe to pipe", name, writer, sizes, &reader);
}

static void buffers(void)
{
    const struct writer records = {.piece = 10 * KIB, .total = 768 * MIB};
    const struct reader reader = {128 * KIB, 0, false, false, 0};
    const struct arrangement looks[] = {
        {"128 KiB", MIB, PACED(128 * KIB), NULL},
        {"16 KiB", MIB, PACED(16 * KIB), NULL},
        {"32 KiB", MIB, PACED(32 * KIB), NULL},
        {"64 KiB", MIB, PACED(64 * KIB), NULL},
        {"256 KiB", MIB, PACED(256 * KIB), NULL},
        {"512 KiB", MIB, PACED(512 * KIB), NULL},
        {"1 MiB", MIB, PACED(MIB), NULL},
    };
    COMPARE("look", "buffer for the CRC", &records, looks, &reader);
}

void measure_sizes(void)
{
    const struct writer records = {.piece = 10 * KIB, .total = 512 * MIB},
                        pieces = {.piece = 64 * KIB, .total = 512 * MIB},
                        large = {.piece = 512 * KIB, .total = 512 * MIB};
    pipes_to_tcp("10 KiB writes", &records);
    pipe_to_pipe("10 KiB writes", &records);
    buffers();
    if (quick)
        return;
    pipes_to_tcp("64 KiB writes", &pieces);
    pipes_to_tcp("512 KiB writes", &large);
    pipe_to_pipe("64 KiB writes", &pieces);
    pipe_to_pipe("512 KiB writes", &large);
    frames();
}
