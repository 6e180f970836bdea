/* One message for many connections: framed once, and compressed once for each set of
 * parameters that the connections have agreed on.
 *
 * A server's frames are not masked (RFC 6455 §5.1), so the same bytes are right for all
 * its connections. Compressed, the message makes no reference to what was sent before
 * it, which is legal on every connection (RFC 7692 §7.2.3.2).
 *
 * The message is the caller's storage, used by one thread. Its frames are counted
 * memory that connections hold on to until they are sent. */
#ifndef WSC_SHARED_H
#define WSC_SHARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/deflate.h"
#include "wsc/frame.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where frames are written: the embedder's counted memory. `hold` and `release` may be
 * called by any thread, and must not call back into a connection. */
struct wsc_shared_memory {
    void *ctx;
    /* `size` bytes (size > 0), held once; NULL without memory. *out_owner is what the
     * two functions below take. */
    uint8_t *(*alloc)(void *ctx, size_t size, void **out_owner);
    void (*hold)(void *owner);
    void (*release)(void *owner); /* the last one frees */
};

/* Plain memory with an atomic count, from an allocator that is borrowed until the last
 * frame is gone. */
WSC_API void wsc_shared_memory_init(struct wsc_shared_memory *memory,
                                    const struct wsc_allocator *allocator);

/* What the bytes of a compressed message depend on. */
struct wsc_shared_key {
    bool compressed; /* false: the others are 0 */
    uint8_t window_bits;
    int level;
    int mem_level;
};

struct wsc_shared_frame {
    const uint8_t *data; /* header and payload */
    size_t len;
    size_t payload_len;
    void *owner;
    struct wsc_shared_key key;
};

/* More sets of parameters than this are not kept: the other connections make their own
 * frames. One without compression and the windows of 9 to 15 bits. */
#define WSC_SHARED_FRAMES_MAX 8

struct wsc_shared_message {
    enum wsc_opcode opcode;
    const uint8_t *data;
    size_t len;

    /* Private. */
    const struct wsc_allocator *allocator;
    const struct wsc_shared_memory *memory;
    struct wsc_deflate_pool *pool;
    size_t count;
    struct wsc_shared_frame frames[WSC_SHARED_FRAMES_MAX];
};

/* A whole message: `opcode` is TEXT (the caller passes UTF-8) or BINARY. All pointers
 * are borrowed until wsc_shared_message_fini; `pool` may be NULL. Allocates nothing. */
WSC_API void wsc_shared_message_init(struct wsc_shared_message *message,
                                     const struct wsc_allocator *allocator,
                                     const struct wsc_shared_memory *memory,
                                     struct wsc_deflate_pool *pool,
                                     enum wsc_opcode opcode, const uint8_t *data,
                                     size_t len);
/* Let go of the frames; connections may still hold them. */
WSC_API void wsc_shared_message_fini(struct wsc_shared_message *message);

/* The frame for such connections, made when first asked for; borrowed until
 * wsc_shared_message_fini. WSC_ERR_TOO_BIG: there are WSC_SHARED_FRAMES_MAX others, or
 * the message has no frame that fits in memory. WSC_ERR_NO_MEMORY. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_shared_message_frame(struct wsc_shared_message *message,
                         const struct wsc_shared_key *key,
                         const struct wsc_shared_frame **out_frame);

#ifdef __cplusplus
}
#endif
#endif
