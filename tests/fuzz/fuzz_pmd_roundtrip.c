/* Messages from one end's compressor to the other's decompressor, both ways, with idle
 * releases and fragments: what comes out went in. Input: parameters (3 bytes), then
 * messages: what (1), length (1, ×8), bytes. */
#include "fuzz.h"
#include "wsc/deflate.h"

static void inflate_piece(struct wsc_deflate *deflate, const struct wsc_buffer *wire,
                          size_t step, struct text *out)
{
    const uint8_t *data = wire->data;
    size_t left = wire->len;
    enum wsc_status status;
    do {
        size_t used = 0;
        size_t written = 0;
        uint8_t *room = malloc(step);
        REQUIRE(room != NULL);
        status =
            wsc_deflate_decompress(deflate, data, left, &used, room, step, &written);
        REQUIRE(status >= 0 && used <= left && written <= step);
        text_add(out, room, written);
        free(room);
        data += used;
        left -= used;
    } while (status == WSC_NEED_SPACE);
    REQUIRE(left == 0);
}

static void inflate_end(struct wsc_deflate *deflate, size_t step, struct text *out)
{
    enum wsc_status status;
    do {
        size_t written = 0;
        uint8_t *room = malloc(step);
        REQUIRE(room != NULL);
        status = wsc_deflate_decompress_end(deflate, room, step, &written);
        REQUIRE(status >= 0 && written <= step);
        text_add(out, room, written);
        free(room);
    } while (status == WSC_NEED_SPACE);
}

static void send_message(struct wsc_deflate *from, struct wsc_deflate *to,
                         struct input message, size_t cut, size_t step)
{
    struct text got = {0};
    const uint8_t *start = message.data;
    size_t whole = message.size;
    bool fin;
    cut = cut < whole ? cut : whole;
    do {
        struct wsc_buffer wire;
        size_t n = cut < message.size && cut > 0 ? cut : message.size;
        fin = n == message.size;
        wsc_buffer_init(&wire, wsc_allocator_default(), SIZE_MAX / 2);
        REQUIRE(wsc_deflate_compress(from, take(&message, n), n, fin, &wire) == WSC_OK);
        /* RFC 7692 §7.2.1: without the tail, and never empty at the end. */
        REQUIRE(!fin ||
                (wire.len > 0 && (wire.len < 4 || memcmp(wire.data + wire.len - 4,
                                                         "\0\0\xFF\xFF", 4) != 0)));
        REQUIRE(wire.len <= n + n / 8 + 64);
        inflate_piece(to, &wire, step, &got);
        wsc_buffer_fini(&wire);
    } while (!fin);
    inflate_end(to, step, &got);
    REQUIRE(got.len == whole && (whole == 0 || memcmp(got.data, start, whole) == 0));
    text_free(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input input = {data, size};
    uint8_t flags = take_byte(&input);
    uint8_t bits = take_byte(&input);
    uint8_t shape = take_byte(&input);
    struct counter counter;
    struct wsc_deflate_settings settings;
    struct wsc_deflate_pool *pool = NULL;
    struct wsc_deflate *ends[2] = {NULL, NULL};
    struct wsc_deflate_params params = {
        .server_no_context_takeover = (flags & 1) != 0,
        .client_no_context_takeover = (flags & 2) != 0,
        .server_max_window_bits = (uint8_t)(9 + bits % 7),
        .client_max_window_bits = (uint8_t)(9 + bits / 7 % 7),
    };
    counter_init(&counter);
    wsc_deflate_settings_init(&settings);
    settings.level = shape % 10;
    settings.mem_level = 1 + shape / 10 % 9;
    REQUIRE((flags & 4) == 0 ||
            wsc_deflate_pool_new(&counter.base, 2, 40000, &pool) == WSC_OK);
    for (int i = 0; i < 2; i++) {
        REQUIRE(wsc_deflate_new(&counter.base, pool,
                                i == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT, &settings,
                                &params, &ends[i]) == WSC_OK);
    }
    for (int i = 0; i < 60 && input.size > 1; i++) {
        uint8_t what = take_byte(&input);
        size_t len = take_byte(&input) * 8U;
        len = len < input.size ? len : input.size;
        struct input message = {take(&input, len), len};
        size_t step = 1 + (what >> 4) * 100U;
        send_message(ends[what & 1], ends[(what & 1) ^ 1], message,
                     (what & 2) != 0 ? len / 3 + 1 : SIZE_MAX, step);
        if ((what & 4) != 0) {
            wsc_deflate_release_idle(ends[0]);
        }
        if ((what & 8) != 0) {
            wsc_deflate_release_idle(ends[1]);
        }
    }
    wsc_deflate_free(ends[0]);
    wsc_deflate_free(ends[1]);
    wsc_deflate_pool_free(pool);
    REQUIRE(counter.live == 0);
    return 0;
}
