/* Compressed messages as a peer may send them, against plain zlib with all the room it
 * wants. Input: takeover and window bits (1 byte), limit (2), size of the steps of
 * output (1) and of input (1), then messages: length (2), bytes. */
#define ZLIB_CONST
#include <zlib.h>

#include "fuzz.h"
#include "wsc/deflate.h"

#define OUT_MAX (1 << 22)

/* Put back what a final block took away: a new stream with the same window. */
static void restart(z_stream *stream)
{
    static uint8_t window[1 << 15];
    uInt len = 0;
    REQUIRE(inflateGetDictionary(stream, window, &len) == Z_OK);
    REQUIRE(inflateReset(stream) == Z_OK);
    if (len > 0) {
        REQUIRE(inflateSetDictionary(stream, window, len) == Z_OK);
    }
}

/* zlib looks back from what it writes now, however far that is, and before it as far as
 * its window: how much it writes at once decides what is too far. */
#define ROOM 4096

/* All of `data`, at most `room` at once; false when zlib refuses it. *begun: a block
 * has been begun since the start of the stream. */
static bool plain(z_stream *stream, const uint8_t *data, size_t len, size_t room,
                  struct text *out, bool *begun)
{
    uint8_t chunk[ROOM];
    if (len == 0) {
        return true; /* inflate() without input forgets that it is between blocks */
    }
    stream->next_in = data;
    stream->avail_in = (uInt)len;
    int code;
    do {
        *begun = *begun || stream->avail_in > 0;
        stream->next_out = chunk;
        stream->avail_out = (uInt)room;
        code = inflate(stream, Z_SYNC_FLUSH);
        if (out->len < OUT_MAX) {
            text_add(out, chunk, room - stream->avail_out);
        }
        if (code == Z_STREAM_END) {
            restart(stream);
            *begun = false;
        }
        else if (code != Z_OK && code != Z_BUF_ERROR) {
            return false;
        }
    } while (stream->avail_in > 0 || stream->avail_out == 0);
    return true;
}

static bool at_boundary(const z_stream *stream, bool begun)
{
    return !begun || stream->data_type == 128;
}

static bool plain_message(z_stream *stream, const struct input *wire, size_t room,
                          bool *begun, struct text *out)
{
    static const uint8_t tail[4] = {0x00, 0x00, 0xFF, 0xFF};
    if (!plain(stream, wire->data, wire->size, room, out, begun)) {
        return false;
    }
    return at_boundary(stream, *begun) ||
           (plain(stream, tail, 4, room, out, begun) && at_boundary(stream, *begun));
}

/* The same by steps, stopping above `limit`. */
static enum wsc_status ours(struct wsc_deflate *deflate, const struct input *wire,
                            size_t limit, size_t out_step, size_t in_step,
                            struct text *out)
{
    struct input input = *wire;
    bool ending = false;
    uint8_t *piece = NULL;
    size_t piece_left = 0;
    const uint8_t *at = NULL;
    enum wsc_status status = WSC_OK;
    for (;;) {
        if (status == WSC_OK && piece_left == 0 && !ending) {
            free(piece);
            ending = input.size == 0;
            piece_left = input.size < in_step ? input.size : in_step;
            piece = exact_copy(take(&input, piece_left), piece_left);
            at = piece;
        }
        size_t used = 0;
        size_t written = 0;
        uint8_t *room = malloc(out_step);
        REQUIRE(room != NULL);
        status = ending ? wsc_deflate_decompress_end(deflate, room, out_step, &written)
                        : wsc_deflate_decompress(deflate, at, piece_left, &used, room,
                                                 out_step, &written);
        REQUIRE(status == WSC_OK || status == WSC_NEED_SPACE ||
                status == WSC_ERR_PROTOCOL);
        REQUIRE(used <= piece_left && written <= out_step);
        REQUIRE(status != WSC_NEED_SPACE || written == out_step);
        REQUIRE(status != WSC_OK || ending || used == piece_left);
        text_add(out, room, written);
        free(room);
        at += used;
        piece_left -= used;
        if (status < 0 || out->len > limit || (status == WSC_OK && ending)) {
            break;
        }
    }
    free(piece);
    return status < 0 ? status : out->len > limit ? WSC_ERR_TOO_BIG : WSC_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t flags = take_byte(&input);
    size_t limit = (size_t)take_byte(&input) << 8;
    limit |= take_byte(&input);
    size_t out_step = 1 + take_byte(&input) * 16U;
    size_t in_step = 1 + take_byte(&input) * 16U;
    struct counter counter;
    struct wsc_deflate_settings settings;
    struct wsc_deflate *deflate = NULL;
    struct wsc_deflate_params params = {
        .client_no_context_takeover = (flags & 1) != 0,
        .server_max_window_bits = 15,
        .client_max_window_bits = (uint8_t)(8 + flags / 2 % 8),
    };
    z_stream stream;
    z_stream exact; /* a byte at once: looks back as far as its window */
    bool begun = false;
    bool exact_begun = false;
    int bits = params.client_max_window_bits > 8 ? params.client_max_window_bits : 9;
    counter_init(&counter);
    memset(&stream, 0, sizeof(stream));
    memset(&exact, 0, sizeof(exact));
    wsc_deflate_settings_init(&settings);
    REQUIRE(inflateInit2(&stream, -bits) == Z_OK);
    REQUIRE(inflateInit2(&exact, -bits) == Z_OK);
    REQUIRE(wsc_deflate_new(&counter.base, NULL, WSC_ROLE_SERVER, &settings, &params,
                            &deflate) == WSC_OK);
    bool good = true;
    for (int i = 0; i < 20 && good && input.size > 1; i++) {
        size_t len = (size_t)take_byte(&input) << 8;
        len |= take_byte(&input);
        len = len < input.size ? len : input.size;
        struct input wire = {take(&input, len), len};
        struct text want = {0};
        struct text got = {0};
        struct text same = {0};
        bool legal = plain_message(&stream, &wire, ROOM, &begun, &want);
        bool within = plain_message(&exact, &wire, 1, &exact_begun, &same);
        text_free(&same);
        enum wsc_status status = ours(deflate, &wire, limit, out_step, in_step, &got);
        size_t both = want.len < got.len ? want.len : got.len;
        REQUIRE(both == 0 || memcmp(want.data, got.data, both) == 0);
        REQUIRE(status != WSC_OK || (legal && want.len == got.len));
        REQUIRE(status != WSC_ERR_PROTOCOL || !legal || !within);
        REQUIRE(status != WSC_ERR_TOO_BIG || want.len > limit);
        REQUIRE(counter.live <= 65536);
        text_free(&want);
        text_free(&got);
        good = status == WSC_OK;
        if (params.client_no_context_takeover) {
            REQUIRE(inflateReset(&stream) == Z_OK && inflateReset(&exact) == Z_OK);
            begun = exact_begun = false;
        }
        if ((flags & 0x80) != 0) {
            wsc_deflate_release_idle(deflate);
        }
    }
    wsc_deflate_free(deflate);
    REQUIRE(counter.live == 0);
    (void)inflateEnd(&stream);
    (void)inflateEnd(&exact);
    return 0;
}
