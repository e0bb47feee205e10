/*
 * client-cpu FILE PROGRAM ARGUMENT0...: runs PROGRAM (with ARGUMENT0 as its name) and appends to FILE the processor
 * time, user and system, in seconds, of it and of everything it started.
 *
 * An inetd starts this in place of amandad. Amanda's processes outlive each other: sendbackup does not wait for its
 * index, amandad not always for sendbackup. As their "child sub-reaper" (PR_SET_CHILD_SUBREAPER, prctl(2)) this program
 * inherits all whose parent has ended, and so ends after the last of them. FILE is locked, shared, until its line is
 * written: who gets the lock alone knows that no client is running.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    int file;
    pid_t child;
    struct rusage usage;

    if (argc < 4) {
        fprintf(stderr, "usage: client-cpu FILE PROGRAM ARGUMENT0...\n");
        return EXIT_FAILURE;
    }
    /* The programs must not inherit the lock. */
    file = open(argv[1], O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0 || flock(file, LOCK_SH) != 0)
        fail(argv[1]);
    if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
        fail("prctl");

    child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        execv(argv[2], argv + 3);
        fail(argv[2]);
    }
    /* The connection is the child's: its peer waits for the end of it. */
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);

    while (wait(NULL) >= 0 || errno == EINTR)
        ;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        fail("getrusage");
    dprintf(file, "%.6f %.6f\n", seconds(usage.ru_utime), seconds(usage.ru_stime));
    return EXIT_SUCCESS;
}
