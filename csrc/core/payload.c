#include "wsc/payload.h"

/* The context is the allocator itself; it is only ever read. */
union context {
    void *ctx;
    const struct wsc_allocator *allocator;
};

static const struct wsc_allocator *allocator_of(void *ctx)
{
    union context context = {.ctx = ctx};
    return context.allocator;
}

static uint8_t *plain_alloc(void *ctx, enum wsc_payload_kind kind, size_t *size)
{
    (void)kind;
    return wsc_alloc(allocator_of(ctx), *size);
}

static uint8_t *
plain_resize(void *ctx, enum wsc_payload_kind kind, uint8_t *payload, size_t *size)
{
    (void)kind;
    uint8_t *moved = wsc_realloc(allocator_of(ctx), payload, *size);
    if (moved == NULL) {
        wsc_free(allocator_of(ctx), payload);
    }
    return moved;
}

static void plain_free(void *ctx, enum wsc_payload_kind kind, uint8_t *payload)
{
    (void)kind;
    wsc_free(allocator_of(ctx), payload);
}

void wsc_payload_memory_init(struct wsc_payload_memory *memory,
                             const struct wsc_allocator *allocator)
{
    union context context = {.allocator = allocator};
    memory->ctx = context.ctx;
    memory->alloc = plain_alloc;
    memory->resize = plain_resize;
    memory->free = plain_free;
}
