/* permessage-deflate, RFC 7692: the compressed form of one connection's messages.
 *
 * A wsc_deflate is one connection's agreed extension, both directions. zlib's contexts
 * (39 KB and 7-39 KB) are made at the first compressed message of their direction. They
 * come from the pool, if there is one: in a direction without context takeover for the
 * time of a single message, else until the pool's other users need the memory. Of a
 * direction that lost its context the end of what it has seen is kept: 1 KiB of
 * outgoing messages, all of the window of incoming ones.
 *
 * Not thread-safe: a pool and all that use it belong to one thread at a time. */
#ifndef WSC_DEFLATE_H
#define WSC_DEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/buffer.h"
#include "wsc/extension.h"
#include "wsc/frame.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* WSC_OK if the zlib that is loaded can be trusted with hostile input (>= 1.2.13, or a
 * compatible one that says so), else WSC_ERR_INVALID_STATE. */
WSC_API WSC_NODISCARD enum wsc_status wsc_deflate_check_zlib(void);
/* Of the zlib that is loaded. Static storage. */
WSC_API const char *wsc_deflate_zlib_version(void);

/* zlib contexts that connections share. `max_idle` is how many are kept that belong to
 * nobody, for reuse, keyed by their parameters. `max_resting` is how many bytes, by
 * zlib's accounting, connections with context takeover hold together between their
 * messages; beyond it some give up theirs (0: all, after each message): the one that
 * was used least recently, or that has come last when the others are busy. What is kept
 * of them is not counted. */
struct wsc_deflate_pool;
WSC_API WSC_NODISCARD enum wsc_status
wsc_deflate_pool_new(const struct wsc_allocator *allocator, size_t max_idle,
                     size_t max_resting, struct wsc_deflate_pool **out_pool);
/* Outlives every wsc_deflate that uses it. `pool` may be NULL. */
WSC_API void wsc_deflate_pool_free(struct wsc_deflate_pool *pool);

struct wsc_deflate;
/* `settings` and `params` are copied; `allocator` and `pool` (may be NULL) borrowed.
 * Makes no zlib context. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_deflate_new(const struct wsc_allocator *allocator, struct wsc_deflate_pool *pool,
                enum wsc_role role, const struct wsc_deflate_settings *settings,
                const struct wsc_deflate_params *params,
                struct wsc_deflate **out_deflate);
/* Gives contexts back to the pool or frees them. `deflate` may be NULL. */
WSC_API void wsc_deflate_free(struct wsc_deflate *deflate);

/* Bytes of the messages that went compressed, so far: counted by the owner. */
struct wsc_deflate_traffic {
    uint64_t received; /* payload, as it came */
    uint64_t inflated; /* what became of it */
    uint64_t sent;     /* payload, as it went */
    uint64_t deflated; /* what it was before */
};
WSC_API struct wsc_deflate_traffic *wsc_deflate_traffic(struct wsc_deflate *deflate);

/* Would a message of `len` bytes be sent compressed? False below the threshold, and
 * always when the agreed window is 8 bits for this end (no zlib compresses with it). */
WSC_API bool wsc_deflate_wants(const struct wsc_deflate *deflate, size_t len);

/* Compress the next fragment of an outgoing message and append the payload of its frame
 * to `out` (RFC 7692 §7.2.1: the last one without 00 00 ff ff). An empty message is one
 * byte, 00. The input is not kept. After an error other than WSC_ERR_TOO_BIG or
 * WSC_ERR_NO_MEMORY of the very first call, the connection has to be failed: the peer's
 * window can no longer be known. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_deflate_compress(struct wsc_deflate *deflate, const uint8_t *data, size_t len,
                     bool fin, struct wsc_buffer *out);

/* Between messages: the next one makes no reference to those before. For a message of
 * other origin, which wsc_deflate_compress has not seen but the peer's window gets. */
WSC_API void wsc_deflate_restart(struct wsc_deflate *deflate);

/* Decompress a piece of an incoming message: any part of any of its frames, already
 * unmasked. *out_used bytes of input were used and *out_len bytes written to `out`.
 * WSC_OK: all input used, everything it stands for is written.
 * WSC_NEED_SPACE: `out` is full; call again with the rest of the input, even if none is
 * left, and more room.
 * WSC_ERR_PROTOCOL: not a deflate stream. WSC_ERR_NO_MEMORY. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_deflate_decompress(struct wsc_deflate *deflate, const uint8_t *data, size_t len,
                       size_t *out_used, uint8_t *out, size_t cap, size_t *out_len);
/* The message ends here (§7.2.2: as if 00 00 ff ff had come): may write more, the same
 * returns; call again after WSC_NEED_SPACE. WSC_ERR_PROTOCOL when the data did not end
 * at a block boundary. Afterwards nothing of the message is referred to. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_deflate_decompress_end(struct wsc_deflate *deflate, uint8_t *out, size_t cap,
                           size_t *out_len);

/* The connection has been idle: give back what can be had again. The compressor is
 * freed (a fresh one is legal at a message boundary); of the decompressor only the last
 * window is kept. Never in the middle of a message (then does nothing). */
WSC_API void wsc_deflate_release_idle(struct wsc_deflate *deflate);
/* Bytes of memory held now, by zlib's accounting. */
WSC_API size_t wsc_deflate_memory(const struct wsc_deflate *deflate);
/* Bytes that connections hold in the pool's name between messages: <= max_resting, but
 * for windows that there was no memory to save in. */
WSC_API size_t wsc_deflate_pool_resting(const struct wsc_deflate_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
