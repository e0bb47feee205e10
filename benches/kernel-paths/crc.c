/*
 * CRC-32C with the processor's instruction, three parts of a block at a time, since each instruction waits three cycles
 * for the one before it. The parts are joined by a table: what a register becomes after BLOCK zero bytes.
 */
#include "bench.h"

#include <nmmintrin.h>
#include <string.h>

enum { BLOCK = 4096 };

static uint32_t behind_block[4][256];

static uint64_t word(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

void crc_prepare(void)
{
    for (int byte = 0; byte < 4; byte++)
        for (uint32_t value = 0; value < 256; value++) {
            uint64_t crc = value << (8 * byte);
            for (int i = 0; i < BLOCK; i += 8)
                crc = _mm_crc32_u64(crc, 0);
            behind_block[byte][value] = (uint32_t)crc;
        }
}

static uint32_t skip_block(uint32_t crc)
{
    return behind_block[0][crc & 255] ^ behind_block[1][crc >> 8 & 255] ^ behind_block[2][crc >> 16 & 255] ^
           behind_block[3][crc >> 24];
}

uint32_t crc_update(uint32_t crc, const void *bytes, size_t length)
{
    const unsigned char *next = bytes;
    crc = ~crc;
    for (; length >= 3 * BLOCK; next += 3 * BLOCK, length -= 3 * BLOCK) {
        uint64_t first = crc, second = 0, third = 0;
        for (int i = 0; i < BLOCK; i += 8) {
            first = _mm_crc32_u64(first, word(next + i));
            second = _mm_crc32_u64(second, word(next + BLOCK + i));
            third = _mm_crc32_u64(third, word(next + 2 * BLOCK + i));
        }
        crc = skip_block(skip_block((uint32_t)first) ^ (uint32_t)second) ^ (uint32_t)third;
    }
    for (; length >= 8; next += 8, length -= 8)
        crc = (uint32_t)_mm_crc32_u64(crc, word(next));
    for (; length > 0; next++, length--)
        crc = _mm_crc32_u8(crc, *next);
    return ~crc;
}
