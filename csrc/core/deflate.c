/* One connection's permessage-deflate: its life, and the way out. The way in is in
 * deflate_incoming.c.
 *
 * Each fragment is one deflate() with Z_SYNC_FLUSH, so it always ends at a byte and at
 * a block boundary. Whatever goes wrong, the deflater is thrown away and the output
 * taken back: a fresh deflater is legal at any such boundary, since all it does is to
 * make no reference to what came before. */
#include "deflate_private.h"

#include <limits.h>
#include <string.h>

/* Below this much room deflate() may write its flush marker twice (zlib.h). */
#define DEFLATE_ROOM_MIN 16
/* Up to this size a message gets room for its worst case at once. */
#define DEFLATE_WHOLE_MAX 32768

/* ---- Life ---- */

enum wsc_status wsc_deflate_new(const struct wsc_allocator *allocator,
                                struct wsc_deflate_pool *pool, enum wsc_role role,
                                const struct wsc_deflate_settings *settings,
                                const struct wsc_deflate_params *params,
                                struct wsc_deflate **out_deflate)
{
    if (wsc_deflate_settings_check(settings) != WSC_OK ||
        params->server_max_window_bits < WSC_WINDOW_BITS_MIN ||
        params->server_max_window_bits > WSC_WINDOW_BITS_MAX ||
        params->client_max_window_bits < WSC_WINDOW_BITS_MIN ||
        params->client_max_window_bits > WSC_WINDOW_BITS_MAX) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    struct wsc_deflate *deflate = wsc_alloc_zeroed(allocator, sizeof(*deflate));
    if (deflate == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    deflate->allocator = allocator;
    deflate->pool = pool;
    deflate->params = *params;
    deflate->role = role;
    deflate->level = settings->level;
    deflate->mem_level = settings->mem_level;
    deflate->threshold = settings->threshold;
    deflate->drained = true;
    *out_deflate = deflate;
    return WSC_OK;
}

static bool own_takeover(const struct wsc_deflate *deflate)
{
    return deflate->role == WSC_ROLE_SERVER
               ? !deflate->params.server_no_context_takeover
               : !deflate->params.client_no_context_takeover;
}

static uint8_t own_window_bits(const struct wsc_deflate *deflate)
{
    return deflate->role == WSC_ROLE_SERVER ? deflate->params.server_max_window_bits
                                            : deflate->params.client_max_window_bits;
}

/* The pool takes back what it lent for a message. */
static void
leave(struct wsc_deflate *deflate, bool takeover, struct wsc_deflate_context **context)
{
    if (takeover) {
        wsc_deflate_drop(context);
    }
    else {
        wsc_deflate_release(deflate, context);
    }
}

void wsc_deflate_free(struct wsc_deflate *deflate)
{
    if (deflate == NULL) {
        return;
    }
    leave(deflate, own_takeover(deflate), &deflate->deflater);
    leave(deflate, wsc_deflate_peer_takeover(deflate), &deflate->inflater);
    wsc_deflate_window_free(deflate);
    wsc_deflate_history_free(deflate);
    wsc_free(deflate->allocator, deflate);
}

struct wsc_deflate_traffic *wsc_deflate_traffic(struct wsc_deflate *deflate)
{
    return &deflate->traffic;
}

size_t wsc_deflate_memory(const struct wsc_deflate *deflate)
{
    size_t bytes = sizeof(*deflate) + deflate->window_len + deflate->history_len;
    if (deflate->deflater != NULL) {
        bytes += deflate->deflater->bytes;
    }
    if (deflate->inflater != NULL) {
        bytes += deflate->inflater->bytes;
    }
    return bytes;
}

/* ---- Out ---- */

void wsc_deflate_restart(struct wsc_deflate *deflate)
{
    /* Without takeover each message starts anew. */
    if (own_takeover(deflate) && !deflate->deflate_in_message) {
        wsc_deflate_release(deflate, &deflate->deflater);
        wsc_deflate_history_free(deflate);
    }
}

bool wsc_deflate_wants(const struct wsc_deflate *deflate, size_t len)
{
    /* No zlib compresses with a window of 256 bytes. */
    return own_window_bits(deflate) > WSC_WINDOW_BITS_MIN && len >= deflate->threshold;
}

static enum wsc_status deflater_acquire(struct wsc_deflate *deflate)
{
    if (deflate->deflater != NULL) {
        wsc_deflate_wake(deflate->deflater);
        return WSC_OK;
    }
    struct wsc_deflate_key key = {
        .inflates = false,
        .window_bits = own_window_bits(deflate),
        .level = deflate->level,
        .mem_level = deflate->mem_level,
    };
    enum wsc_status status = wsc_deflate_acquire(deflate, &key, &deflate->deflater);
    if (status == WSC_OK && deflate->history != NULL) {
        /* What the peer's window ends with. If zlib refuses, so much the shorter. */
        (void)deflateSetDictionary(&deflate->deflater->stream, deflate->history,
                                   (uInt)deflate->history_len);
        wsc_deflate_history_free(deflate);
    }
    return status;
}

/* Room for `wanted` bytes, or for fewer when the buffer's maximum is near. */
static enum wsc_status make_room(struct wsc_buffer *out, size_t wanted)
{
    enum wsc_status status = wsc_buffer_reserve(out, wanted);
    if (status != WSC_ERR_TOO_BIG || out->max - out->len < DEFLATE_ROOM_MIN) {
        return status;
    }
    return wsc_buffer_reserve(out, out->max - out->len);
}

static size_t first_room(z_stream *stream, size_t len)
{
    if (len <= DEFLATE_WHOLE_MAX) {
        return deflateBound(stream, (uLong)len) + DEFLATE_ROOM_MIN;
    }
    return DEFLATE_WHOLE_MAX / 2 + len / 4;
}

/* `stream` has its input; all of it is used when this returns WSC_OK. */
static enum wsc_status
deflate_step(z_stream *stream, int flush, size_t room, struct wsc_buffer *out)
{
    do {
        enum wsc_status status = make_room(out, room);
        if (status != WSC_OK) {
            return status;
        }
        size_t cap = out->cap - out->len;
        uInt given = cap < UINT_MAX ? (uInt)cap : UINT_MAX;
        stream->next_out = out->data + out->len;
        stream->avail_out = given;
        int code = deflate(stream, flush);
        if (code != Z_OK && code != Z_BUF_ERROR) {
            return WSC_ERR_INVALID_STATE;
        }
        out->len += given - stream->avail_out; /* zlib takes from avail_out only */
        room = DEFLATE_ROOM_MIN + stream->avail_in / 4;
    } while (stream->avail_out == 0);
    return WSC_OK;
}

static enum wsc_status deflate_fragment(z_stream *stream, const uint8_t *data,
                                        size_t len, struct wsc_buffer *out)
{
    enum wsc_status status = WSC_OK;
    while (len > 0 && status == WSC_OK) {
        uInt step = len < UINT_MAX ? (uInt)len : UINT_MAX;
        stream->next_in = data;
        stream->avail_in = step;
        status = deflate_step(stream, step == len ? Z_SYNC_FLUSH : Z_NO_FLUSH,
                              first_room(stream, step), out);
        data += step;
        len -= step;
    }
    stream->next_in = Z_NULL;
    stream->next_out = Z_NULL;
    return status;
}

/* RFC 7692 §7.2.1: the last fragment goes without the four bytes of the flush. */
static enum wsc_status strip_tail(struct wsc_buffer *out, size_t start)
{
    const size_t tail_len = WSC_DEFLATE_TAIL_LEN;
    /* `out` was `start` long, and has been appended to only. */
    if (out->len - start < tail_len ||
        memcmp(out->data + out->len - tail_len, WSC_DEFLATE_TAIL, tail_len) != 0) {
        return WSC_ERR_INVALID_STATE;
    }
    out->len -= tail_len;
    return WSC_OK;
}

enum wsc_status wsc_deflate_compress(struct wsc_deflate *deflate, const uint8_t *data,
                                     size_t len, bool fin, struct wsc_buffer *out)
{
    if (own_window_bits(deflate) == WSC_WINDOW_BITS_MIN) {
        return WSC_ERR_INVALID_STATE;
    }
    enum wsc_status status = WSC_OK;
    size_t start = out->len;
    if (len > 0) {
        status = deflater_acquire(deflate);
        if (status == WSC_OK) {
            status = deflate_fragment(&deflate->deflater->stream, data, len, out);
        }
        if (status == WSC_OK && fin) {
            status = strip_tail(out, start);
        }
    }
    else if (fin) {
        /* RFC 7692 §7.2.3.6: nothing more is an empty stored block without its tail.
         * The fragments before ended at a byte, so no zlib is needed to write it. */
        status = wsc_buffer_append(out, WSC_DEFLATE_TAIL, 1);
    }
    if (status != WSC_OK) {
        out->len = start;
        wsc_deflate_drop(&deflate->deflater);
        wsc_deflate_history_free(deflate);
        return status;
    }
    deflate->deflate_in_message = !fin;
    if (fin && own_takeover(deflate)) {
        wsc_deflate_rest(deflate, deflate->deflater);
    }
    else if (fin) {
        /* RFC 7692 §7.1.1: the next message must not refer to this one. */
        wsc_deflate_forget_message(deflate, &deflate->deflater);
    }
    return WSC_OK;
}
