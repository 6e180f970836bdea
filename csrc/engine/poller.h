/* Readiness of sockets: epoll or kqueue behind one interface, level-triggered. */
#ifndef WSC_POLLER_H
#define WSC_POLLER_H

#include "wsc/engine.h"

#include <sys/types.h>

/* Tests under Linux ask for kqueue, which they emulate. */
#ifndef WSC_POLLER_KQUEUE
#ifdef __linux__
#define WSC_POLLER_KQUEUE 0
#else
#define WSC_POLLER_KQUEUE WSC_HAVE_ENGINE
#endif
#endif

/* The most that one wait gives. */
#define WSC_POLLER_BATCH 256

struct wsc_ready {
    void *owner;
    bool readable; /* the peer's end counts as readable too, and an error as readable
                      unless it shows as writable */
    bool writable;
    /* For engine.c; a poller leaves NULL. What was received ahead: `got` as recv()
     * says, but -errno. */
    const uint8_t *ahead;
    ssize_t got;
};

struct wsc_interest {
    bool read;
    bool write;
};

/* The descriptor that stands for all; -1 with errno. */
int wsc_poller_new(void);
/* Watch `fd`, in place of what was watched before (`*was`, updated; all false: not at
 * all). 0, or -1 with errno, `*was` being what is watched then. */
int wsc_poller_set(int poller, int fd, void *owner, struct wsc_interest *was,
                   struct wsc_interest now);
/* What is ready, at most WSC_POLLER_BATCH, each owner once; waits `timeout_ms` at most.
 */
size_t wsc_poller_wait(int poller, int timeout_ms, struct wsc_ready *out);
/* A bell: wsc_poller_ring makes the poller's descriptor readable until the next wait,
 * though no socket may be ready. It is never given out. 0 with *out_bell, a descriptor
 * to be closed or -1; -1 with errno. */
int wsc_poller_add_bell(int poller, int *out_bell);
void wsc_poller_ring(int poller, int bell);
/* In a child after fork(): let go of what is the parent's. */
void wsc_poller_forget(int poller);

#endif
