#include "wsc/payload.h"

/* The context is the allocator itself, NULL the default one; it is only ever read. */
union context {
    void *ctx;
    const struct wsc_allocator *allocator;
};

static const struct wsc_allocator *allocator_of(void *ctx)
{
    union context context = {.ctx = ctx};
    return ctx != NULL ? context.allocator : wsc_allocator_default();
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

static const struct wsc_payload_memory plain = {
    .ctx = NULL,
    .alloc = plain_alloc,
    .resize = plain_resize,
    .free = plain_free,
};

const struct wsc_payload_memory *wsc_payload_memory_default(void)
{
    return &plain;
}

void wsc_payload_memory_init(struct wsc_payload_memory *memory,
                             const struct wsc_allocator *allocator)
{
    union context context = {.allocator = allocator};
    *memory = plain;
    memory->ctx = context.ctx;
}
