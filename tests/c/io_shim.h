/* Faults of the kernel: this file's accept4, recv, send, sendmsg, epoll_ctl and
 * epoll_wait take the place of libc's in a test program, and make the system calls
 * themselves, but for those that are to fail. */
#ifndef IO_SHIM_H
#define IO_SHIM_H

#include <stdbool.h>
#include <stddef.h>

enum io_call {
    IO_ACCEPT,
    IO_RECV,
    IO_SEND,  /* sendmsg too */
    IO_WATCH, /* epoll_ctl, adding only: the rest fails by misuse only */
    IO_WAIT,
    IO_CALLS,
};

/* Instead of an errno: the call moves one byte. */
#define IO_ONE_BYTE (-1)

struct io_fault {
    enum io_call call;
    size_t at;    /* the first call that is hit, from 1; 0: none */
    size_t every; /* then each `every`-th one; 0: only that */
    int error;    /* errno, or IO_ONE_BYTE */
};

/* Set the fault (NULL: none) and all counters to 0. */
void io_shim_set(const struct io_fault *fault);
size_t io_shim_calls(enum io_call call);
/* How often the fault was given. */
size_t io_shim_hits(void);

#endif
