/* The limit of uncompressed messages, changed at every point of a message. */
#include "pair.h"

#define MAX_SIZE (1 << 20)

enum mode { PLAIN, STREAMED, ONE_FRAME, COMPRESSED, MODES };

/* One message, written by `from` in the frames of the mode: its size. */
static size_t write_message(struct end *from, enum mode mode, size_t unit)
{
    static uint8_t payload[200000];
    const size_t parts[] = {4 * unit, 0, 6 * unit, 3 * unit, 0};
    size_t count = mode == ONE_FRAME ? 1 : sizeof(parts) / sizeof(parts[0]);
    size_t total = 0;
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)('a' + i * i % 23);
    }
    for (size_t i = 0; i < count; i++) {
        size_t len = mode == ONE_FRAME ? 13 * unit : parts[i];
        CHECK_INT(wsc_conn_send(
                      &from->conn, i == 0 ? WSC_OPCODE_TEXT : WSC_OPCODE_CONTINUATION,
                      payload, len, i + 1 == count,
                      mode == COMPRESSED ? WSC_COMPRESS_ALWAYS : WSC_COMPRESS_NEVER,
                      NULL, NULL),
                  WSC_OK);
        CHECK_INT(wsc_conn_send_ping(&from->conn, payload, 3), WSC_OK);
        total += len;
    }
    return total;
}

struct got {
    size_t bytes;
    size_t messages;
    enum wsc_status status;
};

/* Feed in pieces, where a large payload belongs if it is one, and count what comes. */
static void
feed(struct end *to, const uint8_t *data, size_t len, size_t piece, struct got *got)
{
    while (len > 0) {
        size_t n = piece < len ? piece : len;
        size_t room;
        uint8_t *space = wsc_conn_receive_space(&to->conn, &room);
        if (space != NULL) {
            n = n < room ? n : room;
            memcpy(space, data, n);
        }
        CHECK_INT(wsc_conn_feed(&to->conn, space != NULL ? space : data, n), WSC_OK);
        struct wsc_event event;
        while ((got->status = wsc_conn_next_event(&to->conn, &event)) == WSC_OK) {
            if (event.type == WSC_EVENT_MESSAGE) {
                got->bytes += event.message.len;
                got->messages += event.message.fin;
                to->memory.free(to->memory.ctx, event.message.kind, event.message.data);
            }
        }
        data += n;
        len -= n;
    }
}

struct change {
    size_t at; /* bytes of the wire */
    size_t limit;
    size_t then; /* set at once after it, if not 0 */
    size_t piece;
};

/* Does the end of that role get the message, when its limit changes? */
static void run(enum wsc_role role, enum mode mode, size_t unit, struct change change)
{
    struct test_allocator allocator;
    struct pair pair;
    struct wsc_deflate_settings settings;
    struct blob wire = {0};
    struct got got = {0, 0, WSC_NEED_DATA};
    test_allocator_init(&allocator);
    wsc_deflate_settings_init(&settings);
    CHECK_INT(pair_open(&pair, MAX_SIZE, &settings, &settings, &allocator.base),
              WSC_OK);
    struct end *to = role == WSC_ROLE_SERVER ? &pair.server : &pair.client;
    struct end *from = role == WSC_ROLE_SERVER ? &pair.client : &pair.server;
    size_t total = write_message(from, mode, unit);
    end_take(from, &wire);
    wsc_conn_set_streaming(&to->conn, mode == STREAMED);
    size_t at = change.at < wire.len ? change.at : wire.len;
    feed(to, wire.data, at, change.piece, &got);
    bool came_before = got.messages == 1;
    wsc_conn_set_max_plain_size(&to->conn, change.limit);
    if (change.then != 0) {
        wsc_conn_set_max_plain_size(&to->conn, change.then);
    }
    feed(to, wire.data + at, wire.len - at, change.piece, &got);
    size_t limit = change.then != 0 ? change.then : change.limit;
    if (mode == COMPRESSED || came_before || total <= limit) {
        CHECK_INT(got.status, WSC_NEED_DATA);
        CHECK_INT(got.messages, 1);
        CHECK_INT(got.bytes, total);
    }
    else {
        CHECK_INT(got.status, WSC_ERR_TOO_BIG);
        CHECK_INT(got.messages, 0);
        CHECK(got.bytes <= total);
        CHECK(to->conn.sent != NULL &&
              to->conn.sent->code == WSC_CLOSE_MESSAGE_TOO_BIG);
    }
    pair_fini(&pair);
    CHECK_INT(allocator.live_blocks, 0);
    blob_free(&wire);
}

/* BOR-4: at every byte of the wire, fed whole and byte by byte, to less than has come,
 * to as much, and to more. */
static void changed_at_every_byte(void)
{
    static const size_t limits[] = {0, 41, 129, 130};
    for (enum mode mode = PLAIN; mode < MODES; mode++) {
        for (size_t i = 0; i < 2 * sizeof(limits) / sizeof(limits[0]); i++) {
            for (size_t at = 0; at <= 220; at += mode == COMPRESSED  ? 7
                                                 : mode == ONE_FRAME ? 3
                                                                     : 1) {
                struct change change = {at, limits[i / 2], 0,
                                        i % 2 == 0 ? 1 : MAX_SIZE};
                run(WSC_ROLE_SERVER, mode, 10, change);
                run(WSC_ROLE_CLIENT, mode, 10, change);
            }
        }
    }
}

/* BOR-4: and back again, which is no limit. */
static void raised_again(void)
{
    static const size_t then[] = {130, MAX_SIZE - 1, MAX_SIZE, SIZE_MAX};
    for (enum mode mode = PLAIN; mode < MODES; mode++) {
        for (size_t i = 0; i < sizeof(then) / sizeof(then[0]); i++) {
            for (size_t at = 0; at <= 220; at += 7) {
                struct change change = {at, 5, then[i], 1};
                run(WSC_ROLE_SERVER, mode, 10, change);
                run(WSC_ROLE_CLIENT, mode, 10, change);
            }
        }
    }
}

/* BOR-4: payloads that are received to where they belong. */
static void changed_in_large_payloads(void)
{
    static const size_t limits[] = {0, 1000, 40000, 100000, 129999, 130000};
    static const size_t pieces[] = {MAX_SIZE, 7000};
    for (enum mode mode = PLAIN; mode < MODES; mode++) {
        for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
            for (size_t at = 0; at <= 131000; at += 4097) {
                struct change change = {at, limits[i], 0, pieces[i % 2]};
                run(WSC_ROLE_SERVER, mode, 10000, change);
                run(WSC_ROLE_CLIENT, mode, 10000, change);
            }
        }
    }
}

/* BOR-4 */
static void what_is_left_never_wraps(void)
{
    CHECK_INT(wsc_left(10, 3), 7);
    CHECK_INT(wsc_left(10, 10), 0);
    CHECK_INT(wsc_left(10, 11), 0);
    CHECK_INT(wsc_left(0, SIZE_MAX), 0);
    CHECK(wsc_left(SIZE_MAX, 0) == SIZE_MAX);
}

TEST_MAIN(TEST(changed_at_every_byte), TEST(raised_again),
          TEST(changed_in_large_payloads), TEST(what_is_left_never_wraps))
