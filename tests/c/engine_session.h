/* What the engine's tests have in common: sockets of loopback, and sessions with system
 * calls that fail. Under Linux only, like the shim. */
#ifndef ENGINE_SESSION_H
#define ENGINE_SESSION_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>

#include "io_shim.h"

/* How many this process has open. */
size_t descriptors(void);
/* A socket that listens, and its address. */
int listen_on_loopback(struct sockaddr_in *address);
/* One that has connected to it, non-blocking. */
int connect_to(const struct sockaddr_in *address);

/* How a session under a fault went. */
struct faulted {
    bool complete; /* as without the fault */
    bool hung;
    bool reported; /* the fault's errno, by who was hit */
    size_t hits;
};
typedef struct faulted faulted_session(const struct io_fault *fault);

/* The fault at every index of a session, until one is not reached any more. `fatal`:
 * the session may end early and say so; otherwise all has to be as without it. */
void at_every_index(faulted_session *run, enum io_call call, int error, bool fatal);
/* CTL-8: whatever send() may say, at every index. */
void sends_fail_at_every_index(faulted_session *run);
/* CTL-8: sessions with nothing but one-byte reads or writes, or every other call void.
 */
void under_constant_faults(faulted_session *run);

#endif
