#include "wsc/buffer.h"

#include <assert.h>
#include <string.h>

/* The first block: small enough for an idle connection, large enough for a close frame
 * or a few short messages. */
#define FIRST_CAP 128

void wsc_buffer_init(struct wsc_buffer *buffer, const struct wsc_allocator *allocator,
                     size_t max)
{
    buffer->data = NULL;
    buffer->len = 0;
    buffer->cap = 0;
    buffer->max = max;
    buffer->allocator = allocator;
}

void wsc_buffer_fini(struct wsc_buffer *buffer)
{
    wsc_free(buffer->allocator, buffer->data);
    wsc_buffer_init(buffer, buffer->allocator, buffer->max);
}

/* 1.5 x the capacity, or `needed` if that is more, never past the maximum. No sum here
 * can wrap: needed <= max, and growth is only added where it stays below max. */
static size_t next_cap(const struct wsc_buffer *buffer, size_t needed)
{
    size_t cap = buffer->cap < FIRST_CAP ? FIRST_CAP : buffer->cap;
    if (cap == buffer->cap) {
        size_t growth = cap / 2;
        cap = growth <= buffer->max - cap ? cap + growth : buffer->max;
    }
    if (cap < needed) {
        cap = needed;
    }
    return cap < buffer->max ? cap : buffer->max;
}

enum wsc_status wsc_buffer_reserve(struct wsc_buffer *buffer, size_t extra)
{
    if (extra <= buffer->cap - buffer->len) {
        return WSC_OK;
    }
    if (extra > buffer->max - buffer->len) {
        return WSC_ERR_TOO_BIG;
    }
    size_t cap = next_cap(buffer, buffer->len + extra);
    uint8_t *data = wsc_realloc(buffer->allocator, buffer->data, cap);
    if (data == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    buffer->data = data;
    buffer->cap = cap;
    return WSC_OK;
}

enum wsc_status
wsc_buffer_append(struct wsc_buffer *buffer, const void *data, size_t len)
{
    if (len == 0) { /* memcpy must not see NULL, not even for nothing */
        return WSC_OK;
    }
    enum wsc_status status = wsc_buffer_reserve(buffer, len);
    if (status != WSC_OK) {
        return status;
    }
    memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    return WSC_OK;
}

enum wsc_status wsc_buffer_append_str(struct wsc_buffer *buffer, const char *text)
{
    return wsc_buffer_append(buffer, text, strlen(text));
}

void wsc_buffer_consume(struct wsc_buffer *buffer, size_t n)
{
    assert(n <= buffer->len);
    if (n == 0) {
        return;
    }
    buffer->len -= n;
    if (buffer->len > 0) {
        memmove(buffer->data, buffer->data + n, buffer->len);
    }
}

void wsc_buffer_clear(struct wsc_buffer *buffer, size_t keep_cap)
{
    buffer->len = 0;
    if (buffer->cap > keep_cap) {
        wsc_buffer_fini(buffer);
    }
}
