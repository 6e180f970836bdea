#include "conn_private.h"
#include "http_body.h"

#include <string.h>

/* The most of a refusal's body that a client keeps. */
#define RESPONSE_BODY_MAX 16384
/* The most of them that are skipped; one more is the answer. */
#define INTERIM_MAX 16

static bool is_repeated(const struct wsc_str *protocols, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (wsc_str_equal(protocols[i], protocols[index])) {
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
        if (protocols[i].len > wsc_left(SIZE_MAX / 4, size + sizeof(struct wsc_str))) {
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
    all[count++] = wsc_conn_header("Upgrade", wsc_str_of("websocket"));
    all[count++] = wsc_conn_header("Connection", wsc_str_of("Upgrade"));
    all[count++] = wsc_conn_header("Sec-WebSocket-Key", key);
    all[count++] = wsc_conn_header("Sec-WebSocket-Version", wsc_str_of("13"));
    if (extensions.len > 0) {
        all[count++] = wsc_conn_header("Sec-WebSocket-Extensions", extensions);
    }
    if (protocols.len > 0) {
        all[count++] = wsc_conn_header("Sec-WebSocket-Protocol", protocols);
    }
    enum wsc_status status =
        wsc_handshake_write_request(&conn->outgoing, target, all, count);
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
        opening->request_sent = true;
    }
    else {
        wsc_free(conn->config->allocator, opening->protocols);
        opening->protocols = NULL;
        opening->protocol_count = 0;
    }
    return status;
}

/* RFC 9110 §15.2: a client MUST be able to parse 1xx responses before the final one,
 * also those that it did not ask for. */
bool wsc_conn_skip_interim(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    uint16_t status = opening->head.status;
    if (status >= 200 || status == 101 || opening->interim == INTERIM_MAX) {
        return false;
    }
    opening->interim++;
    wsc_http_head_fini(&opening->head);
    return true;
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

void wsc_conn_end_refusal(struct wsc_conn *conn)
{
    if (is_chunked(conn->opening)) {
        wsc_http_dechunk(&conn->opening->scratch);
    }
}

enum wsc_status wsc_conn_read_refusal(struct wsc_conn *conn)
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
        !(is_chunked(opening) && wsc_http_has_last_chunk(&opening->scratch))) {
        conn->input = NULL;
        conn->input_len = 0;
        return WSC_NEED_DATA;
    }
    wsc_conn_end_refusal(conn);
    return wsc_conn_set_error(conn, WSC_ERR_HANDSHAKE, opening->failure.reason);
}

enum wsc_status wsc_conn_open_client(struct wsc_conn *conn, struct wsc_event *out_event)
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
    return wsc_conn_read_refusal(conn);
}
