/* Compressed messages through the assembler: the limit counts inflated bytes and stops
 * zlib before they are spent, RFC 7692 §7.2. The sender is zlib itself. */
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "zlib_peer.h"

struct incoming {
    struct bench bench;
    struct zlib_peer peer;
    struct wsc_deflate *deflate;
};

static const struct wsc_deflate_params params = {.server_max_window_bits = 15,
                                                 .client_max_window_bits = 15};

static void incoming_init(struct incoming *incoming, size_t max_size)
{
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    zlib_peer_init(&incoming->peer, 15, true, 15, true);
    bench_init(&incoming->bench, max_size, NULL);
    CHECK_INT(wsc_deflate_new(wsc_allocator_default(), NULL, WSC_ROLE_SERVER, &settings,
                              &params, &incoming->deflate),
              WSC_OK);
    incoming->bench.assembler.deflate = incoming->deflate;
}

static void incoming_fini(struct incoming *incoming)
{
    bench_fini(&incoming->bench);
    wsc_deflate_free(incoming->deflate);
    zlib_peer_fini(&incoming->peer);
}

/* The message in frames of at most `frame` bytes and slices of at most `step`. */
static enum wsc_status add(struct incoming *incoming, bool text, const uint8_t *wire,
                           size_t len, size_t frame, size_t step,
                           struct wsc_message *out_message, size_t *out_done)
{
    unsigned opcode = (text ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY) | BENCH_RSV1;
    size_t done = 0;
    enum wsc_status status;
    do {
        size_t n = len - done < frame ? len - done : frame;
        size_t used = 0;
        status = bench_frame(&incoming->bench, opcode, done + n == len, wire + done, n,
                             step, out_message, &used);
        done += used;
        opcode = WSC_OPCODE_CONTINUATION;
    } while (status == WSC_NEED_DATA && done < len);
    if (out_done != NULL) {
        *out_done = done;
    }
    return status;
}

static void fill(uint8_t *data, size_t len, bool random)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = random ? (uint8_t)test_random() : 0;
    }
}

/* INF-2, INF-3: exactly the limit passes and one byte more does not, for limits of 0 to
 * 4,096, zeros and random bytes, every memLevel and strategy of the sender. */
static void exactly_the_limit(void)
{
    static const size_t limits[] = {0,   1,   2,    3,    127,  128,  129,  255,
                                    256, 257, 1000, 1023, 1024, 4095, 4096, 65536};
    uint8_t *data = malloc(70000);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        for (unsigned kind = 0; kind < 2 * 9 * 5; kind++) {
            size_t max = limits[i];
            struct bytes wire = {0};
            struct incoming incoming;
            struct wsc_message message = {0};
            incoming_init(&incoming, max);
            zlib_peer_fini(&incoming.peer);
            zlib_peer_init_sender(&incoming.peer, (int)(kind % 10), 15,
                                  (int)(kind / 2 % 9) + 1, (int)(kind / 18), true);
            fill(data, max + 1, kind % 2 != 0);
            zlib_peer_send(&incoming.peer, data, max, &wire);
            bool good = CHECK_INT(add(&incoming, false, wire.data, wire.len, 50000,
                                      1 + test_random_below(3000), &message, NULL),
                                  WSC_OK) &&
                        CHECK_BYTES(message.data, message.len, data, max) &&
                        CHECK(message.compressed && message.fin);
            CHECK_INT(incoming.bench.allocator.live_bytes, max);
            bench_drop(&incoming.bench, &message);
            wire.len = 0;
            zlib_peer_send(&incoming.peer, data, max + 1, &wire);
            good = good && CHECK_INT(add(&incoming, false, wire.data, wire.len, 50000,
                                         1 + test_random_below(3000), &message, NULL),
                                     WSC_ERR_TOO_BIG);
            CHECK(incoming.bench.allocator.peak_bytes <= max + 1 + max / 2 + 256);
            incoming_fini(&incoming);
            bytes_free(&wire);
            if (!good) {
                printf("limit %zu, kind %u\n", max, kind);
                free(data);
                return;
            }
        }
    }
    free(data);
}

/* INF-1: 64 MiB of zeros in 64 KB, whole and in fragments: 1009 with no more memory
 * than the limit. */
static void a_bomb_stops_at_the_limit(void)
{
    static const size_t frames[] = {SIZE_MAX, 1000, 1};
    uint8_t *zeros = calloc(1 << 20, 1);
    struct bytes wire = {0};
    struct incoming incoming;
    incoming_init(&incoming, 1 << 20);
    for (int i = 0; i < 64; i++) {
        zlib_peer_deflate(&incoming.peer, zeros, 1 << 20, Z_NO_FLUSH, &wire);
    }
    zlib_peer_send(&incoming.peer, zeros, 1, &wire);
    incoming_fini(&incoming);
    for (size_t i = 0; i < 3; i++) {
        struct wsc_message message;
        size_t done = 0;
        incoming_init(&incoming, 1 << 20);
        clock_t start = clock();
        CHECK_INT(add(&incoming, i == 1, wire.data, wire.len, frames[i], 1 << 16,
                      &message, &done),
                  WSC_ERR_TOO_BIG);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        printf("  frames of %zu: refused after %zu of %zu bytes, peak %zu, %.4f s\n",
               frames[i], done, wire.len, incoming.bench.allocator.peak_bytes, seconds);
        CHECK(incoming.bench.allocator.peak_bytes <= (1 << 20) + 1);
        CHECK_INT(incoming.bench.allocator.live_bytes, 0);
        incoming_fini(&incoming);
    }
    bytes_free(&wire);
    free(zeros);
}

/* A limit of their own for messages that come uncompressed; also when in fragments. */
static void plain_messages_have_less(void)
{
    struct incoming incoming;
    struct wsc_message message;
    struct bytes wire = {0};
    uint8_t data[1000] = {0};
    incoming_init(&incoming, sizeof(data));
    incoming.bench.assembler.max_plain_size = 999;
    zlib_peer_send(&incoming.peer, data, 1000, &wire);
    CHECK_INT(add(&incoming, false, wire.data, wire.len, 50000, 100, &message, NULL),
              WSC_OK);
    CHECK_INT(message.len, 1000);
    bench_drop(&incoming.bench, &message);
    for (size_t len = 999; len <= 1000; len++) {
        CHECK_INT(bench_frame(&incoming.bench, WSC_OPCODE_TEXT, false, data, 500, 100,
                              &message, NULL),
                  WSC_NEED_DATA);
        CHECK_INT(
            bench_header(&incoming.bench, WSC_OPCODE_CONTINUATION, len - 500, true),
            len > 999 ? WSC_ERR_TOO_BIG : WSC_NEED_DATA);
        wsc_assembler_fini(&incoming.bench.assembler);
    }
    CHECK_INT(bench_header(&incoming.bench, WSC_OPCODE_BINARY, 1000, true),
              WSC_ERR_TOO_BIG);
    incoming_fini(&incoming);
    bytes_free(&wire);
}

/* INF-3, INF-14: no more than max + max/8 + 1 KiB on the wire for one message, told at
 * the header; stored blocks without output use it up. */
static void the_wire_is_limited_too(void)
{
    struct incoming incoming;
    struct wsc_message message;
    uint8_t stored[5] = {0x00, 0x00, 0x00, 0xFF, 0xFF};
    size_t limit = 8000 + 1000 + 1024;
    incoming_init(&incoming, 8000);
    CHECK_INT(
        bench_header(&incoming.bench, WSC_OPCODE_BINARY | BENCH_RSV1, limit + 1, true),
        WSC_ERR_TOO_BIG);
    CHECK_INT(incoming.bench.allocator.requests, 0);
    CHECK_INT(
        bench_header(&incoming.bench, WSC_OPCODE_BINARY | BENCH_RSV1, limit, true),
        WSC_NEED_DATA);
    size_t done = 0;
    unsigned opcode = WSC_OPCODE_BINARY | BENCH_RSV1;
    enum wsc_status status;
    do {
        status =
            bench_frame(&incoming.bench, opcode, false, stored, 5, 5, &message, NULL);
        opcode = WSC_OPCODE_CONTINUATION;
        done += status == WSC_NEED_DATA ? 5 : 0;
    } while (status == WSC_NEED_DATA);
    CHECK_INT(status, WSC_ERR_TOO_BIG);
    CHECK_INT(done, limit / 5 * 5);
    incoming_fini(&incoming);
}

/* INF-10: frames without payload in a compressed message, and messages that end inside
 * a block, with nothing carried over. */
static void empty_frames_and_cut_blocks(void)
{
    struct incoming incoming;
    struct wsc_message message = {0};
    struct bytes wire = {0};
    incoming_init(&incoming, 1000);
    zlib_peer_send(&incoming.peer, (const uint8_t *)"Hello, Hello, Hello", 19, &wire);
    size_t half = wire.len / 2;
    struct {
        const uint8_t *data;
        size_t len;
    } frames[] = {{NULL, 0},
                  {wire.data, half},
                  {NULL, 0},
                  {wire.data + half, wire.len - half},
                  {NULL, 0}};
    for (size_t i = 0; i < 5; i++) {
        unsigned opcode =
            i == 0 ? WSC_OPCODE_TEXT | BENCH_RSV1 : WSC_OPCODE_CONTINUATION;
        CHECK_INT(bench_frame(&incoming.bench, opcode, i == 4, frames[i].data,
                              frames[i].len, 3, &message, NULL),
                  i == 4 ? WSC_OK : WSC_NEED_DATA);
    }
    CHECK_BYTES(message.data, message.len, "Hello, Hello, Hello", 19);
    bench_drop(&incoming.bench, &message);

    /* An empty message: the byte 00 of §7.2.3.6, and no byte at all. */
    for (size_t len = 0; len < 2; len++) {
        CHECK_INT(add(&incoming, true, (const uint8_t *)"", len, 1, 1, &message, NULL),
                  WSC_OK);
        CHECK(message.len == 0 && message.data == NULL && message.compressed);
    }
    incoming_fini(&incoming);

    for (size_t cut = 1; cut < wire.len; cut++) {
        incoming_init(&incoming, 1000);
        enum wsc_status status =
            add(&incoming, true, wire.data, cut, 100, 100, &message, NULL);
        /* The last byte is only the header of the block that the tail completes. */
        CHECK_INT(status, cut + 1 == wire.len ? WSC_OK : WSC_ERR_PROTOCOL);
        bench_drop(&incoming.bench, &message);
        incoming_fini(&incoming);
    }
    bytes_free(&wire);
}

/* INF-13: BFINAL in the middle and at the end, then a message that refers back; in
 * every size of slice. RFC 7692 §7.2.3.4, §7.2.3.5. */
static void final_blocks(void)
{
    for (size_t step = 1; step <= 64; step++) {
        static const uint8_t with_final[] = "\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
        static const uint8_t back[] = "\xf2\x00\x11\x00\x00";
        struct incoming incoming;
        struct wsc_message message = {0};
        incoming_init(&incoming, 1000);
        CHECK_INT(add(&incoming, true, with_final, 8, 100, step, &message, NULL),
                  WSC_OK);
        CHECK_BYTES(message.data, message.len, "Hello", 5);
        bench_drop(&incoming.bench, &message);
        CHECK_INT(add(&incoming, true, back, 5, step, 100, &message, NULL), WSC_OK);
        CHECK_BYTES(message.data, message.len, "Hello", 5);
        bench_drop(&incoming.bench, &message);
        incoming_fini(&incoming);
    }
}

/* INF-16: what is no deflate stream. */
static void bad_data(void)
{
    static const struct {
        const char *data;
        size_t len;
    } cases[] = {
        {"\x07", 1},                 /* block type 3 */
        {"\x00\x05\x00\x00\x00", 5}, /* stored length and its complement differ */
        {"\x02\x07\x00\x00", 4},     /* distance beyond the start */
        {"\xff\xff\xff\xff", 4},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct incoming incoming;
        struct wsc_message message;
        incoming_init(&incoming, 1000);
        CHECK_INT(add(&incoming, false, (const uint8_t *)cases[i].data, cases[i].len,
                      100, 1, &message, NULL),
                  WSC_ERR_PROTOCOL);
        incoming_fini(&incoming);
    }
}

/* FRG-6: each byte of a bad text flushed by itself; the error comes with that byte. */
static void bad_text_fails_at_once(void)
{
    static const char *const texts[] = {"abc\xC0\xAFxyz", "\xE2\x82\xAC\xED\xA0\x80 ",
                                        "\xF0\x9F\x98 \xF0", "\xFF"};
    static const size_t bad[] = {3, 4, 3, 0};
    for (size_t i = 0; i < 4; i++) {
        struct incoming incoming;
        struct wsc_message message;
        enum wsc_status status = WSC_NEED_DATA;
        unsigned opcode = WSC_OPCODE_TEXT | BENCH_RSV1;
        size_t k = 0;
        incoming_init(&incoming, 1000);
        for (; texts[i][k] != '\0' && status == WSC_NEED_DATA; k++) {
            struct bytes wire = {0};
            zlib_peer_deflate(&incoming.peer, (const uint8_t *)texts[i] + k, 1,
                              Z_SYNC_FLUSH, &wire);
            status = bench_frame(&incoming.bench, opcode, false, wire.data, wire.len, 2,
                                 &message, NULL);
            opcode = WSC_OPCODE_CONTINUATION;
            bytes_free(&wire);
        }
        CHECK_INT(status, WSC_ERR_UTF8);
        CHECK_INT(k, bad[i] + 1);
        incoming_fini(&incoming);
    }
}

/* Streamed fragments of a compressed text: whole code points, all of them, in order. */
static void streaming(void)
{
    static const char text[] = "caf\xC3\xA9 \xE2\x82\xAC 5, \xF0\x9F\x98\x80 and "
                               "\xF0\x9F\x98\x80 and \xF0\x9F\x98\x80 again";
    for (size_t frame = 1; frame < 60; frame++) {
        struct incoming incoming;
        struct bytes wire = {0};
        struct bytes got = {0};
        bool fin = false;
        incoming_init(&incoming, sizeof(text));
        incoming.bench.assembler.streaming = true;
        zlib_peer_send(&incoming.peer, (const uint8_t *)text, sizeof(text) - 1, &wire);
        for (size_t done = 0; !fin; done += frame) {
            struct wsc_message message = {0};
            size_t n = wire.len - done < frame ? wire.len - done : frame;
            unsigned opcode =
                done == 0 ? WSC_OPCODE_TEXT | BENCH_RSV1 : WSC_OPCODE_CONTINUATION;
            fin = done + n == wire.len;
            if (!CHECK_INT(bench_frame(&incoming.bench, opcode, fin, wire.data + done,
                                       n, 2, &message, NULL),
                           WSC_OK)) {
                break;
            }
            CHECK(wsc_utf8_is_valid(message.data, message.len));
            CHECK_INT(message.fin, fin);
            CHECK(message.compressed);
            bytes_append(&got, message.data, message.len);
            bench_drop(&incoming.bench, &message);
        }
        CHECK_BYTES(got.data, got.len, text, sizeof(text) - 1);
        bytes_free(&got);
        bytes_free(&wire);
        incoming_fini(&incoming);
    }
}

TEST_MAIN(TEST(exactly_the_limit), TEST(a_bomb_stops_at_the_limit),
          TEST(the_wire_is_limited_too), TEST(plain_messages_have_less),
          TEST(empty_frames_and_cut_blocks), TEST(final_blocks), TEST(bad_data),
          TEST(bad_text_fails_at_once), TEST(streaming))
