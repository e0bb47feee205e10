/*
 * libamrelay: the data path of an Amanda backup client.
 *
 * Results: functions that can fail return 0 or a documented positive number on success, a negative
 * number on failure: -errno or one of AMRELAY_E_. amrelay_strerror gives the text of a number,
 * amrelay_error what went wrong last in this thread. Outputs are written only on success.
 *
 * Structs: set the size field to sizeof the struct, and every field that is not used to zero.
 * All sizes and lengths are in bytes.
 *
 * Handles: made by a _new or _start function, ended by the matching _free function, which takes
 * NULL as well. A handle that is freed must not be used again. Unless its comment says otherwise a
 * handle belongs to the thread that made it: another thread's calls get AMRELAY_E_THREAD, and its
 * _free does nothing. AMRELAY_E_PANIC reports a defect of the library: the handle of that call can
 * only be freed, everything else goes on.
 *
 * Descriptors are lent: they stay the caller's, who keeps them open until the handle has ended or
 * is freed. Where a flag says TAKE the library closes the descriptor, unless the function that got
 * it failed: then it is still the caller's. Descriptors of the library's own are close-on-exec.
 *
 * Callbacks run in a call of the thread's that the handle belongs to, or where their comment says
 * so in a thread of the library's. They may call every function for every handle, and free every
 * handle, that in whose callback they are included. They must return: no longjmp(3), no C++
 * exception. Buffers they are given are valid until they return.
 *
 * Processes: after a fork(2) the child may only exec(3) or _exit(2): it shares the loop's epoll
 * instance with its parent. The library changes no signal disposition; it blocks SIGPIPE in threads
 * of its own, and where it writes in a thread of the host's a SIGPIPE that the write caused is taken
 * away again. It never prints, and it starts a program only where the options name a command.
 */

#ifndef AMRELAY_H
#define AMRELAY_H

/* Made from src/ffi by `make header`; changes belong there. */

#include <stddef.h>
#include <stdint.h>

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
 * The call does not fit the state of the handle: it has ended, is in use further up the stack, or the event is unknown.
 */
#define AMRELAY_E_STATE -7004

/**
 * The bytes do not fit into a frame or a queue.
 */
#define AMRELAY_E_LIMIT -7005

/**
 * A defect of the library was met. The call did not do its work, and the handle is unusable from now on.
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
 * Level of a log line: a defect of the library.
 */
#define AMRELAY_LOG_ERROR 1

/**
 * Level of a log line: something went wrong and work goes on without it.
 */
#define AMRELAY_LOG_WARNING 2

/**
 * Level of a log line: a step of the work.
 */
#define AMRELAY_LOG_INFO 3

/**
 * Level of a log line: details, calls that failed among them.
 */
#define AMRELAY_LOG_DEBUG 4

/**
 * Kind of an event: its id is a descriptor; it fires when there is something to read, end of file, hang-up or an error.
 */
#define AMRELAY_EVENT_READ 0

/**
 * Kind of an event: its id is a descriptor; it fires when there is room to write, on hang-up and on an error.
 */
#define AMRELAY_EVENT_WRITE 1

/**
 * Kind of an event: its id is a number of seconds; it fires when they have passed, and again and again.
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
 * Method of a stage: the bytes stayed in the kernel, moved by splice(2).
 */
#define AMRELAY_METHOD_SPLICE 1

/**
 * State of an index: nothing was wrong with the archive.
 */
#define AMRELAY_INDEX_COMPLETE 0

/**
 * State of an index: the archive is damaged or cut off; the lines are what could be read.
 */
#define AMRELAY_INDEX_DAMAGED 1

/**
 * The index of one tar stream: what `LC_ALL=C tar -tf - | sed -e 's/^\.//'` prints for it.
 */
typedef struct amrelay_index amrelay_index;

/**
 * An event loop.
 *
 * In a turn, events on descriptors fire first, then timers, each in the order of their activation. Callbacks may
 * create and release events, their own included, and turn the loop themselves.
 */
typedef struct amrelay_loop amrelay_loop;

/**
 * Takes a log line of the library: one line without its end, valid during the call only.
 *
 * It is called in whichever thread has something to tell, the library's own included, and must not call the library
 * except for `amrelay_version` and `amrelay_strerror`.
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
     * Bytes of the stream before the first fault; 0 if there was none.
     */
    uint64_t offset;
    /**
     * `AMRELAY_INDEX_COMPLETE` or `AMRELAY_INDEX_DAMAGED`.
     */
    int32_t state;
    /**
     * 1 if the archive's end mark was seen; 0 if the stream ended before it.
     */
    uint32_t end_mark;
} amrelay_index_result;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Tells the version of the library that is running, which may be newer than the header a program was built with.
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
 * Ownership: the text is the library's. That of an `AMRELAY_E_` code lives as long as the library is loaded, any
 * other until the calling thread calls this function again.
 *
 * NULL: takes no pointer and never returns NULL.
 *
 * Returns: for an `AMRELAY_E_` code and for 0 a text of the library's, for any other negative code what the system
 * says of that errno, for a positive number "not an error code".
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
 * Threads: any thread, but not from `fn`; other threads may call the function before for a short while.
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
 * Returns: 0; `AMRELAY_E_NULL`; -EMFILE, -ENFILE and -ENOMEM from the system; `AMRELAY_E_PANIC`.
 *
 * Threads: any thread; the loop, its links and its sinks belong to it from then on.
 */
int amrelay_loop_new(struct amrelay_loop **out);

/**
 * Frees a loop. Its events are released, and an `amrelay_loop_run` further up the stack returns.
 *
 * Ownership: `loop` and its events are gone. Links, streams and sinks on it stay the caller's, who still has to free
 * them; nothing moves in them once no call turns the loop any more.
 *
 * NULL: does nothing.
 *
 * Returns: nothing; from another thread it does nothing (see `amrelay_error`).
 *
 * Threads: the loop's thread, in callbacks too.
 */
void amrelay_loop_free(struct amrelay_loop *loop);

/**
 * Makes an event. It does not fire before `amrelay_event_activate`.
 *
 * Ownership: `*out` names an event of the loop's, which lives until `amrelay_event_release`; after a failure it is
 * unchanged. `arg` is handed to `fn` unchanged. A descriptor stays the caller's; it may be closed before the event is
 * released.
 *
 * NULL: `loop` and `out` NULL are refused; `fn` NULL makes an event without a callback; `arg` may be NULL.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `kind` is not one of `AMRELAY_EVENT_`, a descriptor or a number
 * of seconds is negative, or a descriptor is more than `INT_MAX`; `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`,
 * `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too.
 */
int amrelay_event_create(struct amrelay_loop *loop,
                         uint32_t kind,
                         int64_t id,
                         amrelay_event_fn fn,
                         void *arg,
                         amrelay_event *out);

/**
 * Lets an event fire from now on. One that may already stays as it is.
 *
 * A descriptor is watched as the file it names at this moment: after closing it and opening another file under the
 * same number, release the event and make a new one.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; -EBADF if the event's descriptor is
 * not open; -ENOMEM and -ENOSPC from the system; `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too.
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
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; `AMRELAY_E_THREAD`,
 * `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too, the event's own included.
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
 * Returns: how many events fired, 0 if none; `AMRELAY_E_NULL`; `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`,
 * `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too.
 */
int amrelay_event_wakeup(struct amrelay_loop *loop,
                         int64_t id);

/**
 * Turns the loop until an event has fired (an `AMRELAY_EVENT_WAIT` event: until it is released). It also returns when
 * the event is released, and when no event but those of `AMRELAY_EVENT_WAIT` is active.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_STATE` if the loop has no such event; -EMFILE, -ENOMEM and -ENOSPC from the
 * system, after which it may be called again; `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too: events whose callback is running do not fire in it.
 */
int amrelay_event_wait(struct amrelay_loop *loop,
                       amrelay_event event);

/**
 * Turns the loop until no event but those of `AMRELAY_EVENT_WAIT` is active.
 *
 * With `nonblock` other than 0: makes one turn at most, and does not wait for anything.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; -EMFILE, -ENOMEM and -ENOSPC from the system, after which it may be called again;
 * `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too: events whose callback is running do not fire in it.
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
 * Returns: 0; `AMRELAY_E_NULL`; -EMFILE, -ENOMEM and -ENOSPC from the system, after which it may be called again;
 * `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, in callbacks too.
 */
int amrelay_loop_run(struct amrelay_loop *loop);

/**
 * Lets every `amrelay_loop_run` on the stack return at the end of its turn. Does nothing if there is none.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `loop` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_THREAD`, `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: the loop's thread, meant for callbacks.
 */
int amrelay_loop_quit(struct amrelay_loop *loop);

/**
 * Makes an index that is at the beginning of a tar stream. It needs less than 2 MiB whatever the stream holds.
 *
 * Ownership: `*out` is the caller's, to be freed with `amrelay_index_free`; after a failure it is unchanged.
 *
 * NULL: `out` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL` for `out` NULL.
 *
 * Threads: any thread; the index may go from thread to thread, but only one may use it at a time.
 */
int amrelay_index_new(struct amrelay_index **out);

/**
 * Reads the next `len` bytes of the stream and gives the lines they complete to `fn`, before it returns.
 *
 * However the stream is split, the lines are the same. A damaged archive is no failure: `amrelay_index_finish` tells.
 *
 * Ownership: `buf` stays the caller's and is not used after the call. `arg` is handed to `fn` unchanged.
 *
 * NULL: `index` and `fn` NULL are refused, `buf` NULL only if `len` is not 0; `arg` may be NULL.
 *
 * Returns: 0; `AMRELAY_E_NULL` for a pointer that must not be NULL; `AMRELAY_E_ARGUMENT` if `len` exceeds
 * `PTRDIFF_MAX`; `AMRELAY_E_STATE` after `amrelay_index_finish`, and for a call from `fn` or from a second thread
 * while a call is under way; `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: one thread at a time. `fn` may free the index; other calls for this index from `fn` fail.
 */
int amrelay_index_push(struct amrelay_index *index,
                       const void *buf,
                       size_t len,
                       amrelay_index_line_fn fn,
                       void *arg);

/**
 * Tells how many of the bytes that come next need not be shown: the rest of a file's content, or `UINT64_MAX` once
 * the listing has ended. The caller may drop so many unread and say so with `amrelay_index_skip`.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `index` NULL gives 0.
 *
 * Returns: the number of bytes; 0 for NULL, after a panic, and while a call for this index is under way.
 *
 * Threads: one thread at a time.
 */
uint64_t amrelay_index_skippable(const struct amrelay_index *index);

/**
 * Says that the next `n` bytes of the stream passed without being shown.
 *
 * Ownership: nothing changes hands.
 *
 * NULL: `index` NULL is refused.
 *
 * Returns: 0; `AMRELAY_E_NULL`; `AMRELAY_E_ARGUMENT` if `n` is more than `amrelay_index_skippable` tells;
 * `AMRELAY_E_STATE` as for `amrelay_index_push`; `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: one thread at a time.
 */
int amrelay_index_skip(struct amrelay_index *index,
                       uint64_t n);

/**
 * Says that the stream has ended, and tells how. Called again it gives the same answer.
 *
 * Ownership: `result` stays the caller's and is written only on success.
 *
 * NULL: `index` and `result` NULL are refused.
 *
 * Returns: 0, for a damaged archive too: see `result->state`; `AMRELAY_E_NULL`; `AMRELAY_E_SIZE` if `result->size`
 * is not known; `AMRELAY_E_STATE` for a call from the line function; `AMRELAY_E_PANIC`, `AMRELAY_E_POISONED`.
 *
 * Threads: one thread at a time.
 */
int amrelay_index_finish(struct amrelay_index *index,
                         struct amrelay_index_result *result);

/**
 * Tells in words what was wrong with the archive.
 *
 * Ownership: the text is the index's and lives until that is freed.
 *
 * NULL: `index` NULL gives "".
 *
 * Returns: one line without its end; "" before `amrelay_index_finish`, if nothing was wrong, and after a panic.
 *
 * Threads: one thread at a time.
 */
const char *amrelay_index_message(const struct amrelay_index *index);

/**
 * Frees an index.
 *
 * Ownership: `index` and its message are gone.
 *
 * NULL: does nothing.
 *
 * Returns: nothing.
 *
 * Threads: the thread that uses it; the line function may do it.
 */
void amrelay_index_free(struct amrelay_index *index);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* AMRELAY_H */
