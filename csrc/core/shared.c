#include "wsc/shared.h"

#include <stdatomic.h>
#include <string.h>

/* --- counted memory --- */

struct counted {
    atomic_size_t count;
    const struct wsc_allocator *allocator;
    uint8_t bytes[];
};

/* The context is the allocator itself; it is only ever read. */
union context {
    void *ctx;
    const struct wsc_allocator *allocator;
};

static uint8_t *counted_alloc(void *ctx, size_t size, void **out_owner)
{
    union context context = {.ctx = ctx};
    if (size > SIZE_MAX - sizeof(struct counted)) {
        return NULL;
    }
    struct counted *counted =
        wsc_alloc(context.allocator, sizeof(struct counted) + size);
    if (counted == NULL) {
        return NULL;
    }
    atomic_init(&counted->count, 1);
    counted->allocator = context.allocator;
    *out_owner = counted;
    return counted->bytes;
}

static void counted_hold(void *owner)
{
    atomic_fetch_add_explicit(&((struct counted *)owner)->count, 1,
                              memory_order_relaxed);
}

static void counted_release(void *owner)
{
    struct counted *counted = owner;
    /* Whoever is last sees all that the others have done with the memory. */
    if (atomic_fetch_sub_explicit(&counted->count, 1, memory_order_acq_rel) == 1) {
        wsc_free(counted->allocator, counted);
    }
}

void wsc_shared_memory_init(struct wsc_shared_memory *memory,
                            const struct wsc_allocator *allocator)
{
    union context context = {.allocator = allocator};
    memory->ctx = context.ctx;
    memory->alloc = counted_alloc;
    memory->hold = counted_hold;
    memory->release = counted_release;
}

/* --- the message --- */

void wsc_shared_message_init(struct wsc_shared_message *message,
                             const struct wsc_allocator *allocator,
                             const struct wsc_shared_memory *memory,
                             struct wsc_deflate_pool *pool, enum wsc_opcode opcode,
                             const uint8_t *data, size_t len)
{
    message->opcode = opcode;
    message->data = data;
    message->len = len;
    message->allocator = allocator;
    message->memory = memory;
    message->pool = pool;
    message->count = 0;
}

void wsc_shared_message_fini(struct wsc_shared_message *message)
{
    while (message->count > 0) {
        message->memory->release(message->frames[--message->count].owner);
    }
}

static enum wsc_status write_frame(const struct wsc_shared_message *message,
                                   const uint8_t *payload, size_t payload_len,
                                   struct wsc_shared_frame *frame)
{
    struct wsc_frame_header header;
    memset(&header, 0, sizeof(header));
    header.fin = true;
    header.rsv1 = frame->key.compressed; /* RFC 7692 §6 */
    header.opcode = (uint8_t)message->opcode;
    header.payload_len = payload_len;
    if (payload_len > SIZE_MAX - WSC_FRAME_HEADER_MAX) {
        return WSC_ERR_TOO_BIG;
    }
    size_t header_size = wsc_frame_header_size(payload_len, false);
    frame->len = header_size + payload_len;
    frame->payload_len = payload_len;
    uint8_t *out =
        message->memory->alloc(message->memory->ctx, frame->len, &frame->owner);
    if (out == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    (void)wsc_frame_header_encode(&header, out);
    if (payload_len > 0) {
        memcpy(out + header_size, payload, payload_len);
    }
    frame->data = out;
    return WSC_OK;
}

/* By a compressor that has seen nothing and is not used again. */
static enum wsc_status compress(const struct wsc_shared_message *message,
                                const struct wsc_shared_key *key,
                                struct wsc_buffer *out)
{
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    settings.level = key->level;
    settings.mem_level = key->mem_level;
    struct wsc_deflate_params params = {
        .server_no_context_takeover = true,
        .client_no_context_takeover = true,
        .server_max_window_bits = key->window_bits,
        .client_max_window_bits = WSC_WINDOW_BITS_MAX,
    };
    struct wsc_deflate *deflate;
    enum wsc_status status =
        wsc_deflate_new(message->allocator, message->pool, WSC_ROLE_SERVER, &settings,
                        &params, &deflate);
    if (status != WSC_OK) {
        return status;
    }
    status = wsc_deflate_compress(deflate, message->data, message->len, true, out);
    wsc_deflate_free(deflate);
    return status;
}

static enum wsc_status
make_frame(const struct wsc_shared_message *message, struct wsc_shared_frame *frame)
{
    if (!frame->key.compressed) {
        return write_frame(message, message->data, message->len, frame);
    }
    struct wsc_buffer payload;
    wsc_buffer_init(&payload, message->allocator, SIZE_MAX / 2);
    enum wsc_status status = compress(message, &frame->key, &payload);
    if (status == WSC_OK) {
        status = write_frame(message, payload.data, payload.len, frame);
    }
    wsc_buffer_fini(&payload);
    return status;
}

static bool key_equals(const struct wsc_shared_key *a, const struct wsc_shared_key *b)
{
    return a->compressed == b->compressed && a->window_bits == b->window_bits &&
           a->level == b->level && a->mem_level == b->mem_level;
}

enum wsc_status wsc_shared_message_frame(struct wsc_shared_message *message,
                                         const struct wsc_shared_key *key,
                                         const struct wsc_shared_frame **out_frame)
{
    for (size_t i = 0; i < message->count; i++) {
        if (key_equals(&message->frames[i].key, key)) {
            *out_frame = &message->frames[i];
            return WSC_OK;
        }
    }
    if (message->count == WSC_SHARED_FRAMES_MAX) {
        return WSC_ERR_TOO_BIG;
    }
    struct wsc_shared_frame *frame = &message->frames[message->count];
    memset(frame, 0, sizeof(*frame));
    frame->key = *key;
    enum wsc_status status = make_frame(message, frame);
    if (status == WSC_OK) {
        message->count++;
        *out_frame = frame;
    }
    return status;
}
