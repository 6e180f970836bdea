/* Large payloads that are received to where they belong: the same events as when they
 * are received elsewhere, whatever comes when. */
#include <stdlib.h>

#include "pair.h"

#define STREAM_MAX ((size_t)4 << 20)

/* Letters, and with `bad` one byte that is no UTF-8. */
static void fill(uint8_t *data, size_t len, size_t bad)
{
    for (size_t i = 0; i < len; i++) {
        data[i] = (uint8_t)('a' + i % 23);
    }
    if (bad < len) {
        data[bad] = 0xFF;
    }
}

/* Feed as a carrier does that receives between 1 and `most` bytes at a time. How many
 * came directly is counted. */
static enum wsc_status receive(struct end *end, const struct blob *wire, size_t most,
                               struct blob *log, size_t *direct)
{
    enum wsc_status status = WSC_NEED_DATA;
    for (size_t done = 0; done < wire->len && status == WSC_NEED_DATA;) {
        size_t room = 0;
        uint8_t *space = wsc_conn_receive_space(&end->conn, &room);
        size_t len = 1 + test_random() % most;
        len = len < wire->len - done ? len : wire->len - done;
        const uint8_t *data = wire->data + done;
        if (space != NULL) {
            CHECK(room >= WSC_DIRECT_MIN);
            len = len < room ? len : room;
            memcpy(space, data, len);
            data = space;
            *direct += len;
        }
        CHECK_INT(wsc_conn_feed(&end->conn, data, len), WSC_OK);
        status = end_events(end, log);
        done += len;
    }
    struct blob out = {0};
    end_take(end, &out);
    log_frames(log, end->config.role, out.data, out.len);
    log_state(log, end);
    blob_free(&out);
    return status;
}

static void the_same_events(enum wsc_role role, const struct blob *wire)
{
    struct end end;
    struct blob want = {0};
    struct blob got = {0};
    size_t direct = 0;
    end_open_plain(&end, role);
    enum wsc_status status = end_feed(&end, wire->data, wire->len, SPLIT_WHOLE, &want);
    end_fini(&end);
    for (int round = 0; round < 8; round++) {
        got.len = 0;
        end_open_plain(&end, role);
        CHECK_INT(receive(&end, wire, round % 2 == 0 ? 70000 : 300000, &got, &direct),
                  status);
        CHECK_BYTES(got.data, got.len, want.data, want.len);
        end_fini(&end);
    }
    CHECK(direct > 0);
    blob_free(&want);
    blob_free(&got);
}

static void messages_are_the_same(void)
{
    uint8_t *data = malloc(STREAM_MAX);
    for (int r = 0; r < 2; r++) {
        enum wsc_role role = r == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT;
        struct blob wire = {0};
        fill(data, STREAM_MAX, SIZE_MAX);
        wire_frame(&wire, other_role(role), FIN | 2, data, 1000000);
        wire_frame(&wire, other_role(role), FIN | 9, "ping", 4);
        wire_frame(&wire, other_role(role), FIN | 1, data, 300000);
        /* RFC 6455 §5.4: fragments with a control frame between them. */
        wire_frame(&wire, other_role(role), 1, data + 1, 200000);
        wire_frame(&wire, other_role(role), FIN | 10, "pong", 4);
        wire_frame(&wire, other_role(role), 0, data + 2, 200001);
        wire_frame(&wire, other_role(role), FIN, data + 3, 200002);
        wire_frame(&wire, other_role(role), FIN | 2, data, 10);
        the_same_events(role, &wire);
        blob_free(&wire);
    }
    free(data);
}

/* FRG-6: at the first bad byte, with 1007. */
static void bad_text_is_refused(void)
{
    uint8_t *data = malloc(600000);
    const size_t places[] = {0, 65535, 300000, 599999};
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct blob wire = {0};
        fill(data, 600000, places[i]);
        wire_frame(&wire, WSC_ROLE_CLIENT, FIN | 1, data, 600000);
        struct end end;
        struct blob log = {0};
        size_t direct = 0;
        end_open_plain(&end, WSC_ROLE_SERVER);
        CHECK_INT(receive(&end, &wire, 100000, &log, &direct), WSC_ERR_UTF8);
        CHECK(end.conn.sent != NULL && end.conn.sent->code == 1007);
        CHECK(wsc_conn_receive_space(&end.conn, &direct) == NULL);
        end_fini(&end);
        blob_free(&log);
        blob_free(&wire);
    }
    free(data);
}

/* FRG-4: no more memory than 1.5 times what has come. */
static void room_is_taken_for_what_has_come(void)
{
    struct test_allocator allocator;
    struct end end;
    struct blob wire = {0};
    uint8_t *data = calloc(1, 1 << 20);
    test_allocator_init(&allocator);
    CHECK_INT(end_open(&end, WSC_ROLE_SERVER, 1 << 20, NULL, NULL, &allocator.base),
              WSC_OK);
    size_t before = allocator.live_bytes;
    wire_frame(&wire, WSC_ROLE_CLIENT, FIN | 2, data, 1 << 20);
    for (size_t done = 0; done < wire.len - 1;) {
        size_t len = 0;
        uint8_t *space = wsc_conn_receive_space(&end.conn, &len);
        CHECK(allocator.live_bytes <= before + done + done / 2 + 4096);
        if (space == NULL) {
            len = 1000;
        }
        len = len < wire.len - 1 - done ? len : wire.len - 1 - done;
        len = len < 1000 ? len : 1000;
        if (space != NULL) {
            memcpy(space, wire.data + done, len);
        }
        CHECK_INT(
            wsc_conn_feed(&end.conn, space != NULL ? space : wire.data + done, len),
            WSC_OK);
        CHECK_INT(end_events(&end, NULL), WSC_NEED_DATA);
        done += len;
    }
    end_fini(&end);
    CHECK_INT(allocator.live_blocks, 0);
    blob_free(&wire);
    free(data);
}

/* A message comes as it was sent, or not at all: with each allocation failing once, the
 * larger block that a payload should have moved to among them. */
static bool without_memory_scenario(const struct wsc_allocator *allocator)
{
    struct end end;
    struct blob wire = {0};
    struct blob log = {0};
    struct blob want = {0};
    size_t direct = 0;
    uint8_t *data = malloc(400000);
    fill(data, 400000, SIZE_MAX);
    wire_frame(&wire, WSC_ROLE_CLIENT, FIN | 2, data, 400000);
    end_open_plain(&end, WSC_ROLE_SERVER);
    (void)end_feed(&end, wire.data, wire.len, SPLIT_WHOLE, &want);
    end_fini(&end);
    enum wsc_status status =
        end_open(&end, WSC_ROLE_SERVER, 1 << 20, NULL, NULL, allocator);
    if (status == WSC_OK) {
        status = receive(&end, &wire, 40000, &log, &direct);
        CHECK(status == WSC_NEED_DATA || status == WSC_ERR_NO_MEMORY);
        CHECK(status != WSC_NEED_DATA || direct > 0);
        CHECK(status != WSC_NEED_DATA ||
              (log.len == want.len && memcmp(log.data, want.data, log.len) == 0));
    }
    end_fini(&end);
    blob_free(&wire);
    blob_free(&log);
    blob_free(&want);
    free(data);
    return status == WSC_NEED_DATA;
}

static void without_memory(void)
{
    test_every_allocation(without_memory_scenario);
}

static void nothing_where_it_does_not_fit(void)
{
    struct end end;
    size_t len = 0;
    const uint8_t header[] = {0x82, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4};
    end_open_plain(&end, WSC_ROLE_SERVER);
    CHECK(wsc_conn_receive_space(&end.conn, &len) == NULL);
    /* The header alone: no memory yet. */
    CHECK_INT(end_feed(&end, header, sizeof(header), SPLIT_WHOLE, NULL), WSC_NEED_DATA);
    CHECK(wsc_conn_receives_large(&end.conn));
    CHECK(wsc_conn_receive_space(&end.conn, &len) == NULL);
    wsc_conn_feed_eof(&end.conn);
    CHECK(!wsc_conn_receives_large(&end.conn));
    end_fini(&end);
}

TEST_MAIN(TEST(messages_are_the_same), TEST(bad_text_is_refused),
          TEST(room_is_taken_for_what_has_come), TEST(without_memory),
          TEST(nothing_where_it_does_not_fit))
