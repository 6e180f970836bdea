#include "conn_private.h"

#include <string.h>

#define STATUS_SWITCHING_PROTOCOLS 101
#define DECIMAL_SIZE               20

#define EXTENSIONS_HEADER "Sec-WebSocket-Extensions"

/* `value` in decimal digits, written to the end of `digits`. */
static struct wsc_str decimal(size_t value, char digits[DECIMAL_SIZE])
{
    size_t start = DECIMAL_SIZE;
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    struct wsc_str result = {digits + start, DECIMAL_SIZE - start};
    return result;
}

/* RFC 9110 §9.3.2: a server MUST NOT send content in response to HEAD; RFC 9112 §6.3:
 * these statuses have none. */
static size_t content_len(const struct wsc_conn *conn, uint16_t status, size_t len)
{
    bool none = wsc_str_is(conn->opening->head.method, "HEAD") || status == 204 ||
                status == 304;
    return none ? 0 : len;
}

enum wsc_status wsc_conn_send_refusal(struct wsc_conn *conn)
{
    const struct wsc_handshake_failure *failure = &conn->opening->failure;
    struct wsc_http_header headers[5];
    struct wsc_str body = wsc_str_of(failure->reason);
    char digits[DECIMAL_SIZE];
    size_t count = 0;
    conn->opening->failed = true;
    if (failure->status == 426) {
        /* RFC 6455 §4.4; RFC 9110 §15.5.22 */
        headers[count++] = wsc_conn_header("Upgrade", wsc_str_of("websocket"));
        headers[count++] = wsc_conn_header("Sec-WebSocket-Version", wsc_str_of("13"));
    }
    else if (failure->status == 405) {
        headers[count++] =
            wsc_conn_header("Allow", wsc_str_of("GET")); /* RFC 9110 §15.5.6 */
    }
    headers[count++] =
        wsc_conn_header("Content-Type", wsc_str_of("text/plain; charset=utf-8"));
    headers[count++] = wsc_conn_header("Content-Length", decimal(body.len, digits));
    headers[count++] = wsc_conn_header("Connection", wsc_str_of("close"));
    /* Without memory for it TCP ends without an answer. */
    (void)!wsc_handshake_write_response(
        &conn->outgoing, failure->status,
        wsc_str_of(wsc_handshake_status_phrase(failure->status)), headers, count,
        (const uint8_t *)body.data, content_len(conn, failure->status, body.len));
    return wsc_conn_set_error(conn, WSC_ERR_HANDSHAKE, failure->reason);
}

/* Which extensions will a 101 agree to? */
static enum wsc_status negotiate(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    struct wsc_buffer offers;
    wsc_buffer_init(&offers, conn->config->allocator, SIZE_MAX / 2);
    enum wsc_status status =
        wsc_handshake_join(&opening->head, EXTENSIONS_HEADER, &offers);
    if (status == WSC_OK && offers.len > 0) {
        struct wsc_deflate_settings none;
        wsc_deflate_settings_init(&none);
        const struct wsc_deflate_settings *settings = conn->config->deflate;
        struct wsc_str text = {(const char *)offers.data, offers.len};
        status = wsc_extension_accept(settings != NULL ? settings : &none, text,
                                      &opening->deflate_agreed,
                                      &opening->deflate_params, &opening->scratch);
        opening->deflate_agreed = opening->deflate_agreed && settings != NULL;
    }
    wsc_buffer_fini(&offers);
    return status;
}

enum wsc_status wsc_conn_open_server(struct wsc_conn *conn, struct wsc_event *out_event)
{
    struct wsc_conn_opening *opening = conn->opening;
    enum wsc_status status = wsc_handshake_check_request(
        &opening->head, &opening->request, &opening->failure);
    if (status == WSC_OK) {
        status = negotiate(conn);
        if (status == WSC_ERR_HANDSHAKE) {
            memset(&opening->failure, 0, sizeof(opening->failure));
            opening->failure.error = WSC_HANDSHAKE_EXTENSIONS;
            opening->failure.status = 400;
            opening->failure.header = EXTENSIONS_HEADER;
            opening->failure.value =
                wsc_http_head_find(&opening->head, EXTENSIONS_HEADER, NULL)->value;
            opening->failure.reason =
                "The Sec-WebSocket-Extensions header is malformed.";
        }
    }
    if (status == WSC_ERR_HANDSHAKE && !conn->config->any_request) {
        return wsc_conn_send_refusal(conn);
    }
    if (status != WSC_OK && status != WSC_ERR_HANDSHAKE) {
        return wsc_conn_set_error(conn, status, "out of memory");
    }
    opening->failed = status != WSC_OK;
    opening->answer_expected = true;
    out_event->type = WSC_EVENT_REQUEST;
    return WSC_OK;
}

enum wsc_status wsc_conn_refuse(struct wsc_conn *conn)
{
    if (wsc_conn_request(conn) == NULL || !conn->opening->failed) {
        return WSC_ERR_INVALID_STATE;
    }
    conn->opening->answer_expected = false;
    enum wsc_status status = wsc_conn_send_refusal(conn);
    return status == WSC_ERR_HANDSHAKE ? WSC_OK : status;
}

static bool is_offered(const struct wsc_http_head *head, struct wsc_str protocol)
{
    size_t position = 0;
    struct wsc_str offered;
    while (wsc_handshake_protocol_next(head, &position, &offered) == WSC_OK) {
        if (wsc_str_equal(offered, protocol)) {
            return true;
        }
    }
    return false;
}

enum wsc_status
wsc_conn_accept_headers(struct wsc_conn *conn, struct wsc_str protocol,
                        struct wsc_http_header out_headers[WSC_ACCEPT_HEADERS],
                        size_t *out_count)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (conn->state != WSC_CONN_CONNECTING || opening == NULL ||
        !opening->answer_expected) {
        return WSC_ERR_INVALID_STATE;
    }
    if (opening->failed) {
        return WSC_ERR_HANDSHAKE;
    }
    /* RFC 6455 §4.2.2 item 5: one of those that the client sent, or none */
    if (protocol.data != NULL && !is_offered(&opening->head, protocol)) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    enum wsc_status status = wsc_accept_key(opening->request.key.data, opening->accept);
    if (status != WSC_OK) {
        return status;
    }
    struct wsc_str accept = {opening->accept, WSC_ACCEPT_SIZE};
    size_t count = 0;
    out_headers[count++] = wsc_conn_header("Upgrade", wsc_str_of("websocket"));
    out_headers[count++] = wsc_conn_header("Connection", wsc_str_of("Upgrade"));
    out_headers[count++] = wsc_conn_header("Sec-WebSocket-Accept", accept);
    if (opening->deflate_agreed) {
        struct wsc_str answer = {(const char *)opening->scratch.data,
                                 opening->scratch.len};
        out_headers[count++] = wsc_conn_header("Sec-WebSocket-Extensions", answer);
    }
    if (protocol.data != NULL) {
        out_headers[count++] = wsc_conn_header("Sec-WebSocket-Protocol", protocol);
    }
    *out_count = count;
    return WSC_OK;
}

static bool
has_header(const struct wsc_http_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (wsc_str_is_nocase(headers[i].name, name)) {
            return true;
        }
    }
    return false;
}

enum wsc_status wsc_conn_respond(struct wsc_conn *conn, uint16_t status_code,
                                 struct wsc_str reason,
                                 const struct wsc_http_header *headers, size_t count,
                                 const uint8_t *body, size_t body_len)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (conn->state != WSC_CONN_CONNECTING || opening == NULL ||
        !opening->answer_expected) {
        return WSC_ERR_INVALID_STATE;
    }
    bool opens = status_code == STATUS_SWITCHING_PROTOCOLS;
    if (opens && opening->failed) {
        return WSC_ERR_HANDSHAKE;
    }
    enum wsc_status status = WSC_OK;
    if (opens && opening->deflate_agreed &&
        has_header(headers, count, EXTENSIONS_HEADER)) {
        status = wsc_conn_use_deflate(conn, &opening->deflate_params);
    }
    if (status == WSC_OK) {
        status = wsc_handshake_write_response(&conn->outgoing, status_code, reason,
                                              headers, count, body,
                                              content_len(conn, status_code, body_len));
    }
    if (status != WSC_OK) {
        wsc_conn_drop_deflate(conn);
        return status;
    }
    wsc_conn_opening_free(conn);
    if (opens) {
        conn->state = WSC_CONN_OPEN;
    }
    else {
        wsc_conn_stop_reading(conn);
        conn->state = WSC_CONN_CLOSING;
        conn->end_expected = true;
    }
    return WSC_OK;
}

enum wsc_status wsc_conn_accept(struct wsc_conn *conn, struct wsc_str protocol)
{
    struct wsc_http_header headers[WSC_ACCEPT_HEADERS];
    size_t count;
    enum wsc_status status = wsc_conn_accept_headers(conn, protocol, headers, &count);
    if (status != WSC_OK) {
        return status;
    }
    return wsc_conn_respond(conn, STATUS_SWITCHING_PROTOCOLS, wsc_str_of(NULL), headers,
                            count, NULL, 0);
}
