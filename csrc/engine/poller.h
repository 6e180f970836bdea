/* Readiness of sockets: epoll or kqueue behind one interface, level-triggered. */
#ifndef WSC_POLLER_H
#define WSC_POLLER_H

#include <stdbool.h>
#include <stddef.h>

#define WSC_POLLER_BATCH 256

struct wsc_ready {
    void *owner;
    bool readable; /* an error or the peer's end counts as readable too */
    bool writable;
};

/* The descriptor that stands for all; -1 with errno. */
int wsc_poller_new(void);
/* Watch `fd`, in place of what was watched before (`*was`, updated; all false: not at
 * all). 0, or -1 with errno. */
struct wsc_interest {
    bool read;
    bool write;
};
int wsc_poller_set(int poller, int fd, void *owner, struct wsc_interest *was,
                   struct wsc_interest now);
/* What is ready, at most WSC_POLLER_BATCH; waits `timeout_ms` at most. */
size_t wsc_poller_wait(int poller, int timeout_ms, struct wsc_ready *out);

#endif
