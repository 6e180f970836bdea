/* permessage-deflate against a peer that means ill, or is broken: bombs, limits,
 * streams that do not end, BFINAL anywhere, work without output, corruption. */
#include "deflate_end.h"

#include <stdlib.h>
#include <time.h>

#define KIB       ((size_t)1024)
#define MIB       ((size_t)1 << 20)
#define HEX(text) (const uint8_t *)(text), sizeof(text) - 1

/* ---- INF-1, INF-2, INF-3: limits ---- */

static void zeros_compressed(size_t len, struct bytes *wire)
{
    static const uint8_t zeros[65536];
    struct zlib_peer peer;
    zlib_peer_init(&peer, 15, true, 15, true);
    wire->len = 0;
    for (; len > sizeof(zeros); len -= sizeof(zeros)) {
        zlib_peer_deflate(&peer, zeros, sizeof(zeros), Z_NO_FLUSH, wire);
    }
    zlib_peer_send(&peer, zeros, len, wire);
    zlib_peer_fini(&peer);
}

/* INF-1 */
static void bomb(void)
{
    struct bytes wire = {0};
    zeros_compressed(64 * MIB, &wire);
    CHECK(wire.len < 70 * KIB);
    const size_t limit = MIB;
    uint8_t *room = malloc(limit + 1);
    if (room == NULL) {
        abort();
    }
    for (int in_fragments = 0; in_fragments < 2; in_fragments++) {
        struct test_allocator allocator;
        test_allocator_init(&allocator);
        struct wsc_deflate *end =
            end_new((struct end_options){.allocator = &allocator.base});
        size_t at = 0;
        size_t got = 0;
        enum wsc_status status = WSC_OK;
        room[limit] = 0x5A;
        while (status == WSC_OK && at < wire.len) {
            size_t n = in_fragments ? 100 : wire.len;
            n = n < wire.len - at ? n : wire.len - at;
            size_t used;
            size_t written;
            status = wsc_deflate_decompress(end, wire.data + at, n, &used, room + got,
                                            limit - got, &written);
            at += used;
            got += written;
        }
        CHECK_INT(status, WSC_NEED_SPACE);
        CHECK_INT(got, limit);
        CHECK_INT(room[limit], 0x5A);
        /* It stopped early: a mebibyte of zeros takes a kilobyte. */
        CHECK(at < 3 * KIB);
        CHECK(allocator.peak_bytes < 48 * KIB);
        wsc_deflate_free(end);
        CHECK_INT(allocator.live_blocks, 0);
    }
    free(room);
    bytes_free(&wire);
}

/* INF-2 INF-3: a message of exactly the limit passes, one byte more does not. */
static void exact_limits(void)
{
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    for (size_t size = 0; size <= 4096; size += size < 300 ? 1 : 97) {
        for (int kind = 0; kind < 3; kind++) {
            random_message(&message, size);
            for (size_t i = 0; i < size && kind > 0; i++) {
                message.data[i] = kind == 1 ? 0 : (uint8_t)test_random();
            }
            struct zlib_peer peer;
            struct wsc_deflate *end = end_new((struct end_options){0});
            zlib_peer_init(&peer, 15, true, 15, true);
            wire.len = 0;
            zlib_peer_send(&peer, message.data, size, &wire);
            CHECK_INT(end_receive(end, WHOLE, wire.data, wire.len, size, &got), WSC_OK);
            CHECK_BYTES(got.data, got.len, message.data, size);
            wsc_deflate_free(end);
            end = end_new((struct end_options){0});
            if (size > 0) {
                CHECK_INT(end_receive(end, size % 2 ? WHOLE : BY_BYTES, wire.data,
                                      wire.len, size - 1, &got),
                          WSC_NEED_SPACE);
                CHECK_INT(got.len, size - 1);
            }
            wsc_deflate_free(end);
            zlib_peer_fini(&peer);
        }
    }
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

/* INF-5: references far into earlier messages are no reason to refuse one. */
static void long_references(void)
{
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    struct zlib_peer peer;
    struct wsc_deflate *end = end_new((struct end_options){0});
    zlib_peer_init(&peer, 15, true, 15, true);
    random_message(&message, 32000);
    for (int i = 0; i < 50; i++) {
        wire.len = 0;
        zlib_peer_send(&peer, message.data, message.len, &wire);
        CHECK_INT(end_receive(end, i % 2 ? WHOLE : IN_RANDOM_SPLITS, wire.data,
                              wire.len, message.len, &got),
                  WSC_OK);
        CHECK_BYTES(got.data, got.len, message.data, message.len);
        wsc_deflate_release_idle(end);
    }
    CHECK(wire.len < 1000);
    zlib_peer_fini(&peer);
    wsc_deflate_free(end);
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

/* ---- INF-10, INF-16: what is no message ---- */

struct row {
    const char *what;
    const uint8_t *wire;
    size_t len;
    const char *message; /* NULL: WSC_ERR_PROTOCOL */
};

static const struct row ROWS[] = {
    {"no byte at all", HEX(""), ""},
    {"an empty stored block", HEX("\x00"), ""},
    {"two of them", HEX("\x00\x00\x00\xff\xff\x00"), ""},
    {"the tail left in place", HEX("\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"),
     "Hello"},
    {"BFINAL and nothing after it", HEX("\xf3\x48\xcd\xc9\xc9\x07\x00"), "Hello"},
    {"BFINAL twice", HEX("\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00"),
     "HelloHello"},
    {"BFINAL, then not",
     HEX("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00"), "HelloHello"},
    {"a stored block with BFINAL", HEX("\x01\x01\x00\xfe\xff\x41"), "A"},
    {"an empty block with BFINAL", HEX("\x03\x00\x03\x00\x00"), ""},
    {"in the middle of a fixed block", HEX("\xf2\x48\xcd\xc9"), NULL},
    {"a fixed block without its end", HEX("\xf2\x48\xcd\xc9\xc9\x07"), NULL},
    {"block header only, dynamic", HEX("\x04"), NULL},
    {"in the middle of a dynamic header", HEX("\x05\xc0\x81"), NULL},
    {"reserved block type", HEX("\x06"), NULL},
    {"reserved block type, final", HEX("\x07\x00"), NULL},
    {"stored length mismatch", HEX("\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00"),
     NULL},
    {"stored length cut", HEX("\x00\x05"), NULL},
    {"stored data cut", HEX("\x00\x0f\x00\xf0\xff\x48\x65\x6c\x6c\x6f"), NULL},
    {"distance before the start", HEX("\xf2\x00\x11\x00\x00"), NULL},
    {"text", HEX("Hello, this is not compressed"), NULL},
    {"all bits", HEX("\xff\xff\xff\xff"), NULL},
};

/* INF-10 INF-16 */
static void what_is_a_message(void)
{
    static const struct feeding feedings[] = {
        {0, 0, false}, {1, 1, false}, {1, 0, false}, {0, 1, false}, {2, 3, false}};
    struct bytes got = {0};
    for (size_t i = 0; i < sizeof(ROWS) / sizeof(ROWS[0]) * 5; i++) {
        const struct row *row = &ROWS[i / 5];
        struct test_allocator allocator;
        test_allocator_init(&allocator);
        struct wsc_deflate *end =
            end_new((struct end_options){.allocator = &allocator.base});
        enum wsc_status status =
            end_receive(end, feedings[i % 5], row->wire, row->len, 1000, &got);
        bool ok = CHECK_INT(status, row->message ? WSC_OK : WSC_ERR_PROTOCOL);
        if (row->message != NULL) {
            ok &= CHECK_BYTES(got.data, got.len, row->message, strlen(row->message));
            /* The next message is not affected. */
            status =
                end_receive(end, feedings[i % 5], ROWS[8].wire, ROWS[8].len, 5, &got);
            ok &= CHECK_INT(status, row == &ROWS[8] ? status : WSC_OK);
        }
        else {
            /* An error stays, and nothing is kept. */
            ok &= CHECK(allocator.live_bytes <= 512);
            ok &= CHECK_INT(end_receive(end, WHOLE, HEX("\x00"), 100, &got),
                            WSC_ERR_PROTOCOL);
            size_t written;
            ok &= CHECK_INT(wsc_deflate_decompress_end(end, NULL, 0, &written),
                            WSC_ERR_PROTOCOL);
            wsc_deflate_release_idle(end);
        }
        if (!ok) {
            printf("  %s, feeding %zu\n", row->what, i % 5);
        }
        wsc_deflate_free(end);
        CHECK_INT(allocator.live_blocks, 0);
    }
    bytes_free(&got);
}

/* INF-10: empty frames before, between and after; the first with RSV1 empty. */
static void empty_frames(void)
{
    static const uint8_t hello[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    struct wsc_deflate *end = end_new((struct end_options){0});
    for (size_t cut = 0; cut <= 7; cut++) {
        uint8_t room[5];
        size_t used;
        size_t written;
        size_t got = 0;
        CHECK_INT(wsc_deflate_decompress(end, NULL, 0, &used, NULL, 0, &written),
                  WSC_OK);
        CHECK_INT(wsc_deflate_decompress(end, hello, cut, &used, room, 5, &written),
                  WSC_OK);
        got += written;
        for (int i = 0; i < 3; i++) {
            CHECK_INT(wsc_deflate_decompress(end, NULL, 0, &used, room + got, 5 - got,
                                             &written),
                      WSC_OK);
            got += written;
        }
        CHECK_INT(wsc_deflate_decompress(end, hello + cut, 7 - cut, &used, room + got,
                                         5 - got, &written),
                  WSC_OK);
        got += written;
        CHECK_INT(wsc_deflate_decompress(end, NULL, 0, &used, NULL, 0, &written),
                  WSC_OK);
        CHECK_INT(wsc_deflate_decompress_end(end, NULL, 0, &written), WSC_OK);
        CHECK_BYTES(room, got, "Hello", 5);
    }
    wsc_deflate_free(end);
}

/* A caller that ends the message before all of it was fetched gets the rest there. The
 * block: BFINAL, fixed codes, FF, 258 bytes from distance 1, end of block: 32 bits,
 * which zlib has to read before it has room for what they mean. */
static void end_before_the_rest(void)
{
    static const uint8_t wire[] = "\xfb\x3f\x0a\x00";
    struct wsc_deflate *end = end_new((struct end_options){0});
    uint8_t message[259];
    memset(message, 0xFF, sizeof(message));
    for (int again = 0; again < 2; again++) {
        uint8_t room[259];
        size_t used;
        size_t len;
        size_t got;
        CHECK_INT(wsc_deflate_decompress(end, wire, 4, &used, room, 7, &got),
                  WSC_NEED_SPACE);
        CHECK_INT(used, 4);
        CHECK_INT(got, 7);
        /* The spare byte is not lost when there is still no room. */
        CHECK_INT(wsc_deflate_decompress(end, NULL, 0, &used, NULL, 0, &len),
                  WSC_NEED_SPACE);
        enum wsc_status status = WSC_NEED_SPACE;
        while (status == WSC_NEED_SPACE && got < 259) {
            size_t cap = test_random_below(259 - got + 1);
            status = wsc_deflate_decompress_end(end, room + got, cap, &len);
            got += len;
        }
        CHECK_INT(status, WSC_OK);
        CHECK_BYTES(room, got, message, 259);
    }
    wsc_deflate_free(end);
}

/* ---- INF-13: BFINAL ---- */

/* Messages whose blocks have BFINAL set here and there, each stream going on with the
 * window of the one before, as a peer does that restarts its deflater. */
static void bfinal_message(struct zlib_peer *peer, struct bytes *window,
                           const struct bytes *message, struct bytes *wire)
{
    size_t at = 0;
    while (at < message->len) {
        size_t n = test_random_below(message->len - at) + 1;
        bool final = test_random_below(2) == 0;
        zlib_peer_deflate(peer, message->data + at, n, final ? Z_FINISH : Z_SYNC_FLUSH,
                          wire);
        bytes_append(window, message->data + at, n);
        at += n;
        if (final) {
            size_t len = window->len < 32768 ? window->len : 32768;
            CHECK_INT(deflateReset(&peer->deflater), Z_OK);
            CHECK_INT(deflateSetDictionary(&peer->deflater,
                                           window->data + window->len - len, (uInt)len),
                      Z_OK);
        }
    }
    if (test_random_below(2) == 0) {
        bytes_append(wire, "\0", 1); /* RFC 7692 §7.2.3.4 */
    }
}

/* INF-13 */
static void bfinal_anywhere(void)
{
    struct bytes message = {0};
    struct bytes window = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    struct zlib_peer peer;
    struct wsc_deflate *end = end_new((struct end_options){0});
    zlib_peer_init(&peer, 15, true, 15, true);
    for (size_t i = 0; i < 600; i++) {
        random_message(&message, i % 50 == 7 ? 30000 : test_random_below(500) + 1);
        wire.len = 0;
        bfinal_message(&peer, &window, &message, &wire);
        struct feeding feeding = {i % 7, i % 65, false};
        CHECK_INT(end_receive(end, i % 3 == 0 ? IN_RANDOM_SPLITS : feeding, wire.data,
                              wire.len, message.len, &got),
                  WSC_OK);
        if (!CHECK_BYTES(got.data, got.len, message.data, message.len)) {
            printf("  message %zu\n", i);
            break;
        }
        if (i % 20 == 0) {
            wsc_deflate_release_idle(end);
        }
    }
    zlib_peer_fini(&peer);
    wsc_deflate_free(end);
    bytes_free(&message);
    bytes_free(&window);
    bytes_free(&wire);
    bytes_free(&got);
}

/* Every split in two of a message with every kind of block, every step of output. */
static void every_split(void)
{
    struct bytes message = {0};
    struct bytes window = {0};
    struct bytes wire = {0};
    struct zlib_peer peer;
    zlib_peer_init(&peer, 15, true, 15, true);
    random_message(&message, 900);
    bfinal_message(&peer, &window, &message, &wire);
    for (size_t step = 0; step <= 64; step++) {
        for (size_t cut = 0; cut <= wire.len; cut += step == 0 || step == 64 ? 1 : 7) {
            struct wsc_deflate *end = end_new((struct end_options){0});
            uint8_t room[900];
            size_t got = 0;
            size_t used;
            size_t written;
            enum wsc_status status = WSC_OK;
            for (int part = 0; part < 3; part++) {
                const uint8_t *at = part == 0 ? wire.data : wire.data + cut;
                size_t len = part == 0 ? cut : part == 1 ? wire.len - cut : 0;
                do {
                    size_t cap = step == 0 || step > 900 - got ? 900 - got : step;
                    if (part == 2) {
                        status =
                            wsc_deflate_decompress_end(end, room + got, cap, &written);
                    }
                    else {
                        status = wsc_deflate_decompress(end, at, len, &used, room + got,
                                                        cap, &written);
                        at += used;
                        len -= used;
                    }
                    got += written;
                } while (status == WSC_NEED_SPACE && got < 900);
                CHECK_INT(status, WSC_OK);
            }
            CHECK_BYTES(room, got, message.data, message.len);
            wsc_deflate_free(end);
        }
    }
    zlib_peer_fini(&peer);
    bytes_free(&message);
    bytes_free(&window);
    bytes_free(&wire);
}

/* ---- INF-14: work without output ---- */

static void fill_window(struct wsc_deflate *end)
{
    struct zlib_peer peer;
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    zlib_peer_init(&peer, 15, true, 15, true);
    random_message(&message, 40000);
    zlib_peer_send(&peer, message.data, message.len, &wire);
    CHECK_INT(end_receive(end, WHOLE, wire.data, wire.len, MIB, &got), WSC_OK);
    zlib_peer_fini(&peer);
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

static double
seconds_for(const uint8_t *unit, size_t unit_len, size_t count, bool one_message)
{
    struct bytes wire = {0};
    struct bytes got = {0};
    for (size_t i = 0; i < count; i++) {
        bytes_append(&wire, unit, unit_len);
    }
    double best = 1e9;
    for (int run = 0; run < 3; run++) {
        struct wsc_deflate *end = end_new((struct end_options){0});
        fill_window(end);
        clock_t start = clock();
        if (one_message) {
            CHECK_INT(end_receive(end, WHOLE, wire.data, wire.len, MIB, &got), WSC_OK);
        }
        for (size_t i = 0; i < count && !one_message; i++) {
            size_t used;
            size_t written;
            uint8_t room[16];
            CHECK_INT(wsc_deflate_decompress(end, wire.data + i * unit_len, unit_len,
                                             &used, room, sizeof(room), &written),
                      WSC_OK);
            CHECK_INT(wsc_deflate_decompress_end(end, room, sizeof(room), &written),
                      WSC_OK);
        }
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = seconds < best ? seconds : best;
        CHECK_INT(got.len, 0);
        wsc_deflate_free(end);
    }
    bytes_free(&wire);
    bytes_free(&got);
    return best;
}

/* INF-14: also blocks with BFINAL, of two bytes each, after a full window. */
static void linear_time(void)
{
    static const struct {
        const char *what;
        const uint8_t *unit;
        size_t len;
        size_t count;
        bool one_message;
    } inputs[] = {
        {"00 00 00 ff ff in one message", HEX("\x00\x00\x00\xff\xff"), 180000, true},
        {"00 00 00 ff ff in messages", HEX("\x00\x00\x00\xff\xff"), 100000, false},
        {"00 in messages", HEX("\x00"), 100000, false},
        {"03 00 in one message", HEX("\x03\x00"), 450000, true},
    };
    for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
        /* Eight times as much: 8 if it is linear, 64 if it is quadratic. */
        size_t count = inputs[i].count;
        double some = seconds_for(inputs[i].unit, inputs[i].len, count / 4,
                                  inputs[i].one_message);
        double much = seconds_for(inputs[i].unit, inputs[i].len, 2 * count,
                                  inputs[i].one_message);
        double ns = much * 1e9 / (double)(inputs[i].len * 2 * count);
        printf("  %s: %.1f ns a wire byte\n", inputs[i].what, ns);
        CHECK(much <= 24 * some + 0.002);
        CHECK(ns < (i == 0 ? 50 : 2000)); /* sanitizers and busy machines included */
    }
}

/* ---- INF-16: corruption ---- */

/* Either the same bytes as zlib's own inflate gives, or an error; never a crash, never
 * more than the room. */
static void corrupt(struct bytes *wire)
{
    for (size_t n = test_random_below(4) + 1; n > 0 && wire->len > 0; n--) {
        size_t at = test_random_below(wire->len);
        switch (test_random_below(4)) {
        case 0:
            wire->data[at] = (uint8_t)(wire->data[at] ^ (1U << test_random_below(8)));
            break;
        case 1:
            wire->data[at] = (uint8_t)test_random();
            break;
        case 2:
            wire->len = at;
            break;
        default:
            memmove(wire->data + at, wire->data + at + 1, wire->len - at - 1);
            wire->len--;
            break;
        }
    }
}

static void corruption(void)
{
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    struct bytes want = {0};
    size_t refused = 0;
    size_t same = 0;
    for (int i = 0; i < 6000; i++) {
        struct zlib_peer peer;
        struct wsc_deflate *end = end_new((struct end_options){0});
        zlib_peer_init_sender(&peer, i % 9 + 1, 15, 8, i % 5, true);
        for (int m = 0; m < 3; m++) {
            random_message(&message, test_random_below(600));
            wire.len = 0;
            if (i % 10 == 9) {
                bytes_append(&wire, message.data, message.len);
            }
            else {
                zlib_peer_send(&peer, message.data, message.len, &wire);
            }
            corrupt(&wire);
            enum wsc_status status = end_receive(end, m == 1 ? WHOLE : IN_RANDOM_SPLITS,
                                                 wire.data, wire.len, 5000, &got);
            CHECK(status == WSC_OK || status == WSC_NEED_SPACE ||
                  status == WSC_ERR_PROTOCOL);
            CHECK(got.len <= 5000);
            want.len = 0;
            /* The reference knows neither BFINAL nor data without a tail. */
            if (m == 0 && zlib_peer_receive(&peer, wire.data, wire.len, &want) &&
                want.len <= 5000) {
                CHECK_INT(status, WSC_OK);
                CHECK_BYTES(got.data, got.len, want.data, want.len);
                same++;
            }
            refused += status == WSC_ERR_PROTOCOL;
            if (status != WSC_OK) {
                break;
            }
        }
        zlib_peer_fini(&peer);
        wsc_deflate_free(end);
    }
    CHECK(refused > 2000);
    CHECK(same > 200);
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
    bytes_free(&want);
}

TEST_MAIN(TEST(bomb), TEST(exact_limits), TEST(long_references),
          TEST(what_is_a_message), TEST(empty_frames), TEST(end_before_the_rest),
          TEST(bfinal_anywhere), TEST(every_split), TEST(linear_time), TEST(corruption))
