/* The server's side: is this request the opening of a WebSocket connection? The checks
 * go from "no WebSocket request at all" to the details, so that the first failure is
 * the one worth telling. */
#include "wsc/handshake.h"

#include <string.h>

#include "handshake_check.h"
#include "http_chars.h"

#define BAD_REQUEST                400
#define METHOD_NOT_ALLOWED         405
#define UPGRADE_REQUIRED           426
#define HTTP_VERSION_NOT_SUPPORTED 505

#define PROTOCOL_HEADER "Sec-WebSocket-Protocol"

static enum wsc_status
check_start(const struct wsc_http_head *head, struct wsc_handshake_failure *out_failure)
{
    /* RFC 6455 §4.2.1 item 1: a GET request of HTTP/1.1 or higher. */
    if (!wsc_str_is(head->method, "GET")) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_METHOD,
                                    METHOD_NOT_ALLOWED, NULL, NULL,
                                    "Only GET opens a WebSocket connection.");
    }
    if (!wsc_handshake_http_version_is_good(head)) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_HTTP_VERSION,
                                    HTTP_VERSION_NOT_SUPPORTED, NULL, NULL,
                                    "A WebSocket connection is opened with HTTP/1.1.");
    }
    return WSC_OK;
}

static bool is_host(struct wsc_str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!wsc_char_is((uint8_t)text.data[i], WSC_CHAR_HOST)) {
            return false;
        }
    }
    return text.len > 0;
}

static enum wsc_status check_host(const struct wsc_http_head *head,
                                  struct wsc_handshake_request *out_request,
                                  struct wsc_handshake_failure *out_failure)
{
    /* RFC 9112 §3.2: a server MUST answer 400 to none, to more than one, and to one
     * that is malformed. RFC 6455 §4.2.1 item 2: it holds the server's authority. */
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, "Host", &header)) {
    case WSC_ABSENT:
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_HOST, BAD_REQUEST,
                                    "Host", NULL, "The Host header is missing.");
    case WSC_REPEATED:
        return wsc_handshake_refuse_repeated(out_failure, WSC_HANDSHAKE_HOST,
                                             BAD_REQUEST, "Host", header,
                                             "There is more than one Host header.");
    case WSC_ONCE:
        break;
    }
    if (!is_host(header->value)) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_HOST, BAD_REQUEST,
                                    "Host", header, "The Host header is malformed.");
    }
    out_request->host = header->value;
    return WSC_OK;
}

static enum wsc_status check_no_body(const struct wsc_http_head *head,
                                     struct wsc_handshake_failure *out_failure)
{
    /* Bytes after the head are frames. A proxy on the way that reads them as a body, or
     * the other way round, is how requests are smuggled. */
    const struct wsc_http_header *header;
    if (wsc_handshake_presence(head, "Transfer-Encoding", &header) != WSC_ABSENT) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_BODY, BAD_REQUEST,
                                    "Transfer-Encoding", header,
                                    "The request must not have a body.");
    }
    switch (wsc_handshake_presence(head, "Content-Length", &header)) {
    case WSC_ABSENT:
        return WSC_OK;
    case WSC_REPEATED:
        return wsc_handshake_refuse_repeated(
            out_failure, WSC_HANDSHAKE_BODY, BAD_REQUEST, "Content-Length", header,
            "There is more than one Content-Length header.");
    case WSC_ONCE:
        break;
    }
    if (!wsc_str_is(header->value, "0")) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_BODY, BAD_REQUEST,
                                    "Content-Length", header,
                                    "The request must not have a body.");
    }
    return WSC_OK;
}

static enum wsc_status check_upgrade(const struct wsc_http_head *head,
                                     struct wsc_handshake_failure *out_failure)
{
    /* RFC 6455 §4.2.1 item 3: an Upgrade header with the value "websocket". */
    if (!wsc_handshake_lists(head, "Upgrade", "websocket")) {
        return wsc_handshake_refuse(
            out_failure, WSC_HANDSHAKE_UPGRADE, UPGRADE_REQUIRED, "Upgrade",
            wsc_http_head_find(head, "Upgrade", NULL),
            "This is a WebSocket server: the Upgrade header must "
            "list websocket.");
    }
    /* Item 4: a Connection header with the token "Upgrade". */
    if (!wsc_handshake_lists(head, "Connection", "upgrade")) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_CONNECTION,
                                    UPGRADE_REQUIRED, "Connection",
                                    wsc_http_head_find(head, "Connection", NULL),
                                    "This is a WebSocket server: the Connection header "
                                    "must list Upgrade.");
    }
    return WSC_OK;
}

/* Before the key, because other versions of the protocol have other keys or none. */
static enum wsc_status check_version(const struct wsc_http_head *head,
                                     struct wsc_handshake_failure *out_failure)
{
    static const char name[] = "Sec-WebSocket-Version";
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, name, &header)) {
    case WSC_ABSENT:
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_VERSION, BAD_REQUEST,
                                    name, NULL,
                                    "The Sec-WebSocket-Version header is missing.");
    case WSC_REPEATED:
        return wsc_handshake_refuse_repeated(
            out_failure, WSC_HANDSHAKE_VERSION, BAD_REQUEST, name, header,
            "There is more than one Sec-WebSocket-Version header.");
    case WSC_ONCE:
        break;
    }
    /* RFC 6455 §4.2.1 item 6; §4.4: another version is answered with those we speak. */
    if (!wsc_str_is(header->value, "13")) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_VERSION,
                                    UPGRADE_REQUIRED, name, header,
                                    "Only version 13 of the WebSocket protocol is "
                                    "spoken here.");
    }
    return WSC_OK;
}

static enum wsc_status check_key(const struct wsc_http_head *head,
                                 struct wsc_handshake_request *out_request,
                                 struct wsc_handshake_failure *out_failure)
{
    static const char name[] = "Sec-WebSocket-Key";
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, name, &header)) {
    case WSC_ABSENT:
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_KEY, BAD_REQUEST, name,
                                    NULL, "The Sec-WebSocket-Key header is missing.");
    case WSC_REPEATED:
        /* RFC 6455 §11.3.1: MUST NOT appear more than once. */
        return wsc_handshake_refuse_repeated(
            out_failure, WSC_HANDSHAKE_KEY, BAD_REQUEST, name, header,
            "There is more than one Sec-WebSocket-Key header.");
    case WSC_ONCE:
        break;
    }
    /* RFC 6455 §4.2.1 item 5: when decoded, 16 bytes in length. */
    if (!wsc_key_is_valid(header->value.data, header->value.len)) {
        return wsc_handshake_refuse(out_failure, WSC_HANDSHAKE_KEY, BAD_REQUEST, name,
                                    header,
                                    "Sec-WebSocket-Key is not the base64 of 16 bytes.");
    }
    out_request->key = header->value;
    return WSC_OK;
}

static enum wsc_status check_origin(const struct wsc_http_head *head,
                                    struct wsc_handshake_request *out_request,
                                    struct wsc_handshake_failure *out_failure)
{
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, "Origin", &header)) {
    case WSC_ABSENT:
        out_request->origin = (struct wsc_str){NULL, 0};
        return WSC_OK;
    case WSC_REPEATED:
        /* RFC 6454 §7.3: MUST NOT include more than one Origin header field. */
        return wsc_handshake_refuse_repeated(out_failure, WSC_HANDSHAKE_ORIGIN,
                                             BAD_REQUEST, "Origin", header,
                                             "There is more than one Origin header.");
    case WSC_ONCE:
        break;
    }
    out_request->origin = header->value;
    return WSC_OK;
}

static bool is_among(struct wsc_str text, const struct wsc_str *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (wsc_str_equal(text, list[i])) {
            return true;
        }
    }
    return false;
}

static enum wsc_status refuse_protocol(const struct wsc_http_head *head,
                                       struct wsc_handshake_failure *out_failure,
                                       const char *reason)
{
    return wsc_handshake_refuse(
        out_failure, WSC_HANDSHAKE_PROTOCOL, BAD_REQUEST, PROTOCOL_HEADER,
        wsc_http_head_find(head, PROTOCOL_HEADER, NULL), reason);
}

static enum wsc_status check_protocols(const struct wsc_http_head *head,
                                       struct wsc_handshake_failure *out_failure)
{
    struct wsc_str seen[WSC_HANDSHAKE_PROTOCOLS_MAX];
    struct wsc_str protocol;
    size_t count = 0;
    size_t position = 0;
    enum wsc_status status;

    if (wsc_http_head_find(head, PROTOCOL_HEADER, NULL) == NULL) {
        return WSC_OK;
    }
    while ((status = wsc_handshake_protocol_next(head, &position, &protocol)) ==
           WSC_OK) {
        if (count == WSC_HANDSHAKE_PROTOCOLS_MAX) {
            return refuse_protocol(head, out_failure, "Too many subprotocols.");
        }
        /* RFC 6455 §4.1 item 10: all strings MUST be unique. */
        if (is_among(protocol, seen, count)) {
            refuse_protocol(head, out_failure, "A subprotocol is offered twice.");
            out_failure->value = protocol;
            return WSC_ERR_HANDSHAKE;
        }
        seen[count] = protocol;
        count++;
    }
    if (status != WSC_NEED_DATA || count == 0) { /* RFC 6455 §4.3: 1#token */
        return refuse_protocol(head, out_failure,
                               "Sec-WebSocket-Protocol is not a list of tokens.");
    }
    return WSC_OK;
}

enum wsc_status wsc_handshake_check_request(const struct wsc_http_head *head,
                                            struct wsc_handshake_request *out_request,
                                            struct wsc_handshake_failure *out_failure)
{
    memset(out_request, 0, sizeof(*out_request));
    memset(out_failure, 0, sizeof(*out_failure));
    out_request->target = head->target;

    enum wsc_status status = check_start(head, out_failure);
    if (status == WSC_OK) {
        status = check_host(head, out_request, out_failure);
    }
    if (status == WSC_OK) {
        status = check_no_body(head, out_failure);
    }
    if (status == WSC_OK) {
        status = check_upgrade(head, out_failure);
    }
    if (status == WSC_OK) {
        status = check_version(head, out_failure);
    }
    if (status == WSC_OK) {
        status = check_key(head, out_request, out_failure);
    }
    if (status == WSC_OK) {
        status = check_origin(head, out_request, out_failure);
    }
    if (status == WSC_OK) {
        status = check_protocols(head, out_failure);
    }
    return status;
}

/* *position is a place in the head's bytes, which all values lie in, in order. */
enum wsc_status wsc_handshake_protocol_next(const struct wsc_http_head *head,
                                            size_t *position,
                                            struct wsc_str *out_protocol)
{
    const char *start = (const char *)head->raw.data;
    const struct wsc_http_header *header = NULL;
    while ((header = wsc_http_head_find(head, PROTOCOL_HEADER, header)) != NULL) {
        size_t line = (size_t)(header->value.data - start);
        if (*position >= line + header->value.len) {
            continue; /* this line is done with */
        }
        size_t within = *position > line ? *position - line : 0;
        enum wsc_status status =
            wsc_http_token_next(header->value, &within, out_protocol);
        *position = line + within;
        if (status != WSC_NEED_DATA) {
            return status;
        }
    }
    return WSC_NEED_DATA;
}

bool wsc_handshake_origin_is_allowed(const struct wsc_handshake_request *request,
                                     const struct wsc_str *origins, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool both_absent = origins[i].data == NULL && request->origin.data == NULL;
        bool both_given = origins[i].data != NULL && request->origin.data != NULL;
        if (both_absent || (both_given && wsc_str_equal(origins[i], request->origin))) {
            return true;
        }
    }
    return false;
}
