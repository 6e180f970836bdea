/* The way in of permessage-deflate.
 *
 * zlib is given the caller's room and no more. When that is full it is asked for one
 * byte beyond, into `spare`: only so can "everything is written" be told from "there is
 * more", and a message of exactly the limit from a longer one. */
#include "deflate_private.h"

#include <limits.h>

static const uint8_t TAIL[WSC_DEFLATE_TAIL_LEN] = {0x00, 0x00, 0xFF, 0xFF};

/* zlib's inflate is made for windows of 512 bytes and more where 256 are agreed: peers
 * with a zlib before 1.2.9 use 512 when told 256. */
#define INFLATE_WINDOW_BITS_MIN 9

static uint8_t peer_window_bits(const struct wsc_deflate *deflate)
{
    return deflate->role == WSC_ROLE_SERVER ? deflate->params.client_max_window_bits
                                            : deflate->params.server_max_window_bits;
}

static enum wsc_status inflater_acquire(struct wsc_deflate *deflate)
{
    if (deflate->inflater != NULL) {
        wsc_deflate_wake(deflate->inflater);
        return WSC_OK;
    }
    uint8_t bits = peer_window_bits(deflate);
    struct wsc_deflate_key key = {
        .inflates = true,
        .window_bits = bits < INFLATE_WINDOW_BITS_MIN ? INFLATE_WINDOW_BITS_MIN : bits,
    };
    struct wsc_deflate_context *context = NULL;
    enum wsc_status status = wsc_deflate_acquire(deflate, &key, &context);
    if (status != WSC_OK) {
        return status;
    }
    if (deflate->window != NULL) {
        int code = inflateSetDictionary(&context->stream, deflate->window,
                                        (uInt)deflate->window_len);
        if (code != Z_OK) {
            wsc_deflate_context_free(context);
            return code == Z_MEM_ERROR ? WSC_ERR_NO_MEMORY : WSC_ERR_INVALID_STATE;
        }
        wsc_deflate_window_free(deflate);
    }
    deflate->inflater = context;
    deflate->at_boundary = true;
    deflate->drained = true;
    return WSC_OK;
}

/* What zlib's answer means, once output and input have been counted. */
static enum wsc_status inflate_result(struct wsc_deflate *deflate, int code)
{
    switch (code) {
    case Z_OK:
    case Z_BUF_ERROR: /* no more input, or no more room: not an error */
        return WSC_OK;
    case Z_STREAM_END:
        /* RFC 7692 §7.2.3.4: blocks with BFINAL set may come anywhere. What follows is
         * a new stream with the same window; inflateReset would forget the window, and
         * to save and restore it costs 64 KB of copying for a block of two bytes. */
        deflate->at_boundary = true;
        return inflateResetKeep(&deflate->inflater->stream) == Z_OK
                   ? WSC_OK
                   : WSC_ERR_INVALID_STATE;
    case Z_MEM_ERROR:
        return WSC_ERR_NO_MEMORY;
    default:
        return WSC_ERR_PROTOCOL;
    }
}

/* Inflate until the input is used up or `cap` bytes are written. zlib takes from
 * avail_in and avail_out only, so used <= len and written <= cap. */
static enum wsc_status inflate_into(struct wsc_deflate *deflate, const uint8_t *data,
                                    size_t len, size_t *out_used, uint8_t *out,
                                    size_t cap, size_t *out_len)
{
    z_stream *stream = &deflate->inflater->stream;
    size_t used = 0;
    size_t written = 0;
    bool stalled = false;
    enum wsc_status status = WSC_OK;
    while (status == WSC_OK && !stalled && written < cap &&
           (used < len || !deflate->drained)) {
        uInt in = len - used < UINT_MAX ? (uInt)(len - used) : UINT_MAX;
        uInt room = cap - written < UINT_MAX ? (uInt)(cap - written) : UINT_MAX;
        stream->next_in = len > 0 ? data + used : Z_NULL;
        stream->avail_in = in;
        stream->next_out = out + written;
        stream->avail_out = room;
        int code = inflate(stream, Z_SYNC_FLUSH);
        deflate->drained = stream->avail_out > 0;
        stalled =
            stream->avail_in == in && stream->avail_out == room && code != Z_STREAM_END;
        /* zlib.h: data_type is the number of unused bits, + 64 in the last block, + 128
         * after a block. A call that changes nothing takes the 128 away. */
        if (!stalled) {
            deflate->at_boundary = stream->data_type == 128;
        }
        used += in - stream->avail_in;
        written += room - stream->avail_out;
        status = inflate_result(deflate, code);
    }
    stream->next_in = Z_NULL;
    stream->next_out = Z_NULL;
    stream->avail_in = 0;
    *out_used = used;
    *out_len = written;
    return status;
}

/* inflate_into with the spare byte before it and the question for one after it:
 * *out_used <= len and *out_len <= cap as there. */
static enum wsc_status inflate_exactly(struct wsc_deflate *deflate, const uint8_t *data,
                                       size_t len, size_t *out_used, uint8_t *out,
                                       size_t cap, size_t *out_len)
{
    size_t used = 0;
    size_t more = 0;
    size_t first = 0;
    *out_used = 0;
    *out_len = 0;
    if (deflate->has_spare) {
        if (cap == 0) {
            return WSC_NEED_SPACE;
        }
        out[0] = deflate->spare;
        deflate->has_spare = false;
        first = 1;
    }
    enum wsc_status status = WSC_OK;
    if (cap > first) {
        status =
            inflate_into(deflate, data, len, &used, out + first, cap - first, &more);
    }
    *out_used = used;
    *out_len = first + more;
    if (status != WSC_OK || (used == len && deflate->drained)) {
        return status;
    }
    const uint8_t *rest = len > used ? data + used : NULL;
    status = inflate_into(deflate, rest, len - used, &used, &deflate->spare, 1, &more);
    *out_used += used;
    if (status == WSC_OK && more == 1) {
        deflate->has_spare = true;
        return WSC_NEED_SPACE;
    }
    if (status == WSC_OK && *out_used < len) {
        return WSC_ERR_PROTOCOL; /* zlib takes neither input nor room */
    }
    return status;
}

/* After an error nothing is kept, least of all for the next message. */
static enum wsc_status inflate_fail(struct wsc_deflate *deflate, enum wsc_status status)
{
    deflate->inflate_error = status;
    wsc_deflate_drop(&deflate->inflater);
    deflate->has_spare = false;
    wsc_deflate_window_free(deflate);
    return status;
}

enum wsc_status wsc_deflate_decompress(struct wsc_deflate *deflate, const uint8_t *data,
                                       size_t len, size_t *out_used, uint8_t *out,
                                       size_t cap, size_t *out_len)
{
    *out_used = 0;
    *out_len = 0;
    if (deflate->inflate_error != WSC_OK) {
        return deflate->inflate_error;
    }
    if (deflate->incoming == WSC_DEFLATE_INCOMING_TAIL) {
        return WSC_ERR_INVALID_STATE;
    }
    /* An empty frame brings nothing, and needs no context. */
    if (len == 0 && deflate->drained && !deflate->has_spare) {
        return WSC_OK;
    }
    enum wsc_status status = inflater_acquire(deflate);
    if (status != WSC_OK) {
        return status;
    }
    deflate->incoming = WSC_DEFLATE_INCOMING_DATA;
    status = inflate_exactly(deflate, data, len, out_used, out, cap, out_len);
    return status < 0 ? inflate_fail(deflate, status) : status;
}

static enum wsc_status
inflate_tail(struct wsc_deflate *deflate, uint8_t *out, size_t cap, size_t *out_len)
{
    size_t used = 0;
    size_t first = 0;
    enum wsc_status status = WSC_OK;
    if (deflate->incoming == WSC_DEFLATE_INCOMING_DATA) {
        if (deflate->has_spare || !deflate->drained) {
            status = inflate_exactly(deflate, NULL, 0, &used, out, cap, &first);
        }
        *out_len = first;
        /* A block with BFINAL set may have ended the data at a byte, and some peers
         * send an empty message as no bytes at all, or leave the tail in place. There
         * is no block then that 00 00 ff ff could complete. */
        if (status != WSC_OK || deflate->at_boundary) {
            return status;
        }
        deflate->incoming = WSC_DEFLATE_INCOMING_TAIL;
        deflate->tail_used = 0;
    }
    /* RFC 7692 §7.2.2: append 00 00 ff ff. */
    size_t more = 0; /* first <= cap, tail_used <= sizeof(TAIL) by inflate_exactly */
    status = inflate_exactly(deflate, TAIL + deflate->tail_used,
                             sizeof(TAIL) - deflate->tail_used, &used,
                             cap > first ? out + first : out, cap - first, &more);
    deflate->tail_used = (uint8_t)(deflate->tail_used + used);
    *out_len = first + more;
    if (status == WSC_OK && !deflate->at_boundary) {
        return WSC_ERR_PROTOCOL;
    }
    return status;
}

enum wsc_status wsc_deflate_decompress_end(struct wsc_deflate *deflate, uint8_t *out,
                                           size_t cap, size_t *out_len)
{
    *out_len = 0;
    if (deflate->inflate_error != WSC_OK) {
        return deflate->inflate_error;
    }
    if (deflate->incoming == WSC_DEFLATE_INCOMING_NONE) {
        return WSC_OK; /* not a byte came */
    }
    enum wsc_status status = inflate_tail(deflate, out, cap, out_len);
    if (status < 0) {
        return inflate_fail(deflate, status);
    }
    if (status == WSC_OK) {
        deflate->incoming = WSC_DEFLATE_INCOMING_NONE;
        if (wsc_deflate_peer_takeover(deflate)) {
            wsc_deflate_rest(deflate, deflate->inflater);
        }
        else {
            /* RFC 7692 §7.1.1: the next message does not refer to this one. */
            wsc_deflate_forget_message(deflate, &deflate->inflater);
            deflate->at_boundary = true;
        }
    }
    return status;
}
