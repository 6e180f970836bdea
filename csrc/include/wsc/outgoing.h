/* Bytes waiting to be sent: small frames side by side in one buffer, large payloads by
 * reference to where they are. */
#ifndef WSC_OUTGOING_H
#define WSC_OUTGOING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/buffer.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Somebody's memory that is to be sent from where it is. */
struct wsc_reference {
    const uint8_t *data;
    size_t len;
    void *ctx;                  /* for example the object that owns the memory */
    void (*release)(void *ctx); /* called once, when the last byte was consumed or the
                                   queue is freed; must not call back into the queue */
};

/* The next piece to send. */
struct wsc_outgoing_piece {
    const uint8_t *data;
    size_t len;
    void *ctx; /* of the reference, when the piece is a whole one; else NULL */
};

struct wsc_outgoing_segment;

/* Written by the functions below alone: everybody else reads, and sends by them. */
struct wsc_outgoing {
    struct wsc_buffer bytes; /* of all copied frames that wait */
    size_t size;             /* bytes waiting in all */
    uint64_t consumed;       /* bytes sent so far */

    /* Private. A reference that is all that waits is `alone` (data NULL: there is
     * none). With no others waiting, there are no segments either. */
    struct wsc_reference alone;
    size_t alone_left;
    struct wsc_outgoing_segment *segments;
    size_t segment_first;
    size_t segment_end;
    size_t segment_cap;
    size_t bytes_start; /* of `bytes`, already consumed */
};

/* Start empty. `allocator` is borrowed for life. Allocates nothing. */
WSC_API void
wsc_outgoing_init(struct wsc_outgoing *outgoing, const struct wsc_allocator *allocator);
/* Free and release what waits. */
WSC_API void wsc_outgoing_fini(struct wsc_outgoing *outgoing);
/* Room for `len` bytes at the end, to be written by the caller before the next call.
 * Not counted until wsc_outgoing_commit, which takes the first `len` bytes of it. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_outgoing_reserve(struct wsc_outgoing *outgoing, size_t len, uint8_t **out_data);
WSC_API void wsc_outgoing_commit(struct wsc_outgoing *outgoing, size_t len);
/* Queue `header` (copied) and then the referenced memory. On error nothing is queued
 * and the reference stays the caller's; on WSC_OK it is transferred. Without a header,
 * and with nothing waiting, it costs no memory. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_outgoing_append_reference(struct wsc_outgoing *outgoing, const uint8_t *header,
                              size_t header_len, const struct wsc_reference *reference);
/* The first pieces in order, at most `max`; borrowed until the queue changes. */
WSC_API size_t wsc_outgoing_peek(const struct wsc_outgoing *outgoing,
                                 struct wsc_outgoing_piece *out_pieces, size_t max);
/* `len` bytes (<= size) were sent. Memory above a small capacity is given back when
 * nothing waits any more. */
WSC_API void wsc_outgoing_consume(struct wsc_outgoing *outgoing, size_t len);
/* Do the lengths agree with each other: is what is counted there, and nothing else? The
 * functions above assert it. Takes as long as there are references. */
WSC_API bool wsc_outgoing_check(const struct wsc_outgoing *outgoing);

#ifdef __cplusplus
}
#endif
#endif
