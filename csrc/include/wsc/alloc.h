/* The allocator argument. Every allocation of the core goes through one, so that an
 * embedder can account for memory and a test can fail the k-th allocation. */
#ifndef WSC_ALLOC_H
#define WSC_ALLOC_H

#include <stddef.h>

#include "wsc/api.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wsc_allocator {
    void *ctx; /* passed back as the first argument; may be NULL */
    /* Return `size` bytes (size > 0) aligned for any type, or NULL. */
    void *(*alloc)(void *ctx, size_t size);
    /* As C's realloc; `ptr` may be NULL, `size` > 0. On NULL, `ptr` stays valid. */
    void *(*realloc)(void *ctx, void *ptr, size_t size);
    /* `ptr` may be NULL. */
    void (*free)(void *ctx, void *ptr);
};

/* malloc, realloc, free. Static storage. */
WSC_API const struct wsc_allocator *wsc_allocator_default(void);

/* The three functions of `allocator`. */
WSC_API void *wsc_alloc(const struct wsc_allocator *allocator, size_t size);
WSC_API void *
wsc_realloc(const struct wsc_allocator *allocator, void *ptr, size_t size);
WSC_API void wsc_free(const struct wsc_allocator *allocator, void *ptr);
/* As wsc_alloc, zero-filled. */
WSC_API void *wsc_alloc_zeroed(const struct wsc_allocator *allocator, size_t size);

#ifdef __cplusplus
}
#endif
#endif
