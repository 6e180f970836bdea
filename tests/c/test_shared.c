/* One message to many connections: the bytes are those of a single send, the frames are
 * counted, compressed ones are read by zlib between individual ones. RFC 6455 §5,
 * RFC 7692 §7.2. */
#include "wsc/shared.h"

#include <pthread.h>

#include "pair.h"
#include "zlib_peer.h"

#define LIMIT (1 << 22)
#define ENDS  5

static uint8_t data[70000];

static void fill(void)
{
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)((uint8_t) "abc def "[i % 8] + (i / 1000) % 5);
    }
}

/* A message with memory of its own. */
struct shared {
    struct wsc_shared_memory memory;
    struct wsc_shared_message message;
};

static void shared_init(struct shared *shared, const struct wsc_allocator *allocator,
                        enum wsc_opcode opcode, const void *bytes, size_t len)
{
    wsc_shared_memory_init(&shared->memory, allocator);
    wsc_shared_message_init(&shared->message, allocator, &shared->memory, NULL, opcode,
                            bytes, len);
}

static enum wsc_status send_alone(struct end *end, enum wsc_opcode opcode,
                                  const void *bytes, size_t len,
                                  enum wsc_compress compress)
{
    return wsc_conn_send(&end->conn, opcode, bytes, len, true, compress, NULL, NULL);
}

static void open_with(struct end *end, const char *extensions,
                      const struct wsc_allocator *allocator)
{
    struct wsc_deflate_settings settings;
    wsc_deflate_settings_init(&settings);
    CHECK_INT(end_open(end, WSC_ROLE_SERVER, LIMIT, &settings, extensions, allocator),
              WSC_OK);
}

/* --- bytes --- */

/* Each form of the length: as a single send has it, alone and behind other output. */
static void same_as_single_sends(void)
{
    static const size_t lengths[] = {0, 1, 125, 126, 4000, 4096, 65535, 65536, 70000};
    fill();
    for (size_t i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t len = lengths[i / 2];
        enum wsc_opcode opcode = i % 2 == 0 ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY;
        struct shared shared;
        struct end ends[ENDS];
        struct end single;
        struct blob want = {0};
        end_open_plain(&single, WSC_ROLE_SERVER);
        CHECK_INT(send_alone(&single, opcode, data, len, WSC_COMPRESS_AUTO), WSC_OK);
        end_take(&single, &want);
        shared_init(&shared, wsc_allocator_default(), opcode, data, len);
        for (size_t k = 0; k < ENDS; k++) {
            end_open_plain(&ends[k], WSC_ROLE_SERVER);
            for (size_t before = 0; before < k; before++) {
                CHECK_INT(wsc_conn_send_ping(&ends[k].conn, data, before), WSC_OK);
            }
            CHECK_INT(
                wsc_conn_send_shared(&ends[k].conn, &shared.message, WSC_COMPRESS_AUTO),
                WSC_OK);
            CHECK_INT(ends[k].conn.messages_sent, 1);
            CHECK_INT(wsc_conn_compressed(&ends[k].conn).sent, 0);
        }
        CHECK_INT(shared.message.count, 1);
        wsc_shared_message_fini(&shared.message);
        for (size_t k = 0; k < ENDS; k++) {
            struct blob got = {0};
            size_t pings = 2 * k + k * (k - (k > 0)) / 2;
            CHECK_INT(ends[k].conn.outgoing.size, pings + want.len);
            end_take(&ends[k], &got);
            CHECK_BYTES(got.data + pings, got.len - pings, want.data, want.len);

            end_fini(&ends[k]);
            blob_free(&got);
        }
        end_fini(&single);
        blob_free(&want);
    }
}

/* A client masks: RFC 6455 §5.3, a key of its own for each frame. */
static void clients_mask_their_own(void)
{
    struct shared shared;
    struct end end;
    struct blob out = {0};
    struct blob log = {0};
    static const char want[] = "-> text mask me\n-> text mask me\n";
    end_open_plain(&end, WSC_ROLE_CLIENT);
    shared_init(&shared, wsc_allocator_default(), WSC_OPCODE_TEXT, "mask me", 7);
    for (int i = 0; i < 2; i++) {
        CHECK_INT(wsc_conn_send_shared(&end.conn, &shared.message, WSC_COMPRESS_AUTO),
                  WSC_OK);
    }
    CHECK_INT(end.conn.messages_sent, 2);
    CHECK_INT(shared.message.count, 0);
    end_take(&end, &out);
    CHECK(memcmp(out.data + 2, out.data + 15, 4) != 0);
    log_frames(&log, WSC_ROLE_CLIENT, out.data, out.len);
    CHECK_BYTES(log.data, log.len, want, sizeof(want) - 1);
    wsc_shared_message_fini(&shared.message);
    end_fini(&end);
    blob_free(&out);
    blob_free(&log);
}

/* Only a whole message, on an open connection. */
static void not_now(void)
{
    struct shared shared;
    struct end end;
    struct blob out = {0};
    shared_init(&shared, wsc_allocator_default(), WSC_OPCODE_TEXT, "x", 1);
    end_open_plain(&end, WSC_ROLE_SERVER);
    CHECK_INT(wsc_conn_send(&end.conn, WSC_OPCODE_TEXT, (const uint8_t *)"a", 1, false,
                            WSC_COMPRESS_AUTO, NULL, NULL),
              WSC_OK);
    CHECK_INT(wsc_conn_send_shared(&end.conn, &shared.message, WSC_COMPRESS_AUTO),
              WSC_ERR_INVALID_STATE);
    CHECK_INT(send_alone(&end, WSC_OPCODE_CONTINUATION, "b", 1, WSC_COMPRESS_AUTO),
              WSC_OK);
    CHECK_INT(wsc_conn_send_shared(&end.conn, &shared.message, WSC_COMPRESS_AUTO),
              WSC_OK);
    CHECK_INT(wsc_conn_send_close(&end.conn, 1000, NULL, 0), WSC_OK);
    CHECK_INT(wsc_conn_send_shared(&end.conn, &shared.message, WSC_COMPRESS_AUTO),
              WSC_ERR_INVALID_STATE);
    end_take(&end, &out);
    CHECK_BYTES(out.data, out.len,
                "\x01\x01"
                "a\x80\x01"
                "b\x81\x01x\x88\x02\x03\xe8",
                13);
    CHECK_INT(end.conn.messages_sent, 2);
    wsc_shared_message_fini(&shared.message);
    end_fini(&end);
    blob_free(&out);
}

/* --- counts --- */

/* SLW-3: the frame lives as long as the slowest connection holds it, once in memory. */
static void freed_with_the_last_holder(void)
{
    struct test_allocator allocator;
    struct shared shared;
    struct end ends[ENDS];
    fill();
    test_allocator_init(&allocator);
    for (size_t k = 0; k < ENDS; k++) {
        end_open_plain(&ends[k], WSC_ROLE_SERVER);
    }
    shared_init(&shared, &allocator.base, WSC_OPCODE_BINARY, data, 60000);
    for (size_t k = 0; k < ENDS; k++) {
        CHECK_INT(
            wsc_conn_send_shared(&ends[k].conn, &shared.message, WSC_COMPRESS_AUTO),
            WSC_OK);
        CHECK_INT(ends[k].conn.outgoing.size, 60004);
    }
    CHECK_INT(allocator.live_blocks, 1);
    wsc_shared_message_fini(&shared.message);
    wsc_conn_sent(&ends[0].conn, 60003);
    for (size_t k = 1; k < ENDS; k++) {
        CHECK_INT(allocator.live_blocks, 1);
        if (k % 2 == 0) {
            wsc_conn_sent(&ends[k].conn, 60004);
        }
        end_fini(&ends[k]);
    }
    CHECK_INT(allocator.live_blocks, 1);
    wsc_conn_sent(&ends[0].conn, 1);
    CHECK_INT(allocator.live_blocks, 0);
    end_fini(&ends[0]);
}

static struct wsc_shared_memory counted;
static void *held;

static void *hold_and_release(void *unused)
{
    for (int i = 0; i < 20000; i++) {
        counted.hold(held);
        counted.release(held);
    }
    counted.release(held);
    return unused;
}

static void released_by_any_thread(void)
{
    struct test_allocator allocator;
    pthread_t threads[3];
    test_allocator_init(&allocator);
    wsc_shared_memory_init(&counted, &allocator.base);
    uint8_t *bytes = counted.alloc(counted.ctx, 10, &held);
    CHECK(bytes != NULL);
    for (size_t i = 0; i < 3; i++) {
        counted.hold(held);
        CHECK_INT(pthread_create(&threads[i], NULL, hold_and_release, NULL), 0);
    }
    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    }
    CHECK_INT(allocator.live_blocks, 1);
    counted.release(held);
    CHECK_INT(allocator.live_blocks, 0);
    CHECK(counted.alloc(counted.ctx, SIZE_MAX - 4, &held) == NULL);
}

/* --- compression --- */

/* The payload of the one frame in `out`, and its first byte. */
static size_t header_of(const struct blob *out, uint8_t first)
{
    CHECK(out->len >= 2);
    CHECK_INT(out->data[0], first);
    uint8_t size = out->data[1];
    return size < 126 ? 2 : size == 126 ? 4 : 10;
}

static void check_received(struct zlib_peer *peer, struct end *end, const void *want,
                           size_t want_len)
{
    struct blob out = {0};
    struct bytes got = {0};
    end_take(end, &out);
    size_t header = header_of(&out, 0xC1);
    CHECK(zlib_peer_receive(peer, out.data + header, out.len - header, &got));
    CHECK_BYTES(got.data, got.len, want, want_len);
    blob_free(&out);
    bytes_free(&got);
}

/* Individual and shared messages in turns, with every window and with and without
 * takeover, read by zlib; each parameter set compressed once. */
static void between_individual_messages(void)
{
    struct test_allocator allocator;
    struct end ends[14];
    struct zlib_peer peers[14];
    test_allocator_init(&allocator);
    for (int i = 0; i < 14; i++) {
        char offer[120];
        int bits = 9 + i / 2;
        (void)snprintf(offer, sizeof(offer),
                       "permessage-deflate; server_max_window_bits=%d%s", bits,
                       i % 2 == 0 ? "" : "; server_no_context_takeover");
        open_with(&ends[i], offer, &allocator.base);
        zlib_peer_init(&peers[i], 15, true, bits, i % 2 == 0);
    }
    for (size_t round = 0; round < 60; round++) {
        struct bytes text = {0};
        struct shared shared;
        random_message(&text, test_random_below(round % 10 == 0 ? 60000 : 600));
        shared_init(&shared, &allocator.base, WSC_OPCODE_TEXT, text.data, text.len);
        for (int i = 0; i < 14; i++) {
            struct wsc_conn *conn = &ends[i].conn;
            uint64_t sent = conn->messages_sent;
            if (test_random_below(3) == 0) {
                CHECK_INT(send_alone(&ends[i], WSC_OPCODE_TEXT, text.data, text.len,
                                     WSC_COMPRESS_AUTO),
                          WSC_OK);
                check_received(&peers[i], &ends[i], text.data, text.len);
                sent++;
            }
            uint64_t before = wsc_conn_compressed(conn).deflated;
            CHECK_INT(wsc_conn_send_shared(conn, &shared.message, WSC_COMPRESS_AUTO),
                      WSC_OK);
            CHECK_INT(conn->messages_sent, sent + 1);
            CHECK_INT(wsc_conn_compressed(conn).deflated, before + text.len);
            check_received(&peers[i], &ends[i], text.data, text.len);
        }
        CHECK_INT(shared.message.count, 7);
        wsc_shared_message_fini(&shared.message);
        bytes_free(&text);
    }
    for (int i = 0; i < 14; i++) {
        end_fini(&ends[i]);
        zlib_peer_fini(&peers[i]);
    }
    CHECK_INT(allocator.live_blocks, 0);
}

/* After a shared message the compressor may not refer to what was before it: the bytes
 * are those of a compressor that is new. */
static void the_compressor_starts_anew(void)
{
    struct shared shared;
    struct end ends[2];
    struct blob out[2] = {{0}, {0}};
    fill();
    for (size_t i = 0; i < 2; i++) {
        open_with(&ends[i], "permessage-deflate", wsc_allocator_default());
    }
    shared_init(&shared, wsc_allocator_default(), WSC_OPCODE_TEXT, "something else",
                14);
    CHECK_INT(send_alone(&ends[0], WSC_OPCODE_TEXT, data, 500, WSC_COMPRESS_AUTO),
              WSC_OK);
    CHECK_INT(wsc_conn_send_shared(&ends[0].conn, &shared.message, WSC_COMPRESS_AUTO),
              WSC_OK);
    end_take(&ends[0], &out[0]);
    out[0].len = 0;
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(send_alone(&ends[i], WSC_OPCODE_TEXT, data, 500, WSC_COMPRESS_AUTO),
                  WSC_OK);
        end_take(&ends[i], &out[i]);
    }
    CHECK_BYTES(out[0].data, out[0].len, out[1].data, out[1].len);
    /* INF-17: an uncompressed one is not in the window, so nothing has to start anew.
     */
    for (size_t i = 0; i < 2; i++) {
        out[i].len = 0;
    }
    CHECK_INT(wsc_conn_send_shared(&ends[0].conn, &shared.message, WSC_COMPRESS_NEVER),
              WSC_OK);
    end_take(&ends[0], &out[0]);
    CHECK_INT(header_of(&out[0], 0x81), 2);
    out[0].len = 0;
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(send_alone(&ends[i], WSC_OPCODE_TEXT, data, 500, WSC_COMPRESS_AUTO),
                  WSC_OK);
        end_take(&ends[i], &out[i]);
    }
    CHECK_BYTES(out[0].data, out[0].len, out[1].data, out[1].len);
    CHECK(out[0].len < 20);
    wsc_shared_message_fini(&shared.message);
    for (size_t i = 0; i < 2; i++) {
        end_fini(&ends[i]);
        blob_free(&out[i]);
    }
}

/* Each connection's own threshold, and the argument above it; a window of 8 bits, which
 * no zlib compresses with, gets the plain frame. */
static void who_gets_it_compressed(void)
{
    static const struct {
        size_t threshold;
        const char *offer;
        enum wsc_compress compress;
        uint8_t first;
    } cases[] = {
        {0, "permessage-deflate", WSC_COMPRESS_AUTO, 0xC2},
        {100, "permessage-deflate", WSC_COMPRESS_AUTO, 0xC2},
        {101, "permessage-deflate", WSC_COMPRESS_AUTO, 0x82},
        {101, "permessage-deflate", WSC_COMPRESS_ALWAYS, 0xC2},
        {0, "permessage-deflate", WSC_COMPRESS_NEVER, 0x82},
        {0, NULL, WSC_COMPRESS_ALWAYS, 0x82},
    };
    struct shared shared;
    fill();
    shared_init(&shared, wsc_allocator_default(), WSC_OPCODE_BINARY, data, 100);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct wsc_deflate_settings settings;
        struct end end;
        struct blob out = {0};
        wsc_deflate_settings_init(&settings);
        settings.threshold = cases[i].threshold;
        CHECK_INT(end_open(&end, WSC_ROLE_SERVER, LIMIT, &settings, cases[i].offer,
                           wsc_allocator_default()),
                  WSC_OK);
        CHECK_INT(wsc_conn_send_shared(&end.conn, &shared.message, cases[i].compress),
                  WSC_OK);
        end_take(&end, &out);
        CHECK_INT(out.data[0], cases[i].first);
        CHECK_INT(wsc_conn_compressed(&end.conn).deflated,
                  cases[i].first == 0xC2 ? 100 : 0);
        CHECK_INT(wsc_conn_compressed(&end.conn).sent,
                  cases[i].first == 0xC2 ? out.len - 2 : 0);
        end_fini(&end);
        blob_free(&out);
    }
    CHECK_INT(shared.message.count, 2);
    wsc_shared_message_fini(&shared.message);
}

/* Beyond the sets that are kept, connections compress for themselves. */
static void more_sets_than_are_kept(void)
{
    struct shared shared;
    fill();
    shared_init(&shared, wsc_allocator_default(), WSC_OPCODE_TEXT, data, 3000);
    for (int level = 0; level < 10; level++) {
        struct wsc_deflate_settings settings;
        struct zlib_peer peer;
        struct end end;
        wsc_deflate_settings_init(&settings);
        settings.level = level;
        CHECK_INT(end_open(&end, WSC_ROLE_SERVER, LIMIT, &settings,
                           "permessage-deflate", wsc_allocator_default()),
                  WSC_OK);
        zlib_peer_init(&peer, 15, true, 15, true);
        for (int i = 0; i < 2; i++) {
            CHECK_INT(
                wsc_conn_send_shared(&end.conn, &shared.message, WSC_COMPRESS_AUTO),
                WSC_OK);
            check_received(&peer, &end, data, 3000);
        }
        CHECK_INT(end.conn.messages_sent, 2);
        zlib_peer_fini(&peer);
        end_fini(&end);
    }
    CHECK_INT(shared.message.count, WSC_SHARED_FRAMES_MAX);
    wsc_shared_message_fini(&shared.message);
}

/* --- without memory --- */

/* Nothing is queued by a send that fails, and the connection stays as it was. */
static bool out_of_memory_scenario(const struct wsc_allocator *allocator)
{
    static const size_t lengths[] = {10, 5000, 10, 300};
    struct end ends[2];
    struct zlib_peer peers[2];
    bool completed = true;
    for (size_t i = 0; i < 2; i++) {
        struct wsc_deflate_settings settings;
        wsc_deflate_settings_init(&settings);
        enum wsc_status status =
            end_open(&ends[i], WSC_ROLE_SERVER, LIMIT, i == 0 ? NULL : &settings,
                     "permessage-deflate", allocator);
        if (status != WSC_OK) {
            for (size_t k = 0; k <= i; k++) {
                end_fini(&ends[k]);
            }
            if (i > 0) {
                zlib_peer_fini(&peers[0]);
            }
            return false;
        }
        zlib_peer_init(&peers[i], 15, true, 15, true);
    }
    for (size_t n = 0; n < 4; n++) {
        struct shared shared;
        shared_init(&shared, allocator, WSC_OPCODE_TEXT, data, lengths[n]);
        for (size_t i = 0; i < 2; i++) {
            size_t before = ends[i].conn.outgoing.size;
            enum wsc_status status =
                wsc_conn_send_shared(&ends[i].conn, &shared.message, WSC_COMPRESS_AUTO);
            CHECK(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
            CHECK_INT(ends[i].conn.state, WSC_CONN_OPEN);
            CHECK_INT(ends[i].conn.outgoing.size > before, status == WSC_OK);
            completed = completed && status == WSC_OK;
            if (i == 1 && status == WSC_OK) {
                check_received(&peers[i], &ends[i], data, lengths[n]);
            }
        }
        wsc_shared_message_fini(&shared.message);
    }
    for (size_t i = 0; i < 2; i++) {
        end_fini(&ends[i]);
        zlib_peer_fini(&peers[i]);
    }
    return completed;
}

static void without_memory(void)
{
    fill();
    test_every_allocation(out_of_memory_scenario);
}

TEST_MAIN(TEST(same_as_single_sends), TEST(clients_mask_their_own), TEST(not_now),
          TEST(freed_with_the_last_holder), TEST(released_by_any_thread),
          TEST(between_individual_messages), TEST(the_compressor_starts_anew),
          TEST(who_gets_it_compressed), TEST(more_sets_than_are_kept),
          TEST(without_memory))
