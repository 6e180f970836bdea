/* Sending: frames byte for byte, fragments in order, memory sent by reference, messages
 * through two ends with and without compression. RFC 6455 §5, RFC 7692. */
#include <stdlib.h>

#include "pair.h"

#define LIMIT (1 << 22)

static enum wsc_status send_as(struct end *end, enum wsc_opcode opcode,
                               const void *data, size_t len, bool fin,
                               enum wsc_compress compress)
{
    return wsc_conn_send(&end->conn, opcode, data, len, fin, compress, NULL, NULL);
}

static enum wsc_status send(struct end *end, enum wsc_opcode opcode, const char *text)
{
    return send_as(end, opcode, text, strlen(text), true, WSC_COMPRESS_AUTO);
}

/* A server's frames, with each form of the length, against bytes made by hand. */
static void frames_of_a_server(void)
{
    static const size_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, 70000};
    static uint8_t data[70000];
    struct end end;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i * 7);
    }
    end_open_plain(&end, WSC_ROLE_SERVER);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct blob want = {0};
        struct blob got = {0};
        size_t len = lengths[i];
        uint8_t header[10] = {0x82, (uint8_t)len};
        size_t size = 2;
        if (len >= 65536) {
            static const uint8_t six[6] = {0};
            header[1] = 127;
            memcpy(header + 2, six, 6);
            header[7] = (uint8_t)(len >> 16);
            size = 10;
        }
        else if (len >= 126) {
            header[1] = 126;
            size = 4;
        }
        if (size > 2) {
            header[size - 2] = (uint8_t)(len >> 8);
            header[size - 1] = (uint8_t)len;
        }
        blob_add(&want, header, size);
        blob_add(&want, data, len);
        CHECK_INT(send_as(&end, WSC_OPCODE_BINARY, data, len, true, WSC_COMPRESS_AUTO),
                  WSC_OK);
        end_take(&end, &got);
        CHECK_BYTES(got.data, got.len, want.data, want.len);
        blob_free(&want);
        blob_free(&got);
    }
    end_fini(&end);
}

/* CTL-3: a client masks each frame with another key, and the peer reads the same. */
static void frames_of_a_client(void)
{
    struct end end;
    struct blob out = {0};
    struct blob log = {0};
    end_open_plain(&end, WSC_ROLE_CLIENT);
    for (int i = 0; i < 100; i++) {
        CHECK_INT(send(&end, WSC_OPCODE_TEXT, "mask me"), WSC_OK);
    }
    end_take(&end, &out);
    CHECK_INT(out.len, 100 * 13);
    for (size_t i = 0; i < 100 && out.len == 1300; i++) {
        CHECK_BYTES(out.data + 13 * i, 2, "\x81\x87", 2);
        for (size_t k = 0; k < i; k++) {
            CHECK(memcmp(out.data + 13 * i + 2, out.data + 13 * k + 2, 4) != 0);
        }
    }
    log_frames(&log, WSC_ROLE_CLIENT, out.data, 13);
    CHECK_BYTES(log.data, log.len, "-> text mask me\n", 16);
    end_fini(&end);
    blob_free(&out);
    blob_free(&log);
}

/* RFC 6455 §5.4: fragments in their order, control frames between them. */
static void fragments_in_order(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct end end;
        struct blob out = {0};
        struct blob log = {0};
        uint8_t big[126] = {0};
        end_open_plain(&end, role);
        CHECK_INT(send(&end, WSC_OPCODE_CONTINUATION, "x"), WSC_ERR_INVALID_STATE);
        CHECK_INT(send(&end, WSC_OPCODE_PING, "x"), WSC_ERR_INVALID_STATE);
        CHECK_INT(send(&end, WSC_OPCODE_CLOSE, "x"), WSC_ERR_INVALID_STATE);
        CHECK(!wsc_conn_wants_send(&end.conn));
        CHECK_INT(send_as(&end, WSC_OPCODE_TEXT, "Hel", 3, false, WSC_COMPRESS_AUTO),
                  WSC_OK);
        CHECK_INT(send(&end, WSC_OPCODE_TEXT, "x"), WSC_ERR_INVALID_STATE);
        CHECK_INT(send(&end, WSC_OPCODE_BINARY, "x"), WSC_ERR_INVALID_STATE);
        CHECK_INT(wsc_conn_send_ping(&end.conn, (const uint8_t *)"p", 1), WSC_OK);
        CHECK_INT(wsc_conn_send_pong(&end.conn, NULL, 0), WSC_OK);
        CHECK_INT(wsc_conn_send_ping(&end.conn, big, 126), WSC_ERR_INVALID_ARGUMENT);
        CHECK_INT(wsc_conn_send_pong(&end.conn, big, 126), WSC_ERR_INVALID_ARGUMENT);
        CHECK_INT(
            send_as(&end, WSC_OPCODE_CONTINUATION, NULL, 0, false, WSC_COMPRESS_ALWAYS),
            WSC_OK);
        CHECK_INT(send(&end, WSC_OPCODE_CONTINUATION, "lo"), WSC_OK);
        CHECK_INT(send(&end, WSC_OPCODE_CONTINUATION, "x"), WSC_ERR_INVALID_STATE);
        end_take(&end, &out);
        log_frames(&log, role, out.data, out.len);
        static const char want[] = "-> text+ Hel\n-> ping p\n-> pong\n-> cont+\n"
                                   "-> cont lo\n";
        CHECK_BYTES(log.data, log.len, want, sizeof(want) - 1);
        end_fini(&end);
        blob_free(&out);
        blob_free(&log);
    }
}

/* --- by reference --- */

struct memory {
    uint8_t *data;
    size_t len;
    int released;
};

static void release(void *ctx)
{
    struct memory *memory = ctx;
    memory->released++;
    free(memory->data); /* whoever reads it now is caught */
    memory->data = NULL;
}

static struct wsc_reference reference_to(struct memory *memory, size_t len)
{
    memory->data = malloc(len);
    memory->len = len;
    memory->released = 0;
    for (size_t i = 0; i < len; i++) {
        memory->data[i] = (uint8_t)(i * 31);
    }
    struct wsc_reference reference = {memory->data, len, memory, release};
    return reference;
}

static bool send_reference(struct end *end, const struct wsc_reference *reference,
                           enum wsc_status want)
{
    bool referenced = true;
    CHECK_INT(wsc_conn_send(&end->conn, WSC_OPCODE_BINARY, reference->data,
                            reference->len, true, WSC_COMPRESS_AUTO, reference,
                            &referenced),
              want);
    return referenced;
}

/* A large payload of a server goes from where it is; the others are copied, and the
 * reference stays the caller's. */
static void what_goes_by_reference(void)
{
    struct wsc_deflate_settings deflate;
    wsc_deflate_settings_init(&deflate);
    for (int i = 0; i < 4; i++) {
        struct end end;
        struct memory memory;
        struct blob out = {0};
        enum wsc_role role = i == 1 ? WSC_ROLE_CLIENT : WSC_ROLE_SERVER;
        size_t len = i == 2 ? 100 : 20000;
        CHECK_INT(end_open(&end, role, LIMIT, i == 3 ? &deflate : NULL,
                           i == 3 ? "permessage-deflate" : NULL,
                           wsc_allocator_default()),
                  WSC_OK);
        struct wsc_reference reference = reference_to(&memory, len);
        bool referenced = send_reference(&end, &reference, WSC_OK);
        CHECK_INT(referenced, i == 0);
        if (!referenced) {
            release(&memory);
        }
        else {
            struct wsc_outgoing_piece pieces[3];
            CHECK_INT(wsc_outgoing_peek(wsc_conn_outgoing(&end.conn), pieces, 3), 2);
            CHECK(pieces[1].data == memory.data && pieces[1].ctx == &memory);
            CHECK_BYTES(pieces[0].data, pieces[0].len, "\x82\x7e\x4e\x20", 4);
        }
        end_take(&end, &out);
        CHECK_INT(memory.released, 1);
        CHECK(i == 3 || out.len >= len);
        end_fini(&end);
        CHECK_INT(memory.released, 1);
        blob_free(&out);
    }
}

/* Released once: consumed, the connection freed, failed, or closed before. */
static void released_once(void)
{
    for (int i = 0; i < 5; i++) {
        struct end end;
        struct memory memory;
        end_open_plain(&end, WSC_ROLE_SERVER);
        struct wsc_reference reference = reference_to(&memory, 30000);
        if (i == 4) {
            CHECK_INT(wsc_conn_send_close(&end.conn, 1000, NULL, 0), WSC_OK);
            CHECK(!send_reference(&end, &reference, WSC_ERR_INVALID_STATE));
            release(&memory);
        }
        else {
            CHECK(send_reference(&end, &reference, WSC_OK));
        }
        if (i == 0) {
            wsc_conn_sent(&end.conn, 30003);
            CHECK_INT(memory.released, 0);
            wsc_conn_sent(&end.conn, 1);
            CHECK_INT(memory.released, 1);
        }
        if (i == 1) {
            CHECK_INT(wsc_conn_fail(&end.conn, 1011, NULL, 0), WSC_OK);
            /* What was sent before the close frame still goes. */
            CHECK_INT(memory.released, 0);
        }
        if (i == 2) {
            wsc_conn_feed_eof(&end.conn);
        }
        end_fini(&end);
        CHECK_INT(memory.released, 1);
    }
}

/* Bytes and references mixed, consumed in every size of step. */
static void mixed_output_in_every_step(void)
{
    for (size_t step = 1; step < 40000; step = step * 3 + 1) {
        struct end end;
        struct memory memory[3];
        struct blob got = {0};
        struct blob log = {0};
        end_open_plain(&end, WSC_ROLE_SERVER);
        for (size_t i = 0; i < 3; i++) {
            struct wsc_reference reference = reference_to(&memory[i], 17000 + i);
            CHECK_INT(send(&end, WSC_OPCODE_TEXT, "between"), WSC_OK);
            CHECK(send_reference(&end, &reference, WSC_OK));
        }
        CHECK_INT(wsc_conn_send_close(&end.conn, 1000, NULL, 0), WSC_OK);
        while (wsc_conn_wants_send(&end.conn)) {
            struct wsc_outgoing_piece piece;
            CHECK_INT(wsc_outgoing_peek(wsc_conn_outgoing(&end.conn), &piece, 1), 1);
            size_t n = piece.len < step ? piece.len : step;
            blob_add(&got, piece.data, n);
            wsc_conn_sent(&end.conn, n);
        }
        log_frames(&log, WSC_ROLE_SERVER, got.data, got.len);
        size_t lines = 0;
        for (size_t i = 0; i < log.len; i++) {
            lines += log.data[i] == '\n';
        }
        CHECK_INT(lines, 7);
        CHECK_INT(got.len, 3 * 9 + 3 * 4 + 3 * 17000 + 3 + 4);
        CHECK_INT(memory[0].released + memory[1].released + memory[2].released, 3);
        end_fini(&end);
        blob_free(&got);
        blob_free(&log);
    }
}

/* --- through two ends --- */

static void settings_of(struct wsc_deflate_settings *settings, unsigned n)
{
    static const uint8_t bits[] = {0, 9, 12, 15};
    wsc_deflate_settings_init(settings);
    settings->server_no_context_takeover = (n & 1) != 0;
    settings->client_no_context_takeover = (n & 2) != 0;
    settings->server_max_window_bits = bits[n / 4 % 4];
    settings->client_max_window_bits = bits[n / 16 % 4];
}

static void random_text(struct blob *text, size_t len)
{
    static const char *const words[] = {"caf\xC3\xA9 ",     "tea ",
                                        "\xE2\x82\xAC 5, ", "more ",
                                        "and more of ",     "\xF0\x9F\x98\x80"};
    text->len = 0;
    while (text->len < len) {
        blob_add_str(text, words[test_random_below(6)]);
    }
}

/* Every parameter both ways: both ends agree on them, and messages come through, also
 * in fragments, also uncompressed, also after idle. INF-7 for the bits that zlib has.
 */
static void every_parameter_both_ways(void)
{
    for (unsigned n = 0; n < 64 * 8; n++) {
        struct wsc_deflate_settings settings[2];
        struct wsc_deflate_params params[2];
        struct pair pair;
        struct blob text = {0};
        settings_of(&settings[0], n % 64);
        settings_of(&settings[1], n / 64 * 37);
        struct test_allocator allocator;
        test_allocator_init(&allocator);
        CHECK_INT(pair_open(&pair, LIMIT, &settings[0], &settings[1], &allocator.base),
                  WSC_OK);
        bool agreed = wsc_conn_deflate_params(&pair.server.conn, &params[0]);
        CHECK_INT(wsc_conn_deflate_params(&pair.client.conn, &params[1]), agreed);
        if (agreed) {
            CHECK_BYTES(&params[0], sizeof(params[0]), &params[1], sizeof(params[1]));
            CHECK(!settings[0].server_no_context_takeover ||
                  params[0].server_no_context_takeover);
            CHECK(!settings[1].client_no_context_takeover ||
                  params[0].client_no_context_takeover);
        }
        for (int i = 0; i < 12; i++) {
            struct end *from = i % 2 == 0 ? &pair.server : &pair.client;
            struct end *to = i % 2 == 0 ? &pair.client : &pair.server;
            struct blob log = {0};
            struct blob want = {0};
            random_text(&text, test_random_below(3000));
            size_t cut = i % 3 == 0 ? test_random_below(text.len + 1) : text.len;
            enum wsc_compress compress = (enum wsc_compress)(i % 5 % 3);
            if (cut < text.len) {
                CHECK_INT(
                    send_as(from, WSC_OPCODE_BINARY, text.data, cut, false, compress),
                    WSC_OK);
                CHECK_INT(send_as(from, WSC_OPCODE_CONTINUATION, text.data + cut,
                                  text.len - cut, true, compress),
                          WSC_OK);
            }
            else {
                CHECK_INT(
                    send_as(from, WSC_OPCODE_BINARY, text.data, cut, true, compress),
                    WSC_OK);
            }
            CHECK_INT(pair_deliver(from, to, &log), WSC_NEED_DATA);
            /* The same message as an uncompressed one between two plain ends. */
            struct pair plain;
            CHECK_INT(pair_open(&plain, LIMIT, NULL, NULL, wsc_allocator_default()),
                      WSC_OK);
            CHECK_INT(send_as(&plain.client, WSC_OPCODE_BINARY, text.data, text.len,
                              true, WSC_COMPRESS_AUTO),
                      WSC_OK);
            CHECK_INT(pair_deliver(&plain.client, &plain.server, &want), WSC_NEED_DATA);
            pair_fini(&plain);
            bool starred = log.len > 3 && log.data[3] == '*';
            CHECK_INT(starred, agreed && compress != WSC_COMPRESS_NEVER);
            if (starred) {
                memmove(log.data + 3, log.data + 4, log.len - 4);
                log.len--;
            }
            CHECK_BYTES(log.data, log.len, want.data, want.len);
            if (i == 6) {
                wsc_conn_release_idle(&pair.server.conn);
                wsc_conn_release_idle(&pair.client.conn);
            }
            blob_free(&log);
            blob_free(&want);
        }
        pair_fini(&pair);
        CHECK_INT(allocator.live_blocks, 0);
        blob_free(&text);
    }
}

/* An agreed extension that one end does not put into its 101 is not used. */
static void accepted_without_the_extension(void)
{
    struct wsc_deflate_settings settings;
    struct wsc_deflate_params params;
    struct wsc_http_header headers[WSC_ACCEPT_HEADERS];
    struct wsc_event event;
    struct wsc_str none = {NULL, 0};
    struct blob head = {0};
    struct end end;
    size_t count;
    wsc_deflate_settings_init(&settings);
    CHECK_INT(
        end_init(&end, WSC_ROLE_SERVER, LIMIT, &settings, wsc_allocator_default()),
        WSC_OK);
    write_request_head(&head, "permessage-deflate");
    CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    CHECK_INT(wsc_conn_accept_headers(&end.conn, none, headers, &count), WSC_OK);
    CHECK_INT(count, 4);
    CHECK_INT(wsc_conn_respond(&end.conn, 101, none, headers, 3, NULL, 0), WSC_OK);
    CHECK(!wsc_conn_deflate_params(&end.conn, &params));
    head.len = 0;
    end_take(&end, &head);
    CHECK_INT(send_as(&end, WSC_OPCODE_TEXT, "plain", 5, true, WSC_COMPRESS_ALWAYS),
              WSC_OK);
    head.len = 0;
    end_take(&end, &head);
    CHECK_BYTES(head.data, head.len, "\x81\x05plain", 7);
    end_fini(&end);
    blob_free(&head);
}

/* INF-17: an uncompressed message stays out of the window. */
static void the_threshold(void)
{
    struct wsc_deflate_settings settings;
    struct end end;
    struct blob out = {0};
    wsc_deflate_settings_init(&settings);
    settings.threshold = 20;
    CHECK_INT(end_open(&end, WSC_ROLE_SERVER, LIMIT, &settings, "permessage-deflate",
                       wsc_allocator_default()),
              WSC_OK);
    for (size_t len = 18; len < 23; len++) {
        out.len = 0;
        CHECK_INT(send_as(&end, WSC_OPCODE_TEXT, "aaaaaaaaaaaaaaaaaaaaaaaaaa", len,
                          true, WSC_COMPRESS_AUTO),
                  WSC_OK);
        end_take(&end, &out);
        CHECK_INT(out.data[0], len < 20 ? 0x81 : 0xC1);
    }
    out.len = 0;
    CHECK_INT(send_as(&end, WSC_OPCODE_TEXT, "a", 1, true, WSC_COMPRESS_ALWAYS),
              WSC_OK);
    CHECK_INT(send_as(&end, WSC_OPCODE_TEXT, "aaaaaaaaaaaaaaaaaaaaaaaaaa", 26, true,
                      WSC_COMPRESS_NEVER),
              WSC_OK);
    end_take(&end, &out);
    CHECK_INT(out.data[0], 0xC1);
    CHECK(out.len > 28 && memcmp(out.data + out.len - 28, "\x81\x1a", 2) == 0);
    end_fini(&end);
    blob_free(&out);
}

TEST_MAIN(TEST(frames_of_a_server), TEST(frames_of_a_client), TEST(fragments_in_order),
          TEST(what_goes_by_reference), TEST(released_once),
          TEST(mixed_output_in_every_step), TEST(every_parameter_both_ways),
          TEST(accepted_without_the_extension), TEST(the_threshold))
