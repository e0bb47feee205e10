/*
 * SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * libamrelay: the data path of an Amanda backup client.
 *
 * Results: functions that can fail return 0 or a documented positive number on success, a negative
 * number on failure: -errno or one of AMRELAY_E_. amrelay_strerror gives the text of a number,
 * amrelay_error what went wrong last in this thread. Outputs are written only on success.
 *
 * Structs: initialize each with the macro that has its name and ends in _INIT. It sets the size field
 * to sizeof the struct, descriptors to -1 (none; 0 is a descriptor), and all else to zero, which means
 * the default. All sizes and lengths are in bytes.
 *
 * Handles: made by a _new or _start function, ended by the matching _free function, which takes
 * NULL as well. A handle that is freed must not be used again.
 *
 * Threads: unless its comment says otherwise a handle belongs to the thread that made it. There each
 * of its functions may be called at any time, in callbacks too; another thread's calls get
 * AMRELAY_E_THREAD, and its _free does nothing.
 *
 * Defects: any function may return AMRELAY_E_PANIC, which reports a defect of the library. The handle of
 * that call can then only be freed: all its other functions return AMRELAY_E_POISONED. Everything else
 * goes on.
 *
 * Descriptors are lent: they stay the caller's, who keeps them open until the handle has ended or
 * is freed. If a flag says TAKE, the library closes the descriptor, unless the function that got it
 * failed: then it is still the caller's. The library's own descriptors are close-on-exec.
 *
 * Callbacks run in the handle's thread, inside a call of the library, or in a thread of the library's
 * where their comment says so. They may call every function for every handle, and free every handle,
 * including their own. They must return: no longjmp(3), no C++ exception. Buffers they get are valid
 * until they return.
 *
 * Processes: after a fork(2) the child may only exec(3) or _exit(2): it shares the loop's epoll
 * instance with its parent. The library changes no signal disposition. Its own threads take no signals
 * except those of their own faults. Where it writes in a thread of the host's, it removes a SIGPIPE that
 * the write caused. No signal ends a call that waits: a handler can write to a pipe that an
 * AMRELAY_EVENT_READ event reads. The library never prints, and it starts a program only if the options
 * name a command.
 */

#ifndef AMRELAY_H
#define AMRELAY_H

/* Made from src/ffi by `make header`; changes belong there. */

#include <stddef.h>
#include <stdint.h>

/**
 * Initializes an amrelay_stats, as `amrelay_stats stats = AMRELAY_STATS_INIT;` in C and C++.
 */
#define AMRELAY_STATS_INIT { sizeof(amrelay_stats), 0, 0, 0, 0, 0, 0 }
/**
 * Initializes an amrelay_link_options likewise.
 */
#define AMRELAY_LINK_OPTIONS_INIT { sizeof(amrelay_link_options), 0, -1, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0 }
/**
 * Initializes an amrelay_stream_options likewise.
 */
#define AMRELAY_STREAM_OPTIONS_INIT { sizeof(amrelay_stream_options), -1, 0, 0, NULL, NULL, NULL }
/**
 * Initializes an amrelay_sink_options likewise.
 */
#define AMRELAY_SINK_OPTIONS_INIT { sizeof(amrelay_sink_options), -1, 0, 0, 0, NULL, NULL, NULL }
/**
 * Initializes an amrelay_index_options likewise.
 */
#define AMRELAY_INDEX_OPTIONS_INIT { sizeof(amrelay_index_options), AMRELAY_FORMAT_TAR }
/**
 * Initializes an amrelay_index_result likewise.
 */
#define AMRELAY_INDEX_RESULT_INIT { sizeof(amrelay_index_result), 0, 0, 0, 0 }
/**
 * Initializes an amrelay_tee_options likewise.
 */
#define AMRELAY_TEE_OPTIONS_INIT { sizeof(amrelay_tee_options), 0, -1, -1, NULL, 0, -1, NULL, -1, NULL, NULL, 0 }
/**
 * Initializes an amrelay_tee_result likewise.
 */
#define AMRELAY_TEE_RESULT_INIT { sizeof(amrelay_tee_result), 0, 0, 0, 0, 0, 0, 0, -1, AMRELAY_STATS_INIT }

/**
 * First number of the version this header belongs to.
 */
#define AMRELAY_VERSION_MAJOR 0

/**
 * Second number of the version this header belongs to.
 */
#define AMRELAY_VERSION_MINOR 1

/**
 * Third number of the version this header belongs to.
 */
#define AMRELAY_VERSION_PATCH 0

/**
 * A pointer that must not be NULL was NULL.
 */
#define AMRELAY_E_NULL -7001

/**
 * An argument or a field of an options struct has a value that is not allowed.
 */
#define AMRELAY_E_ARGUMENT -7002

/**
 * The size field of a struct is not a size this library knows.
 */
#define AMRELAY_E_SIZE -7003

/**
 * The call does not fit the state of the handle: it has ended, is in use further up the stack, or the event is
 * unknown.
 */
#define AMRELAY_E_STATE -7004

/**
 * The bytes do not fit into a frame or a queue.
 */
#define AMRELAY_E_LIMIT -7005

/**
 * The library met a defect of its own. The call did not do its work, and the handle is unusable from now on.
 */
#define AMRELAY_E_PANIC -7006

/**
 * An earlier call with this handle returned `AMRELAY_E_PANIC`; it can only be freed.
 */
#define AMRELAY_E_POISONED -7007

/**
 * The handle belongs to another thread.
 */
#define AMRELAY_E_THREAD -7008

/**
 * The indexed tar stream is damaged or cut off; the lines are what could be read.
 */
#define AMRELAY_E_DAMAGED -7009

/**
 * The command that makes an index has failed.
 */
#define AMRELAY_E_COMMAND -7010

/**
 * The indexed tar stream is sound, but not all its members have a line. Names of more than 256 KiB are left out, and
 * lines that would give the index more than 4 bytes for each byte of the archive (one long name for many members).
 * `amrelay_index_message` and `amrelay_tee_index_message` say how many lines.
 */
#define AMRELAY_E_OMITTED -7011

/**
 * The stream is in no known format: `AMRELAY_FORMAT_DETECT`.
 */
#define AMRELAY_E_NO_ARCHIVE -7012

/**
 * Level of a log line: a defect of the library.
 */
#define AMRELAY_LOG_ERROR 1

/**
 * Level of a log line: a call that failed.
 */
#define AMRELAY_LOG_DEBUG 2

/**
 * Kind of an event: its id is a descriptor; it fires when there is something to read, end of file, hang-up or an
 * error. On the writing end of a pipe it fires when the reader has gone.
 */
#define AMRELAY_EVENT_READ 0

/**
 * Kind of an event: its id is a descriptor; it fires when there is room to write, on hang-up and on an error.
 */
#define AMRELAY_EVENT_WRITE 1

/**
 * Kind of an event: its id is a number of milliseconds; it fires when they have passed, and again and again. With 0 it
 * fires in each turn.
 */
#define AMRELAY_EVENT_TIME 2

/**
 * Kind of an event: its id is any number; it fires when `amrelay_event_wakeup` is called with it.
 */
#define AMRELAY_EVENT_WAIT 3

/**
 * Method of a stage: the bytes went through a buffer in user space.
 */
#define AMRELAY_METHOD_COPY 0

/**
 * Method of a stage: the bytes stayed in the kernel and were moved by splice(2).
 */
#define AMRELAY_METHOD_SPLICE 1

/**
 * Kind of a link: one stream, as it is; the end is marked by closing the connection (Amanda's `auth bsd`).
 */
#define AMRELAY_LINK_RAW 0

/**
 * Kind of a link: many streams in frames of 4 bytes length, 4 bytes handle, both big-endian, and the bytes; length 0
 * ends a stream (bsdtcp, bsdudp, local, ssh, rsh).
 */
#define AMRELAY_LINK_FRAMED 1

/**
 * Kind of a link: many streams in frames that the host's function writes (ssl, krb5).
 */
#define AMRELAY_LINK_CALLBACK 2

/**
 * Answer of a link's write function: nothing was taken, call again when the descriptor is writable.
 */
#define AMRELAY_WANT_WRITE -7101

/**
 * Answer of a link's write function: nothing was taken, call again when the descriptor is readable.
 */
#define AMRELAY_WANT_READ -7102

/**
 * Flag of a stream: it carries much data. Its frames are large, and small streams go first. Unless the stream has a
 * `tap`, or the link is a callback link, its pipe is enlarged, and its bytes are spliced where the system allows it.
 *
 * Splicing passes references to pages on, into a socket's queue too: a frame's bytes are what those pages hold when
 * the network takes them, or takes them again because a packet was lost. The pages of a writer that uses only
 * write(2) do not change. A writer that lends pages of a file or its own memory (sendfile, splice, vmsplice) may
 * change them before they are sent: an earlier CRC is then not that of the bytes sent. For such a writer leave the
 * flag out or set a `tap`; a tee between it and the stream copies (see `AMRELAY_TEE_ZERO_COPY`). The stream's length
 * and its frames are right in any case.
 */
#define AMRELAY_STREAM_BULK 1

/**
 * Flag of a sink: the descriptor is the sink's, which closes it when it ends or is freed.
 */
#define AMRELAY_SINK_TAKE 1

/**
 * Format of an indexed stream: tar. Like GNU tar, the index looks for headers even after bytes that are not headers.
 */
#define AMRELAY_FORMAT_TAR 0

/**
 * Format of an indexed stream: to be detected. The stream is tar if its first 512 bytes are a tar header with the
 * right checksum, or all zeros (an archive without members). If it is in no known format, all of it is skippable,
 * there are no lines, and the code is `AMRELAY_E_NO_ARCHIVE`.
 */
#define AMRELAY_FORMAT_DETECT 1

/**
 * Flag of a tee: compute the CRC-32C (Castagnoli) of the stream.
 */
#define AMRELAY_TEE_CRC 1

/**
 * Flag of a tee: `input_fd` is the tee's, which closes it as soon as it reads no more.
 */
#define AMRELAY_TEE_TAKE_INPUT 2

/**
 * Flag of a tee: `output_fd` is the tee's, which closes it as soon as it writes no more.
 */
#define AMRELAY_TEE_TAKE_OUTPUT 4

/**
 * Flag of a tee: `index_fd` is the tee's, which closes it as soon as the index has ended.
 */
#define AMRELAY_TEE_TAKE_INDEX 8

/**
 * Flag of a tee: the host promises that every process that writes into the pipe `input_fd` uses only write(2) or
 * writev(2), for all of the stream. The bytes are then not copied if input and output are pipes large enough for that
 * to be faster.
 *
 * What tee(2) and splice(2) pass on are references. The pages of a writer with write(2) belong to the pipe and do not
 * change. A writer with sendfile(2), splice(2) or vmsplice(2) (cat, busybox and pv among them) shows pages of a file,
 * or its own memory. When they change, the output's reader gets other bytes than CRC and index have seen, and the CRC
 * is wrong. Bytes that neither of them looks at can also be older or newer than their neighbours.
 *
 * Without the flag all bytes go through a buffer of the tee's, so that what is sent is what was summed. The
 * environment variable `AMRELAY_TEE=copy` overrules the flag, except in a set-uid program.
 */
#define AMRELAY_TEE_ZERO_COPY 16

/**
 * Index of a tee: none.
 */
#define AMRELAY_INDEX_NONE 0

/**
 * Index of a tee: the stream is a tar archive, its names go to `index_fd`, one quoted line each.
 */
#define AMRELAY_INDEX_TAR 1

/**
 * Index of a tee: `index_command` reads a copy of the stream and writes the index to `index_fd`.
 */
#define AMRELAY_INDEX_COMMAND 2

/**
 * The index of one tar stream: what `LC_ALL=C tar -tf - | sed -e 's/^\.//'` prints for it.
 *
 * It belongs to no thread: any thread may use it, but only one at a time.
 */
typedef struct amrelay_index amrelay_index;

/**
 * The writing side of one connection.
 *
 * Everything that is written to the connection has to go through its link: nothing may come between the bytes of a
 * frame. A link never blocks, and while the connection is full it reads nothing from its streams.
 *
 * A link does not look at its connection while it has nothing to write: it learns from the next write that the peer
 * has gone, and then calls `on_error`. A host that wants to know earlier reads the connection. On the writing end of
 * a pipe it makes an `AMRELAY_EVENT_READ` event, which fires when the reader has gone.
 *
 * A link may stand still while one of its functions, or of its streams' functions, is running: one that turns the
 * loop may wait in vain for its own link.
 */
typedef struct amrelay_link amrelay_link;

/**
 * An event loop.
 *
 * In a turn, events on descriptors fire first, then timers, each in the order of their activation. Callbacks may
 * create and release events, their own included, and turn the loop themselves.
 *
 * A loop that has to renew its poller while the process is out of descriptors goes on with poll(2), and renews it as
 * soon as it can.
 */
typedef struct amrelay_loop amrelay_loop;

/**
 * Bytes from the network on their way to a local descriptor, which may be slow to take them.
 *
 * A sink may stand still while one of its functions is running: one that turns the loop may wait in vain for its own
 * sink.
 */
typedef struct amrelay_sink amrelay_sink;

/**
 * A local descriptor that is read into a link.
 */
typedef struct amrelay_stream amrelay_stream;

/**
 * A tee: passes a stream on and makes CRC and index of it, in a thread of its own.
 *
 * The output gets exactly the bytes of the input; a failure of the index ends the index, never the data. A slow
 * reader of the index holds up the data only when 1 MiB waits for it.
 *
 * It belongs to no thread. Any thread may cancel it or get the descriptor of its end, at any time: while another one
 * waits for it, too, and in its own functions. Only one at a time may do anything else with it.
 */
typedef struct amrelay_tee amrelay_tee;

/**
 * Takes a log line of the library: one line without its end, valid during the call only.
 *
 * It is called in whichever thread has something to report, including the library's own, and must not call the
 * library except for `amrelay_version`, `amrelay_strerror` and `amrelay_error`. While it runs it is not called again
 * in the same thread: lines of other calls are lost.
 */
typedef void (*amrelay_log_fn)(void *arg, int level, const char *message);

/**
 * Called when an event fires, with the argument given to `amrelay_event_create`.
 */
typedef void (*amrelay_event_fn)(void *arg);

/**
 * The number of an event; 0 is none. Numbers are not used again in the same loop.
 */
typedef uintptr_t amrelay_event;

/**
 * What a link needs to know.
 */
typedef struct amrelay_link_options {
    /**
     * `sizeof(amrelay_link_options)`.
     */
    size_t size;
    /**
     * One of `AMRELAY_LINK_`.
     */
    uint32_t kind;
    /**
     * The connection, lent: a socket or the writing end of a pipe. A descriptor that is open only for reading is
     * refused. It is made non-blocking and left so, and a TCP socket is kept from taking much more than it can send
     * (`TCP_NOTSENT_LOWAT`). On a callback link it is only waited for.
     */
    int fd;
    /**
     * Called once with -errno when the connection has failed, after the `on_end` of its streams; with -ETIMEDOUT when
     * that of a closing link takes nothing more, see `close_timeout_ms`. NULL: nobody is told.
     */
    void (*on_error)(void *arg, int code);
    /**
     * Called once after `amrelay_link_close`, maybe before that returns: nothing more will be written and no function
     * of the link will be called any more. NULL: nobody is told.
     */
    void (*on_closed)(void *arg);
    /**
     * Callback links only, and refused on others: writes bytes of one frame, header included. Returns how many it
     * took (1 to `len`), `AMRELAY_WANT_WRITE`, `AMRELAY_WANT_READ`, or -errno, which ends the link. After a refusal
     * it is called again with the same bytes at the same address. It must not block, or everything in the loop stands
     * still (so the descriptor must already be non-blocking), and it must not raise SIGPIPE.
     */
    int64_t (*write)(void *arg, const void *buf, size_t len);
    /**
     * Callback links only, and refused on others: turns the payload of a frame into what is sent instead, at most 4
     * MiB (more ends the link with -EMSGSIZE: what it adds has to fit beside `frame_size`), and stores where that is;
     * called in the order of sending. Returns 0, or -errno, which ends the link. NULL: payloads are sent as they are.
     */
    int (*seal)(void *arg, const void *in, size_t in_len, void **out, size_t *out_len);
    /**
     * Called with what `seal` stored, once it has been copied, even if that `seal` has freed the link. NULL: the host
     * frees it later. Refused without `seal`.
     */
    void (*seal_free)(void *arg, void *out);
    /**
     * Given to each of the functions.
     */
    void *arg;
    /**
     * The largest payload of a bulk stream's frame, in bytes, at most 4 MiB (Amanda's receivers refuse more,
     * `tcpm_recv_token` of common-src/security-util.c); 0: 256 KiB if spliced, 64 KiB if copied. Either gets smaller
     * while the connection drains slowly.
     */
    size_t frame_size;
    /**
     * What the pipes of bulk streams are enlarged to where the system allows it, in bytes; 0: 1 MiB. Bytes in a pipe
     * of less than 256 KiB are copied, since splicing is then no faster. No pipe is made smaller.
     */
    size_t pipe_size;
    /**
     * How long the link goes on after `amrelay_link_close` while its connection takes no byte, in milliseconds; 0: 60
     * seconds. Then what is left is dropped, and `on_error` is called with -ETIMEDOUT before `on_closed`. A link that
     * is not closed waits for its connection as long as that takes.
     */
    uint64_t close_timeout_ms;
} amrelay_link_options;

/**
 * What a stream needs to know.
 */
typedef struct amrelay_stream_options {
    /**
     * `sizeof(amrelay_stream_options)`.
     */
    size_t size;
    /**
     * Where the bytes come from, lent: mostly the reading end of a pipe. A descriptor that is open only for writing
     * is refused, and so is the other end of the pipe that the link writes to. It is made non-blocking and left so.
     */
    int fd;
    /**
     * The number of the stream in its frames; ignored on a raw link. No other stream of the link may have it. It
     * is free again once `on_end` is called, or the stream has been freed.
     */
    uint32_t handle;
    /**
     * `AMRELAY_STREAM_` flags, 0 for none.
     */
    uint32_t flags;
    /**
     * Is shown the stream's bytes, in order, after the connection has taken the frame they were in. Such a stream is
     * not spliced. NULL: none.
     */
    void (*tap)(void *arg, const void *buf, size_t len);
    /**
     * Called once, when nothing more is read: with 0 after the connection has taken all bytes and, except on a raw
     * link, the frame that ends the stream; with -errno when the connection has failed, `fd` could not be read, or
     * memory was short (-ENOMEM); with -ECANCELED when the link was closed. The caller may close `fd` then. NULL:
     * nobody is told.
     */
    void (*on_end)(void *arg, int code);
    /**
     * Given to each of the functions.
     */
    void *arg;
} amrelay_stream_options;

/**
 * How much passed through a stage of the data path, and what it waited for. Waits do not overlap.
 */
typedef struct amrelay_stats {
    /**
     * `sizeof(amrelay_stats)`, set by the caller.
     */
    size_t size;
    /**
     * Bytes that left the stage; of a stream in whole frames.
     */
    uint64_t bytes;
    /**
     * Nanoseconds from the stage's start to its end, or to this call.
     */
    uint64_t elapsed_ns;
    /**
     * Nanoseconds of waiting for the program that writes the data.
     */
    uint64_t writer_ns;
    /**
     * Nanoseconds of waiting for the receiving side.
     */
    uint64_t output_ns;
    /**
     * Nanoseconds of waiting for the reader of the index.
     */
    uint64_t index_ns;
    /**
     * `AMRELAY_METHOD_SPLICE` if bytes were moved without a copy, else `AMRELAY_METHOD_COPY`.
     */
    uint32_t method;
} amrelay_stats;

/**
 * What a sink needs to know.
 */
typedef struct amrelay_sink_options {
    /**
     * `sizeof(amrelay_sink_options)`.
     */
    size_t size;
    /**
     * Where the bytes go, lent unless a flag says otherwise. A descriptor that is open only for reading is refused.
     * It is made non-blocking and left so.
     */
    int fd;
    /**
     * `AMRELAY_SINK_` flags, 0 for none.
     */
    uint32_t flags;
    /**
     * More queued bytes than this ask for a pause; 0: 256 KiB.
     */
    size_t high_water;
    /**
     * When no more bytes than this are queued the pause is over; 0: 64 KiB, or `high_water` if that is less.
     */
    size_t low_water;
    /**
     * Called when a pause that `amrelay_sink_push` asked for is over, after `amrelay_sink_finish` too. A sink that
     * ends while it is paused, by a failure or because the rest is written at once, calls only `on_end`. NULL: nobody
     * is told.
     */
    void (*on_resume)(void *arg);
    /**
     * Called once, when nothing more is written: with 0 after `amrelay_sink_finish` when all is written, with -errno
     * when writing has failed (-EPIPE: the reader has gone) or memory was short (-ENOMEM). The caller may close a lent
     * `fd` then. NULL: nobody is told.
     */
    void (*on_end)(void *arg, int code);
    /**
     * Given to each of the functions.
     */
    void *arg;
} amrelay_sink_options;

/**
 * What an index needs to know.
 */
typedef struct amrelay_index_options {
    /**
     * `sizeof(amrelay_index_options)`.
     */
    size_t size;
    /**
     * One of `AMRELAY_FORMAT_`.
     */
    uint32_t format;
} amrelay_index_options;

/**
 * Takes the next piece of the index, valid during the call only. Lines end with a newline; a piece need not.
 */
typedef void (*amrelay_index_line_fn)(void *arg, const void *buf, size_t len);

/**
 * How an index ended.
 */
typedef struct amrelay_index_result {
    /**
     * `sizeof(amrelay_index_result)`, set by the caller.
     */
    size_t size;
    /**
     * Lines given.
     */
    uint64_t entries;
    /**
     * Bytes of the stream before the first fault, or before the header of the first member whose line is left out; 0 if
     * there was none.
     */
    uint64_t offset;
    /**
     * 0: nothing was wrong with the archive; `AMRELAY_E_DAMAGED`, `AMRELAY_E_OMITTED`, or `AMRELAY_E_NO_ARCHIVE`.
     */
    int32_t code;
    /**
     * 1 if the archive's end mark was seen; 0 if the stream ended before it.
     */
    uint32_t end_mark;
} amrelay_index_result;

/**
 * What a tee needs to know.
 */
typedef struct amrelay_tee_options {
    /**
     * `sizeof(amrelay_tee_options)`.
     */
    size_t size;
    /**
     * `AMRELAY_TEE_` flags, 0 for none.
     */
    uint32_t flags;
    /**
     * Where the stream comes from, lent unless a flag says otherwise. The tee must be its only reader.
     */
    int input_fd;
    /**
     * Where the stream goes, lent unless a flag says otherwise; -1: to `write`.
     */
    int output_fd;
    /**
     * Used if `output_fd` is -1, else NULL: takes all the bytes, waiting as long as it must, and returns 0, or
     * -errno, which ends the tee. It is called in the tee's thread, where `amrelay_tee_wait` for this tee fails.
     */
    int (*write)(void *arg, const void *buf, size_t len);
    /**
     * One of `AMRELAY_INDEX_NONE`, `AMRELAY_INDEX_TAR`, `AMRELAY_INDEX_COMMAND`.
     */
    uint32_t index;
    /**
     * Where the index goes, lent unless a flag says otherwise; -1, or 0, for `AMRELAY_INDEX_NONE`. An index cannot go
     * to descriptor 0, since a forgotten field has that value; duplicate a file that has this number (dup(2)).
     */
    int index_fd;
    /**
     * For `AMRELAY_INDEX_COMMAND`, else NULL: is given to `sh -c`, which inherits the environment and only the
     * standard descriptors, and takes all signals.
     */
    const char *index_command;
    /**
     * For `AMRELAY_INDEX_COMMAND`: standard error of the command, lent; -1: the caller's own. Not descriptor 0, as above.
     */
    int error_fd;
    /**
     * For `AMRELAY_INDEX_COMMAND`: gets the command's process id as soon as it runs, in the tee's thread. For a host
     * that waits for any of its children: if it takes this one's status before the tee does, `index_status` is 0 and
     * `index_code` does not consider the status. NULL: not wanted.
     */
    void (*index_started)(void *arg, int64_t process_id);
    /**
     * Given to `write` and `index_started`.
     */
    void *arg;
    /**
     * What the data pipes are enlarged to where the system allows it, in bytes; 0: 1 MiB. They are never made
     * smaller. If one then holds less than 256 KiB, the bytes are copied in any case, since the other way is no
     * faster.
     */
    size_t pipe_size;
} amrelay_tee_options;

/**
 * What came of a tee.
 */
typedef struct amrelay_tee_result {
    /**
     * `sizeof(amrelay_tee_result)`, set by the caller.
     */
    size_t size;
    /**
     * Bytes of the stream that the tee has read: as many as `stats.bytes`, or more if the output failed.
     */
    uint64_t read_bytes;
    /**
     * Lines of the index so far; 0 if a command makes it.
     */
    uint64_t entries;
    /**
     * CRC-32C of the first `read_bytes` bytes of the stream, whether or not they were passed on; 0 if it was not
     * asked for.
     */
    uint32_t crc32c;
    /**
     * 0, or -errno: the input could not be read to its end (-ENOMEM: no memory for a buffer).
     */
    int32_t input_code;
    /**
     * 0, or -errno: the output took no more (-ECANCELED: `amrelay_tee_cancel`).
     */
    int32_t output_code;
    /**
     * 0, `AMRELAY_E_DAMAGED`, `AMRELAY_E_OMITTED`, `AMRELAY_E_COMMAND`, or -errno: the index is not complete (-EPIPE: its
     * reader has gone; -ENOMEM: no memory for what waits for its reader; -ECANCELED: the output failed, or
     * `amrelay_tee_cancel`).
     */
    int32_t index_code;
    /**
     * Wait status of the index command, as waitpid(2) gives it; 0 if there was none.
     */
    int32_t index_status;
    /**
     * For `AMRELAY_INDEX_TAR`: 1 if the archive has its end mark. 0: it ends without one, after a whole member. GNU
     * tar accepts such an archive, and so does `index_code`, but its writer was interrupted. -1: not known, because
     * the archive is damaged or was not listed to its end.
     */
    int32_t index_end_mark;
    /**
     * How many bytes the output took, which are the first of the stream, how they were moved, and where the time went.
     * Its size field is set by the library.
     */
    struct amrelay_stats stats;
} amrelay_tee_result;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Returns the version of the library that is running, which may be newer than the header a program was built with.
 *
 * Ownership: the text is the library's and lives as long as the library is loaded.
 *
 * NULL: takes no pointer and never returns NULL.
 *
 * Returns: three numbers with dots between them, such as "0.1.0".
 *
 * Threads: any thread, any time, callbacks included.
 */
const char *amrelay_version(void);

/**
 * Gives the text for a result code of any function of the library.
 *
 * Ownership: the text is the library's. The text of an `AMRELAY_E_` code lives as long as the library is loaded, any
 * other until the calling thread calls this function again.
 *
 * NULL: takes no pointer and never returns NULL.
 *
 * Returns: for an `AMRELAY_E_` code and for 0 a text of the library's, for any other negative code the system's text
 * for that errno, for a positive number "not an error code".
 *
 * Threads: any thread, any time, callbacks included.
 */
const char *amrelay_strerror(int code);

/**
 * Gives the text of the last failure in the calling thread, with the name of the function that failed.
 *
 * A later success does not clear it: ask only after a failure.
 *
 * Ownership: the text is the library's and lives until the next failure in the same thread.
 *
 * NULL: takes no pointer and never returns NULL.
 *
 * Returns: the text, "" if no call has failed in this thread. A text longer than 255 bytes is cut.
 *
 * Threads: any thread, any time, callbacks included.
 */
const char *amrelay_error(void);

/**
 * Sets the function that is given the library's log lines, for the whole process. Without one the library is silent.
 *
 * Ownership: `arg` stays the caller's and must live until another function is set and every call under way is over.
 *
 * NULL: `fn` NULL makes the library silent again; `arg` may be NULL.
 *
 * Returns: 0; `AMRELAY_E_STATE` if a Rust program has set up a logger of its own, which gets the lines then.
 *
 * Threads: any thread, but not from `fn`; other threads may still call the previous function for a short while.
 */
int amrelay_set_log(amrelay_log_fn fn,
                    void *arg);

/**
 * Makes an event loop without events.
 *
 * Ownership: `*out` is the caller's, to be freed with `amrelay_loop_free`; after a failure it is unchanged.
 *
 * NULL: `out` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; -EMFILE, -ENFILE and -ENOMEM from the system.
 *
 * Threads: any; the loop, its links and its sinks belong to it from then on.
 */
int amrelay_loop_new(struct amrelay_loop **out);

/**
 * Frees a loop. Its events are released, and an `amrelay_loop_run` further up the stack returns.
 *
 * Ownership: `loop` and its events are gone. Links, streams and sinks on it stay the caller's, who still has to free
 * them; nothing moves in them any more, and none of their functions is called. `on_closed` is not called either,
 * whether the link is closed before or afterwards: the caller frees what it would have freed. What a closed link had
 * not written yet is lost: turn the loop until `on_closed` first.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 */
void amrelay_loop_free(struct amrelay_loop *loop);

/**
 * Makes an event. It does not fire before `amrelay_event_activate`.
 *
 * Ownership: `*out` names an event of the loop's, which lives until `amrelay_event_release`; after a failure it is
 * unchanged. `arg` is passed to `fn` unchanged. A descriptor stays the caller's; it may be closed before the event is
 * released.
 *
 * NULL: `loop` and `out` NULL are refused; `fn` NULL makes an event without a callback; `arg` may be NULL.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `kind` is not one of `AMRELAY_EVENT_`, a descriptor or a number
 * of milliseconds is negative, or a descriptor is more than `INT_MAX`.
 */
int amrelay_event_create(struct amrelay_loop *loop,
                         uint32_t kind,
                         int64_t id,
                         amrelay_event_fn fn,
                         void *arg,
                         amrelay_event *out);

/**
 * Lets an event fire from now on. An active event stays as it is.
 *
 * A descriptor is watched as the file it names at this moment: after closing it and opening another file under the
 * same number, release the event and make a new one.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; -EBADF if the event's descriptor is
 * not open.
 */
int amrelay_event_activate(struct amrelay_loop *loop,
                           amrelay_event event);

/**
 * Ends an event: its callback is not called any more. One that is running goes on to its end.
 *
 * Ownership: the event is gone. Its descriptor, which may have been closed before, stays the caller's.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event.
 */
int amrelay_event_release(struct amrelay_loop *loop,
                          amrelay_event event);

/**
 * Fires the active `AMRELAY_EVENT_WAIT` events with this id, before it returns. Events that their callbacks activate
 * are not among them.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: how many events fired, 0 if none; `AMRELAY_E_NULL`.
 */
int amrelay_event_wakeup(struct amrelay_loop *loop,
                         int64_t id);

/**
 * Turns the loop until an event has fired (an `AMRELAY_EVENT_WAIT` event: until it is released). It also returns when
 * the event is released, and when nothing is left that keeps `amrelay_loop_turns` going.
 *
 * Events whose callback is running do not fire in it.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; -errno as `amrelay_loop_turns`.
 */
int amrelay_event_wait(struct amrelay_loop *loop,
                       amrelay_event event);

/**
 * Turns the loop as long as there is something to wait for. Events whose callback is running do not fire in it. There is
 * something to wait for while there is:
 *
 * * an active event of any kind except `AMRELAY_EVENT_WAIT`, even if its descriptor has been closed meanwhile;
 * * a stream that has neither ended nor been freed;
 * * a link that has frames to write, and a closed link until `on_closed`;
 * * a sink that has bytes to write or a function to call.
 *
 * An open link with nothing to write and an empty sink do not keep it going, nor does a tee.
 *
 * With `nonblock` other than 0: makes one turn at most, and does not wait for anything.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; -errno if the system refuses to wait: no event is lost, and the next call waits anew.
 */
int amrelay_loop_turns(struct amrelay_loop *loop,
                       int nonblock);

/**
 * Turns the loop until `amrelay_loop_quit`, even when no event is active.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; -errno as `amrelay_loop_turns`.
 */
int amrelay_loop_run(struct amrelay_loop *loop);

/**
 * Lets every `amrelay_loop_run` on the stack return at the end of its turn. Meant for callbacks; does nothing if
 * there is no such call.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`.
 */
int amrelay_loop_quit(struct amrelay_loop *loop);

/**
 * Makes a link on a connection.
 *
 * Ownership: `*out` is the caller's, to be ended with `amrelay_link_close` or `amrelay_link_free`; after a failure it
 * is unchanged. `options` is copied. `options->fd` stays the caller's, who keeps it open until then (on a callback
 * link: until `on_closed`). `arg` must live until `on_closed` has been called, or until `amrelay_link_free` or
 * `amrelay_loop_free` returns: `on_error` and `on_closed` may be called after `amrelay_link_close` has returned. A
 * caller that closes the link and has `arg` to free sets `on_closed`.
 *
 * NULL: `loop`, `options` and `out` NULL are refused, `options->write` NULL only on a callback link.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if the kind is not one of `AMRELAY_LINK_`,
 * `fd` is negative or not for writing, or a function is given that this kind does not use; `AMRELAY_E_LIMIT` if
 * `frame_size` is too large; -EBADF if `fd` is not open.
 */
int amrelay_link_new(struct amrelay_loop *loop,
                     const struct amrelay_link_options *options,
                     struct amrelay_link **out);

/**
 * Queues one whole control frame. It goes out before any further frame of a stream, and never inside another frame.
 *
 * With `len` 0 it ends the stream of that handle.
 *
 * Ownership: the bytes are copied; `buf` stays the caller's.
 *
 * NULL: `link` NULL is refused, `buf` NULL only if `len` is not 0.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `len` exceeds `PTRDIFF_MAX`; `AMRELAY_E_LIMIT` if `len` is more
 * than 4 MiB (a receiver would refuse it), or the queue is full: more than 1 MiB would wait behind its first frame,
 * where each counts 72 bytes more than its payload; `AMRELAY_E_STATE` on a raw link, and while a stream of the link has
 * that handle, whose bytes would be mixed; -errno if the connection has failed; -ENOMEM if there is no memory for the
 * frame (it is not queued, the link stays as it is). A full queue means a peer that does not read: this frame is not
 * queued, the link stays as it is, and the caller may close or free it.
 */
int amrelay_link_send(struct amrelay_link *link,
                      uint32_t handle,
                      const void *buf,
                      size_t len);

/**
 * Ends a link in good order. Its streams end with -ECANCELED before this returns; control frames and the frame in
 * flight are still written while the loop turns. Then `on_closed` is called, and `on_error` before it if that failed:
 * with -ETIMEDOUT if the connection took no byte for `close_timeout_ms`. After `amrelay_loop_free`, even in an
 * `on_end` of these streams, it ends the link as `amrelay_link_free` does: none of the functions is called any more,
 * not even `on_closed`. If the process has no descriptor left for the duplicate, only what the connection takes at
 * once is written, and the rest fails with -EMFILE.
 *
 * Ownership: `link` is gone after success, still there after a failure. Its streams stay the caller's to free.
 * `options->fd` may be closed at once, since a duplicate is written to; on a callback link only after `on_closed`.
 *
 * NULL: `link` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`. After `AMRELAY_E_PANIC` the link is gone, too.
 */
int amrelay_link_close(struct amrelay_link *link);

/**
 * Ends a link at once and drops what is queued: the last frame may be cut off. Its callbacks and those of its streams
 * are not called any more.
 *
 * Ownership: `link` is gone; its streams stay the caller's to free, its descriptor stays the caller's.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 */
void amrelay_link_free(struct amrelay_link *link);

/**
 * Starts to read a descriptor into a link.
 *
 * Ownership: `*out` is the caller's, to be freed with `amrelay_stream_free`; after a failure it is unchanged.
 * `options` is copied. `options->fd` stays the caller's, who keeps it open until `on_end` or `amrelay_stream_free`;
 * `arg` must live as long.
 *
 * NULL: `link`, `options` and `out` NULL are refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if `fd` is negative, is not for reading or is
 * the other end of the link's pipe, or a flag is unknown; -EBADF if `fd` is not open; `AMRELAY_E_STATE` if a raw link
 * has its stream already, or another stream of the link has the handle; -errno if the connection has failed.
 */
int amrelay_stream_start(struct amrelay_link *link,
                         const struct amrelay_stream_options *options,
                         struct amrelay_stream **out);

/**
 * Gets how much of a stream the connection has taken in whole frames, and what the stream waited for. May be called
 * after the end, too. A frame that was under way at the end is not counted.
 *
 * Ownership: `stats` stays the caller's and is written only on success.
 *
 * NULL: `stream` and `stats` NULL are refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `stats->size` is not known.
 */
int amrelay_stream_stats(const struct amrelay_stream *stream,
                         struct amrelay_stats *stats);

/**
 * Frees a stream, and ends it at once if it has not ended: nothing more is read, and its functions are not called any
 * more. A frame that was begun is still completed. The receiver does not learn of the end.
 *
 * Ownership: `stream` is gone; its descriptor stays the caller's.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 */
void amrelay_stream_free(struct amrelay_stream *stream);

/**
 * Makes a sink.
 *
 * Ownership: `*out` is the caller's, to be freed with `amrelay_sink_free`; after a failure it is unchanged. `options`
 * is copied. `options->fd` stays the caller's, who keeps it open until `on_end` or `amrelay_sink_free`; with
 * `AMRELAY_SINK_TAKE` it is the sink's, after a failure it is still the caller's. `arg` must live as long as the sink.
 *
 * NULL: `loop`, `options` and `out` NULL are refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if `fd` is negative or not for writing, a flag
 * unknown, or `low_water` above `high_water`; -EBADF if `fd` is not open.
 */
int amrelay_sink_new(struct amrelay_loop *loop,
                     const struct amrelay_sink_options *options,
                     struct amrelay_sink **out);

/**
 * Writes bytes as far as that is possible at once and queues a copy of the rest.
 *
 * Ownership: `buf` stays the caller's.
 *
 * NULL: `sink` NULL is refused, `buf` NULL only if `len` is not 0.
 *
 * Returns: 0; 1 if more than `high_water` is queued: push nothing more before `on_resume`; `AMRELAY_E_NULL`;
 * `AMRELAY_E_ARGUMENT` if `len` exceeds `PTRDIFF_MAX`; `AMRELAY_E_LIMIT` if more than `high_water` and 4 MiB together
 * would be queued (nothing is then); `AMRELAY_E_STATE` after `amrelay_sink_finish`; -errno if writing has failed, now
 * or before (-EPIPE: the reader has gone; -ENOMEM: no memory for the rest; `on_end` follows from the loop).
 */
int amrelay_sink_push(struct amrelay_sink *sink,
                      const void *buf,
                      size_t len);

/**
 * Reports that nothing more will be pushed: what is queued is written while the loop turns, then `on_end` is called.
 *
 * Ownership: nothing changes hands; the sink must still be freed. A taken descriptor is closed as soon as all is
 * written, before this returns if nothing is queued.
 *
 * NULL: `sink` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if called before; -errno if writing has failed.
 */
int amrelay_sink_finish(struct amrelay_sink *sink);

/**
 * Gets how much a sink has written, and what it waited for. May be called after the end, too.
 *
 * Ownership: `stats` stays the caller's and is written only on success.
 *
 * NULL: `sink` and `stats` NULL are refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `stats->size` is not known.
 */
int amrelay_sink_stats(const struct amrelay_sink *sink, struct amrelay_stats *stats);

/**
 * Frees a sink, and ends it at once if it has not ended: what is queued is lost, its functions are not called any
 * more.
 *
 * Ownership: `sink` is gone. A lent descriptor stays the caller's, a taken one is closed.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 */
void amrelay_sink_free(struct amrelay_sink *sink);

/**
 * Makes an index, for a stream from its beginning. It needs less than 2 MiB whatever the stream contains.
 *
 * Ownership: `*out` is the caller's, to be freed with `amrelay_index_free`; after a failure it is unchanged. `options`
 * is copied.
 *
 * NULL: `options` and `out` NULL are refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if the format is not one of `AMRELAY_FORMAT_`.
 */
int amrelay_index_new(const struct amrelay_index_options *options,
                      struct amrelay_index **out);

/**
 * Reads the next `len` bytes of the stream and gives the lines they complete to `fn`, before it returns.
 *
 * However the stream is split, the lines are the same. A damaged archive is not a failure here:
 * `amrelay_index_finish` reports it.
 *
 * `fn` may free the index; other calls for this index from `fn` fail.
 *
 * Ownership: `buf` stays the caller's and is not used after the call. `arg` is handed to `fn` unchanged.
 *
 * NULL: `index` and `fn` NULL are refused, `buf` NULL only if `len` is not 0; `arg` may be NULL.
 *
 * Returns: 0; `AMRELAY_E_NULL` for a pointer that must not be NULL; `AMRELAY_E_ARGUMENT` if `len` exceeds
 * `PTRDIFF_MAX`; `AMRELAY_E_STATE` after `amrelay_index_finish`, and for a call from `fn` or from a second thread while
 * a call is under way.
 */
int amrelay_index_push(struct amrelay_index *index,
                       const void *buf,
                       size_t len,
                       amrelay_index_line_fn fn,
                       void *arg);

/**
 * Returns how many of the next bytes need not be shown: the rest of a file's content, or `UINT64_MAX` once the
 * listing has ended. The caller may drop this many unread and report them with `amrelay_index_skip`.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `index` NULL gives 0.
 *
 * Returns: the number of bytes; 0 for NULL, after a defect, and while a call for this index is under way.
 */
uint64_t amrelay_index_skippable(const struct amrelay_index *index);

/**
 * Reports that the next `n` bytes of the stream passed without being shown.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `index` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `n` is more than `amrelay_index_skippable` tells;
 * `AMRELAY_E_STATE` as for `amrelay_index_push`.
 */
int amrelay_index_skip(struct amrelay_index *index,
                       uint64_t n);

/**
 * Reports that the stream has ended, and gets how. Called again it gives the same result.
 *
 * Ownership: `result` stays the caller's and is written only on success.
 *
 * NULL: `index` and `result` NULL are refused.
 *
 * Returns: 0, for a damaged archive or none too: see `result->code`; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if
 * `result->size` is not known; `AMRELAY_E_STATE` for a call from the line function.
 */
int amrelay_index_finish(struct amrelay_index *index,
                         struct amrelay_index_result *result);

/**
 * Says in words what was wrong with the archive, or how many lines are left out and why.
 *
 * Ownership: the text is the index's and lives until that is freed.
 *
 * NULL: `index` NULL gives "".
 *
 * Returns: one line without its end; "" before `amrelay_index_finish`, if the index is complete, and after a defect.
 */
const char *amrelay_index_message(const struct amrelay_index *index);

/**
 * Frees an index. Its line function may do this, too.
 *
 * Ownership: `index` and its message are gone.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 */
void amrelay_index_free(struct amrelay_index *index);

/**
 * Starts a tee in a thread of its own.
 *
 * Ownership: `*out` is the caller's, to be freed with `amrelay_tee_free`; after a failure it is unchanged. `options`
 * and the command are copied. Lent descriptors stay the caller's, who keeps them open until `amrelay_tee_wait` or
 * `amrelay_tee_free` returns; those that a flag names are the tee's, after a failure they are still the caller's.
 * `arg` must live as long as the tee's thread.
 *
 * NULL: `options` and `out` NULL are refused, `write` NULL only if `output_fd` is -1, `index_command` NULL only for
 * `AMRELAY_INDEX_COMMAND`.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE`; `AMRELAY_E_ARGUMENT` if options contradict each other, as
 * `amrelay_error` says: a flag or the index is unknown; a descriptor that is needed is negative, or 0 for the index;
 * there are two outputs; there is an `index_fd` or a command, but not that index; a descriptor that the tee is to take
 * is missing or named twice; two ends are the same pipe or file, so that the tee would read what it writes, or index
 * and data would be mixed; -EBADF if a descriptor is not open, or not for its use; -EAGAIN if there can be no further
 * thread; -EMFILE, -ENFILE if there can be no further descriptor.
 *
 * Threads: any thread. Do not change the environment at the same time; with an index command, not before
 * `index_started` either. The tee's thread takes no signals except those that its own faults would raise, and has a
 * stack of 2 MiB, on which the host's functions run, too.
 */
int amrelay_tee_start(const struct amrelay_tee_options *options,
                      struct amrelay_tee **out);

/**
 * Waits until a tee has ended, and gets its result. Called again it gives the same result.
 *
 * Ownership: `result` stays the caller's. It is also written if the tee failed.
 *
 * NULL: `tee` and `result` NULL are refused.
 *
 * Returns: 0 if all data went from the input to the output, whatever became of the index; -errno: what ended the data
 * (`result` is written, and says which side it was); `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `result->size` is not
 * known; `AMRELAY_E_STATE` in the tee's own thread, and while another thread waits.
 *
 * Threads: any but the tee's own.
 */
int amrelay_tee_wait(struct amrelay_tee *tee,
                     struct amrelay_tee_result *result);

/**
 * Ends a tee soon, whatever it waits for. If it has not passed all data on by then, it fails as if its output had
 * taken no more: `output_code` and `index_code` are -ECANCELED. If only the index was under way, only `index_code`
 * is. It must still be freed, and can be waited for. Nothing happens to a tee that has ended.
 *
 * A call of the host's `write` or `index_started` that is under way is not interrupted: the tee ends after it has
 * returned. An index command is killed; programs that it has started find their input closed.
 *
 * Ownership: nothing changes hands. What the tee owns is closed when it has ended.
 *
 * NULL: `tee` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`.
 */
int amrelay_tee_cancel(struct amrelay_tee *tee);

/**
 * Gives a descriptor that becomes readable when the tee has ended, for a poll(2) or an `AMRELAY_EVENT_READ` event:
 * `amrelay_tee_wait` then returns at once.
 *
 * Ownership: the descriptor is the tee's and lives until that is freed. It may be polled and nothing else: not read
 * from, not written to, not closed.
 *
 * NULL: `tee` NULL is refused.
 *
 * Returns: the descriptor, the same each time; `AMRELAY_E_NULL`.
 */
int amrelay_tee_ended_fd(const struct amrelay_tee *tee);

/**
 * Says in words what was wrong with the index.
 *
 * Ownership: the text is the tee's and lives until that is freed.
 *
 * NULL: `tee` NULL gives "".
 *
 * Returns: one line without its end; "" before `amrelay_tee_wait`, if nothing was wrong, and after a defect.
 */
const char *amrelay_tee_index_message(const struct amrelay_tee *tee);

/**
 * Frees a tee. It waits until the tee has ended, except in the tee's own thread: then the tee goes on to its end.
 * Call `amrelay_tee_cancel` before if that would take too long.
 *
 * Ownership: `tee` and its message are gone. Lent descriptors stay the caller's.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 */
void amrelay_tee_free(struct amrelay_tee *tee);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* AMRELAY_H */
