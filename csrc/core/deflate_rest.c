/* What a connection with context takeover holds between two messages, and who gives up
 * what when all of them together hold more than the pool allows.
 *
 * Nothing is lost that the peer could notice. A fresh deflater is legal at a message
 * boundary: all it does is to make no reference to what came before; it is primed with
 * the end of that, so that it makes some. Of an inflater the last window is kept, with
 * which the next one is primed.
 *
 * A context is on the pool's list only while its direction is between messages, so one
 * that is found there may always be taken. Each comes onto the list once a message and
 * leaves it once: constant time, whatever the number of connections. */
#include "deflate_private.h"

#include <string.h>

/* Connections that take turns, one message each, more of them than there is room for:
 * if the oldest always gave way, each would have lost its context just before it needs
 * it. So one that has just come stands back, unless the oldest was not used for so many
 * messages, for each context that rests. */
#define PATIENCE 8

/* Of a deflater this much of its last input is kept, for the next one to refer to: the
 * messages of a connection are like each other. More would make messages little
 * smaller, and costs time, for zlib goes through it byte by byte. */
#define HISTORY_MAX 1024

/* In a block of its exact size. False if there is no memory for it. */
static bool save_window(struct wsc_deflate *deflate)
{
    z_stream *stream = &deflate->inflater->stream;
    uInt len = 0;
    if (inflateGetDictionary(stream, Z_NULL, &len) != Z_OK) {
        return false;
    }
    if (len > 0) {
        uint8_t *window = wsc_alloc(deflate->allocator, len);
        if (window == NULL) {
            return false;
        }
        (void)inflateGetDictionary(stream, window, &len);
        deflate->window = window;
        deflate->window_len = len;
    }
    return true;
}

/* The end of what the peer has in its window, if there is memory for it. */
static void save_history(struct wsc_deflate *deflate)
{
    z_stream *stream = &deflate->deflater->stream;
    uInt len = 0;
    if (deflateGetDictionary(stream, Z_NULL, &len) != Z_OK || len == 0) {
        return;
    }
    uint8_t *seen = wsc_alloc(deflate->allocator, len);
    if (seen == NULL) {
        return;
    }
    (void)deflateGetDictionary(stream, seen, &len);
    if (len > HISTORY_MAX) {
        uint8_t *end = wsc_alloc(deflate->allocator, HISTORY_MAX);
        if (end != NULL) {
            memcpy(end, seen + len - HISTORY_MAX, HISTORY_MAX);
        }
        wsc_free(deflate->allocator, seen);
        seen = end;
        len = HISTORY_MAX;
    }
    deflate->history = seen;
    deflate->history_len = seen != NULL ? len : 0;
}

static bool give_up(struct wsc_deflate_context *context)
{
    struct wsc_deflate *deflate = context->resting_of;
    if (!context->key.inflates) {
        save_history(deflate);
        wsc_deflate_release(deflate, &deflate->deflater);
        return true;
    }
    if (!save_window(deflate)) {
        return false; /* a wish, not a need */
    }
    wsc_deflate_release(deflate, &deflate->inflater);
    return true;
}

static bool oldest_is_stale(const struct wsc_deflate_resting *list)
{
    return (uint32_t)(list->clock - list->oldest->rested_at) > PATIENCE * list->count;
}

void wsc_deflate_rest(struct wsc_deflate *deflate, struct wsc_deflate_context *context)
{
    if (context == NULL || deflate->pool == NULL) {
        return;
    }
    struct wsc_deflate_resting *list = &deflate->pool->resting;
    wsc_deflate_wake(context); /* an empty message did not */
    bool has_come = !context->rested;
    context->rested = true;
    context->rested_at = ++list->clock;
    context->resting_of = deflate;
    wsc_deflate_resting_add(list, context);
    while (list->bytes > list->max_bytes) {
        bool stands_back = has_come && !oldest_is_stale(list);
        struct wsc_deflate_context *loser = stands_back ? context : list->oldest;
        if (!give_up(loser)) {
            /* The next one to try is another. */
            wsc_deflate_resting_remove(list, loser);
            wsc_deflate_resting_add(list, loser);
            return;
        }
        if (loser == context) {
            return;
        }
    }
}

void wsc_deflate_release_idle(struct wsc_deflate *deflate)
{
    if (!deflate->deflate_in_message) {
        wsc_deflate_drop(&deflate->deflater);
        wsc_deflate_history_free(deflate);
    }
    if (deflate->incoming != WSC_DEFLATE_INCOMING_NONE || deflate->inflater == NULL) {
        return;
    }
    if (!wsc_deflate_peer_takeover(deflate) || save_window(deflate)) {
        wsc_deflate_drop(&deflate->inflater);
    }
}
