#include "wsc/alloc.h"

#include <stdlib.h>
#include <string.h>

static void *default_alloc(void *ctx, size_t size)
{
    (void)ctx;
    return malloc(size);
}

static void *default_realloc(void *ctx, void *ptr, size_t size)
{
    (void)ctx;
    return realloc(ptr, size);
}

static void default_free(void *ctx, void *ptr)
{
    (void)ctx;
    free(ptr);
}

const struct wsc_allocator *wsc_allocator_default(void)
{
    static const struct wsc_allocator allocator = {
        .ctx = NULL,
        .alloc = default_alloc,
        .realloc = default_realloc,
        .free = default_free,
    };
    return &allocator;
}

void *wsc_alloc(const struct wsc_allocator *allocator, size_t size)
{
    return allocator->alloc(allocator->ctx, size);
}

void *wsc_alloc_zeroed(const struct wsc_allocator *allocator, size_t size)
{
    void *ptr = wsc_alloc(allocator, size);
    if (ptr != NULL) {
        memset(ptr, 0, size);
    }
    return ptr;
}

void *wsc_realloc(const struct wsc_allocator *allocator, void *ptr, size_t size)
{
    return allocator->realloc(allocator->ctx, ptr, size);
}

void wsc_free(const struct wsc_allocator *allocator, void *ptr)
{
    allocator->free(allocator->ctx, ptr);
}
