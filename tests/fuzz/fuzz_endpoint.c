/* A server and a client that talk to each other as the input says: send, fragment,
 * ping, close, deliver k bytes, drop, refuse an allocation, set another limit. What one
 * end sent comes out at the other, in order, or that end is closed; all memory comes
 * back; a connection in good order fails only for a message above the limit. Input:
 * flags (1 byte), then steps of one byte and their arguments. */
#include "fuzz_conn.h"

#define MAX_SIZE ((size_t)1 << 20)

struct side {
    struct end end;
    struct text sent;     /* messages, as bytes to compare */
    struct text received; /* what came out here */
    bool in_message;
    size_t message_size; /* of the message that is being sent, or was the last */
    size_t largest;      /* of all that were sent */
    size_t limit;        /* of what comes in here uncompressed */
    size_t lowest_limit;
    size_t incoming; /* of the message that comes in, given out */
};

/* Each message as one record; fragments are joined by the receiver. */
static void receive(const struct side *from, struct side *side, bool allocation_failed)
{
    struct wsc_event event;
    for (;;) {
        memset(&event, 0, sizeof(event));
        enum wsc_status status = wsc_conn_next_event(&side->end.conn, &event);
        check_conn(&side->end.conn);
        /* Neither end says anything wrong, but maybe too much. */
        REQUIRE(status >= 0 || (status == WSC_ERR_NO_MEMORY && allocation_failed) ||
                (status == WSC_ERR_TOO_BIG && from->largest > side->lowest_limit));
        if (status != WSC_OK) {
            return;
        }
        if (event.type == WSC_EVENT_MESSAGE) {
            const struct wsc_message *message = &event.message;
            side->incoming += message->len;
            REQUIRE(side->incoming <= (message->compressed ? MAX_SIZE : side->limit));
            side->incoming = message->fin ? 0 : side->incoming;
            text_add(&side->received, message->data, message->len);
            if (message->fin) {
                text_add(&side->received, "|", 1);
            }
            if (message->data != NULL) {
                side->end.memory.free(side->end.memory.ctx, message->kind,
                                      message->data);
            }
        }
    }
}

static bool any_refused(const struct side sides[2])
{
    return (sides[0].end.counter.fail_at != 0 &&
            sides[0].end.counter.requests >= sides[0].end.counter.fail_at) ||
           (sides[1].end.counter.fail_at != 0 &&
            sides[1].end.counter.requests >= sides[1].end.counter.fail_at);
}

/* At most `most` bytes of `from`'s output go over. */
static void deliver(struct side *from, struct side *to, size_t most, bool refused)
{
    while (most > 0) {
        struct wsc_outgoing_piece piece;
        if (wsc_outgoing_peek(wsc_conn_outgoing(&from->end.conn), &piece, 1) == 0) {
            return;
        }
        size_t n = piece.len < most ? piece.len : most;
        uint8_t *copy = exact_copy(piece.data, n);
        wsc_conn_sent(&from->end.conn, n);
        REQUIRE(wsc_conn_feed(&to->end.conn, copy, n) == WSC_OK);
        receive(from, to, refused);
        free(copy);
        most -= n;
    }
}

static int references;
static void release(void *ctx)
{
    references--;
    free(ctx);
}

static enum wsc_status send_data(struct side *side, enum wsc_opcode opcode,
                                 const uint8_t *data, size_t len, bool fin,
                                 uint8_t what)
{
    enum wsc_compress compress = (enum wsc_compress)(what % 3);
    if ((what & 0x40) == 0) {
        return wsc_conn_send(&side->end.conn, opcode, data, len, fin, compress, NULL,
                             NULL);
    }
    uint8_t *copy = exact_copy(data, len);
    struct wsc_reference reference = {copy, len, copy, release};
    bool referenced = false;
    references++;
    enum wsc_status status = wsc_conn_send(&side->end.conn, opcode, copy, len, fin,
                                           compress, &reference, &referenced);
    if (!referenced) {
        release(copy);
    }
    return status;
}

static void send_step(struct side *side, uint8_t what, struct input *input)
{
    static uint8_t payload[40000];
    size_t len = take_byte(input);
    len = (what & 0x80) != 0 ? len * 150 : len;
    for (size_t i = 0; i < len; i++) {
        payload[i] = (uint8_t)('a' + (i * i / 7 + len) % 26);
    }
    bool fin = (what & 0x20) == 0;
    enum wsc_opcode opcode = side->in_message   ? WSC_OPCODE_CONTINUATION
                             : (what & 16) != 0 ? WSC_OPCODE_TEXT
                                                : WSC_OPCODE_BINARY;
    bool open = side->end.conn.state == WSC_CONN_OPEN;
    enum wsc_status status = send_data(side, opcode, payload, len, fin, what);
    REQUIRE(status == WSC_OK || !open || status == WSC_ERR_NO_MEMORY);
    REQUIRE(open || status == WSC_ERR_INVALID_STATE);
    check_conn(&side->end.conn);
    if (status == WSC_OK) {
        side->message_size = (side->in_message ? side->message_size : 0) + len;
        side->largest =
            side->message_size > side->largest ? side->message_size : side->largest;
        side->in_message = !fin;
        text_add(&side->sent, payload, len);
        if (fin) {
            text_add(&side->sent, "|", 1);
        }
    }
}

/* From nothing to what is no limit, at any time. */
static void set_limit(struct side *side, uint8_t what)
{
    size_t size = what == 0xFF ? SIZE_MAX : (size_t)what << (what & 15);
    wsc_conn_set_max_plain_size(&side->end.conn, size);
    side->limit = size < MAX_SIZE ? size : MAX_SIZE;
    side->lowest_limit =
        side->limit < side->lowest_limit ? side->limit : side->lowest_limit;
}

static void step(struct side sides[2], struct input *input)
{
    uint8_t code = take_byte(input);
    struct side *side = &sides[code & 1];
    struct side *other = &sides[(code & 1) ^ 1];
    struct wsc_conn *conn = &side->end.conn;
    bool refused = any_refused(sides);
    switch (code >> 1 & 7) {
    case 0:
    case 1:
        send_step(side, take_byte(input), input);
        break;
    case 2: {
        static const uint8_t payload[125];
        size_t len = code >> 4 | 0x10;
        enum wsc_status status = (code & 0x80) != 0
                                     ? wsc_conn_send_ping(conn, payload, len)
                                     : wsc_conn_send_pong(conn, payload, len);
        REQUIRE(status == WSC_OK || status == WSC_ERR_INVALID_STATE ||
                status == WSC_ERR_NO_MEMORY);
        break;
    }
    case 3: {
        size_t most = take_byte(input);
        /* It may be this very step in which the allocation is refused. */
        deliver(side, other, (code & 0x80) != 0 ? most * 300 : most,
                refused || sides[0].end.counter.fail_at != 0 ||
                    sides[1].end.counter.fail_at != 0);
        break;
    }
    case 4:
        if ((code & 0xF0) == 0xF0) {
            enum wsc_status status = wsc_conn_send_close(conn, 1000, "bye", 3);
            REQUIRE(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
        }
        else if ((code & 0xF0) == 0xE0) {
            enum wsc_status status = wsc_conn_fail(conn, 1011, NULL, 0);
            REQUIRE(status == WSC_OK || status == WSC_ERR_NO_MEMORY);
            REQUIRE(conn->end_expected);
        }
        else if ((code & 0xF0) == 0xD0) {
            wsc_conn_feed_eof(conn);
        }
        break;
    case 5:
        if ((code & 0x80) != 0) {
            wsc_conn_release_idle(conn);
        }
        else {
            set_limit(side, take_byte(input));
        }
        break;
    case 6:
        wsc_conn_set_streaming(conn, (code & 0x80) != 0);
        break;
    case 7:
        if (side->end.counter.fail_at == 0) {
            side->end.counter.fail_at = side->end.counter.requests + 1 + (code >> 4);
        }
        break;
    }
    check_conn(conn);
}

static void open_both(struct side sides[2], uint8_t flags)
{
    struct wsc_event event;
    struct text wire = {0};
    bool deflate = (flags & 1) != 0;
    for (int i = 0; i < 2; i++) {
        struct end *end = &sides[i].end;
        REQUIRE(end_init(end, i == 0 ? WSC_ROLE_SERVER : WSC_ROLE_CLIENT, MAX_SIZE,
                         deflate) == WSC_OK);
        sides[i].limit = MAX_SIZE;
        sides[i].lowest_limit = MAX_SIZE;
        end->deflate.server_no_context_takeover = (flags & 2) != 0;
        end->deflate.client_no_context_takeover = (flags & 4) != 0;
        end->deflate.server_max_window_bits = (flags & 8) != 0 ? 9 : 0;
        end->deflate.threshold = (flags & 16) != 0 ? 64 : 0;
    }
    REQUIRE(end_request(&sides[1].end) == WSC_OK);
    end_take(&sides[1].end, &wire);
    REQUIRE(wsc_conn_feed(&sides[0].end.conn, wire.data, wire.len) == WSC_OK);
    REQUIRE(wsc_conn_next_event(&sides[0].end.conn, &event) == WSC_OK);
    REQUIRE(end_accept(&sides[0].end) == WSC_OK);
    REQUIRE(wsc_conn_next_event(&sides[0].end.conn, &event) == WSC_NEED_DATA);
    wire.len = 0;
    end_take(&sides[0].end, &wire);
    REQUIRE(wsc_conn_feed(&sides[1].end.conn, wire.data, wire.len) == WSC_OK);
    REQUIRE(wsc_conn_next_event(&sides[1].end.conn, &event) == WSC_OK);
    REQUIRE(event.type == WSC_EVENT_RESPONSE);
    REQUIRE(wsc_conn_next_event(&sides[1].end.conn, &event) == WSC_NEED_DATA);
    text_free(&wire);
}

/* What came out is a beginning of what was sent. */
static void check_beginning(const struct side *from, const struct side *to)
{
    REQUIRE(to->received.len <= from->sent.len);
    REQUIRE(to->received.len == 0 ||
            memcmp(to->received.data, from->sent.data, to->received.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct side sides[2];
    struct input input = {data, size};
    memset(sides, 0, sizeof(sides));
    references = 0;
    uint8_t flags = take_byte(&input);
    open_both(sides, flags);
    for (int i = 0; i < 400 && input.size > 0; i++) {
        step(sides, &input);
    }
    bool refused =
        sides[0].end.counter.fail_at != 0 || sides[1].end.counter.fail_at != 0;
    /* Everything goes over; if nobody closed, everything came. */
    for (int round = 0; round < 4; round++) {
        deliver(&sides[round % 2], &sides[1 - round % 2], SIZE_MAX, refused);
    }
    for (int i = 0; i < 2; i++) {
        struct side *from = &sides[i];
        struct side *to = &sides[1 - i];
        check_beginning(from, to);
        if (from->end.conn.state == WSC_CONN_OPEN &&
            to->end.conn.state == WSC_CONN_OPEN && !from->in_message) {
            REQUIRE(to->received.len == from->sent.len);
        }
        REQUIRE(!from->end.conn.received || to->end.conn.sent);
        REQUIRE(!wsc_conn_wants_send(&from->end.conn) || refused);
    }
    for (int i = 0; i < 2; i++) {
        end_fini(&sides[i].end);
        text_free(&sides[i].sent);
        text_free(&sides[i].received);
    }
    REQUIRE(references == 0);
    return 0;
}
