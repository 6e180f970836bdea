/* A kernel for the engine's target: sockets in memory, and the calls of libc by which
 * csrc/engine uses them. Nothing blocks, nothing depends on time, faults come when they
 * are asked for. It aborts at a call with a descriptor that is not open, and when a
 * socket is ready again and again for nobody. Descriptors that are not of here go to
 * the real kernel. Under Linux only. */
#ifndef FAKE_SOCKETS_H
#define FAKE_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

/* As many can be open at a time. */
#define FAKE_SOCKETS 64

enum fake_call {
    FAKE_ACCEPT,
    FAKE_RECV,
    FAKE_SEND,  /* sendmsg too */
    FAKE_WATCH, /* epoll_ctl, adding only */
    FAKE_WAIT,
    FAKE_CALLS,
};

/* Everything is closed, and there are no faults. */
void fake_reset(void);
/* Descriptors that are open: sockets, the set and its bell. */
size_t fake_open(void);

int fake_listen(void);
/* Both ends have the label; the other one waits to be accepted. -1: too many are open.
 */
int fake_connect(int acceptor, size_t label);
size_t fake_label(int fd);

/* The next call of that kind fails with `error`; if that is 0, it moves `most` bytes at
 * most, and a wait says that some watched socket is ready for all, which need not be.
 */
void fake_fault(enum fake_call call, int error, size_t most);
/* How many bytes a socket takes that its peer has not read. */
void fake_set_room(size_t room);
/* Which socket a wait looks at first, and how many it gives. */
void fake_set_order(size_t first, size_t most);
/* The network ends the connection of both ends. */
void fake_break(int fd, int error);

#endif
