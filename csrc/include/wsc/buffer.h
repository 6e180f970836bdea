/* A growing byte buffer that always has a maximum.
 *
 * Storage is the caller's (`init`/`fini`); the bytes are owned by the buffer and come
 * from its allocator at the first append. Not thread-safe. */
#ifndef WSC_BUFFER_H
#define WSC_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is left of a limit: nothing when more was used than it allows, as when it was
 * lowered meanwhile. For every subtraction whose result can't be seen to be right where
 * it stands. */
static inline size_t wsc_left(size_t limit, size_t used)
{
    return used < limit ? limit - used : 0;
}

struct wsc_buffer {
    uint8_t *data;                         /* NULL until the first append */
    size_t len;                            /* bytes in use; never above cap */
    size_t cap;                            /* bytes allocated; never above max */
    size_t max;                            /* the same from wsc_buffer_init on */
    const struct wsc_allocator *allocator; /* borrowed for the buffer's life */
};

/* Start empty. `max` is the most bytes it will ever hold. Allocates nothing. */
WSC_API void wsc_buffer_init(struct wsc_buffer *buffer,
                             const struct wsc_allocator *allocator, size_t max);
/* Free the bytes and start empty again; the buffer may be used further. */
WSC_API void wsc_buffer_fini(struct wsc_buffer *buffer);
/* Make room for `extra` more bytes after `len`, growing by 1.5 x but never past `max`.
 * WSC_ERR_TOO_BIG or WSC_ERR_NO_MEMORY leave the buffer as it was. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_buffer_reserve(struct wsc_buffer *buffer, size_t extra);
/* Copy `len` bytes to the end; the same errors as wsc_buffer_reserve. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_buffer_append(struct wsc_buffer *buffer, const void *data, size_t len);
/* wsc_buffer_append of a NUL-terminated string, without the NUL. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_buffer_append_str(struct wsc_buffer *buffer, const char *text);
/* Drop the first `n` bytes (n <= len), moving the rest down. */
WSC_API void wsc_buffer_consume(struct wsc_buffer *buffer, size_t n);
/* len = 0; keeps the memory unless the capacity is above `keep_cap`. */
WSC_API void wsc_buffer_clear(struct wsc_buffer *buffer, size_t keep_cap);

#ifdef __cplusplus
}
#endif
#endif
