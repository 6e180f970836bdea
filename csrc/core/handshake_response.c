/* The client's side: did the server open the connection that was asked for? The checks
 * are those of RFC 6455 §4.1, in its order. */
#include "wsc/handshake.h"

#include <string.h>

#include "handshake_check.h"

#define SWITCHING_PROTOCOLS 101

#define ACCEPT_HEADER     "Sec-WebSocket-Accept"
#define EXTENSIONS_HEADER "Sec-WebSocket-Extensions"
#define PROTOCOL_HEADER   "Sec-WebSocket-Protocol"

static enum wsc_status refuse(struct wsc_handshake_failure *out_failure,
                              enum wsc_handshake_error error, const char *name,
                              const struct wsc_http_header *header, const char *reason)
{
    return wsc_handshake_refuse(out_failure, error, 0, name, header, reason);
}

static enum wsc_status refuse_repeated(struct wsc_handshake_failure *out_failure,
                                       enum wsc_handshake_error error, const char *name,
                                       const struct wsc_http_header *header,
                                       const char *reason)
{
    return wsc_handshake_refuse_repeated(out_failure, error, 0, name, header, reason);
}

static enum wsc_status
check_start(const struct wsc_http_head *head, struct wsc_handshake_failure *out_failure)
{
    if (head->status != SWITCHING_PROTOCOLS) {
        return refuse(out_failure, WSC_HANDSHAKE_STATUS, NULL, NULL,
                      "The server did not answer with status 101.");
    }
    if (!wsc_handshake_http_version_is_good(head)) {
        return refuse(out_failure, WSC_HANDSHAKE_HTTP_VERSION, NULL, NULL,
                      "The server did not answer with HTTP/1.1.");
    }
    return WSC_OK;
}

static enum wsc_status check_upgrade(const struct wsc_http_head *head,
                                     struct wsc_handshake_failure *out_failure)
{
    /* Item 2: the value matches "websocket", which one more protocol would not. */
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, "Upgrade", &header)) {
    case WSC_ABSENT:
        return refuse(out_failure, WSC_HANDSHAKE_UPGRADE, "Upgrade", NULL,
                      "The Upgrade header is missing.");
    case WSC_REPEATED:
        return refuse_repeated(out_failure, WSC_HANDSHAKE_UPGRADE, "Upgrade", header,
                               "There is more than one Upgrade header.");
    case WSC_ONCE:
        break;
    }
    if (!wsc_str_is_nocase(header->value, "websocket")) {
        return refuse(out_failure, WSC_HANDSHAKE_UPGRADE, "Upgrade", header,
                      "The Upgrade header is not websocket.");
    }
    /* Item 3: a token that matches "Upgrade", perhaps among others. */
    if (!wsc_handshake_lists(head, "Connection", "upgrade")) {
        return refuse(out_failure, WSC_HANDSHAKE_CONNECTION, "Connection",
                      wsc_http_head_find(head, "Connection", NULL),
                      "The Connection header does not list Upgrade.");
    }
    return WSC_OK;
}

static enum wsc_status check_accept(const struct wsc_http_head *head, const char *key,
                                    struct wsc_handshake_failure *out_failure)
{
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, ACCEPT_HEADER, &header)) {
    case WSC_ABSENT:
        return refuse(out_failure, WSC_HANDSHAKE_ACCEPT, ACCEPT_HEADER, NULL,
                      "The Sec-WebSocket-Accept header is missing.");
    case WSC_REPEATED:
        /* RFC 6455 §11.3.3: MUST NOT appear more than once. */
        return refuse_repeated(out_failure, WSC_HANDSHAKE_ACCEPT, ACCEPT_HEADER, header,
                               "There is more than one Sec-WebSocket-Accept header.");
    case WSC_ONCE:
        break;
    }
    char expected[WSC_ACCEPT_SIZE];
    enum wsc_status status = wsc_accept_key(key, expected);
    if (status != WSC_OK) {
        return status;
    }
    /* Item 4. */
    struct wsc_str want = {.data = expected, .len = sizeof(expected)};
    if (!wsc_str_equal(header->value, want)) {
        return refuse(out_failure, WSC_HANDSHAKE_ACCEPT, ACCEPT_HEADER, header,
                      "Sec-WebSocket-Accept does not answer the key that was sent.");
    }
    return WSC_OK;
}

static const char *extension_reason(enum wsc_extension_error error)
{
    switch (error) {
    case WSC_EXTENSION_OK:
        break;
    case WSC_EXTENSION_GRAMMAR:
        return "Sec-WebSocket-Extensions is malformed.";
    case WSC_EXTENSION_UNKNOWN:
        return "The server accepted an extension that was not offered.";
    case WSC_EXTENSION_DUPLICATE:
        return "The server accepted an extension twice.";
    case WSC_EXTENSION_UNKNOWN_PARAMETER:
        return "The server accepted an extension with an unknown parameter.";
    case WSC_EXTENSION_DUPLICATE_PARAMETER:
        return "The server accepted an extension with the same parameter twice.";
    case WSC_EXTENSION_PARAMETER_VALUE:
        return "The server accepted an extension with an invalid parameter value.";
    case WSC_EXTENSION_NOT_AGREED:
        return "The server accepted an extension with more than was offered.";
    }
    return "The extensions that the server accepted are not acceptable.";
}

/* One line is checked where it is, several after joining them, RFC 6455 §9.1. */
static enum wsc_status extensions_value(const struct wsc_http_head *head,
                                        struct wsc_buffer *scratch,
                                        struct wsc_str *out_value)
{
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, EXTENSIONS_HEADER, &header)) {
    case WSC_ABSENT:
        *out_value = (struct wsc_str){NULL, 0};
        return WSC_OK;
    case WSC_ONCE:
        *out_value = header->value;
        return WSC_OK;
    case WSC_REPEATED:
        break;
    }
    scratch->len = 0;
    enum wsc_status status = wsc_handshake_join(head, EXTENSIONS_HEADER, scratch);
    *out_value = (struct wsc_str){(const char *)scratch->data, scratch->len};
    return status;
}

static enum wsc_status check_extensions(const struct wsc_http_head *head,
                                        const struct wsc_handshake_offer *offer,
                                        struct wsc_buffer *scratch,
                                        struct wsc_handshake_answer *out_answer,
                                        struct wsc_handshake_failure *out_failure)
{
    struct wsc_str value;
    struct wsc_str where;
    enum wsc_status status = extensions_value(head, scratch, &value);
    if (status != WSC_OK) {
        return status;
    }
    /* Item 5. */
    status = wsc_extension_check_answer(offer->deflate, value, &out_answer->deflate,
                                        &out_answer->deflate_params,
                                        &out_answer->extension_error, &where);
    if (status == WSC_ERR_HANDSHAKE) {
        refuse(out_failure, WSC_HANDSHAKE_EXTENSIONS, EXTENSIONS_HEADER, NULL,
               extension_reason(out_answer->extension_error));
        out_failure->value = where.data != NULL ? where : value;
        out_failure->duplicate = out_answer->extension_error == WSC_EXTENSION_DUPLICATE;
    }
    return status;
}

static enum wsc_status check_protocol(const struct wsc_http_head *head,
                                      const struct wsc_handshake_offer *offer,
                                      struct wsc_handshake_answer *out_answer,
                                      struct wsc_handshake_failure *out_failure)
{
    const struct wsc_http_header *header;
    switch (wsc_handshake_presence(head, PROTOCOL_HEADER, &header)) {
    case WSC_ABSENT:
        return WSC_OK;
    case WSC_REPEATED:
        /* RFC 6455 §11.3.4: MUST NOT appear more than once in a response. */
        return refuse_repeated(out_failure, WSC_HANDSHAKE_PROTOCOL, PROTOCOL_HEADER,
                               header,
                               "There is more than one Sec-WebSocket-Protocol header.");
    case WSC_ONCE:
        break;
    }
    for (size_t i = 0; i < offer->protocol_count; i++) {
        if (wsc_str_equal(header->value, offer->protocols[i])) {
            out_answer->protocol = header->value;
            return WSC_OK;
        }
    }
    /* Item 6. */
    return refuse(out_failure, WSC_HANDSHAKE_PROTOCOL, PROTOCOL_HEADER, header,
                  "The server chose a subprotocol that was not offered.");
}

enum wsc_status wsc_handshake_check_response(const struct wsc_http_head *head,
                                             const struct wsc_handshake_offer *offer,
                                             struct wsc_buffer *scratch,
                                             struct wsc_handshake_answer *out_answer,
                                             struct wsc_handshake_failure *out_failure)
{
    memset(out_answer, 0, sizeof(*out_answer));
    memset(out_failure, 0, sizeof(*out_failure));

    enum wsc_status status = check_start(head, out_failure);
    if (status == WSC_OK) {
        status = check_upgrade(head, out_failure);
    }
    if (status == WSC_OK) {
        status = check_accept(head, offer->key, out_failure);
    }
    if (status == WSC_OK) {
        status = check_extensions(head, offer, scratch, out_answer, out_failure);
    }
    if (status == WSC_OK) {
        status = check_protocol(head, offer, out_answer, out_failure);
    }
    return status;
}
