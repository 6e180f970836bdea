/* Notes of frames: what is kept of long ones, in order, within bounds; what a
 * connection notes, whatever it masks, compresses and joins. */
#include <stdlib.h>

#include "pair.h"
#include "wsc/trace.h"

/* A line for each note: "< text+ 5 Hello". */
static void log_trace(struct blob *log, struct end *end)
{
    static const char *const names[16] = {
        [0] = "cont",  [1] = "text", [2] = "bin",
        [8] = "close", [9] = "ping", [10] = "pong",
    };
    struct wsc_trace trace;
    struct wsc_trace_frame frame;
    wsc_conn_take_trace(&end->conn, &trace);
    CHECK(!wsc_conn_has_trace(&end->conn));
    while (wsc_trace_next(&trace, &frame)) {
        blob_printf(log, "%c %s%s %u ", frame.sent ? '>' : '<',
                    names[(unsigned)frame.opcode & 0xFU], frame.fin ? "" : "+",
                    (unsigned)frame.payload_len);
        blob_add(log, frame.data, frame.len);
        blob_add_str(log, "\n");
    }
    if (trace.omitted > 0) {
        blob_printf(log, "omitted %u\n", (unsigned)trace.omitted);
    }
    wsc_trace_fini(&trace);
}

static void check_log(struct blob *log, const char *want)
{
    CHECK_BYTES(log->data, log->len, want, strlen(want));
    blob_free(log);
}

static void note(struct wsc_trace *trace, const uint8_t *data, size_t len)
{
    struct wsc_trace_frame frame = {.fin = true, .opcode = WSC_OPCODE_BINARY};
    struct wsc_trace_payload payload = {.data = {data}, .len = {len}};
    wsc_trace_note(trace, &frame, &payload);
}

/* Of a long payload the first and the last bytes, wherever it is cut in two. */
static void ends_of_a_payload(void)
{
    static const size_t lengths[] = {0, 1, 299, 300, 301, 500};
    static const size_t skips[] = {0, 3, 250};
    uint8_t data[1000];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(i % 251);
    }
    for (size_t i = 0; i < 6 * 3; i++) {
        size_t len = lengths[i / 3];
        size_t skip = skips[i % 3];
        for (size_t cut = 0; cut <= skip + len; cut++) {
            struct wsc_trace trace;
            struct wsc_trace_frame frame = {.opcode = WSC_OPCODE_TEXT, .sent = true};
            struct wsc_trace_payload payload = {
                .data = {test_guarded(data, cut),
                         test_guarded(data + cut, skip + len - cut)},
                .len = {cut, skip + len - cut},
                .skip = skip,
            };
            if (cut % 37 != 0 && cut + 2 < skip + len) {
                continue;
            }
            wsc_trace_init(&trace, wsc_allocator_default());
            wsc_trace_note(&trace, &frame, &payload);
            CHECK(wsc_trace_next(&trace, &frame));
            CHECK_INT(frame.payload_len, len);
            CHECK(frame.sent && !frame.fin && frame.opcode == WSC_OPCODE_TEXT);
            if (len <= 300) {
                CHECK_BYTES(frame.data, frame.len, data + skip, len);
            }
            else {
                CHECK_INT(frame.len, 300);
                CHECK_BYTES(frame.data, 200, data + skip, 200);
                CHECK_BYTES(frame.data + 200, 100, data + skip + len - 100, 100);
            }
            CHECK(!wsc_trace_next(&trace, &frame) && !wsc_trace_has_news(&trace));
            wsc_trace_fini(&trace);
        }
    }
}

/* LOG-1: what nobody takes is counted, without memory for it. */
static void bounded(void)
{
    struct test_allocator allocator;
    struct wsc_trace trace;
    struct wsc_trace_frame frame;
    size_t taken = 0;
    uint8_t data[300] = {0};
    test_allocator_init(&allocator);
    wsc_trace_init(&trace, &allocator.base);
    for (size_t i = 0; i < 100000; i++) {
        note(&trace, data, i % 300);
    }
    CHECK(allocator.peak_bytes <= 3 * (size_t)WSC_TRACE_MAX);
    CHECK(wsc_trace_has_news(&trace));
    while (wsc_trace_next(&trace, &frame)) {
        taken++;
    }
    CHECK(taken > WSC_TRACE_MAX / 400);
    CHECK_INT(taken + trace.omitted, 100000);
    CHECK(wsc_trace_has_news(&trace));
    wsc_trace_fini(&trace);
    CHECK_INT(allocator.live_blocks, 0);
    allocator.fail_at = allocator.requests + 1;
    note(&trace, data, 1);
    CHECK_INT(trace.omitted, 1);
    wsc_trace_fini(&trace);
}

static void frames_received(void)
{
    for (int role = WSC_ROLE_SERVER; role <= WSC_ROLE_CLIENT; role++) {
        for (int split = SPLIT_WHOLE; split <= SPLIT_RANDOM; split++) {
            struct end end;
            struct blob wire = {0};
            struct blob log = {0};
            end_open_plain(&end, (enum wsc_role)role);
            CHECK_INT(wsc_conn_start_trace(&end.conn), WSC_OK);
            CHECK_INT(wsc_conn_start_trace(&end.conn), WSC_OK);
            wire_frames(&wire, other_role((enum wsc_role)role),
                        "text Hello|bin+ a|ping x|cont+ bc|cont d|pong|text ");
            (void)end_feed(&end, wire.data, wire.len, (enum split)split, NULL);
            CHECK(wsc_conn_has_trace(&end.conn));
            log_trace(&log, &end);
            check_log(&log, "< text 5 Hello\n< bin+ 1 a\n< ping 1 x\n> pong 1 x\n"
                            "< cont+ 2 bc\n< cont 1 d\n< pong 0 \n< text 0 \n");
            blob_free(&wire);
            end_fini(&end);
        }
    }
}

/* Of a code point that is cut in two, each fragment has its bytes. */
static void fragments_given_out(void)
{
    struct end end;
    struct blob wire = {0};
    struct blob log = {0};
    end_open_plain(&end, WSC_ROLE_SERVER);
    CHECK_INT(wsc_conn_start_trace(&end.conn), WSC_OK);
    wsc_conn_set_streaming(&end.conn, true);
    wire_frames(&wire, WSC_ROLE_CLIENT,
                "text+ a\xF0|cont+ \x9F|cont+ \x98|cont \x80z|text+ b|cont c");
    (void)end_feed(&end, wire.data, wire.len, SPLIT_BYTEWISE, NULL);
    log_trace(&log, &end);
    check_log(&log, "< text+ 2 a\xF0\n< cont+ 1 \x9F\n< cont+ 1 \x98\n< cont 2 \x80z\n"
                    "< text+ 1 b\n< cont 1 c\n");
    blob_free(&wire);
    end_fini(&end);
}

static void send(struct end *end, enum wsc_opcode opcode, const char *text, bool fin)
{
    const void *data = text;
    CHECK_INT(wsc_conn_send(&end->conn, opcode, data, strlen(text), fin,
                            WSC_COMPRESS_ALWAYS, NULL, NULL),
              WSC_OK);
}

/* Both ends see what is sent, not what travels. */
static void compressed(void)
{
    static const char want[] =
        "# text+ 6 aaaaaa\n# cont 6 aaaaaa\n# bin 3 bbb\n# ping 1 p\n$ pong 1 p\n"
        "# close 5 \x03\xE8"
        "end\n$ close 5 \x03\xE8"
        "end\n";
    struct wsc_deflate_settings settings;
    struct pair pair;
    struct blob logs[2] = {{0}};
    wsc_deflate_settings_init(&settings);
    CHECK_INT(pair_open(&pair, 4096, &settings, &settings, wsc_allocator_default()),
              WSC_OK);
    struct end *ends[] = {&pair.client, &pair.server};
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(wsc_conn_start_trace(&ends[i]->conn), WSC_OK);
    }
    send(&pair.client, WSC_OPCODE_TEXT, "aaaaaa", false);
    send(&pair.client, WSC_OPCODE_CONTINUATION, "aaaaaa", true);
    send(&pair.client, WSC_OPCODE_BINARY, "bbb", true);
    CHECK_INT(wsc_conn_send_ping(&pair.client.conn, (const uint8_t *)"p", 1), WSC_OK);
    (void)pair_deliver(&pair.client, &pair.server, NULL);
    (void)pair_deliver(&pair.server, &pair.client, NULL);
    CHECK_INT(wsc_conn_send_close(&pair.client.conn, 1000, "end", 3), WSC_OK);
    (void)pair_deliver(&pair.client, &pair.server, NULL);
    (void)pair_deliver(&pair.server, &pair.client, NULL);
    for (size_t i = 0; i < 2; i++) {
        struct blob expected = {0};
        for (const char *c = want; *c != '\0'; c++) {
            char sign = *c == '#' ? "><"[i] : *c == '$' ? "<>"[i] : *c;
            blob_add(&expected, &sign, 1);
        }
        log_trace(&logs[i], ends[i]);
        CHECK_BYTES(logs[i].data, logs[i].len, expected.data, expected.len);
        blob_free(&logs[i]);
        blob_free(&expected);
    }
    pair_fini(&pair);
}

static void shared(void)
{
    struct wsc_shared_memory memory;
    struct wsc_shared_message message;
    struct end end;
    struct blob log = {0};
    wsc_shared_memory_init(&memory, wsc_allocator_default());
    wsc_shared_message_init(&message, wsc_allocator_default(), &memory, NULL,
                            WSC_OPCODE_TEXT, (const uint8_t *)"all", 3);
    for (int role = WSC_ROLE_SERVER; role <= WSC_ROLE_CLIENT; role++) {
        end_open_plain(&end, (enum wsc_role)role);
        CHECK_INT(wsc_conn_start_trace(&end.conn), WSC_OK);
        CHECK_INT(wsc_conn_send_shared(&end.conn, &message, WSC_COMPRESS_AUTO), WSC_OK);
        log_trace(&log, &end);
        check_log(&log, "> text 3 all\n");
        end_fini(&end);
    }
    wsc_shared_message_fini(&message);
}

/* Without a trace there is nothing; and no memory for one changes nothing. */
static void none(void)
{
    struct test_allocator allocator;
    struct end end;
    struct blob log = {0};
    test_allocator_init(&allocator);
    CHECK_INT(end_open(&end, WSC_ROLE_CLIENT, 4096, NULL, NULL, &allocator.base),
              WSC_OK);
    allocator.fail_at = allocator.requests + 1;
    CHECK_INT(wsc_conn_start_trace(&end.conn), WSC_ERR_NO_MEMORY);
    send(&end, WSC_OPCODE_TEXT, "x", true);
    CHECK(!wsc_conn_has_trace(&end.conn));
    log_trace(&log, &end);
    check_log(&log, "");
    CHECK_INT(wsc_conn_start_trace(&end.conn), WSC_OK);
    send(&end, WSC_OPCODE_TEXT, "y", true);
    end_fini(&end);
    CHECK_INT(allocator.live_blocks, 0);
}

TEST_MAIN(TEST(ends_of_a_payload), TEST(bounded), TEST(frames_received),
          TEST(fragments_given_out), TEST(compressed), TEST(shared), TEST(none))
