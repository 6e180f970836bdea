/* What the two directions of a wsc_deflate share. Internal to deflate*.c. */
#ifndef WSC_DEFLATE_PRIVATE_H
#define WSC_DEFLATE_PRIVATE_H

#include "deflate_context.h"

/* RFC 7692 §7.2.1: left out at the end of every message. */
#define WSC_DEFLATE_TAIL     "\x00\x00\xFF\xFF"
#define WSC_DEFLATE_TAIL_LEN 4

/* How far the message that is coming in has got. */
enum wsc_deflate_incoming {
    WSC_DEFLATE_INCOMING_NONE, /* between messages */
    WSC_DEFLATE_INCOMING_DATA,
    WSC_DEFLATE_INCOMING_TAIL, /* wsc_deflate_decompress_end has begun */
};

struct wsc_deflate {
    const struct wsc_allocator *allocator;
    struct wsc_deflate_pool *pool;
    struct wsc_deflate_params params;
    enum wsc_role role;
    int level;
    int mem_level;
    size_t threshold;
    struct wsc_deflate_traffic traffic;

    struct wsc_deflate_context *deflater; /* NULL: make one, with `history` */
    uint8_t *history; /* the end of what the deflater had seen that was given up */
    size_t history_len;
    bool deflate_in_message; /* a fragment went out, the last one did not */

    struct wsc_deflate_context *inflater; /* NULL: make one, with `window` */
    uint8_t *window; /* of the inflater that was freed; exactly window_len bytes */
    size_t window_len;
    enum wsc_status inflate_error; /* sticky */
    enum wsc_deflate_incoming incoming;
    uint8_t tail_used; /* bytes of WSC_DEFLATE_TAIL given to zlib */
    bool at_boundary;  /* the inflater is between blocks and has no bit of the next */
    bool drained;      /* it had room to spare when it stopped */
    bool has_spare;
    uint8_t spare; /* output for which there was no room */
};

/* --- deflate_hold.c --- */

/* A context that keeps nothing: from the pool, if there is one. */
WSC_NODISCARD enum wsc_status
wsc_deflate_acquire(struct wsc_deflate *deflate, const struct wsc_deflate_key *key,
                    struct wsc_deflate_context **out_context);
/* Back to the pool, if there is one. */
void wsc_deflate_release(struct wsc_deflate *deflate,
                         struct wsc_deflate_context **context);
/* The memory is to go: after errors, and of connections that are idle. */
void wsc_deflate_drop(struct wsc_deflate_context **context);
/* A message begins that needs the context, which may be NULL: nobody takes it away. */
void wsc_deflate_wake(struct wsc_deflate_context *context);
/* The end of a message in a direction without takeover. */
void wsc_deflate_forget_message(struct wsc_deflate *deflate,
                                struct wsc_deflate_context **context);
void wsc_deflate_window_free(struct wsc_deflate *deflate);
void wsc_deflate_history_free(struct wsc_deflate *deflate);
/* Does the peer's next message refer to its last one? */
bool wsc_deflate_peer_takeover(const struct wsc_deflate *deflate);

/* --- deflate_rest.c --- */

/* The end of a message in a direction with takeover: `context`, one of those of
 * `deflate` or NULL, and others with it, may be taken away. */
void wsc_deflate_rest(struct wsc_deflate *deflate, struct wsc_deflate_context *context);

#endif
