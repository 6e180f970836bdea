/* A connection for the targets that need one, opened by a scripted peer. */
#ifndef FUZZ_CONN_H
#define FUZZ_CONN_H

#include "fuzz.h"
#include "wsc/conn.h"
#include "wsc/crypto.h"

struct end {
    struct counter counter;
    struct wsc_payload_memory memory;
    struct wsc_deflate_settings deflate;
    struct wsc_conn_config config;
    struct wsc_conn conn;
};

static inline struct wsc_str str(const char *text)
{
    struct wsc_str result = {text, text != NULL ? strlen(text) : 0};
    return result;
}

static inline enum wsc_status
end_init(struct end *end, enum wsc_role role, size_t max_size, bool deflate)
{
    memset(end, 0, sizeof(*end));
    counter_init(&end->counter);
    wsc_payload_memory_init(&end->memory, &end->counter.base);
    wsc_deflate_settings_init(&end->deflate);
    wsc_http_limits_init(&end->config.http_limits);
    end->config.role = role;
    end->config.allocator = &end->counter.base;
    end->config.payload_memory = &end->memory;
    end->config.max_size = max_size;
    end->config.deflate = deflate ? &end->deflate : NULL;
    return wsc_conn_init(&end->conn, &end->config);
}

static inline void end_fini(struct end *end)
{
    wsc_conn_fini(&end->conn);
    REQUIRE(end->counter.live == 0);
}

static inline void end_take(struct end *end, struct text *out)
{
    struct wsc_outgoing_piece piece;
    while (wsc_outgoing_peek(wsc_conn_outgoing(&end->conn), &piece, 1) == 1) {
        text_add(out, piece.data, piece.len);
        wsc_conn_sent(&end->conn, piece.len);
    }
}

static inline enum wsc_status end_accept(struct end *end)
{
    struct wsc_http_header headers[WSC_ACCEPT_HEADERS];
    size_t count = 0;
    struct wsc_str none = {NULL, 0};
    enum wsc_status status = wsc_conn_accept_headers(&end->conn, none, headers, &count);
    return status == WSC_OK
               ? wsc_conn_respond(&end->conn, 101, none, headers, count, NULL, 0)
               : status;
}

static inline enum wsc_status end_request(struct end *end)
{
    struct wsc_http_header host = {str("Host"), str("h")};
    return wsc_conn_send_request(&end->conn, str("/"), &host, 1, NULL, 0);
}

/* The 101 to the request in `request`. */
static inline void
write_response(struct text *out, const struct text *request, const char *extensions)
{
    static const char name[] = "Sec-WebSocket-Key: ";
    static const char start[] = "HTTP/1.1 101 x\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Accept: ";
    char accept[WSC_ACCEPT_SIZE];
    size_t at = 0;
    while (at + sizeof(name) <= request->len &&
           memcmp(request->data + at, name, sizeof(name) - 1) != 0) {
        at++;
    }
    REQUIRE(wsc_accept_key((const char *)request->data + at + sizeof(name) - 1,
                           accept) == WSC_OK);
    text_add(out, start, sizeof(start) - 1);
    text_add(out, accept, sizeof(accept));
    if (extensions != NULL) {
        text_add(out, "\r\nSec-WebSocket-Extensions: ", 28);
        text_add(out, extensions, strlen(extensions));
    }
    text_add(out, "\r\n\r\n", 4);
}

/* An open connection without waiting output. */
static inline void
end_open(struct end *end, enum wsc_role role, size_t max_size, bool deflate)
{
    static const char request[] =
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n";
    struct text head = {0};
    struct text out = {0};
    struct wsc_event event;
    REQUIRE(end_init(end, role, max_size, deflate) == WSC_OK);
    if (role == WSC_ROLE_CLIENT) {
        REQUIRE(end_request(end) == WSC_OK);
        end_take(end, &out);
        write_response(&head, &out, deflate ? "permessage-deflate" : NULL);
    }
    else {
        text_add(&head, request, sizeof(request) - 1);
    }
    REQUIRE(wsc_conn_feed(&end->conn, head.data, head.len) == WSC_OK);
    REQUIRE(wsc_conn_next_event(&end->conn, &event) == WSC_OK);
    if (role == WSC_ROLE_SERVER) {
        REQUIRE(end_accept(end) == WSC_OK);
    }
    REQUIRE(wsc_conn_next_event(&end->conn, &event) == WSC_NEED_DATA);
    end_take(end, &out);
    text_free(&head);
    text_free(&out);
}

/* What holds whenever control is back with the owner. */
static inline void check_conn(const struct wsc_conn *conn)
{
    REQUIRE(conn->error == WSC_OK || conn->end_expected);
    REQUIRE(conn->error == WSC_OK || conn->error_reason != NULL);
    REQUIRE(conn->state != WSC_CONN_OPEN || (!conn->sent && !conn->end_expected));
    REQUIRE(conn->state != WSC_CONN_CLOSED || conn->end_expected);
    REQUIRE(!conn->received || conn->end_expected);
    REQUIRE(!conn->end_expected || wsc_conn_input_left(conn) == 0);
    REQUIRE(wsc_outgoing_check(&conn->outgoing));
}

/* All events that are there, as bytes that can be compared; payloads are freed. */
static inline enum wsc_status end_events(struct end *end, struct text *log)
{
    struct wsc_event event;
    for (;;) {
        size_t left = wsc_conn_input_left(&end->conn);
        memset(&event, 0, sizeof(event));
        enum wsc_status status = wsc_conn_next_event(&end->conn, &event);
        check_conn(&end->conn);
        REQUIRE(wsc_conn_input_left(&end->conn) <= left);
        if (status != WSC_OK) {
            REQUIRE(status == WSC_NEED_DATA || status == end->conn.error);
            return status;
        }
        REQUIRE(event.type != WSC_EVENT_CLOSE || end->conn.received);
        text_add_int(log, event.type);
        if (event.type == WSC_EVENT_PING || event.type == WSC_EVENT_PONG) {
            REQUIRE(event.len <= WSC_CONTROL_PAYLOAD_MAX);
            text_add_int(log, (long long)event.len);
            text_add(log, event.data, event.len);
        }
        if (event.type == WSC_EVENT_MESSAGE) {
            const struct wsc_message *message = &event.message;
            bool text = message->kind == WSC_PAYLOAD_TEXT;
            REQUIRE(message->len <= end->config.max_size);
            REQUIRE(!text || wsc_utf8_is_valid(message->data, message->len));
            REQUIRE(!text || !message->ascii ||
                    wsc_utf8_is_ascii(message->data, message->len));
            REQUIRE((message->len == 0) == (message->data == NULL));
            text_add_int(log,
                         message->kind + 2 * message->fin + 4 * message->compressed);
            text_add_int(log, (long long)message->len);
            text_add(log, message->data, message->len);
            if (message->data != NULL) {
                end->memory.free(end->memory.ctx, message->kind, message->data);
            }
        }
    }
}

#endif
