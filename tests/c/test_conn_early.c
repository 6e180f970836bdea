/* Bytes of the owner's own that wait, or have left in part, when the opening handshake
 * writes: early hints before a 101, a proxy's preamble before a request. */
#include "pair.h"

#define EARLY 300
#define LIMIT (1 << 20)

enum way { ACCEPT, RESPOND, REFUSE_AT_ONCE, REFUSE, REQUEST, WAYS };
enum waiting { NONE, COPIED, ALONE, MIXED, WAITING };

static uint8_t early[EARLY];
static int released;

static void release(void *ctx)
{
    (void)ctx;
    released++;
}

static void queue_copied(struct wsc_outgoing *outgoing, size_t from, size_t len)
{
    uint8_t *out = NULL;
    CHECK_INT(wsc_outgoing_reserve(outgoing, len, &out), WSC_OK);
    memcpy(out, early + from, len);
    wsc_outgoing_commit(outgoing, len);
}

static void queue_early(struct wsc_outgoing *outgoing, enum waiting waiting)
{
    const size_t half = EARLY / 2;
    for (size_t i = 0; i < EARLY; i++) {
        early[i] = (uint8_t)(i % 251);
    }
    released = 0;
    if (waiting == COPIED || waiting == MIXED) {
        queue_copied(outgoing, 0, waiting == MIXED ? half : EARLY);
    }
    if (waiting == ALONE || waiting == MIXED) {
        size_t from = waiting == MIXED ? half : 0;
        struct wsc_reference reference = {early + from, EARLY - from, NULL, release};
        CHECK_INT(wsc_outgoing_append_reference(outgoing, NULL, 0, &reference), WSC_OK);
    }
}

/* As far as the moment when this end writes its head. */
static void begin(struct end *end, enum way way, const struct wsc_allocator *allocator)
{
    struct wsc_deflate_settings deflate;
    struct wsc_event event;
    struct blob head = {0};
    wsc_deflate_settings_init(&deflate);
    CHECK_INT(end_init(end, way == REQUEST ? WSC_ROLE_CLIENT : WSC_ROLE_SERVER, LIMIT,
                       &deflate, allocator),
              WSC_OK);
    end->config.any_request = way == REFUSE;
    if (way == ACCEPT || way == RESPOND) {
        write_request_head(&head, "permessage-deflate");
    }
    else if (way == REFUSE) {
        blob_add_str(&head, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    }
    CHECK_INT(wsc_conn_feed(&end->conn, head.data, head.len), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end->conn, &event),
              head.len > 0 ? WSC_OK : WSC_NEED_DATA);
    blob_free(&head);
}

static enum wsc_status write_head(struct end *end, enum way way)
{
    static const char bad[] = "POST / HTTP/1.1\r\n\r\n";
    struct wsc_event event;
    struct wsc_str none = {NULL, 0};
    switch (way) {
    case ACCEPT:
        return end_accept(end, NULL);
    case RESPOND:
        return wsc_conn_respond(&end->conn, 403, none, NULL, 0, (const uint8_t *)"no",
                                2);
    case REFUSE_AT_ONCE:
        CHECK_INT(wsc_conn_feed(&end->conn, (const uint8_t *)bad, sizeof(bad) - 1),
                  WSC_OK);
        CHECK_INT(wsc_conn_next_event(&end->conn, &event), WSC_ERR_HANDSHAKE);
        return WSC_OK;
    case REFUSE:
        return wsc_conn_refuse(&end->conn);
    case REQUEST:
        return end_request(end, NULL, 0);
    case WAYS:
        break;
    }
    return WSC_ERR_INVALID_ARGUMENT;
}

/* The head alone, as it is sent when nothing waits before it. */
static void usual_head(struct blob *head, enum way way)
{
    struct end end;
    begin(&end, way, wsc_allocator_default());
    CHECK_INT(write_head(&end, way), WSC_OK);
    head->len = 0;
    end_take(&end, head);
    end_fini(&end);
}

/* The key of a request is another each time. */
static void hide_key(struct blob *head)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    for (size_t i = 0; i + sizeof(name) + WSC_KEY_SIZE < head->len; i++) {
        if (memcmp(head->data + i, name, sizeof(name) - 1) == 0) {
            memset(head->data + i + sizeof(name) - 1, '?', WSC_KEY_SIZE);
        }
    }
}

/* BOR-3: what waits goes first, from where it was, and then the head: not a byte more.
 */
static void heads_follow_what_waits(void)
{
    for (enum way way = ACCEPT; way < WAYS; way++) {
        struct blob head = {0};
        usual_head(&head, way);
        hide_key(&head);
        for (enum waiting waiting = NONE; waiting < WAITING; waiting++) {
            size_t size = waiting == NONE ? 0 : EARLY;
            for (size_t sent = 0; sent <= size; sent++) {
                struct end end;
                struct blob out = {0};
                begin(&end, way, wsc_allocator_default());
                queue_early(&end.conn.outgoing, waiting);
                wsc_conn_sent(&end.conn, sent);
                CHECK_INT(write_head(&end, way), WSC_OK);
                CHECK(wsc_outgoing_check(&end.conn.outgoing));
                CHECK_INT(end.conn.outgoing.size, size - sent + head.len);
                end_take(&end, &out);
                hide_key(&out);
                CHECK(out.len == size - sent + head.len &&
                      memcmp(out.data, early + sent, size - sent) == 0 &&
                      memcmp(out.data + size - sent, head.data, head.len) == 0);
                CHECK_INT(released, waiting == ALONE || waiting == MIXED);
                end_fini(&end);
                blob_free(&out);
            }
        }
        blob_free(&head);
    }
}

/* BOR-3: a head that can't be written leaves what waits as it was, and can be written
 * later: each allocation of it fails once. */
static void a_head_without_memory(void)
{
    static const enum way ways[] = {ACCEPT, RESPOND, REQUEST};
    for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
        bool reached = true;
        for (size_t n = 1; reached; n++) {
            struct test_allocator allocator;
            struct end end;
            struct blob out = {0};
            struct blob head = {0};
            usual_head(&head, ways[i]);
            hide_key(&head);
            test_allocator_init(&allocator);
            begin(&end, ways[i], &allocator.base);
            queue_early(&end.conn.outgoing, COPIED);
            wsc_conn_sent(&end.conn, 250);
            allocator.fail_at = allocator.requests + n;
            enum wsc_status status = write_head(&end, ways[i]);
            reached = allocator.requests >= allocator.fail_at;
            CHECK_INT(status, reached ? WSC_ERR_NO_MEMORY : WSC_OK);
            CHECK(wsc_outgoing_check(&end.conn.outgoing));
            if (reached) {
                CHECK_INT(end.conn.outgoing.size, EARLY - 250);
                CHECK_INT(end.conn.state, WSC_CONN_CONNECTING);
                CHECK_INT(write_head(&end, ways[i]), WSC_OK);
            }
            end_take(&end, &out);
            hide_key(&out);
            CHECK(out.len == EARLY - 250 + head.len &&
                  memcmp(out.data, early + 250, EARLY - 250) == 0 &&
                  memcmp(out.data + EARLY - 250, head.data, head.len) == 0);
            end_fini(&end);
            CHECK_INT(allocator.live_blocks, 0);
            blob_free(&out);
            blob_free(&head);
        }
    }
}

TEST_MAIN(TEST(heads_follow_what_waits), TEST(a_head_without_memory))
