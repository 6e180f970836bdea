#include "wsc/outgoing.h"

#include <assert.h>
#include <string.h>

/* An empty queue gives memory above this back, */
#define KEEP_CAP 4096
/* and all of it before so much was sent: of those that say little, the answer to the
 * opening handshake is the longest thing, and there may be many of them. */
#define KEEP_AFTER 1024

/* Either a run of `bytes` or a reference. */
struct wsc_outgoing_segment {
    size_t left;                    /* bytes of this segment not consumed yet */
    struct wsc_reference reference; /* data NULL: a run of `bytes` */
};

void wsc_outgoing_init(struct wsc_outgoing *outgoing,
                       const struct wsc_allocator *allocator)
{
    memset(outgoing, 0, sizeof(*outgoing));
    wsc_buffer_init(&outgoing->bytes, allocator, SIZE_MAX / 2);
}

static bool has_segments(const struct wsc_outgoing *outgoing)
{
    return outgoing->segment_first != outgoing->segment_end;
}

bool wsc_outgoing_check(const struct wsc_outgoing *outgoing)
{
    const struct wsc_buffer *bytes = &outgoing->bytes;
    if (outgoing->bytes_start > bytes->len || bytes->len > bytes->cap ||
        outgoing->segment_first > outgoing->segment_end ||
        outgoing->segment_end > outgoing->segment_cap) {
        return false;
    }
    size_t copied = bytes->len - outgoing->bytes_start; /* bytes_start <= len */
    if (outgoing->alone.data != NULL) {
        return copied == 0 && !has_segments(outgoing) && outgoing->alone_left > 0 &&
               outgoing->alone_left <= outgoing->alone.len &&
               outgoing->size == outgoing->alone_left;
    }
    if (!has_segments(outgoing)) {
        return outgoing->size == copied;
    }
    size_t runs = 0;
    size_t references = 0;
    for (size_t i = outgoing->segment_first; i < outgoing->segment_end; i++) {
        const struct wsc_outgoing_segment *segment = &outgoing->segments[i];
        if (segment->reference.data == NULL) {
            runs += segment->left;
        }
        else if (segment->left <= segment->reference.len) {
            references += segment->left;
        }
        else {
            return false;
        }
    }
    return runs == copied && outgoing->size == runs + references &&
           outgoing->segments[outgoing->segment_end - 1].reference.data == NULL;
}

void wsc_outgoing_fini(struct wsc_outgoing *outgoing)
{
    assert(wsc_outgoing_check(outgoing));
    if (outgoing->alone.data != NULL) {
        outgoing->alone.release(outgoing->alone.ctx);
    }
    for (size_t i = outgoing->segment_first; i < outgoing->segment_end; i++) {
        struct wsc_reference *reference = &outgoing->segments[i].reference;
        if (reference->data != NULL) {
            reference->release(reference->ctx);
        }
    }
    const struct wsc_allocator *allocator = outgoing->bytes.allocator;
    wsc_free(allocator, outgoing->segments);
    wsc_buffer_fini(&outgoing->bytes);
    wsc_outgoing_init(outgoing, allocator);
}

static enum wsc_status reserve_segments(struct wsc_outgoing *outgoing, size_t extra)
{
    if (!has_segments(outgoing)) {
        outgoing->segment_first = 0;
        outgoing->segment_end = 0;
    }
    if (outgoing->segment_cap - outgoing->segment_end >= extra) {
        return WSC_OK;
    }
    size_t used = outgoing->segment_end - outgoing->segment_first;
    if (outgoing->segment_first >= used && outgoing->segment_first >= extra) {
        memmove(outgoing->segments, outgoing->segments + outgoing->segment_first,
                used * sizeof(*outgoing->segments));
        outgoing->segment_first = 0;
        outgoing->segment_end = used;
        return WSC_OK;
    }
    size_t cap = outgoing->segment_end + outgoing->segment_end / 2 + extra + 4;
    if (cap > SIZE_MAX / 2 / sizeof(*outgoing->segments)) {
        return WSC_ERR_TOO_BIG;
    }
    void *segments = wsc_realloc(outgoing->bytes.allocator, outgoing->segments,
                                 cap * sizeof(*outgoing->segments));
    if (segments == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    outgoing->segments = segments;
    outgoing->segment_cap = cap;
    return WSC_OK;
}

static void push_segment(struct wsc_outgoing *outgoing, size_t len,
                         const struct wsc_reference *reference)
{
    struct wsc_outgoing_segment *segment = &outgoing->segments[outgoing->segment_end++];
    memset(segment, 0, sizeof(*segment));
    segment->left = len;
    if (reference != NULL) {
        segment->reference = *reference;
    }
}

/* Something comes behind the reference that was alone. */
static enum wsc_status settle(struct wsc_outgoing *outgoing)
{
    if (outgoing->alone.data == NULL) {
        return WSC_OK;
    }
    enum wsc_status status = reserve_segments(outgoing, 3);
    if (status == WSC_OK) {
        push_segment(outgoing, 0, NULL);
        push_segment(outgoing, outgoing->alone_left, &outgoing->alone);
        push_segment(outgoing, 0, NULL);
        outgoing->alone.data = NULL;
    }
    return status;
}

enum wsc_status
wsc_outgoing_reserve(struct wsc_outgoing *outgoing, size_t len, uint8_t **out_data)
{
    assert(wsc_outgoing_check(outgoing));
    struct wsc_buffer *bytes = &outgoing->bytes;
    /* Move what waits to the front rather than grow, when that is less than was sent.
     */
    if (bytes->cap - bytes->len < len && outgoing->bytes_start >= bytes->len / 2) {
        wsc_buffer_consume(bytes, outgoing->bytes_start);
        outgoing->bytes_start = 0;
    }
    enum wsc_status status = settle(outgoing);
    if (status == WSC_OK) {
        status = wsc_buffer_reserve(bytes, len);
    }
    if (status == WSC_OK) {
        *out_data = bytes->data != NULL ? bytes->data + bytes->len : NULL;
    }
    return status;
}

void wsc_outgoing_commit(struct wsc_outgoing *outgoing, size_t len)
{
    outgoing->bytes.len += len;
    outgoing->size += len;
    if (has_segments(outgoing) && len > 0) {
        /* append_reference always leaves a run at the end for this */
        outgoing->segments[outgoing->segment_end - 1].left += len;
    }
    assert(wsc_outgoing_check(outgoing));
}

enum wsc_status wsc_outgoing_append_reference(struct wsc_outgoing *outgoing,
                                              const uint8_t *header, size_t header_len,
                                              const struct wsc_reference *reference)
{
    uint8_t *out;
    assert(wsc_outgoing_check(outgoing));
    if (header_len == 0 && outgoing->size == 0 && reference->len > 0) {
        outgoing->alone = *reference;
        outgoing->alone_left = reference->len;
        outgoing->size = reference->len;
        return WSC_OK;
    }
    enum wsc_status status = wsc_outgoing_reserve(outgoing, header_len, &out);
    if (status == WSC_OK) {
        status = reserve_segments(outgoing, 3);
    }
    if (status != WSC_OK) {
        return status;
    }
    if (!has_segments(outgoing)) {
        push_segment(outgoing, outgoing->size, NULL);
    }
    if (header_len > 0 && out != NULL) {
        memcpy(out, header, header_len);
    }
    wsc_outgoing_commit(outgoing, header_len);
    push_segment(outgoing, reference->len, reference);
    push_segment(outgoing, 0, NULL);
    outgoing->size += reference->len;
    return WSC_OK;
}

size_t wsc_outgoing_peek(const struct wsc_outgoing *outgoing,
                         struct wsc_outgoing_piece *out_pieces, size_t max)
{
    const uint8_t *bytes = outgoing->bytes.data;
    assert(wsc_outgoing_check(outgoing));
    if (outgoing->size == 0 || max == 0) {
        return 0;
    }
    if (outgoing->alone.data != NULL) {
        size_t sent = outgoing->alone.len - outgoing->alone_left;
        out_pieces[0].data = outgoing->alone.data + sent;
        out_pieces[0].len = outgoing->alone_left;
        out_pieces[0].ctx = sent == 0 ? outgoing->alone.ctx : NULL;
        return 1;
    }
    if (!has_segments(outgoing)) {
        out_pieces[0].data = bytes + outgoing->bytes_start;
        out_pieces[0].len = outgoing->size;
        out_pieces[0].ctx = NULL;
        return 1;
    }
    size_t count = 0;
    size_t start = outgoing->bytes_start;
    for (size_t i = outgoing->segment_first; i < outgoing->segment_end && count < max;
         i++) {
        const struct wsc_outgoing_segment *segment = &outgoing->segments[i];
        struct wsc_outgoing_piece *piece = &out_pieces[count];
        if (segment->left == 0) {
            continue;
        }
        piece->len = segment->left;
        piece->ctx = NULL;
        if (segment->reference.data != NULL) {
            size_t sent = segment->reference.len - segment->left;
            piece->data = segment->reference.data + sent;
            piece->ctx = sent == 0 ? segment->reference.ctx : NULL;
        }
        else {
            piece->data = bytes + start;
            start += segment->left;
        }
        count++;
    }
    return count;
}

static void consume_segments(struct wsc_outgoing *outgoing, size_t len)
{
    while (outgoing->segment_first < outgoing->segment_end) {
        struct wsc_outgoing_segment *segment =
            &outgoing->segments[outgoing->segment_first];
        size_t n = len < segment->left ? len : segment->left;
        segment->left -= n;
        len -= n;
        if (segment->reference.data == NULL) {
            outgoing->bytes_start += n;
        }
        bool last = outgoing->segment_first + 1 == outgoing->segment_end;
        if (segment->left > 0 || (last && outgoing->size > 0)) {
            return;
        }
        struct wsc_reference reference = segment->reference;
        outgoing->segment_first++;
        if (reference.data != NULL) {
            reference.release(reference.ctx);
        }
    }
}

static void consume_alone(struct wsc_outgoing *outgoing, size_t len)
{
    outgoing->alone_left -= len;
    if (outgoing->alone_left == 0) {
        struct wsc_reference reference = outgoing->alone;
        outgoing->alone.data = NULL;
        reference.release(reference.ctx);
    }
}

void wsc_outgoing_consume(struct wsc_outgoing *outgoing, size_t len)
{
    assert(wsc_outgoing_check(outgoing) && len <= outgoing->size);
    outgoing->size -= len;
    outgoing->consumed += len;
    if (outgoing->alone.data != NULL) {
        consume_alone(outgoing, len);
    }
    else if (has_segments(outgoing)) {
        consume_segments(outgoing, len);
    }
    else {
        outgoing->bytes_start += len;
    }
    if (outgoing->size == 0) {
        outgoing->bytes_start = 0;
        wsc_buffer_clear(&outgoing->bytes,
                         outgoing->consumed < KEEP_AFTER ? 0 : KEEP_CAP);
        wsc_free(outgoing->bytes.allocator, outgoing->segments);
        outgoing->segments = NULL;
        outgoing->segment_first = 0;
        outgoing->segment_end = 0;
        outgoing->segment_cap = 0;
    }
    assert(wsc_outgoing_check(outgoing));
}
