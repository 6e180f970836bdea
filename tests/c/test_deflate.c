/* permessage-deflate as it should be used: round trips with an independent zlib, the
 * examples of RFC 7692, fragments, idle connections, pools. */
#include "deflate_end.h"

#include <stdlib.h>

#include "../../csrc/core/deflate_context.h"

#define MIB ((size_t)1 << 20)

static size_t message_size(void)
{
    size_t kind = test_random_below(50);
    return kind == 0   ? 0
           : kind == 1 ? test_random_below(70000)
                       : test_random_below(400);
}

/* ---- Round trips ---- */

static void exchange(struct wsc_deflate *end, struct zlib_peer *peer, size_t count)
{
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    for (size_t i = 0; i < count; i++) {
        random_message(&message, message_size());
        if (wsc_deflate_wants(end, message.len)) {
            CHECK_INT(end_send(end, message.data, message.len, &wire), WSC_OK);
            got.len = 0;
            CHECK(zlib_peer_receive(peer, wire.data, wire.len, &got));
            CHECK_BYTES(got.data, got.len, message.data, message.len);
        }
        random_message(&message, message_size());
        wire.len = 0;
        zlib_peer_send(peer, message.data, message.len, &wire);
        struct feeding feeding = i % 3 == 0 ? WHOLE : IN_RANDOM_SPLITS;
        CHECK_INT(end_receive(end, feeding, wire.data, wire.len, MIB, &got), WSC_OK);
        CHECK_BYTES(got.data, got.len, message.data, message.len);
        if (test_random_below(30) == 0) {
            wsc_deflate_release_idle(end);
        }
    }
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

static void exchange_with(struct end_options options, size_t count)
{
    struct zlib_peer peer;
    struct wsc_deflate *end = end_new(options);
    /* No zlib sends with 8 bits; old ones take 9 instead, and are understood. */
    int peer_bits = options.peer_bits < 9 ? 9 : options.peer_bits;
    zlib_peer_init(&peer, peer_bits, !options.peer_no_takeover, options.own_bits,
                   !options.own_no_takeover);
    CHECK_INT(wsc_deflate_wants(end, 1000), options.own_bits > 8);
    exchange(end, &peer, count);
    zlib_peer_fini(&peer);
    wsc_deflate_free(end);
}

/* INF-7: both roles, bits 8 to 15, takeover: a thousand messages each way. */
static void thousand_messages(void)
{
    for (unsigned i = 0; i < 2 * 8 * 2; i++) {
        struct end_options options = {
            .role = i & 1 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT,
            .own_no_takeover = (i & 2) != 0,
            .peer_no_takeover = (i & 2) != 0,
            .own_bits = (uint8_t)(8 + (i >> 2)),
            .peer_bits = (uint8_t)(8 + (i >> 2)),
        };
        exchange_with(options, 1000);
    }
}

/* The two directions do not depend on each other. */
static void every_combination(void)
{
    struct wsc_deflate_pool *pool = NULL;
    CHECK_INT(wsc_deflate_pool_new(wsc_allocator_default(), 3, 60000, &pool), WSC_OK);
    for (unsigned i = 0; i < 2 * 2 * 2 * 2 * 64; i++) {
        struct end_options options = {
            .role = i & 1 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT,
            .own_no_takeover = (i & 2) != 0,
            .peer_no_takeover = (i & 4) != 0,
            .pool = i & 8 ? pool : NULL,
            .own_bits = (uint8_t)(8 + ((i >> 4) & 7)),
            .peer_bits = (uint8_t)(8 + ((i >> 7) & 7)),
        };
        exchange_with(options, 6);
    }
    wsc_deflate_pool_free(pool);
}

static void every_level(void)
{
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    for (int level = -2; level <= 9; level++) {
        for (int mem_level = 1; mem_level <= 9; mem_level++) {
            struct wsc_deflate *end =
                end_new((struct end_options){.level = level, .mem_level = mem_level});
            struct zlib_peer peer;
            zlib_peer_init(&peer, 15, true, 15, true);
            for (int i = 0; i < 12; i++) {
                random_message(&message, i == 5 ? 100000 : message_size());
                CHECK_INT(end_send(end, message.data, message.len, &wire), WSC_OK);
                got.len = 0;
                CHECK(zlib_peer_receive(&peer, wire.data, wire.len, &got));
                CHECK_BYTES(got.data, got.len, message.data, message.len);
            }
            zlib_peer_fini(&peer);
            wsc_deflate_free(end);
        }
    }
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

/* INF-3 INF-9: whatever the sender chose, the message is exactly the limit. */
static void every_sender(void)
{
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    for (int n = 0; n < 9 * 5 * 3; n++) {
        static const int levels[] = {1, 6, 9};
        struct zlib_peer peer;
        struct wsc_deflate *end = end_new((struct end_options){0});
        zlib_peer_init_sender(&peer, levels[n % 3], 15, n / 3 % 9 + 1, n / 27, true);
        for (int i = 0; i < 6; i++) {
            random_message(&message, i == 3 ? 40000 : message_size());
            wire.len = 0;
            zlib_peer_send(&peer, message.data, message.len, &wire);
            CHECK_INT(end_receive(end, IN_RANDOM_SPLITS, wire.data, wire.len,
                                  message.len, &got),
                      WSC_OK);
            CHECK_BYTES(got.data, got.len, message.data, message.len);
        }
        zlib_peer_fini(&peer);
        wsc_deflate_free(end);
    }
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

/* ---- RFC 7692 §7.2.3 ---- */

#define HEX(text) (const uint8_t *)(text), sizeof(text) - 1

struct example {
    const char *section;
    const uint8_t *wire;
    size_t len;
    const char *message;
};

static const struct example EXAMPLES[] = {
    {"7.2.3.1", HEX("\xf2\x48\xcd\xc9\xc9\x07\x00"), "Hello"},
    {"7.2.3.3", HEX("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"), "Hello"},
    {"7.2.3.4", HEX("\xf3\x48\xcd\xc9\xc9\x07\x00\x00"), "Hello"},
    {"7.2.3.5", HEX("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"), "Hello"},
    {"7.2.3.6", HEX("\x00"), ""},
};

/* INF-13: every split of the input, every size of the output step. */
static void examples_of_the_rfc(void)
{
    struct bytes got = {0};
    for (size_t i = 0; i < sizeof(EXAMPLES) / sizeof(EXAMPLES[0]); i++) {
        const struct example *e = &EXAMPLES[i];
        for (size_t step = 0; step <= 64; step++) {
            for (size_t in_max = 0; in_max <= e->len; in_max++) {
                struct wsc_deflate *end = end_new((struct end_options){0});
                struct feeding feeding = {in_max, step, false};
                /* Twice: nothing of the first is left over. */
                for (int again = 0; again < 2; again++) {
                    CHECK_INT(end_receive(end, feeding, e->wire, e->len,
                                          strlen(e->message), &got),
                              WSC_OK);
                    if (!CHECK_BYTES(got.data, got.len, e->message,
                                     strlen(e->message))) {
                        printf("  RFC 7692 §%s\n", e->section);
                    }
                }
                wsc_deflate_free(end);
            }
        }
    }
    bytes_free(&got);
}

/* RFC 7692 §7.2.3.2: the second "Hello" refers to the first. */
static void shared_window(void)
{
    static const uint8_t first[] = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    static const uint8_t second[] = "\xf2\x00\x11\x00\x00";
    struct bytes got = {0};
    for (int takeover = 0; takeover < 2; takeover++) {
        struct wsc_deflate *end =
            end_new((struct end_options){.peer_no_takeover = takeover == 0});
        CHECK_INT(end_receive(end, WHOLE, first, 7, 5, &got), WSC_OK);
        enum wsc_status status = end_receive(end, WHOLE, second, 5, 5, &got);
        CHECK_INT(status, takeover ? WSC_OK : WSC_ERR_PROTOCOL);
        if (takeover) {
            CHECK_BYTES(got.data, got.len, "Hello", 5);
        }
        wsc_deflate_free(end);
    }
    bytes_free(&got);
}

static void empty_messages(void)
{
    struct wsc_deflate *end = end_new((struct end_options){0});
    struct bytes wire = {0};
    CHECK_INT(end_send(end, NULL, 0, &wire), WSC_OK);
    CHECK_BYTES(wire.data, wire.len, "\0", 1);
    CHECK_INT(end_send(end, HEX("Hello"), &wire), WSC_OK);
    CHECK_INT(end_send(end, NULL, 0, &wire), WSC_OK);
    CHECK_BYTES(wire.data, wire.len, "\0", 1);
    bytes_free(&wire);
    wsc_deflate_free(end);
}

/* ---- Fragments ---- */

static void sends_fragments(void)
{
    struct bytes message = {0};
    struct bytes got = {0};
    for (unsigned kind = 0; kind < 4; kind++) {
        struct wsc_deflate *end = end_new((struct end_options){
            .own_no_takeover = (kind & 1) != 0, .own_bits = kind & 2 ? 9 : 15});
        struct zlib_peer peer;
        zlib_peer_init(&peer, 15, true, kind & 2 ? 9 : 15, (kind & 1) == 0);
        for (int i = 0; i < 500; i++) {
            struct wsc_buffer out;
            wsc_buffer_init(&out, wsc_allocator_default(), MIB);
            random_message(&message, test_random_below(3000));
            size_t at = 0;
            bool fin = false;
            while (!fin) {
                size_t n = test_random_below(4) == 0 ? 0 : test_random_below(1000);
                n = n > message.len - at ? message.len - at : n;
                fin = at + n == message.len && test_random_below(2) == 0;
                CHECK_INT(wsc_deflate_compress(end, message.data + at, n, fin, &out),
                          WSC_OK);
                at += n;
                /* In the middle of a message this does nothing. */
                if (!fin) {
                    wsc_deflate_release_idle(end);
                }
            }
            got.len = 0;
            CHECK(zlib_peer_receive(&peer, out.data, out.len, &got));
            CHECK_BYTES(got.data, got.len, message.data, message.len);
            wsc_buffer_fini(&out);
        }
        zlib_peer_fini(&peer);
        wsc_deflate_free(end);
    }
    bytes_free(&message);
    bytes_free(&got);
}

/* INF-17: what is sent uncompressed is not in the next message's window. */
static void uncompressed_leaves_no_trace(void)
{
    struct bytes plain = {0};
    struct bytes with = {0};
    for (int sends_secret = 0; sends_secret < 2; sends_secret++) {
        struct wsc_deflate *end = end_new((struct end_options){0});
        struct bytes *wire = sends_secret ? &with : &plain;
        CHECK_INT(end_send(end, HEX("a first message"), wire), WSC_OK);
        if (sends_secret) {
            (void)wsc_deflate_wants(end, strlen("secret=31415926"));
        }
        CHECK_INT(end_send(end, HEX("secret=31415926"), wire), WSC_OK);
        wsc_deflate_free(end);
    }
    CHECK_BYTES(with.data, with.len, plain.data, plain.len);
    CHECK(with.len >= strlen("secret=31415926")); /* literals, no reference */
    bytes_free(&plain);
    bytes_free(&with);
}

/* ---- Limits of the output ---- */

static void output_limit(void)
{
    struct bytes message = {0};
    struct bytes got = {0};
    uint8_t prefix[3] = {1, 2, 3};
    random_message(&message, 5000);
    size_t whole = 0;
    for (size_t max = 3;; max += max < 100 ? 1 : 61) {
        struct wsc_deflate *end = end_new((struct end_options){0});
        struct zlib_peer peer;
        struct wsc_buffer out;
        zlib_peer_init(&peer, 15, true, 15, true);
        wsc_buffer_init(&out, wsc_allocator_default(), max);
        CHECK_INT(wsc_buffer_append(&out, prefix, 3), WSC_OK);
        enum wsc_status status =
            wsc_deflate_compress(end, message.data, message.len, true, &out);
        if (status == WSC_OK) {
            whole = out.len;
        }
        else {
            CHECK_INT(status, WSC_ERR_TOO_BIG);
            CHECK_BYTES(out.data, out.len, prefix, 3);
            CHECK_INT(wsc_buffer_append(&out, "", 0), WSC_OK);
        }
        CHECK(out.cap <= max);
        wsc_buffer_fini(&out);
        /* Nothing of a failed attempt is referred to. */
        struct bytes wire = {0};
        got.len = 0;
        if (status != WSC_OK) {
            CHECK_INT(end_send(end, message.data, message.len, &wire), WSC_OK);
            CHECK(zlib_peer_receive(&peer, wire.data, wire.len, &got));
            CHECK_BYTES(got.data, got.len, message.data, message.len);
        }
        bytes_free(&wire);
        zlib_peer_fini(&peer);
        wsc_deflate_free(end);
        if (status == WSC_OK) {
            CHECK(max < whole + 100); /* room for what comes out, not for the worst */
            break;
        }
    }
    bytes_free(&message);
    bytes_free(&got);
}

/* ---- Memory ---- */

/* INF-12: contexts at first use, given back when idle; of the inflater one window. */
static void memory_when_idle(void)
{
    struct test_allocator allocator;
    struct zlib_peer peer;
    struct bytes message = {0};
    struct bytes wire = {0};
    struct bytes got = {0};
    test_allocator_init(&allocator);
    zlib_peer_init(&peer, 12, true, 12, true);
    struct wsc_deflate *end = end_new((struct end_options){
        .own_bits = 12, .peer_bits = 12, .mem_level = 5, .allocator = &allocator.base});
    CHECK(allocator.live_bytes <= 512);
    for (int round = 0; round < 20; round++) {
        random_message(&message, round == 0 ? 100 : 9000);
        CHECK_INT(end_send(end, message.data, message.len, &wire), WSC_OK);
        got.len = 0;
        CHECK(zlib_peer_receive(&peer, wire.data, wire.len, &got));
        CHECK_BYTES(got.data, got.len, message.data, message.len);
        wire.len = 0;
        zlib_peer_send(&peer, message.data, message.len, &wire);
        CHECK_INT(end_receive(end, WHOLE, wire.data, wire.len, MIB, &got), WSC_OK);
        CHECK_BYTES(got.data, got.len, message.data, message.len);
        CHECK(allocator.live_bytes <= 52 * 1024);
        CHECK_INT(wsc_deflate_memory(end), allocator.live_bytes);
        wsc_deflate_release_idle(end);
        CHECK(allocator.live_bytes <= 512 + (round == 0 ? 100 : 4096));
        CHECK_INT(wsc_deflate_memory(end), allocator.live_bytes);
        wsc_deflate_release_idle(end);
    }
    wsc_deflate_free(end);
    CHECK_INT(allocator.live_blocks, 0);
    zlib_peer_fini(&peer);
    bytes_free(&message);
    bytes_free(&wire);
    bytes_free(&got);
}

/* INF-11 INF-12: ten thousand connections on one pool need no more than the first. */
static void pool_stays_flat(void)
{
    struct test_allocator allocator;
    struct wsc_deflate_pool *pool = NULL;
    struct zlib_peer peer;
    struct bytes wire = {0};
    struct bytes got = {0};
    test_allocator_init(&allocator);
    zlib_peer_init(&peer, 15, false, 15, false);
    CHECK_INT(wsc_deflate_pool_new(&allocator.base, 4, 0, &pool), WSC_OK);
    size_t first = 0;
    for (int i = 0; i < 10000; i++) {
        struct wsc_deflate *end = end_new((struct end_options){
            .own_no_takeover = true, .peer_no_takeover = true, .pool = pool});
        CHECK_INT(end_send(end, HEX("Hello, pool"), &wire), WSC_OK);
        CHECK_INT(wsc_deflate_memory(end) <= 512, true);
        CHECK_INT(end_receive(end, WHOLE, wire.data, wire.len, 100, &got), WSC_OK);
        CHECK_BYTES(got.data, got.len, "Hello, pool", 11);
        wsc_deflate_free(end);
        if (i == 0) {
            first = allocator.requests;
        }
    }
    CHECK_INT(allocator.requests, first);
    /* More kinds than it may hold. */
    for (uint8_t bits = 9; bits <= 15; bits++) {
        struct wsc_deflate *end = end_new((struct end_options){
            .own_no_takeover = true, .own_bits = bits, .pool = pool});
        CHECK_INT(end_send(end, HEX("Hello, pool"), &wire), WSC_OK);
        wsc_deflate_free(end);
    }
    CHECK(allocator.live_bytes < 4 * 270 * 1024);
    /* A connection that goes away in the middle of its messages. */
    struct wsc_buffer out;
    size_t used;
    size_t written;
    uint8_t room[2];
    wsc_buffer_init(&out, wsc_allocator_default(), MIB);
    struct wsc_deflate *end = end_new((struct end_options){
        .own_no_takeover = true, .peer_no_takeover = true, .pool = pool});
    CHECK_INT(wsc_deflate_compress(end, HEX("half a secret message"), false, &out),
              WSC_OK);
    CHECK_INT(
        wsc_deflate_decompress(end, EXAMPLES[0].wire, 5, &used, room, 2, &written),
        WSC_NEED_SPACE);
    wsc_deflate_free(end);
    end = end_new((struct end_options){
        .own_no_takeover = true, .peer_no_takeover = true, .pool = pool});
    CHECK_INT(end_send(end, HEX("half a secret message"), &wire), WSC_OK);
    got.len = 0;
    CHECK(zlib_peer_receive(&peer, wire.data, wire.len, &got));
    CHECK_BYTES(got.data, got.len, "half a secret message", 21);
    CHECK_INT(end_receive(end, WHOLE, EXAMPLES[0].wire, EXAMPLES[0].len, 5, &got),
              WSC_OK);
    CHECK_BYTES(got.data, got.len, "Hello", 5);
    wsc_deflate_free(end);
    wsc_deflate_pool_free(pool);
    CHECK_INT(allocator.live_blocks, 0);
    wsc_deflate_pool_free(NULL);
    wsc_deflate_free(NULL);
    wsc_buffer_fini(&out);
    zlib_peer_fini(&peer);
    bytes_free(&wire);
    bytes_free(&got);
}

static bool keeps_no_pointer(const struct wsc_allocator *allocator, bool pooled)
{
    struct wsc_deflate_pool *pool = NULL;
    if (pooled && wsc_deflate_pool_new(allocator, 2, 0, &pool) != WSC_OK) {
        return false;
    }
    struct wsc_deflate *end = end_new((struct end_options){.own_no_takeover = pooled,
                                                           .peer_no_takeover = pooled,
                                                           .own_bits = 10,
                                                           .peer_bits = 10,
                                                           .pool = pool,
                                                           .allocator = allocator});
    bool ok = end != NULL;
    struct wsc_buffer out;
    wsc_buffer_init(&out, allocator, MIB);
    enum wsc_status status = WSC_OK;
    for (int i = 0; ok && i < 3; i++) {
        uint8_t room[64];
        size_t used = 0;
        size_t written = 0;
        size_t start = out.len;
        status = wsc_deflate_compress(end, HEX("Hello"), true, &out);
        ok = status == WSC_OK;
        if (!ok) {
            CHECK_INT(out.len, start);
            break;
        }
        status = wsc_deflate_decompress(end, EXAMPLES[0].wire, EXAMPLES[0].len, &used,
                                        room, sizeof(room), &written);
        if (status == WSC_OK) {
            CHECK_BYTES(room, written, "Hello", 5);
            status = wsc_deflate_decompress_end(end, room, sizeof(room), &written);
        }
        ok = status == WSC_OK;
        wsc_deflate_release_idle(end);
    }
    CHECK(ok || status == WSC_ERR_NO_MEMORY || end == NULL);
    wsc_buffer_fini(&out);
    wsc_deflate_free(end);
    wsc_deflate_pool_free(pool);
    return ok;
}

static bool without_pool(const struct wsc_allocator *allocator)
{
    return keeps_no_pointer(allocator, false);
}

static bool with_pool(const struct wsc_allocator *allocator)
{
    return keeps_no_pointer(allocator, true);
}

/* zlib's own allocations among them. */
static void without_memory(void)
{
    test_every_allocation(without_pool);
    test_every_allocation(with_pool);
}

/* After WSC_ERR_NO_MEMORY for a sender's context, the next attempt is a message like
 * any other. */
static void sends_after_no_memory(void)
{
    struct zlib_peer peer;
    struct bytes got = {0};
    for (size_t n = 1; n < 12; n++) {
        struct test_allocator allocator;
        struct wsc_buffer out;
        test_allocator_init(&allocator);
        zlib_peer_init(&peer, 15, true, 15, true);
        wsc_buffer_init(&out, &allocator.base, MIB);
        struct wsc_deflate *end =
            end_new((struct end_options){.allocator = &allocator.base});
        allocator.fail_at = allocator.requests + n;
        got.len = 0;
        for (int i = 0; i < 4; i++) {
            size_t start = out.len;
            enum wsc_status status =
                wsc_deflate_compress(end, HEX("Hello, hello, hello"), true, &out);
            CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
            if (status == WSC_OK) {
                CHECK(
                    zlib_peer_receive(&peer, out.data + start, out.len - start, &got));
            }
        }
        CHECK(got.len == 4 * 19 || got.len == 3 * 19);
        wsc_buffer_fini(&out);
        wsc_deflate_free(end);
        CHECK_INT(allocator.live_blocks, 0);
        zlib_peer_fini(&peer);
    }
    bytes_free(&got);
}

/* ---- Arguments ---- */

static void threshold_and_window(void)
{
    struct wsc_deflate_settings settings;
    struct wsc_deflate_params params = {false, false, 8, 15};
    struct wsc_deflate *end = NULL;
    struct bytes wire = {0};
    wsc_deflate_settings_init(&settings);
    settings.threshold = 100;
    const struct wsc_allocator *allocator = wsc_allocator_default();
    CHECK_INT(
        wsc_deflate_new(allocator, NULL, WSC_ROLE_CLIENT, &settings, &params, &end),
        WSC_OK);
    CHECK(!wsc_deflate_wants(end, 99));
    CHECK(wsc_deflate_wants(end, 100));
    wsc_deflate_free(end);
    /* INF-7: 8 bits for this end, so it never compresses. */
    CHECK_INT(
        wsc_deflate_new(allocator, NULL, WSC_ROLE_SERVER, &settings, &params, &end),
        WSC_OK);
    CHECK(!wsc_deflate_wants(end, 100000));
    CHECK_INT(end_send(end, HEX("Hello"), &wire), WSC_ERR_INVALID_STATE);
    wsc_deflate_free(end);
    params.client_max_window_bits = 16;
    CHECK_INT(
        wsc_deflate_new(allocator, NULL, WSC_ROLE_SERVER, &settings, &params, &end),
        WSC_ERR_INVALID_ARGUMENT);
    params.client_max_window_bits = 7;
    CHECK_INT(
        wsc_deflate_new(allocator, NULL, WSC_ROLE_SERVER, &settings, &params, &end),
        WSC_ERR_INVALID_ARGUMENT);
    params.client_max_window_bits = 8;
    settings.mem_level = 0;
    CHECK_INT(
        wsc_deflate_new(allocator, NULL, WSC_ROLE_SERVER, &settings, &params, &end),
        WSC_ERR_INVALID_ARGUMENT);
    bytes_free(&wire);
}

/* INF-9 INF-4 */
static void trusted_versions(void)
{
    static const char *const trusted[] = {
        "1.2.13",         "1.2.13.1-motley", "1.2.14", "1.3", "1.3.0.1-motley",
        "1.3.1",          "1.3.2",           "1.10.0", "2.0", "10.1",
        "1.2.11.zlib-ng", "1.3.1.zlib-ng",
    };
    static const char *const refused[] = {
        "1.2.12", "1.2.12.1", "1.2.11", "1.2.3", "1.2.9", "1.2",
        "1.1.99", "0.9.99",   "1",      "",      "x",     "zlib",
    };
    for (size_t i = 0; i < sizeof(trusted) / sizeof(trusted[0]); i++) {
        if (!CHECK(wsc_deflate_version_trusted(trusted[i]))) {
            printf("  %s\n", trusted[i]);
        }
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        if (!CHECK(!wsc_deflate_version_trusted(refused[i]))) {
            printf("  %s\n", refused[i]);
        }
    }
    CHECK(!wsc_deflate_version_trusted(NULL));
    CHECK_INT(wsc_deflate_check_zlib(), WSC_OK);
    CHECK(strcmp(wsc_deflate_zlib_version(), zlibVersion()) == 0);
}

TEST_MAIN(TEST(thousand_messages), TEST(every_combination), TEST(every_level),
          TEST(every_sender), TEST(examples_of_the_rfc), TEST(shared_window),
          TEST(empty_messages), TEST(sends_fragments),
          TEST(uncompressed_leaves_no_trace), TEST(output_limit),
          TEST(memory_when_idle), TEST(pool_stays_flat), TEST(without_memory),
          TEST(sends_after_no_memory), TEST(threshold_and_window),
          TEST(trusted_versions))
