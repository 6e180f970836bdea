/* The client's opening handshake through the connection, RFC 6455 §4.1: the request,
 * the 101 with frames behind it, refusals with their bodies. */
#include <stdlib.h>

#include "pair.h"
#include "wsc/crypto.h"

#define LIMIT    (1 << 20)
#define BODY_MAX 16384

static void start(struct end *end)
{
    CHECK_INT(end_init(end, WSC_ROLE_CLIENT, LIMIT, NULL, wsc_allocator_default()),
              WSC_OK);
    CHECK_INT(end_request(end, NULL, 0), WSC_OK);
}

/* The request, byte for byte but for its random key. */
static void the_request(void)
{
    struct wsc_deflate_settings deflate;
    struct end end;
    struct blob out = {0};
    struct wsc_str protocols[2] = {wsc_str_of("chat"), wsc_str_of("super.chat")};
    struct wsc_http_header headers[2] = {
        {wsc_str_of("Host"), wsc_str_of("example.com:8080")},
        {wsc_str_of("Origin"), wsc_str_of("http://a.example")}};
    wsc_deflate_settings_init(&deflate);
    CHECK_INT(end_init(&end, WSC_ROLE_CLIENT, LIMIT, &deflate, wsc_allocator_default()),
              WSC_OK);
    /* INJ-1: nothing is queued when anything cannot be written. */
    struct wsc_http_header bad[2] = {{wsc_str_of("Host"), wsc_str_of("h\r\nX: y")},
                                     {wsc_str_of("Ho st"), wsc_str_of("h")}};
    struct wsc_str bad_protocol = wsc_str_of("a b");
    for (size_t i = 0; i < 2; i++) {
        CHECK_INT(
            wsc_conn_send_request(&end.conn, wsc_str_of("/"), &bad[i], 1, NULL, 0),
            WSC_ERR_INVALID_ARGUMENT);
    }
    CHECK_INT(wsc_conn_send_request(&end.conn, wsc_str_of("/a b"), headers, 2, NULL, 0),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(
        wsc_conn_send_request(&end.conn, wsc_str_of("/"), headers, 2, &bad_protocol, 1),
        WSC_ERR_INVALID_ARGUMENT);
    CHECK(!wsc_conn_wants_send(&end.conn));
    CHECK_INT(wsc_conn_send_request(&end.conn, wsc_str_of("/chat?a=b"), headers, 2,
                                    protocols, 2),
              WSC_OK);
    CHECK_INT(wsc_conn_send_request(&end.conn, wsc_str_of("/"), headers, 2, NULL, 0),
              WSC_ERR_INVALID_STATE);
    end_take(&end, &out);
    blob_add(&out, "", 1);
    char *key = strstr((char *)out.data, "Sec-WebSocket-Key: ");
    if (CHECK(key != NULL)) {
        CHECK(wsc_key_is_valid(key + 19, WSC_KEY_SIZE));
        memset(key + 19, '?', WSC_KEY_SIZE);
    }
    static const char want[] =
        "GET /chat?a=b HTTP/1.1\r\nHost: example.com:8080\r\n"
        "Origin: http://a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: ????????????????????????\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
        "Sec-WebSocket-Protocol: chat, super.chat\r\n\r\n";
    CHECK_BYTES(out.data, out.len - 1, want, sizeof(want) - 1);
    end_fini(&end);
    blob_free(&out);
}

/* A request after the end of TCP, or an answer before the request. */
static void out_of_order(void)
{
    struct end end;
    struct wsc_event event;
    struct blob head = {0};
    CHECK_INT(end_init(&end, WSC_ROLE_CLIENT, LIMIT, NULL, wsc_allocator_default()),
              WSC_OK);
    wsc_conn_feed_eof(&end.conn);
    CHECK_INT(end_request(&end, NULL, 0), WSC_ERR_INVALID_STATE);
    CHECK(!wsc_conn_wants_send(&end.conn));
    end_fini(&end);

    /* The accept key of an all-zero key must not open a connection. */
    static const char no_key[WSC_KEY_SIZE];
    char accept[WSC_ACCEPT_SIZE + 1] = {0};
    CHECK_INT(wsc_accept_key(no_key, accept), WSC_OK);
    blob_printf(&head,
                "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: %s\r\n\r\n",
                accept);
    CHECK_INT(end_init(&end, WSC_ROLE_CLIENT, LIMIT, NULL, wsc_allocator_default()),
              WSC_OK);
    CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
    CHECK_INT(end.conn.state, WSC_CONN_CONNECTING);
    CHECK_INT(end_request(&end, NULL, 0), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_ERR_HANDSHAKE);
    end_fini(&end);
    blob_free(&head);
}

/* HSK-7: 101 and frames in one piece, cut at every byte. */
static void frames_behind_the_101(void)
{
    size_t len = 200;
    for (size_t cut = 0; cut <= len; cut++) {
        struct end end;
        struct blob head = {0};
        struct blob log = {0};
        start(&end);
        write_response_head(&head, &end, NULL);
        wire_frames(&head, WSC_ROLE_SERVER, "text one|ping x|text+ tw|cont o");
        len = head.len;
        size_t first = cut < len ? cut : len;
        CHECK_INT(end_feed(&end, head.data, first, SPLIT_WHOLE, NULL), WSC_NEED_DATA);
        end_fini(&end);

        start(&end);
        head.len = 0;
        write_response_head(&head, &end, NULL);
        wire_frames(&head, WSC_ROLE_SERVER, "text one|ping x|text+ tw|cont o");
        CHECK_INT(wsc_conn_feed(&end.conn, head.data, first), WSC_OK);
        CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
        CHECK_INT(wsc_conn_feed(&end.conn, head.data + first, len - first), WSC_OK);
        CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
        static const char want[] = "response\ntext one\nping x\ntext two\n";
        CHECK_BYTES(log.data, log.len, want, sizeof(want) - 1);
        CHECK_INT(end.conn.state, WSC_CONN_OPEN);
        end_fini(&end);
        blob_free(&head);
        blob_free(&log);
    }
}

/* RFC 9110 §15.2: responses before the final one are passed over, a few of them. */
static void interim_responses(void)
{
    static const char interim[] = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    for (size_t count = 0; count <= 17; count++) {
        struct end end;
        struct blob wire = {0};
        struct blob log = {0};
        start(&end);
        for (size_t i = 0; i < count; i++) {
            blob_add_str(&wire, interim);
        }
        write_response_head(&wire, &end, NULL);
        enum wsc_status status =
            end_feed(&end, wire.data, wire.len,
                     count % 2 == 0 ? SPLIT_WHOLE : SPLIT_BYTEWISE, &log);
        if (count <= 16) {
            CHECK_INT(status, WSC_NEED_DATA);
            CHECK_INT(end.conn.state, WSC_CONN_OPEN);
            CHECK_BYTES(log.data, 9, "response\n", 9);
        }
        else {
            CHECK_INT(status, WSC_ERR_HANDSHAKE);
            CHECK_INT(wsc_conn_head(&end.conn)->status, 103);
        }
        end_fini(&end);
        blob_free(&wire);
        blob_free(&log);
    }
}

/* The answer and its head are there until the next call of next_event. */
static void the_answer_can_be_read(void)
{
    struct end end;
    struct blob head = {0};
    struct wsc_event event;
    start(&end);
    write_response_head(&head, &end, NULL);
    CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
    CHECK(wsc_conn_head(&end.conn) == NULL);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    CHECK_INT(event.type, WSC_EVENT_RESPONSE);
    CHECK(wsc_conn_head(&end.conn) != NULL && wsc_conn_failure(&end.conn) == NULL);
    CHECK_INT(wsc_conn_head(&end.conn)->status, 101);
    CHECK(wsc_conn_answer(&end.conn)->protocol.data == NULL);
    CHECK(wsc_conn_response_body(&end.conn).data == NULL);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
    CHECK(wsc_conn_head(&end.conn) == NULL && wsc_conn_answer(&end.conn) == NULL);
    end_fini(&end);
    blob_free(&head);
}

/* --- refusals --- */

static const char refusal[] = "HTTP/1.1 503 Busy\r\n";

/* Fed in `split`; then perhaps the end of TCP. *out_ended: the error came before it. */
static void refused(const char *headers, const char *body, size_t body_len, bool eof,
                    enum split split, const char *want, size_t want_len)
{
    struct end end;
    struct blob wire = {0};
    struct wsc_event event;
    start(&end);
    blob_add_str(&wire, refusal);
    blob_add_str(&wire, headers);
    blob_add_str(&wire, "\r\n");
    blob_add(&wire, body, body_len);
    CHECK_INT(end_feed(&end, wire.data, wire.len, split, NULL),
              eof ? WSC_NEED_DATA : WSC_ERR_HANDSHAKE);
    if (eof) {
        wsc_conn_feed_eof(&end.conn);
    }
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_ERR_HANDSHAKE);
    CHECK_INT(end.conn.state, eof ? WSC_CONN_CLOSED : WSC_CONN_CLOSING);
    CHECK(end.conn.end_expected && !end.conn.sent);
    struct wsc_str got = wsc_conn_response_body(&end.conn);
    CHECK_BYTES(got.data, got.len, want, want_len);
    if (CHECK(wsc_conn_failure(&end.conn) != NULL)) {
        CHECK_INT(wsc_conn_failure(&end.conn)->error, WSC_HANDSHAKE_STATUS);
    }
    if (CHECK(wsc_conn_head(&end.conn) != NULL)) {
        CHECK_INT(wsc_conn_head(&end.conn)->status, 503);
    }
    end_fini(&end);
    blob_free(&wire);
}

static void chunked(const char *body, bool eof, enum split split, const char *want)
{
    refused("Transfer-Encoding: chunked\r\n", body, strlen(body), eof, split, want,
            strlen(want));
}

static void bodies_of_refusals(void)
{
    static char big[20000];
    char header[100];
    memset(big, 'b', sizeof(big));
    for (int s = 0; s < 3; s++) {
        enum split split = (enum split)s;
        refused("Content-Length: 5\r\n", "later", 5, false, split, "later", 5);
        refused("Content-Length: 5\r\n", "later and more", 14, false, split, "later",
                5);
        refused("Content-Length: 0\r\n", "", 0, false, split, "", 0);
        /* Cut short, and without a length: until the end of TCP. */
        refused("Content-Length: 50\r\n", "later", 5, true, split, "later", 5);
        refused("", "later", 5, true, split, "later", 5);
        chunked("5\r\nlater\r\n0\r\n\r\n", false, split, "later");
        chunked("2;x=y\r\nla\r\n00003\r\nter\r\n0\r\n\r\n", false, split, "later");
        chunked("A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n", false, split,
                "0123456789abcdefghij");
        /* Cut short or malformed: as far as it can be read. */
        /* What looks like the last chunk is the data of another. */
        chunked("7\r\n0\r\n\r\nla\r\n0\r\n\r\n", false, split, "0\r\n\r\nla");
        chunked("1\r\nx\r\n0\r\nTrailer: 0\r\nB: c\r\n\r\n", false, split, "x");
        chunked("5\r\nlat", true, split, "lat");
        chunked("5\r\nlater", true, split, "later");
        chunked("5", true, split, "");
        chunked("2\r\nlater\r\n0\r\n\r\n", false, split, "la");
        chunked("-1\r\nlater\r\n0\r\n\r\n", false, split, "");
        chunked("ffffffffffffffffff\r\nlater\r\n0\r\n\r\n", false, split, "");
        chunked("0\r\n\r\n", false, split, "");
        /* More than is worth keeping. */
        refused("", big, sizeof(big), false, split, big, BODY_MAX);
        (void)snprintf(header, sizeof(header), "Content-Length: %zu\r\n", sizeof(big));
        refused(header, big, sizeof(big), false, split, big, BODY_MAX);
        refused("Content-Length: 18446744073709551616\r\n", big, sizeof(big), false,
                split, big, BODY_MAX);
    }
}

/* Answers that are no handshake, HSK-9: each names its header; no frame is read. */
static void wrong_answers(void)
{
    static const struct {
        const char *from;
        const char *to;
        enum wsc_handshake_error error;
    } cases[] = {
        {"Upgrade: websocket", "Upgrade: h2c", WSC_HANDSHAKE_UPGRADE},
        {"Upgrade: websocket\r\n", "", WSC_HANDSHAKE_UPGRADE},
        {"Connection: Upgrade", "Connection: close", WSC_HANDSHAKE_CONNECTION},
        {"Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x", WSC_HANDSHAKE_ACCEPT},
        {"Sec-WebSocket-Accept", "Sec-WebSocket-Bccept", WSC_HANDSHAKE_ACCEPT},
        {"\r\n\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n",
         WSC_HANDSHAKE_EXTENSIONS},
        {"\r\n\r\n",
         "\r\nSec-WebSocket-Extensions: a\r\nSec-WebSocket-Extensions: b\r\n\r\n",
         WSC_HANDSHAKE_EXTENSIONS},
        {"\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n",
         WSC_HANDSHAKE_PROTOCOL},
        {"HTTP/1.1", "HTTP/1.0", WSC_HANDSHAKE_HTTP_VERSION},
        {"HTTP/1.1", "ICY", WSC_HANDSHAKE_HEAD},
        {"\r\n", "\n", WSC_HANDSHAKE_HEAD},
    };
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct end end;
        struct blob head = {0};
        struct blob wire = {0};
        start(&end);
        write_response_head(&head, &end, NULL);
        blob_add(&head, "", 1);
        const char *text = (const char *)head.data;
        const char *at = strstr(text, cases[i / 2].from);
        CHECK(at != NULL);
        blob_add(&wire, text, (size_t)(at - text));
        blob_add_str(&wire, cases[i / 2].to);
        blob_add_str(&wire, at + strlen(cases[i / 2].from));
        wire_frames(&wire, WSC_ROLE_SERVER, "text no|ping x");
        CHECK_INT(end_feed(&end, wire.data, wire.len,
                           i % 2 == 0 ? SPLIT_WHOLE : SPLIT_BYTEWISE, NULL),
                  WSC_ERR_HANDSHAKE);
        CHECK_INT(end.conn.state, WSC_CONN_CLOSING);
        CHECK(end.conn.end_expected && !wsc_conn_wants_send(&end.conn));
        if (CHECK(wsc_conn_failure(&end.conn) != NULL)) {
            CHECK_INT(wsc_conn_failure(&end.conn)->error, cases[i / 2].error);
        }
        CHECK(wsc_conn_response_body(&end.conn).data == NULL);
        end_fini(&end);
        blob_free(&head);
        blob_free(&wire);
    }
}

static void the_end_comes_early(void)
{
    size_t whole = 200;
    for (size_t len = 0; len < whole; len++) {
        struct end end;
        struct blob head = {0};
        struct wsc_event event;
        start(&end);
        write_response_head(&head, &end, NULL);
        whole = head.len;
        CHECK_INT(wsc_conn_feed(&end.conn, head.data, len), WSC_OK);
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
        wsc_conn_feed_eof(&end.conn);
        CHECK_INT(end.conn.state, WSC_CONN_CLOSED);
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_ERR_HANDSHAKE);
        CHECK(wsc_conn_failure(&end.conn) != NULL);
        end_fini(&end);
        blob_free(&head);
    }
}

TEST_MAIN(TEST(the_request), TEST(out_of_order), TEST(frames_behind_the_101),
          TEST(interim_responses), TEST(the_answer_can_be_read),
          TEST(bodies_of_refusals), TEST(wrong_answers), TEST(the_end_comes_early))
