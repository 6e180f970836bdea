#include "conn_private.h"
#include "http_body.h"

#include <string.h>

/* The most of a refusal's body that a client keeps. */
#define RESPONSE_BODY_MAX 16384
/* Joined header lines are never longer than the head's block. */
#define STATUS_SWITCHING_PROTOCOLS 101

static struct wsc_str str(const char *text)
{
    struct wsc_str result = {text, strlen(text)};
    return result;
}

static struct wsc_http_header header(const char *name, struct wsc_str value)
{
    struct wsc_http_header result = {str(name), value};
    return result;
}

enum wsc_status wsc_conn_opening_new(struct wsc_conn *conn)
{
    const struct wsc_conn_config *config = conn->config;
    struct wsc_conn_opening *opening =
        wsc_alloc_zeroed(config->allocator, sizeof(*opening));
    if (opening == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_http_head_init(&opening->head,
                       config->role == WSC_ROLE_SERVER ? WSC_HTTP_REQUEST
                                                       : WSC_HTTP_RESPONSE,
                       &config->http_limits, config->allocator);
    wsc_buffer_init(&opening->scratch, config->allocator, SIZE_MAX / 2);
    conn->opening = opening;
    return WSC_OK;
}

void wsc_conn_opening_free(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (opening != NULL) {
        wsc_http_head_fini(&opening->head);
        wsc_buffer_fini(&opening->scratch);
        wsc_free(conn->config->allocator, opening->protocols);
        wsc_free(conn->config->allocator, opening);
        conn->opening = NULL;
    }
}

enum wsc_status
wsc_conn_use_deflate(struct wsc_conn *conn, const struct wsc_deflate_params *params)
{
    const struct wsc_conn_config *config = conn->config;
    enum wsc_status status =
        wsc_deflate_new(config->allocator, config->deflate_pool, config->role,
                        config->deflate, params, &conn->deflate);
    if (status == WSC_OK) {
        conn->deflate_params = *params;
        conn->parser.allow_rsv1 = true;
        conn->assembler.deflate = conn->deflate;
    }
    return status;
}

const struct wsc_http_head *wsc_conn_head(const struct wsc_conn *conn)
{
    return conn->opening != NULL && conn->opening->head_complete ? &conn->opening->head
                                                                 : NULL;
}

const struct wsc_handshake_failure *wsc_conn_failure(const struct wsc_conn *conn)
{
    return conn->opening != NULL && conn->opening->failed ? &conn->opening->failure
                                                          : NULL;
}

const struct wsc_handshake_request *wsc_conn_request(const struct wsc_conn *conn)
{
    return conn->opening != NULL && conn->opening->answer_expected
               ? &conn->opening->request
               : NULL;
}

const struct wsc_handshake_answer *wsc_conn_answer(const struct wsc_conn *conn)
{
    return conn->opening != NULL ? &conn->opening->answer : NULL;
}

struct wsc_str wsc_conn_response_body(const struct wsc_conn *conn)
{
    struct wsc_str body = {NULL, 0};
    if (conn->opening != NULL && conn->opening->failed &&
        conn->opening->failure.error == WSC_HANDSHAKE_STATUS) {
        body.data = (const char *)conn->opening->scratch.data;
        body.len = conn->opening->scratch.len;
    }
    return body;
}

/* --- server --- */

#define DECIMAL_SIZE 20

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

/* Answer a request that cannot become a WebSocket connection: a status, why, and the
 * end. What follows in the input is neither parsed nor answered. */
static enum wsc_status refuse(struct wsc_conn *conn)
{
    const struct wsc_handshake_failure *failure = &conn->opening->failure;
    struct wsc_http_header headers[5];
    struct wsc_str body = str(failure->reason);
    char digits[DECIMAL_SIZE];
    size_t count = 0;
    conn->opening->failed = true;
    if (failure->status == 426) {
        /* RFC 6455 §4.4; RFC 9110 §15.5.22 */
        headers[count++] = header("Upgrade", str("websocket"));
        headers[count++] = header("Sec-WebSocket-Version", str("13"));
    }
    else if (failure->status == 405) {
        headers[count++] = header("Allow", str("GET")); /* RFC 9110 §15.5.6 */
    }
    headers[count++] = header("Content-Type", str("text/plain; charset=utf-8"));
    headers[count++] = header("Content-Length", decimal(body.len, digits));
    headers[count++] = header("Connection", str("close"));
    enum wsc_status status = wsc_handshake_write_response(
        &conn->outgoing.bytes, failure->status,
        str(wsc_handshake_status_phrase(failure->status)), headers, count,
        (const uint8_t *)body.data, body.len);
    if (status == WSC_OK) {
        conn->outgoing.size = conn->outgoing.bytes.len;
    }
    return wsc_conn_set_error(conn, WSC_ERR_HANDSHAKE, failure->reason);
}

/* Which extensions will a 101 agree to? */
static enum wsc_status negotiate(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    struct wsc_buffer offers;
    wsc_buffer_init(&offers, conn->config->allocator, SIZE_MAX / 2);
    enum wsc_status status =
        wsc_handshake_join(&opening->head, "Sec-WebSocket-Extensions", &offers);
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

static enum wsc_status
open_next_server(struct wsc_conn *conn, struct wsc_event *out_event)
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
            opening->failure.header = "Sec-WebSocket-Extensions";
            opening->failure.reason =
                "The Sec-WebSocket-Extensions header is malformed.";
        }
    }
    if (status == WSC_ERR_HANDSHAKE && !conn->config->any_request) {
        return refuse(conn);
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
    enum wsc_status status = refuse(conn);
    return status == WSC_ERR_HANDSHAKE ? WSC_OK : status;
}

static bool is_offered(const struct wsc_http_head *head, struct wsc_str protocol)
{
    size_t position = 0;
    struct wsc_str offered;
    while (wsc_handshake_protocol_next(head, &position, &offered) == WSC_OK) {
        if (offered.len == protocol.len &&
            memcmp(offered.data, protocol.data, protocol.len) == 0) {
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
    out_headers[count++] = header("Upgrade", str("websocket"));
    out_headers[count++] = header("Connection", str("Upgrade"));
    out_headers[count++] = header("Sec-WebSocket-Accept", accept);
    if (opening->deflate_agreed) {
        struct wsc_str answer = {(const char *)opening->scratch.data,
                                 opening->scratch.len};
        out_headers[count++] = header("Sec-WebSocket-Extensions", answer);
    }
    if (protocol.data != NULL) {
        out_headers[count++] = header("Sec-WebSocket-Protocol", protocol);
    }
    *out_count = count;
    return WSC_OK;
}

static bool
has_header(const struct wsc_http_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (wsc_str_equal_nocase(headers[i].name, name)) {
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
    enum wsc_status status = wsc_handshake_write_response(
        &conn->outgoing.bytes, status_code, reason, headers, count, body, body_len);
    if (status == WSC_OK && opens && opening->deflate_agreed &&
        has_header(headers, count, "Sec-WebSocket-Extensions")) {
        status = wsc_conn_use_deflate(conn, &opening->deflate_params);
        if (status != WSC_OK) {
            wsc_buffer_clear(&conn->outgoing.bytes, 0);
        }
    }
    if (status != WSC_OK) {
        return status;
    }
    conn->outgoing.size = conn->outgoing.bytes.len;
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

/* --- client --- */

static bool is_repeated(const struct wsc_str *protocols, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (protocols[i].len == protocols[index].len &&
            memcmp(protocols[i].data, protocols[index].data, protocols[i].len) == 0) {
            return true;
        }
    }
    return false;
}

/* Remember the offered subprotocols, and join them into scratch. */
static enum wsc_status
keep_protocols(struct wsc_conn *conn, const struct wsc_str *protocols, size_t count)
{
    struct wsc_conn_opening *opening = conn->opening;
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        /* RFC 6455 §4.1 item 10: tokens, and all of them unique */
        if (!wsc_http_is_token(protocols[i]) || is_repeated(protocols, i)) {
            return WSC_ERR_INVALID_ARGUMENT;
        }
        if (protocols[i].len > SIZE_MAX / 4 - size - sizeof(struct wsc_str)) {
            return WSC_ERR_TOO_BIG;
        }
        size += protocols[i].len + sizeof(struct wsc_str);
    }
    if (count == 0) {
        return WSC_OK;
    }
    struct wsc_str *kept = wsc_alloc(conn->config->allocator, size);
    if (kept == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    char *text = (char *)(kept + count);
    opening->protocols = kept;
    opening->protocol_count = count;
    for (size_t i = 0; i < count; i++) {
        memcpy(text, protocols[i].data, protocols[i].len);
        kept[i].data = text;
        kept[i].len = protocols[i].len;
        text += protocols[i].len;
        enum wsc_status status =
            i == 0 ? WSC_OK : wsc_buffer_append_str(&opening->scratch, ", ");
        if (status == WSC_OK) {
            status = wsc_buffer_append(&opening->scratch, kept[i].data, kept[i].len);
        }
        if (status != WSC_OK) {
            return status;
        }
    }
    return WSC_OK;
}

#define REQUEST_HEADERS 6

/* The caller's headers and ours in one array, written out. */
static enum wsc_status write_request(struct wsc_conn *conn, struct wsc_str target,
                                     const struct wsc_http_header *headers,
                                     size_t count, struct wsc_str extensions)
{
    struct wsc_conn_opening *opening = conn->opening;
    const struct wsc_allocator *allocator = conn->config->allocator;
    struct wsc_str key = {opening->key, WSC_KEY_SIZE};
    struct wsc_str protocols = {(const char *)opening->scratch.data,
                                opening->scratch.len};
    if (count > SIZE_MAX / 4 / sizeof(*headers)) {
        return WSC_ERR_TOO_BIG;
    }
    struct wsc_http_header *all =
        wsc_alloc(allocator, (count + REQUEST_HEADERS) * sizeof(*all));
    if (all == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    if (count > 0) {
        memcpy(all, headers, count * sizeof(*all));
    }
    all[count++] = header("Upgrade", str("websocket"));
    all[count++] = header("Connection", str("Upgrade"));
    all[count++] = header("Sec-WebSocket-Key", key);
    all[count++] = header("Sec-WebSocket-Version", str("13"));
    if (extensions.len > 0) {
        all[count++] = header("Sec-WebSocket-Extensions", extensions);
    }
    if (protocols.len > 0) {
        all[count++] = header("Sec-WebSocket-Protocol", protocols);
    }
    enum wsc_status status =
        wsc_handshake_write_request(&conn->outgoing.bytes, target, all, count);
    wsc_free(allocator, all);
    return status;
}

enum wsc_status wsc_conn_send_request(struct wsc_conn *conn, struct wsc_str target,
                                      const struct wsc_http_header *headers,
                                      size_t count, const struct wsc_str *protocols,
                                      size_t protocol_count)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (conn->config->role != WSC_ROLE_CLIENT || conn->state != WSC_CONN_CONNECTING ||
        opening == NULL || opening->request_sent) {
        return WSC_ERR_INVALID_STATE;
    }
    struct wsc_buffer offer;
    wsc_buffer_init(&offer, conn->config->allocator, SIZE_MAX / 2);
    enum wsc_status status = wsc_handshake_new_key(opening->key);
    if (status == WSC_OK && conn->config->deflate != NULL) {
        status = wsc_extension_offer(conn->config->deflate, &offer);
    }
    if (status == WSC_OK) {
        status = keep_protocols(conn, protocols, protocol_count);
    }
    if (status == WSC_OK) {
        struct wsc_str extensions = {(const char *)offer.data, offer.len};
        status = write_request(conn, target, headers, count, extensions);
    }
    wsc_buffer_fini(&offer);
    wsc_buffer_fini(&opening->scratch);
    if (status == WSC_OK) {
        conn->outgoing.size = conn->outgoing.bytes.len;
        opening->request_sent = true;
    }
    else {
        wsc_free(conn->config->allocator, opening->protocols);
        opening->protocols = NULL;
        opening->protocol_count = 0;
    }
    return status;
}

/* How much of a refusal's body is worth waiting for. */
static uint64_t expected_body(const struct wsc_http_head *head)
{
    if (head->status < 200 || head->status == 204 || head->status == 304) {
        return 0; /* RFC 9112 §6.3: no body */
    }
    const struct wsc_http_header *length =
        wsc_http_head_find(head, "Content-Length", NULL);
    uint64_t value = 0;
    if (length == NULL || length->value.len == 0 || length->value.len > 18) {
        return RESPONSE_BODY_MAX; /* until the end of TCP, or enough */
    }
    for (size_t i = 0; i < length->value.len; i++) {
        char digit = length->value.data[i];
        if (digit < '0' || digit > '9') {
            return 0;
        }
        value = value * 10 + (uint64_t)(digit - '0');
    }
    return value < RESPONSE_BODY_MAX ? value : RESPONSE_BODY_MAX;
}

/* RFC 9112 §6.1, §7.1 */
static bool is_chunked(const struct wsc_conn_opening *opening)
{
    return wsc_http_head_find(&opening->head, "Transfer-Encoding", NULL) != NULL;
}

static bool has_last_chunk(const struct wsc_buffer *body)
{
    static const char last[] = "0\r\n\r\n";
    size_t size = sizeof(last) - 1;
    return body->len >= size && memcmp(body->data + body->len - size, last, size) == 0;
}

static void finish_body(struct wsc_conn_opening *opening)
{
    if (is_chunked(opening)) {
        wsc_http_dechunk(&opening->scratch);
    }
}

static enum wsc_status read_body(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    size_t n = conn->input_len < opening->body_left ? conn->input_len
                                                    : (size_t)opening->body_left;
    if (n > 0 && wsc_buffer_append(&opening->scratch, conn->input, n) != WSC_OK) {
        n = (size_t)opening->body_left; /* without memory, without a body */
        opening->body_left = n;
    }
    opening->body_left -= n;
    if (opening->body_left > 0 &&
        !(is_chunked(opening) && has_last_chunk(&opening->scratch))) {
        conn->input = NULL;
        conn->input_len = 0;
        return WSC_NEED_DATA;
    }
    finish_body(opening);
    return wsc_conn_set_error(conn, WSC_ERR_HANDSHAKE, opening->failure.reason);
}

static enum wsc_status
open_next_client(struct wsc_conn *conn, struct wsc_event *out_event)
{
    struct wsc_conn_opening *opening = conn->opening;
    struct wsc_handshake_offer offer = {
        .key = opening->key,
        .protocols = opening->protocols,
        .protocol_count = opening->protocol_count,
        .deflate = conn->config->deflate,
    };
    enum wsc_status status = wsc_handshake_check_response(
        &opening->head, &offer, &opening->scratch, &opening->answer, &opening->failure);
    if (status == WSC_OK && opening->answer.deflate) {
        status = wsc_conn_use_deflate(conn, &opening->answer.deflate_params);
    }
    if (status == WSC_OK) {
        conn->state = WSC_CONN_OPEN;
        out_event->type = WSC_EVENT_RESPONSE;
        return WSC_OK;
    }
    if (status != WSC_ERR_HANDSHAKE) {
        return wsc_conn_set_error(conn, status, "out of memory");
    }
    opening->failed = true;
    if (opening->failure.error != WSC_HANDSHAKE_STATUS) {
        return wsc_conn_set_error(conn, status, opening->failure.reason);
    }
    wsc_buffer_fini(&opening->scratch);
    opening->body_left = expected_body(&opening->head);
    return read_body(conn);
}

/* --- both --- */

enum wsc_status wsc_conn_open_next(struct wsc_conn *conn, struct wsc_event *out_event)
{
    struct wsc_conn_opening *opening = conn->opening;
    bool server = conn->config->role == WSC_ROLE_SERVER;
    /* A client has no key to check an answer against before it has asked. */
    if (opening->answer_expected || (!server && !opening->request_sent)) {
        return WSC_NEED_DATA;
    }
    if (opening->head_complete) {
        return read_body(conn);
    }
    if (conn->input_len == 0) {
        return WSC_NEED_DATA;
    }
    size_t used = 0;
    enum wsc_status status =
        wsc_http_head_feed(&opening->head, conn->input, conn->input_len, &used);
    conn->input += used;
    conn->input_len -= used;
    if (status == WSC_NEED_DATA) {
        return status;
    }
    if (status == WSC_ERR_HANDSHAKE) {
        wsc_handshake_head_failure(&opening->head, &opening->failure);
        opening->failed = true;
        return server ? refuse(conn)
                      : wsc_conn_set_error(conn, status, opening->failure.reason);
    }
    if (status != WSC_OK) {
        return wsc_conn_set_error(conn, status, "out of memory");
    }
    opening->head_complete = true;
    return server ? open_next_server(conn, out_event)
                  : open_next_client(conn, out_event);
}

void wsc_conn_open_eof(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (opening == NULL || conn->error != WSC_OK) {
        return;
    }
    if (!opening->failed) {
        memset(&opening->failure, 0, sizeof(opening->failure));
        opening->failure.error = WSC_HANDSHAKE_HEAD;
        opening->failure.status = 400;
        opening->failure.reason =
            "The connection was closed before the opening handshake was complete.";
        opening->failed = true;
    }
    else if (opening->head_complete) {
        finish_body(opening); /* as far as it came */
    }
    (void)wsc_conn_set_error(conn, WSC_ERR_HANDSHAKE, opening->failure.reason);
}
