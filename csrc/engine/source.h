/* The insides of the engine, for its own files: what it watches and what that is for.
 */
#ifndef WSC_SOURCE_H
#define WSC_SOURCE_H

#include "wsc/engine.h"

#include "poller.h"

/* An acceptor or a link: what a poller's entry points to. */
struct wsc_source {
    struct wsc_engine *engine;
    struct wsc_source *previous;
    struct wsc_source *next;
    void *owner;
    int fd;
    struct wsc_interest interest;
    bool is_acceptor;
};

struct wsc_acceptor {
    struct wsc_source source; /* first: the two have one address */
};

struct wsc_link {
    struct wsc_source source;
    struct wsc_tls *tls;                   /* NULL without TLS */
    struct wsc_proxy_header *proxy_header; /* NULL once it was read, and without */
    size_t limit; /* bytes received at once into the engine's buffer */
    bool reading;
    bool notifies;    /* WSC_IO_READABLE, not WSC_IO_DATA */
    bool write_waits; /* WSC_NEED_SPACE was said, WSC_IO_WRITABLE was not */
    bool end_waits;   /* shut down once what is encrypted has left */
    bool plenty;      /* the last receiving filled a window: not ahead, then */
};

/* Received ahead, before the first of them is looked at: the sockets of as many
 * entries, as long as there is a window's room for another one. */
#define WSC_AHEAD_ENTRIES 32
#define WSC_AHEAD_SIZE    ((size_t)64 << 10)
#define WSC_AHEAD_WINDOW  ((size_t)16 << 10)

/* What wsc_engine_next has just given out, until its next call or its link's end: that
 * it doesn't block, and who the peer is, needn't be asked for then. */
struct wsc_accepted {
    int fd; /* -1: nothing */
    uint8_t peer[WSC_ADDRESS_SIZE];
    size_t peer_len;
};

struct wsc_engine {
    const struct wsc_allocator *allocator;
    int poller;
    int bell;
    bool rung; /* since the last wait */
    int spare; /* a descriptor to give up when there are no others; -1 if none */
    struct wsc_source *sources;
    uint8_t *buffer;
    size_t buffer_size;
    struct wsc_tls_shared *tls;     /* made when first needed */
    struct wsc_proxy_source source; /* of the event given out last */
    size_t ready_count;
    size_t ready_next;
    size_t accepts_left;
    struct wsc_accepted accepted;
    uint8_t *ahead;   /* WSC_AHEAD_SIZE bytes: what was received ahead */
    size_t ahead_end; /* up to this entry of `ready`, what there was */
    struct wsc_ready ready[WSC_POLLER_BATCH];
};

/* Fills the memory of a new one, which is not watched yet. */
void wsc_source_init(struct wsc_source *source, struct wsc_engine *engine, int fd,
                     void *owner, bool is_acceptor);
/* 0, or -1 with errno. */
int wsc_source_watch(struct wsc_source *source, bool read, bool write);
/* Forget it everywhere, in the events at hand too, and free it. */
void wsc_source_free(struct wsc_source *source);

/* --- acceptor.c --- */

/* -1 with errno. */
int wsc_acceptor_open_spare(void);
/* True with *out; false when there is nothing (more) to accept. */
bool wsc_acceptor_next(struct wsc_acceptor *acceptor, struct wsc_io *out);

/* --- link.c --- */

/* The next event of a link that is ready: true with *out. Takes from *ready what it has
 * looked at. */
bool wsc_link_next(struct wsc_link *link, struct wsc_ready *ready, struct wsc_io *out);
/* Receive what wsc_link_next will give out or decrypt, if that is nothing but bytes,
 * into `data`: as many of the `WSC_AHEAD_WINDOW` bytes have been used. */
size_t
wsc_link_receive_ahead(struct wsc_link *link, struct wsc_ready *ready, uint8_t *data);

#endif
