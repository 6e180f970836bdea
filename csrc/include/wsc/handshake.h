/* The opening handshake, RFC 6455 §4: what a request or a response must look like, and
 * how ours are written. Works on a head that was read by wsc/http_head.h; results point
 * into it. No I/O, no policy beyond the RFC: choosing a subprotocol or refusing an
 * Origin is the caller's, with the helpers below. */
#ifndef WSC_HANDSHAKE_H
#define WSC_HANDSHAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/buffer.h"
#include "wsc/crypto.h"
#include "wsc/extension.h"
#include "wsc/http_head.h"
#include "wsc/outgoing.h"
#include "wsc/status.h"
#include "wsc/str.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What was wrong. */
enum wsc_handshake_error {
    WSC_HANDSHAKE_OK,
    WSC_HANDSHAKE_HEAD,         /* the head itself; see wsc_http_head.error */
    WSC_HANDSHAKE_METHOD,       /* server: not GET (405) */
    WSC_HANDSHAKE_HTTP_VERSION, /* below HTTP/1.1, or not HTTP/1 (505 from a server) */
    WSC_HANDSHAKE_HOST,         /* server: not exactly one Host, or malformed (400) */
    WSC_HANDSHAKE_BODY,         /* server: Content-Length other than 0, or
                                   Transfer-Encoding (400) */
    WSC_HANDSHAKE_UPGRADE,      /* no `websocket` in Upgrade (426 from a server) */
    WSC_HANDSHAKE_CONNECTION,   /* no `upgrade` in Connection (426) */
    WSC_HANDSHAKE_KEY,          /* absent, twice, or not base64 of 16 bytes (400) */
    WSC_HANDSHAKE_VERSION,      /* absent or twice (400), not 13 (426) */
    WSC_HANDSHAKE_ORIGIN,       /* two Origin lines (400) */
    WSC_HANDSHAKE_PROTOCOL,     /* Sec-WebSocket-Protocol: grammar or the same one twice
                                   (400); client: not offered, or more than one */
    WSC_HANDSHAKE_EXTENSIONS,   /* grammar (400); client: see the extension error */
    WSC_HANDSHAKE_STATUS,       /* client: the status is not 101 */
    WSC_HANDSHAKE_ACCEPT, /* client: Sec-WebSocket-Accept absent, twice or wrong */
};

struct wsc_handshake_failure {
    enum wsc_handshake_error error;
    uint16_t status;      /* what a server answers: 400, 405, 414, 426, 431, 505; 0 from
                             wsc_handshake_check_response */
    const char *header;   /* name of the header at fault, static; NULL if none */
    struct wsc_str value; /* its value, or the part of it at fault: into the head, or
                             into the `scratch` given; data NULL when absent */
    bool duplicate;       /* the header came more than once */
    const char *reason;   /* one English sentence, static, for the refusal's body */
};

/* A correct request. Everything points into the head. */
struct wsc_handshake_request {
    struct wsc_str target;
    struct wsc_str host;
    struct wsc_str key;    /* WSC_KEY_SIZE characters */
    struct wsc_str origin; /* data NULL when absent */
};

/* Server: check a complete request head, RFC 6455 §4.2.1. WSC_OK with *out_request, or
 * WSC_ERR_HANDSHAKE with *out_failure. Also checks the grammar of
 * Sec-WebSocket-Protocol. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_handshake_check_request(const struct wsc_http_head *head,
                            struct wsc_handshake_request *out_request,
                            struct wsc_handshake_failure *out_failure);
/* The failure that stands for a head that could not be read. */
WSC_API void wsc_handshake_head_failure(const struct wsc_http_head *head,
                                        struct wsc_handshake_failure *out_failure);

/* More offered subprotocols than this are refused (400): each is compared with each. */
#define WSC_HANDSHAKE_PROTOCOLS_MAX 128
/* Walk all offered subprotocols in order of preference, over all
 * Sec-WebSocket-Protocol lines. Start with *position 0. WSC_OK with the next one,
 * WSC_NEED_DATA at the end; WSC_ERR_HANDSHAKE on a bad grammar, which a checked request
 * does not have. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_handshake_protocol_next(const struct wsc_http_head *head, size_t *position,
                            struct wsc_str *out_protocol);
/* Is the request's Origin on the list? Exact match; an entry with data NULL stands for
 * a request without Origin (RFC 6455 §10.2). */
WSC_API bool
wsc_handshake_origin_is_allowed(const struct wsc_handshake_request *request,
                                const struct wsc_str *origins, size_t count);
/* All values of the header of that name, joined by ", ", appended to `out`; on an error
 * of the buffer, nothing. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_handshake_join(const struct wsc_http_head *head, const char *name,
                   struct wsc_buffer *out);

/* Queue a response: status line, the headers in their order (both parts are checked:
 * token; field value), the empty line and the body. Adds no header by itself. `reason`
 * absent: the standard phrase for the status. WSC_ERR_INVALID_ARGUMENT when anything is
 * not writable as it stands (CR, LF, NUL, a name that is no token, a status outside
 * 100-599): nothing is queued then. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_handshake_write_response(struct wsc_outgoing *out, uint16_t status,
                             struct wsc_str reason,
                             const struct wsc_http_header *headers, size_t count,
                             const uint8_t *body, size_t body_len);
/* Queue a request: "GET target HTTP/1.1", the headers, the empty line. The same
 * checks; `target` is visible ASCII without '#', not empty. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_handshake_write_request(struct wsc_outgoing *out, struct wsc_str target,
                            const struct wsc_http_header *headers, size_t count);
/* The standard phrase for a status code, "" if there is none. Static storage. */
WSC_API const char *wsc_handshake_status_phrase(uint16_t status);

/* Client: a new random Sec-WebSocket-Key (§4.1 item 7), no NUL. */
WSC_API WSC_NODISCARD enum wsc_status wsc_handshake_new_key(char out_key[WSC_KEY_SIZE]);

/* What a client asked for, to check the answer against. */
struct wsc_handshake_offer {
    const char *key; /* the WSC_KEY_SIZE characters sent */
    const struct wsc_str *protocols;
    size_t protocol_count;
    const struct wsc_deflate_settings *deflate; /* NULL: not offered */
};
struct wsc_handshake_answer {
    struct wsc_str protocol; /* chosen by the server, into the head; data NULL: none */
    bool deflate;            /* permessage-deflate agreed, with these parameters */
    struct wsc_deflate_params deflate_params;
    enum wsc_extension_error extension_error; /* with WSC_HANDSHAKE_EXTENSIONS */
};
/* Client: check a complete response head, RFC 6455 §4.1 (the list "the client MUST
 * validate the server's response as follows"). WSC_OK with *out_answer, or
 * WSC_ERR_HANDSHAKE with *out_failure. `scratch` is emptied, then used to join header
 * lines; *out_failure may point into it. Errors of the buffer and of wsc_accept_key. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_handshake_check_response(const struct wsc_http_head *head,
                             const struct wsc_handshake_offer *offer,
                             struct wsc_buffer *scratch,
                             struct wsc_handshake_answer *out_answer,
                             struct wsc_handshake_failure *out_failure);

#ifdef __cplusplus
}
#endif
#endif
