/* The connection once it is open: every two-byte header in every state, the fixtures of
 * vectors/frames.md, limits, floods. Opening, closing and sending have their own files.
 */
#include <stdlib.h>

#include "pair.h"
#include "vectors.h"

/* --- fixtures --- */

static void write_fixture(struct blob *wire, enum wsc_role from, const void *ctx)
{
    const struct vector_case *c = ctx;
    for (size_t i = 0; i < c->field_count; i++) {
        const struct vector_field *field = &c->fields[i];
        unsigned first = 0;
        if (strcmp(field->block, "frames") == 0) {
            CHECK_INT(field->key[wire_frame_type(field->key, &first)], 0);
            CHECK(first < 256);
            wire_frame(wire, from, first, field->value.data, field->value.len);
        }
    }
}

static void write_outcome(struct blob *want, const struct vector_case *c)
{
    for (size_t i = 0; i < c->field_count; i++) {
        const struct vector_field *field = &c->fields[i];
        if (strcmp(field->block, "outcome") != 0) {
            continue;
        }
        bool state = strcmp(field->key, "state") == 0;
        blob_add_str(want, state                              ? "["
                           : strcmp(field->key, "sent") == 0  ? "-> "
                           : strcmp(field->key, "error") == 0 ? "WSC_ERR_"
                                                              : "");
        blob_add(want, field->value.data, field->value.len);
        blob_add_str(want, state ? "]\n" : "\n");
    }
}

/* FRG-5 CTL-6 CTL-7 INF-2 INF-8 INF-13 LEN-5 LEN-6 FRG-6 */
static void the_fixtures(void)
{
    struct vectors vectors;
    vectors_load(&vectors, "frames.md", "none");
    CHECK(vectors.count > 30);
    for (size_t i = 0; i < vectors.count; i++) {
        const struct vector_case *c = &vectors.cases[i];
        struct vector_bytes max_size = vector_field(c, "settings", "max_size", 0);
        struct vector_bytes extension = vector_field(c, "settings", "extension", 0);
        struct wsc_deflate_settings deflate;
        struct blob want = {0};
        wsc_deflate_settings_init(&deflate);
        struct scenario scenario = {
            .max_size = max_size.data != NULL
                            ? strtoul((const char *)max_size.data, NULL, 10)
                            : 1 << 20,
            .streaming = vector_field_is(c, "settings", "streaming", "yes"),
            .deflate = extension.data != NULL ? &deflate : NULL,
            .extensions = (const char *)extension.data,
            .write = write_fixture,
            .ctx = c,
        };
        write_outcome(&want, c);
        if (!check_scenario(&scenario, want.data, want.len)) {
            printf("frames.md:%d: %s\n", c->line, c->name);
        }
        blob_free(&want);
    }
    vectors_free(&vectors);
}

/* --- every two-byte header --- */

enum state { IDLE, MID_MESSAGE, CLOSE_SENT, CLOSE_RECEIVED, STATE_COUNT };

/* A connection in that state that owns no memory, so that it can be copied. */
static void make_template(struct end *end, enum wsc_role role, enum state state)
{
    struct blob wire = {0};
    end_open_plain(end, role);
    if (state == MID_MESSAGE) {
        wire_frames(&wire, other_role(role), "text+");
    }
    if (state == CLOSE_SENT) {
        CHECK_INT(wsc_conn_send_close(&end->conn, 1000, NULL, 0), WSC_OK);
    }
    if (state == CLOSE_RECEIVED) {
        wire_frames(&wire, other_role(role), "close");
    }
    (void)end_feed(end, wire.data, wire.len, SPLIT_WHOLE, NULL);
    wire.len = 0;
    end_take(end, &wire);
    wsc_outgoing_fini(&end->conn.outgoing);
    blob_free(&wire);
}

/* RFC 6455 §5 once more: may a frame begin so? */
static bool
allowed(unsigned first, unsigned second, enum wsc_role role, bool in_message)
{
    unsigned opcode = first % 16;
    if (first / 16 % 8 != 0 || (second >= 128) != (role == WSC_ROLE_SERVER)) {
        return false;
    }
    if (opcode >= 8) {
        return opcode <= 10 && first >= 128 && second % 128 <= 125;
    }
    return in_message ? opcode == 0 : opcode == 1 || opcode == 2;
}

static bool check_header(const struct end *template, enum state state, unsigned first,
                         unsigned second)
{
    enum wsc_role role = template->config.role;
    struct end end;
    struct blob out = {0};
    uint8_t bytes[2] = {(uint8_t)first, (uint8_t)second};
    struct wsc_event event;
    bool good;
    memcpy(&end, template, sizeof(end));
    CHECK_INT(wsc_conn_feed(&end.conn, bytes, 2), WSC_OK);
    enum wsc_status status = wsc_conn_next_event(&end.conn, &event);
    if (state == CLOSE_RECEIVED) {
        good = CHECK_INT(status, WSC_NEED_DATA) && CHECK_INT(end.conn.error, WSC_OK);
    }
    else if (!allowed(first, second, role, state == MID_MESSAGE)) {
        good = CHECK_INT(status, WSC_ERR_PROTOCOL) &&
               CHECK_INT(end.conn.state, WSC_CONN_CLOSING) &&
               CHECK(end.conn.end_expected && end.conn.error_reason != NULL);
        end_take(&end, &out);
        struct blob log = {0};
        log_frames(&log, role, out.data, out.len);
        good = good && CHECK_BYTES(log.data, log.len, "-> close 1002\n",
                                   state == CLOSE_SENT ? 0 : 14);
        /* Sticky: nothing after it is read. */
        good = good && CHECK_INT(wsc_conn_feed(&end.conn, bytes, 2), WSC_OK) &&
               CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_ERR_PROTOCOL);
        blob_free(&log);
    }
    else {
        /* Only an empty frame of a server is whole now. */
        bool whole = second == 0 && first >= 128;
        good = CHECK_INT(status, whole ? WSC_OK : WSC_NEED_DATA) &&
               CHECK_INT(end.conn.error, WSC_OK);
    }
    blob_free(&out);
    wsc_outgoing_fini(&end.conn.outgoing);
    if (end.conn.control != template->conn.control) {
        wsc_free(end.config.allocator, end.conn.control);
    }
    return good;
}

/* LEN-8, CTL-4, INF-8, FRG-5, CTL-7: 65,536 headers × role × state. */
static void every_two_byte_header(void)
{
    for (int r = 0; r < 2; r++) {
        for (int state = 0; state < STATE_COUNT; state++) {
            struct end template;
            make_template(&template, r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT,
                          (enum state)state);
            for (unsigned n = 0; n < 65536; n++) {
                if (!check_header(&template, (enum state)state, n >> 8, n & 0xFF)) {
                    printf("header %04x role %d state %d\n", n, r, state);
                    return;
                }
            }
            end_fini(&template);
        }
    }
}

/* --- lengths --- */

/* LEN-1, LEN-2, LEN-3: the header alone, then silence: the error, with nothing
 * allocated but the close frame. */
static void big_lengths_cost_nothing(void)
{
    static const struct {
        uint64_t len;
        enum wsc_status status;
    } cases[] = {
        {(1 << 20) + 1, WSC_ERR_TOO_BIG},
        {INT32_MAX, WSC_ERR_TOO_BIG},
        {(uint64_t)INT32_MAX + 1, WSC_ERR_TOO_BIG},
        {UINT32_MAX, WSC_ERR_TOO_BIG},
        {(uint64_t)UINT32_MAX + 6, WSC_ERR_TOO_BIG},
        {1 << 30, WSC_ERR_TOO_BIG},
        {INT64_MAX, WSC_ERR_TOO_BIG},
        {(uint64_t)INT64_MAX + 1, WSC_ERR_PROTOCOL},
        {UINT64_MAX, WSC_ERR_PROTOCOL},
        {UINT64_MAX - 3, WSC_ERR_PROTOCOL},
        {UINT64_MAX - 13, WSC_ERR_PROTOCOL},
        {UINT64_MAX - 99, WSC_ERR_PROTOCOL},
        {0xFFFFFF00FFFFF000, WSC_ERR_PROTOCOL},
    };
    for (size_t i = 0; i < 2 * 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        enum wsc_role role = i % 2 == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        bool fragment = i / 2 % 2 != 0; /* after 100 bytes of the message, LEN-4 */
        uint64_t len = cases[i / 4].len;
        struct test_allocator allocator;
        struct end end;
        struct blob wire = {0};
        uint8_t hundred[100] = {0};
        test_allocator_init(&allocator);
        CHECK_INT(end_open(&end, role, 1 << 20, NULL, NULL, &allocator.base), WSC_OK);
        if (fragment) {
            wire_frame(&wire, other_role(role), 0x02, hundred, 100);
            CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL),
                      WSC_NEED_DATA);
        }
        uint8_t header[14] = {fragment ? 0x80 : 0x82,
                              role == WSC_ROLE_SERVER ? 0xFF : 0x7F};
        for (size_t k = 0; k < 8; k++) {
            header[2 + k] = (uint8_t)(len >> (56 - 8 * k));
        }
        size_t needed =
            role == WSC_ROLE_SERVER && cases[i / 4].status == WSC_ERR_TOO_BIG ? 14 : 10;
        size_t before = allocator.requests;
        CHECK_INT(end_feed(&end, header, needed - 1, SPLIT_BYTEWISE, NULL),
                  WSC_NEED_DATA);
        CHECK_INT(allocator.requests, before);
        CHECK_INT(end_feed(&end, header + needed - 1, 1, SPLIT_WHOLE, NULL),
                  cases[i / 4].status);
        /* Our close frame is all that is kept. */
        CHECK(allocator.live_bytes <= 256 + 2 * sizeof(struct wsc_close) + 250);
        CHECK_INT(end.conn.sent->code,
                  cases[i / 4].status == WSC_ERR_TOO_BIG ? 1009 : 1002);
        end_fini(&end);
        CHECK_INT(allocator.live_blocks, 0);
        blob_free(&wire);
    }
}

/* LEN-6: no more than WSC_MESSAGE_SIZE_MAX may be asked for. */
static void the_largest_limit(void)
{
    struct end end;
    const struct wsc_allocator *plain = wsc_allocator_default();
    CHECK_INT(end_init(&end, WSC_ROLE_SERVER, WSC_MESSAGE_SIZE_MAX, NULL, plain),
              WSC_OK);
    end_fini(&end);
    CHECK_INT(end_init(&end, WSC_ROLE_SERVER, WSC_MESSAGE_SIZE_MAX + 1, NULL, plain),
              WSC_ERR_INVALID_ARGUMENT);
    end_fini(&end);
}

/* --- floods --- */

/* CTL-5: 300,000 pings that nobody reads the pongs of; CTL-2: payloads are equal. */
static void unread_pings(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct test_allocator allocator;
        struct end end;
        struct blob out = {0};
        struct blob log = {0};
        char payload[126];
        test_allocator_init(&allocator);
        CHECK_INT(end_open(&end, role, 1 << 20, NULL, NULL, &allocator.base), WSC_OK);
        for (unsigned i = 0; i < 300000; i++) {
            struct blob wire = {0};
            (void)snprintf(payload, sizeof(payload), "%0125u", i);
            wire_frame(&wire, other_role(role), 0x89, payload, 125);
            CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL),
                      WSC_NEED_DATA);
            blob_free(&wire);
        }
        CHECK(allocator.live_bytes <= 8192);
        CHECK(wsc_conn_wants_send(&end.conn));
        end_take(&end, &out);
        CHECK(!wsc_conn_wants_send(&end.conn));
        CHECK(out.len >= 4096 && out.len <= 4096 + 2 * 131);
        /* The first ones, and last of all the newest. */
        log_frames(&log, role, out.data, out.len);
        char want[140];
        (void)snprintf(want, sizeof(want), "-> pong %0125u\n", 0);
        CHECK(log.len > 134 && memcmp(log.data, want, 134) == 0);
        (void)snprintf(want, sizeof(want), "-> pong %0125u\n", 299999);
        CHECK(log.len > 134 && memcmp(log.data + log.len - 134, want, 134) == 0);
        (void)snprintf(want, sizeof(want), "-> pong %0125u\n", 299998);
        CHECK(log.len > 268 && memcmp(log.data + log.len - 268, want, 134) != 0);
        /* And then each one again. */
        log.len = 0;
        out.len = 0;
        wire_frames(&out, other_role(role), "ping a|ping b");
        (void)end_feed(&end, out.data, out.len, SPLIT_WHOLE, &log);
        static const char last[] = "ping a\nping b\n-> pong a\n-> pong b\n[open]\n";
        CHECK_BYTES(log.data, log.len, last, sizeof(last) - 1);
        end_fini(&end);
        CHECK_INT(allocator.live_blocks, 0);
        blob_free(&log);
        blob_free(&out);
    }
}

/* A pending pong goes out when the output has gone, but never after a close frame. */
static void no_pong_after_a_close_frame(void)
{
    struct end end;
    struct blob wire = {0};
    struct blob log = {0};
    static uint8_t big[5000];
    end_open_plain(&end, WSC_ROLE_SERVER);
    CHECK_INT(wsc_conn_send(&end.conn, WSC_OPCODE_BINARY, big, sizeof(big), true,
                            WSC_COMPRESS_AUTO, NULL, NULL),
              WSC_OK);
    wire_frames(&wire, WSC_ROLE_CLIENT, "ping a|ping b");
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL), WSC_NEED_DATA);
    CHECK(end.conn.pong_pending);
    CHECK_INT(wsc_conn_send_close(&end.conn, 1000, NULL, 0), WSC_OK);
    wire.len = 0;
    wire_frames(&wire, WSC_ROLE_CLIENT, "ping c");
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL), WSC_NEED_DATA);
    wire.len = 0;
    end_take(&end, &wire);
    log_frames(&log, WSC_ROLE_SERVER, wire.data + 5004, wire.len - 5004);
    CHECK_BYTES(log.data, log.len, "-> close 1000\n", 14);
    end_fini(&end);
    blob_free(&wire);
    blob_free(&log);
}

/* A pong that waits is never overtaken: a newer ping takes its place (RFC 6455 §5.5.3).
 */
static void the_newest_ping_is_the_last_answered(void)
{
    struct end end;
    struct blob wire = {0};
    struct blob log = {0};
    static uint8_t big[5000];
    end_open_plain(&end, WSC_ROLE_SERVER);
    CHECK_INT(wsc_conn_send(&end.conn, WSC_OPCODE_BINARY, big, sizeof(big), true,
                            WSC_COMPRESS_AUTO, NULL, NULL),
              WSC_OK);
    wire_frames(&wire, WSC_ROLE_CLIENT, "ping a");
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL), WSC_NEED_DATA);
    wsc_conn_sent(&end.conn, end.conn.outgoing.size);
    wire.len = 0;
    wire_frames(&wire, WSC_ROLE_CLIENT, "ping b");
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, NULL), WSC_NEED_DATA);
    wire.len = 0;
    end_take(&end, &wire);
    log_frames(&log, WSC_ROLE_SERVER, wire.data, wire.len);
    CHECK_BYTES(log.data, log.len, "-> pong b\n", 10);
    end_fini(&end);
    blob_free(&wire);
    blob_free(&log);
}

/* CTL-7: 20,000 close frames, in one feed and one by one; one answer. */
static void many_close_frames(void)
{
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct test_allocator allocator;
        struct end end;
        struct blob wire = {0};
        struct blob log = {0};
        test_allocator_init(&allocator);
        CHECK_INT(end_open(&end, role, 1 << 20, NULL, NULL, &allocator.base), WSC_OK);
        for (int i = 0; i < 10000; i++) {
            wire_frame(&wire, other_role(role), 0x88, "\x03\xE8gone", 6);
        }
        for (int i = 0; i < 2; i++) {
            (void)end_feed(&end, wire.data, wire.len, SPLIT_RANDOM, NULL);
        }
        wire.len = 0;
        end_take(&end, &wire);
        log_frames(&log, role, wire.data, wire.len);
        CHECK_BYTES(log.data, log.len, "-> close 1000\n", 14);
        CHECK(allocator.peak_bytes <= 65536);
        end_fini(&end);
        blob_free(&wire);
        blob_free(&log);
    }
}

/* FRG-1 through the connection: 100,000 fragments of one byte with pings between. */
static void many_small_fragments(void)
{
    struct test_allocator allocator;
    struct end end;
    struct blob wire = {0};
    test_allocator_init(&allocator);
    CHECK_INT(end_open(&end, WSC_ROLE_SERVER, 1 << 20, NULL, NULL, &allocator.base),
              WSC_OK);
    for (int i = 0; i < 100000; i++) {
        wire_frame(&wire, WSC_ROLE_CLIENT, i == 0 ? 0x01 : 0x00, "x", 1);
        if (i % 100 == 0) {
            wire_frame(&wire, WSC_ROLE_CLIENT, 0x89, "p", 1);
        }
    }
    CHECK_INT(end_feed(&end, wire.data, wire.len, SPLIT_RANDOM, NULL), WSC_NEED_DATA);
    CHECK(allocator.live_bytes <= 150000 + 4096 + 8192);
    end_fini(&end);
    CHECK_INT(allocator.live_blocks, 0);
    blob_free(&wire);
}

/* Input is one piece at a time. */
static void feed_while_input_is_left(void)
{
    struct end end;
    struct blob wire = {0};
    struct wsc_event event;
    end_open_plain(&end, WSC_ROLE_SERVER);
    wire_frames(&wire, WSC_ROLE_CLIENT, "ping a|ping b");
    CHECK_INT(wsc_conn_feed(&end.conn, wire.data, wire.len), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    CHECK_INT(wsc_conn_input_left(&end.conn), 7);
    CHECK_INT(wsc_conn_feed(&end.conn, wire.data, 1), WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    CHECK_BYTES(event.data, event.len, "b", 1);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
    CHECK_INT(wsc_conn_feed(&end.conn, NULL, 0), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
    end_fini(&end);
    blob_free(&wire);
}

/* The rest of the input may be moved by its owner. */
static void input_that_moves(void)
{
    struct end end;
    struct blob wire = {0};
    struct wsc_event event;
    end_open_plain(&end, WSC_ROLE_SERVER);
    wire_frames(&wire, WSC_ROLE_CLIENT, "ping a|ping b");
    CHECK_INT(wsc_conn_feed(&end.conn, wire.data, wire.len), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    uint8_t *moved = test_guarded(wire.data + 7, 7);
    blob_free(&wire);
    wsc_conn_move_input(&end.conn, moved);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    CHECK_BYTES(event.data, event.len, "b", 1);
    end_fini(&end);
}

TEST_MAIN(TEST(the_fixtures), TEST(every_two_byte_header),
          TEST(big_lengths_cost_nothing), TEST(the_largest_limit), TEST(unread_pings),
          TEST(no_pong_after_a_close_frame), TEST(the_newest_ping_is_the_last_answered),
          TEST(many_close_frames), TEST(many_small_fragments),
          TEST(feed_while_input_is_left), TEST(input_that_moves))
