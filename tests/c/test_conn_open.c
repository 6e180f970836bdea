/* The opening handshake through the connection, RFC 6455 §4, both roles, with what
 * follows it in the same bytes. The rules about heads have their own tests. */
#include <stdlib.h>

#include "pair.h"
#include "wsc/crypto.h"

#define LIMIT (1 << 20)

static const struct wsc_allocator *plain(void)
{
    return wsc_allocator_default();
}

static void check_output(struct end *end, const char *want)
{
    struct blob out = {0};
    end_take(end, &out);
    CHECK_BYTES(out.data, out.len, want, strlen(want));
    blob_free(&out);
}

/* --- server --- */

/* RFC 6455 §1.3: the key and the answer that the RFC prints. */
static const char accepted[] = "HTTP/1.1 101 Switching Protocols\r\n"
                               "Upgrade: websocket\r\n"
                               "Connection: Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                               "\r\n";

/* HSK-7: head and frames in one piece, byte by byte, cut at every byte. */
static void server_accepts(void)
{
    struct blob head = {0};
    write_request_head(&head, NULL);
    size_t head_len = head.len;
    wire_frames(&head, WSC_ROLE_CLIENT, "text one|ping x|text+ tw|cont o");
    for (size_t cut = 0; cut <= head.len; cut++) {
        struct end end;
        struct blob log = {0};
        CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
        size_t pieces[2] = {cut, head.len - cut};
        const uint8_t *data = head.data;
        bool answered = false;
        for (size_t i = 0; i < 2; i++) {
            uint8_t *piece = malloc(pieces[i] + 1);
            memcpy(piece, data, pieces[i]);
            data += pieces[i];
            CHECK_INT(wsc_conn_feed(&end.conn, piece, pieces[i]), WSC_OK);
            CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
            if (!answered && (i == 1 || cut >= head_len)) {
                CHECK(wsc_conn_head(&end.conn) != NULL);
                const struct wsc_handshake_request *request =
                    wsc_conn_request(&end.conn);
                CHECK(request != NULL);
                CHECK_BYTES(request->target.data, request->target.len, "/chat", 5);
                CHECK_INT(end_accept(&end, NULL), WSC_OK);
                CHECK(wsc_conn_head(&end.conn) == NULL);
                check_output(&end, accepted);
                answered = true;
                CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
            }
            CHECK_INT(wsc_conn_input_left(&end.conn), 0);
            free(piece);
        }
        static const char want[] = "request\ntext one\nping x\ntext two\n";
        CHECK_BYTES(log.data, log.len, want, sizeof(want) - 1);
        CHECK_INT(end.conn.state, WSC_CONN_OPEN);
        end_fini(&end);
        blob_free(&log);
    }
    blob_free(&head);
}

/* While the request waits for its answer nothing else happens. */
static void nothing_before_the_answer(void)
{
    struct end end;
    struct blob head = {0};
    struct wsc_event event;
    struct wsc_http_header headers[WSC_ACCEPT_HEADERS];
    size_t count;
    struct wsc_str none = {NULL, 0};
    CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
    CHECK_INT(wsc_conn_accept_headers(&end.conn, none, headers, &count),
              WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_respond(&end.conn, 101, none, NULL, 0, NULL, 0),
              WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_send_close(&end.conn, 1000, NULL, 0), WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_send_ping(&end.conn, NULL, 0), WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_send(&end.conn, WSC_OPCODE_TEXT, NULL, 0, true,
                            WSC_COMPRESS_AUTO, NULL, NULL),
              WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_send_request(&end.conn, wsc_str_of("/"), NULL, 0, NULL, 0),
              WSC_ERR_INVALID_STATE);
    write_request_head(&head, NULL);
    size_t head_len = head.len;
    wire_frames(&head, WSC_ROLE_CLIENT, "ping x");
    CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    for (int i = 0; i < 3; i++) {
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_NEED_DATA);
        CHECK_INT(wsc_conn_input_left(&end.conn), head.len - head_len);
    }
    CHECK(!wsc_conn_wants_send(&end.conn));
    /* What cannot be written leaves the request waiting. */
    struct wsc_http_header bad = {wsc_str_of("X"), wsc_str_of("a\r\nb: c")};
    CHECK_INT(wsc_conn_respond(&end.conn, 403, none, &bad, 1, NULL, 0),
              WSC_ERR_INVALID_ARGUMENT);
    CHECK(!wsc_conn_wants_send(&end.conn));
    CHECK_INT(end_accept(&end, "unasked"), WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(end_accept(&end, NULL), WSC_OK);
    CHECK_INT(end_accept(&end, NULL), WSC_ERR_INVALID_STATE);
    CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
    CHECK_INT(event.type, WSC_EVENT_PING);
    end_fini(&end);
    blob_free(&head);
}

/* A refusal by the application: exact bytes, then nothing is read any more. HSK-5. */
static void server_responds_with_another_status(void)
{
    struct end end;
    struct blob head = {0};
    struct blob log = {0};
    CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
    write_request_head(&head, NULL);
    wire_frames(&head, WSC_ROLE_CLIENT, "ping x|text y");
    CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
    CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
    struct wsc_http_header headers[2] = {
        {wsc_str_of("Content-Length"), wsc_str_of("3")},
        {wsc_str_of("X-Why"), wsc_str_of("because")}};
    struct wsc_str none = {NULL, 0};
    CHECK_INT(
        wsc_conn_respond(&end.conn, 403, none, headers, 2, (const uint8_t *)"no\n", 3),
        WSC_OK);
    CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
    CHECK_BYTES(log.data, log.len, "request\n", 8);
    CHECK_INT(end.conn.state, WSC_CONN_CLOSING);
    CHECK(end.conn.end_expected && !end.conn.sent);
    CHECK_INT(end.conn.error, WSC_OK);
    check_output(&end, "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n"
                       "X-Why: because\r\n\r\nno\n");
    CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
    CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
    CHECK_INT(wsc_conn_send_close(&end.conn, 1000, NULL, 0), WSC_OK);
    CHECK(!wsc_conn_wants_send(&end.conn));
    end_fini(&end);
    blob_free(&head);
    blob_free(&log);
}

/* Requests that are refused by themselves, HSK-3, HSK-6: the status line and the
 * headers that the status asks for, the end, and nothing parsed of what follows. */
static void server_refuses(void)
{
    static const struct {
        const char *request;
        const char *status;
        const char *header;
    } cases[] = {
        {"POST / HTTP/1.1\r\nHost: h\r\n\r\n", "405 Method Not Allowed",
         "\r\nAllow: GET\r\n"},
        {"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", "405 Method Not Allowed",
         "\r\nAllow: GET\r\n"},
        {"GET / HTTP/1.0\r\nHost: h\r\n\r\n", "505 HTTP Version Not Supported", ""},
        {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", ""},
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "426 Upgrade Required",
         "\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "\r\n",
         "426 Upgrade Required", "\r\nSec-WebSocket-Version: 13\r\n"},
        {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\n\r\n",
         "400 Bad Request", ""},
        {"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
         "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
         "Sec-WebSocket-Extensions: permessage-deflate; =\r\n\r\n",
         "400 Bad Request", ""},
        {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS", "400 Bad Request", ""},
        {"GET / HTTP/1.1\nHost: h\n\n", "400 Bad Request", ""},
    };
    for (size_t i = 0; i < 2 * sizeof(cases) / sizeof(cases[0]); i++) {
        struct end end;
        struct blob wire = {0};
        struct blob out = {0};
        char status[100];
        CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
        /* A NUL is in one of them: the lengths by hand. */
        size_t len = i / 2 == 8 ? 15 : strlen(cases[i / 2].request);
        blob_add(&wire, cases[i / 2].request, len);
        wire_frames(&wire, WSC_ROLE_CLIENT, "ping x");
        CHECK_INT(end_feed(&end, wire.data, wire.len,
                           i % 2 == 0 ? SPLIT_WHOLE : SPLIT_BYTEWISE, NULL),
                  WSC_ERR_HANDSHAKE);
        CHECK_INT(end.conn.error, WSC_ERR_HANDSHAKE);
        CHECK_INT(end.conn.state, WSC_CONN_CLOSING);
        CHECK(end.conn.end_expected && wsc_conn_failure(&end.conn) != NULL);
        end_take(&end, &out);
        (void)snprintf(status, sizeof(status), "HTTP/1.1 %s\r\n", cases[i / 2].status);
        blob_add(&out, "", 1);
        const char *text = (const char *)out.data;
        const char *body = strstr(text, "\r\n\r\n");
        CHECK(strncmp(text, status, strlen(status)) == 0);
        CHECK(strstr(text, cases[i / 2].header) != NULL);
        CHECK(strstr(text, "\r\nConnection: close\r\n") != NULL);
        const char *length = strstr(text, "\r\nContent-Length: ");
        bool none = strncmp(cases[i / 2].request, "HEAD", 4) == 0;
        size_t size = length != NULL ? strtoul(length + 18, NULL, 10) : 0;
        CHECK(size > 10);
        CHECK(body != NULL && strlen(body + 4) == (none ? 0 : size));
        end_fini(&end);
        blob_free(&wire);
        blob_free(&out);
    }
}

/* With any_request the application sees it first, then answers or refuses. */
static void server_with_any_request(void)
{
    static const char request[] = "GET /health HTTP/1.1\r\nHost: h\r\n\r\n";
    for (int refuse = 0; refuse < 2; refuse++) {
        struct end end;
        struct wsc_event event;
        struct wsc_str none = {NULL, 0};
        CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
        end.config.any_request = true;
        CHECK_INT(wsc_conn_refuse(&end.conn), WSC_ERR_INVALID_STATE);
        CHECK_INT(
            wsc_conn_feed(&end.conn, (const uint8_t *)request, sizeof(request) - 1),
            WSC_OK);
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
        CHECK_INT(event.type, WSC_EVENT_REQUEST);
        CHECK(wsc_conn_failure(&end.conn) != NULL);
        CHECK_INT(end_accept(&end, NULL), WSC_ERR_HANDSHAKE);
        CHECK_INT(wsc_conn_respond(&end.conn, 101, none, NULL, 0, NULL, 0),
                  WSC_ERR_HANDSHAKE);
        if (refuse != 0) {
            struct blob out = {0};
            CHECK_INT(wsc_conn_refuse(&end.conn), WSC_OK);
            CHECK_INT(wsc_conn_refuse(&end.conn), WSC_ERR_INVALID_STATE);
            end_take(&end, &out);
            CHECK(out.len > 20 && memcmp(out.data, "HTTP/1.1 426 ", 13) == 0);
            blob_free(&out);
        }
        else {
            CHECK_INT(wsc_conn_respond(&end.conn, 200, none, NULL, 0, NULL, 0), WSC_OK);
            check_output(&end, "HTTP/1.1 200 OK\r\n\r\n");
        }
        CHECK_INT(end.conn.state, WSC_CONN_CLOSING);
        CHECK(end.conn.end_expected);
        end_fini(&end);
    }
}

static void subprotocols(void)
{
    struct end end;
    struct blob wire = {0};
    struct wsc_event event;
    struct blob log = {0};
    struct wsc_str offered[2] = {wsc_str_of("chat.v2"), wsc_str_of("chat.v1")};
    CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
    write_request_head(&wire, NULL);
    wire.len -= 2;
    blob_add_str(&wire, "Sec-WebSocket-Protocol: chat.v2, chat.v1\r\n\r\n");
    CHECK_INT(wsc_conn_feed(&end.conn, wire.data, wire.len), WSC_OK);
    CHECK_INT(end_events(&end, &log), WSC_NEED_DATA);
    CHECK_INT(end_accept(&end, "Chat.v1"), WSC_ERR_INVALID_ARGUMENT);
    CHECK_INT(end_accept(&end, "chat.v1"), WSC_OK);
    blob_free(&wire);
    end_take(&end, &wire);
    CHECK(wire.len > 35 && memcmp(wire.data + wire.len - 35,
                                  "Sec-WebSocket-Protocol: chat.v1\r\n\r\n", 35) == 0);
    end_fini(&end);
    blob_free(&wire);
    blob_free(&log);

    for (int good = 0; good < 2; good++) {
        struct blob head = {0};
        CHECK_INT(end_init(&end, WSC_ROLE_CLIENT, LIMIT, NULL, plain()), WSC_OK);
        CHECK_INT(end_request(&end, offered, 2), WSC_OK);
        write_response_head(&head, &end, NULL);
        head.len -= 2;
        blob_printf(&head, "Sec-WebSocket-Protocol: %s\r\n\r\n",
                    good != 0 ? "chat.v1" : "chat.v3");
        CHECK_INT(wsc_conn_feed(&end.conn, head.data, head.len), WSC_OK);
        if (good != 0) {
            CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_OK);
            struct wsc_str chosen = wsc_conn_answer(&end.conn)->protocol;
            CHECK_BYTES(chosen.data, chosen.len, "chat.v1", 7);
        }
        else {
            CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_ERR_HANDSHAKE);
            CHECK_INT(wsc_conn_failure(&end.conn)->error, WSC_HANDSHAKE_PROTOCOL);
        }
        end_fini(&end);
        blob_free(&head);
    }
}

/* The other end leaves before the handshake is complete. */
static void the_end_comes_early(void)
{
    struct blob head = {0};
    write_request_head(&head, NULL);
    for (size_t len = 0; len <= head.len; len++) {
        struct end end;
        struct wsc_event event;
        CHECK_INT(end_init(&end, WSC_ROLE_SERVER, LIMIT, NULL, plain()), WSC_OK);
        (void)end_feed(&end, head.data, len, SPLIT_WHOLE, NULL);
        wsc_conn_feed_eof(&end.conn);
        CHECK_INT(end.conn.state, WSC_CONN_CLOSED);
        CHECK_INT(wsc_conn_next_event(&end.conn, &event), WSC_ERR_HANDSHAKE);
        CHECK(wsc_conn_failure(&end.conn) != NULL);
        CHECK_INT(end_accept(&end, NULL), WSC_ERR_INVALID_STATE);
        CHECK(!wsc_conn_wants_send(&end.conn));
        end_fini(&end);
    }
    blob_free(&head);
}

TEST_MAIN(TEST(server_accepts), TEST(nothing_before_the_answer),
          TEST(server_responds_with_another_status), TEST(server_refuses),
          TEST(server_with_any_request), TEST(subprotocols), TEST(the_end_comes_early))
