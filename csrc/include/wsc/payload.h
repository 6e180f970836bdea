/* Where the payload of incoming messages is written: the embedder's memory.
 *
 * A message is unmasked (or inflated) from the receive buffer straight into the object
 * that will be handed to the application, so that no byte is copied twice. These three
 * functions make that object. They are called by the assembler, never for size 0, and
 * must not call back into the connection. */
#ifndef WSC_PAYLOAD_H
#define WSC_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wsc_payload_kind {
    WSC_PAYLOAD_TEXT, /* the embedder may guess that it is ASCII */
    WSC_PAYLOAD_BINARY,
};

struct wsc_payload_memory {
    void *ctx;
    /* `size` bytes at least; what there is more may be told in *size, to be used. */
    uint8_t *(*alloc)(void *ctx, enum wsc_payload_kind kind, size_t *size);
    /* Grow, as above, or shrink to just *size, moving if need be. Unlike realloc, on
     * NULL `payload` is freed. */
    uint8_t *(*resize)(void *ctx, enum wsc_payload_kind kind, uint8_t *payload,
                       size_t *size);
    void (*free)(void *ctx, enum wsc_payload_kind kind, uint8_t *payload);
};

/* malloc, realloc, free: a payload is given back with free(). Static storage. */
WSC_API const struct wsc_payload_memory *wsc_payload_memory_default(void);
/* Plain memory from an allocator (borrowed while *memory is in use). */
WSC_API void wsc_payload_memory_init(struct wsc_payload_memory *memory,
                                     const struct wsc_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
