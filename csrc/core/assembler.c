#include "wsc/assembler.h"

#include <string.h>

#include "wsc/buffer.h"
#include "wsc/mask.h"

/* The first allocation for a frame that has not come whole. */
#define FIRST_CAP 4096
/* Compressed input is unmasked through this much stack. */
#define SCRATCH_SIZE 4096
/* The usual gain of deflate on text, for the first allocation. */
#define INFLATE_GUESS     4
#define INFLATE_FIRST_CAP 256

static const char too_big[] = "message too big";

/* Everywhere below: len <= cap, and `tail` bytes of a code point are within len. */

void wsc_assembler_init(struct wsc_assembler *assembler,
                        const struct wsc_payload_memory *memory, size_t max_size,
                        struct wsc_deflate *deflate)
{
    memset(assembler, 0, sizeof(*assembler));
    assembler->memory = memory;
    assembler->max_size = max_size;
    assembler->max_plain_size = max_size;
    assembler->deflate = deflate;
}

static void start_message(struct wsc_assembler *assembler)
{
    assembler->total = 0;
    assembler->wire_len = 0;
    assembler->empty_frames = 0;
    assembler->compressed = false;
}

void wsc_assembler_fini(struct wsc_assembler *assembler)
{
    if (assembler->data != NULL) {
        assembler->memory->free(assembler->memory->ctx, assembler->kind,
                                assembler->data);
    }
    assembler->data = NULL;
    assembler->len = 0;
    assembler->cap = 0;
    start_message(assembler);
}

static enum wsc_status
fail(struct wsc_assembler *assembler, enum wsc_status status, const char *reason)
{
    assembler->reason = reason;
    wsc_assembler_fini(assembler);
    return status;
}

static enum wsc_status resize(struct wsc_assembler *assembler, size_t cap)
{
    const struct wsc_payload_memory *memory = assembler->memory;
    uint8_t *data =
        assembler->data == NULL
            ? memory->alloc(memory->ctx, assembler->kind, &cap)
            : memory->resize(memory->ctx, assembler->kind, assembler->data, &cap);
    assembler->data = data;
    assembler->cap = data == NULL ? 0 : cap;
    return data == NULL ? WSC_ERR_NO_MEMORY : WSC_OK;
}

/* Make room for `extra` more bytes. `end` is where the payload will end as far as it
 * has been announced: memory is taken for bytes that have come, times 1.5 at most, so
 * that a large announcement alone costs nothing. */
static enum wsc_status
reserve(struct wsc_assembler *assembler, size_t extra, size_t end)
{
    size_t need = assembler->len + extra;
    if (need <= assembler->cap) {
        return WSC_OK;
    }
    if (assembler->data == NULL && assembler->len > 0) {
        return WSC_ERR_NO_MEMORY; /* lost by wsc_assembler_space() */
    }
    size_t cap = need + need / 2;
    if (cap < FIRST_CAP) {
        cap = FIRST_CAP;
    }
    cap = cap < end ? cap : end;
    return resize(assembler, cap > need ? cap : need);
}

/* --- limits, known from the header --- */

/* Deflate never needs more than this for max_size bytes (stored or fixed blocks), so
 * what is beyond is work without output. */
static uint64_t max_wire_len(const struct wsc_assembler *assembler)
{
    return (uint64_t)assembler->max_size + assembler->max_size / 8 + 1024;
}

/* With `missing` bytes of this frame to come. The limit may have changed at any time
 * since the header: neither side of a sum wraps, where a difference would.
 * WSC_PAYLOAD_LEN_MAX is 2^63 - 1, and what was accepted before is below 2^63. */
static bool is_too_big(const struct wsc_assembler *assembler, uint64_t missing)
{
    return assembler->total + missing > assembler->max_plain_size;
}

static enum wsc_status
begin_frame(struct wsc_assembler *assembler, const struct wsc_frame_header *header)
{
    if (header->opcode != WSC_OPCODE_CONTINUATION) {
        start_message(assembler);
        assembler->kind =
            header->opcode == WSC_OPCODE_TEXT ? WSC_PAYLOAD_TEXT : WSC_PAYLOAD_BINARY;
        assembler->compressed = header->rsv1;
        assembler->ascii = true;
        wsc_utf8_init(&assembler->utf8);
    }
    if (header->payload_len > 0) {
        assembler->empty_frames = 0;
    }
    else if (header->opcode == WSC_OPCODE_CONTINUATION && !header->fin &&
             ++assembler->empty_frames > WSC_EMPTY_FRAMES_MAX) {
        return fail(assembler, WSC_ERR_POLICY, "too many empty fragments");
    }
    if (assembler->compressed) {
        assembler->wire_len += header->payload_len; /* see is_too_big() */
        if (assembler->wire_len > max_wire_len(assembler)) {
            return fail(assembler, WSC_ERR_TOO_BIG, too_big);
        }
    }
    return WSC_OK;
}

/* --- payload --- */

/* `len` bytes were written at the end. RFC 6455 §8.1: text that is not UTF-8 fails the
 * connection, here at the first bad byte. */
static enum wsc_status
accept_bytes(struct wsc_assembler *assembler, size_t len, bool ascii)
{
    const uint8_t *data = assembler->data + assembler->len;
    assembler->len += len;
    assembler->total += len;
    if (assembler->kind != WSC_PAYLOAD_TEXT || (ascii && assembler->ascii)) {
        return WSC_OK;
    }
    assembler->ascii = false;
    if (wsc_utf8_feed(&assembler->utf8, data, len, NULL) != WSC_OK) {
        return fail(assembler, WSC_ERR_UTF8, "invalid UTF-8 in a text message");
    }
    return WSC_OK;
}

/* Unmask a slice to where it belongs, and may be already. Whether a text's is ASCII. */
static bool unmask(const struct wsc_assembler *assembler,
                   const struct wsc_frame_header *header, const struct wsc_slice *slice,
                   uint8_t *out)
{
    size_t offset = (size_t)(slice->offset % 4);
    if (!header->masked && slice->data == out) {
        return assembler->kind != WSC_PAYLOAD_TEXT ||
               wsc_utf8_is_ascii(out, slice->len);
    }
    if (assembler->kind == WSC_PAYLOAD_TEXT) {
        return wsc_mask_copy_ascii(out, slice->data, slice->len, header->masking_key,
                                   offset);
    }
    wsc_mask_copy(out, slice->data, slice->len, header->masking_key, offset);
    return true;
}

static enum wsc_status add_plain(struct wsc_assembler *assembler,
                                 const struct wsc_frame_header *header,
                                 const struct wsc_slice *slice)
{
    /* The parser's offset is within the payload. */
    uint64_t missing = header->payload_len - slice->offset;
    if (is_too_big(assembler, missing)) {
        return fail(assembler, WSC_ERR_TOO_BIG, too_big);
    }
    if (slice->len == 0) {
        return WSC_OK;
    }
    enum wsc_status status =
        reserve(assembler, slice->len,
                header->fin ? assembler->len + (size_t)missing : assembler->max_size);
    if (status != WSC_OK) {
        return fail(assembler, status, "out of memory");
    }
    bool ascii = unmask(assembler, header, slice, assembler->data + assembler->len);
    return accept_bytes(assembler, slice->len, ascii);
}

/* Bytes within the limit are looked at before what is beyond it is refused: the error
 * does not depend on how the input was cut. */
static enum wsc_status accept_inflated(struct wsc_assembler *assembler, size_t len)
{
    size_t left = wsc_left(assembler->max_size, assembler->total);
    size_t within = len < left ? len : left;
    wsc_deflate_traffic(assembler->deflate)->inflated += within;
    if (within > 0) {
        bool ascii = assembler->kind != WSC_PAYLOAD_TEXT ||
                     wsc_utf8_is_ascii(assembler->data + assembler->len, within);
        enum wsc_status status = accept_bytes(assembler, within, ascii);
        if (status != WSC_OK) {
            return status;
        }
    }
    return within < len ? fail(assembler, WSC_ERR_TOO_BIG, too_big) : WSC_OK;
}

/* Room for inflated bytes: never more than one byte above the limit, which is how a
 * message that passes it is told from one that just fits. */
static enum wsc_status
reserve_inflated(struct wsc_assembler *assembler, size_t wire_len)
{
    if (assembler->cap > assembler->len) {
        return WSC_OK;
    }
    size_t most = assembler->len + wsc_left(assembler->max_size, assembler->total) + 1;
    size_t cap = assembler->cap + assembler->cap / 2;
    size_t guess = wire_len > most / INFLATE_GUESS ? most : wire_len * INFLATE_GUESS;
    if (cap < assembler->len + guess) {
        cap = assembler->len + guess;
    }
    if (cap < INFLATE_FIRST_CAP) {
        cap = INFLATE_FIRST_CAP;
    }
    return resize(assembler, cap < most ? cap : most);
}

static enum wsc_status
inflate_error(struct wsc_assembler *assembler, enum wsc_status status)
{
    return fail(assembler, status,
                status == WSC_ERR_NO_MEMORY ? "out of memory"
                                            : "invalid compressed data");
}

/* Inflate `len` unmasked bytes; with `data` NULL, end the message. */
static enum wsc_status
inflate(struct wsc_assembler *assembler, const uint8_t *data, size_t len)
{
    enum wsc_status status;
    do {
        status = reserve_inflated(assembler, len);
        if (status != WSC_OK) {
            return fail(assembler, status, "out of memory");
        }
        uint8_t *out = assembler->data + assembler->len;
        size_t room = assembler->cap - assembler->len;
        size_t used = 0;
        size_t written = 0;
        status = data != NULL ? wsc_deflate_decompress(assembler->deflate, data, len,
                                                       &used, out, room, &written)
                              : wsc_deflate_decompress_end(assembler->deflate, out,
                                                           room, &written);
        if (data != NULL) {
            data += used;
            len -= used;
        }
        /* What came before bad data counts first, so that the error does not depend on
         * how the input was cut. */
        enum wsc_status accepted = accept_inflated(assembler, written);
        if (accepted != WSC_OK) {
            return accepted;
        }
        if (status < 0) {
            return inflate_error(assembler, status);
        }
    } while (status == WSC_NEED_SPACE);
    return WSC_OK;
}

static enum wsc_status add_compressed(struct wsc_assembler *assembler,
                                      const struct wsc_frame_header *header,
                                      const struct wsc_slice *slice)
{
    uint8_t scratch[SCRATCH_SIZE];
    wsc_deflate_traffic(assembler->deflate)->received += slice->len;
    for (size_t done = 0; done < slice->len;) {
        size_t n =
            slice->len - done < sizeof(scratch) ? slice->len - done : sizeof(scratch);
        wsc_mask_copy(scratch, slice->data + done, n, header->masking_key,
                      (size_t)((slice->offset + done) % 4));
        enum wsc_status status = inflate(assembler, scratch, n);
        if (status != WSC_OK) {
            return status;
        }
        done += n;
    }
    return slice->ends && header->fin ? inflate(assembler, NULL, 0) : WSC_OK;
}

uint8_t *wsc_assembler_space(struct wsc_assembler *assembler,
                             const struct wsc_frame_header *header, uint64_t missing,
                             size_t *out_len)
{
    if (assembler->compressed || assembler->data == NULL || missing < WSC_DIRECT_MIN ||
        is_too_big(assembler, missing)) {
        return NULL;
    }
    size_t left = (size_t)missing; /* at most max_size */
    size_t end = header->fin ? assembler->len + left : assembler->max_size;
    /* No more than reserve() would take for what has come. */
    size_t cap = assembler->len + assembler->len / 2;
    cap = cap < end ? cap : end;
    if (assembler->cap - assembler->len < WSC_DIRECT_MIN &&
        cap >= assembler->len + WSC_DIRECT_MIN && cap > assembler->cap &&
        resize(assembler, cap) != WSC_OK) {
        return NULL; /* what came is lost: wsc_assembler_add says so */
    }
    size_t room = assembler->cap - assembler->len;
    if (room < WSC_DIRECT_MIN) {
        return NULL;
    }
    *out_len = room < left ? room : left;
    return assembler->data + assembler->len;
}

/* --- results --- */

/* How many bytes at the end of a streamed text fragment belong to a code point that the
 * next fragment completes (0 to 3). */
static size_t incomplete_tail(const struct wsc_assembler *assembler)
{
    struct wsc_utf8 utf8 = assembler->utf8;
    if (assembler->kind != WSC_PAYLOAD_TEXT || assembler->ascii ||
        wsc_utf8_finish(&utf8) == WSC_OK) {
        return 0;
    }
    size_t tail = 1;
    while (tail < assembler->len &&
           (assembler->data[assembler->len - tail] & 0xC0U) == 0x80U) {
        tail++;
    }
    return tail;
}

/* Hand out what has been joined, but for the last `tail` bytes. */
static enum wsc_status give_out(struct wsc_assembler *assembler, bool fin, size_t tail,
                                struct wsc_message *out_message)
{
    const struct wsc_payload_memory *memory = assembler->memory;
    uint8_t kept[4] = {0};
    size_t len = assembler->len - tail;
    if (tail > 0) {
        memcpy(kept, assembler->data + len, tail);
    }
    if (len == 0 && assembler->data != NULL) {
        memory->free(memory->ctx, assembler->kind, assembler->data);
        assembler->data = NULL;
    }
    else if (len < assembler->cap) {
        enum wsc_status status = resize(assembler, len);
        if (status != WSC_OK) {
            return fail(assembler, status, "out of memory");
        }
    }
    out_message->kind = (enum wsc_payload_kind)assembler->kind;
    out_message->data = assembler->data;
    out_message->len = len;
    out_message->ascii = assembler->ascii;
    out_message->fin = fin;
    out_message->compressed = assembler->compressed;
    assembler->data = NULL;
    assembler->len = 0;
    assembler->cap = 0;
    if (tail > 0) {
        enum wsc_status status = resize(assembler, FIRST_CAP);
        if (status != WSC_OK) {
            if (out_message->data != NULL) {
                memory->free(memory->ctx, out_message->kind, out_message->data);
            }
            return fail(assembler, status, "out of memory");
        }
        memcpy(assembler->data, kept, tail);
        assembler->len = tail;
    }
    return WSC_OK;
}

enum wsc_status wsc_assembler_add(struct wsc_assembler *assembler,
                                  const struct wsc_frame_header *header,
                                  const struct wsc_slice *slice,
                                  struct wsc_message *out_message)
{
    enum wsc_status status = WSC_OK;
    if (slice->begins) {
        status = begin_frame(assembler, header);
    }
    if (status == WSC_OK) {
        status = assembler->compressed ? add_compressed(assembler, header, slice)
                                       : add_plain(assembler, header, slice);
    }
    if (status != WSC_OK) {
        return status;
    }
    if (!slice->ends || (!header->fin && !assembler->streaming)) {
        return WSC_NEED_DATA;
    }
    if (header->fin && assembler->kind == WSC_PAYLOAD_TEXT && !assembler->ascii &&
        wsc_utf8_finish(&assembler->utf8) != WSC_OK) {
        return fail(assembler, WSC_ERR_UTF8, "text message ends inside a code point");
    }
    return give_out(assembler, header->fin,
                    header->fin ? 0 : incomplete_tail(assembler), out_message);
}
