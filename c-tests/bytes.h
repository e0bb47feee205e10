/* Shared by the tests of tees and indexes: bytes in memory, and archives made by the system's tar. */
#ifndef BYTES_H
#define BYTES_H

#include "check.h"

#define ARCHIVE "tar --create --file=- --sort=name c-tests include"
/* The index as Amanda's client makes it. */
#define LISTING ARCHIVE " | LC_ALL=C tar -tf - | sed -e 's/^\\.//'"

/* Four members with the same name of 30,000 bytes, from one extended header. */
#define RENAMED                                                                                              \
    "tar --create --file=- --format=posix --pax-option=path=$(head -c 30000 /dev/zero | tr '\\0' n)"          \
    " --no-recursion c-tests c-tests c-tests c-tests"

struct bytes {
    char *data;
    size_t length;
};

/* Appends to `arg`, a struct bytes, and keeps a NUL after it. Can be the line function of an index. */
static inline void append(void *arg, const void *data, size_t length)
{
    struct bytes *bytes = arg;
    bytes->data = realloc(bytes->data, bytes->length + length + 1);
    CHECK(bytes->data != NULL);
    memcpy(bytes->data + bytes->length, data, length);
    bytes->length += length;
    bytes->data[bytes->length] = '\0';
}

static inline struct bytes read_all(int fd)
{
    struct bytes all = {NULL, 0};
    char buffer[4096];
    ssize_t got;
    append(&all, "", 0);
    while ((got = read(fd, buffer, sizeof buffer)) > 0)
        append(&all, buffer, (size_t)got);
    CHECK(got == 0);
    return all;
}

static inline struct bytes output_of(const char *command)
{
    FILE *stream = popen(command, "r");
    struct bytes output;
    CHECK(stream != NULL);
    output = read_all(fileno(stream));
    CHECK(pclose(stream) == 0);
    CHECK(output.length > 0);
    return output;
}

/* Compares and frees both. */
static inline void expect_same(struct bytes got, struct bytes expected)
{
    CHECK(got.length == expected.length);
    CHECK(memcmp(got.data, expected.data, got.length) == 0);
    free(got.data);
    free(expected.data);
}

#endif
