/* A bounded, resumable reader of one HTTP/1.1 message head: start line and header lines
 * (RFC 9112 §2-§5, in the strict form that leaves no room for request smuggling).
 *
 * Feed it bytes in any pieces. It copies them up to the empty line, never reads a byte
 * twice from the caller, and takes linear time. Refused: bare CR or LF as a line end,
 * NUL and other control bytes, folded lines, space before the colon, an empty or
 * non-token name, a start line of another form. Not thread-safe. */
#ifndef WSC_HTTP_HEAD_H
#define WSC_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/alloc.h"
#include "wsc/api.h"
#include "wsc/buffer.h"
#include "wsc/status.h"
#include "wsc/str.h"

#ifdef __cplusplus
extern "C" {
#endif

struct wsc_http_limits {
    size_t start_line;  /* bytes without CR LF; above: 414 for a request */
    size_t header_line; /* bytes of one line without CR LF; above: 431 */
    size_t block;       /* bytes of all, start line included; above: 431 */
    size_t count;       /* header lines; above: 431 */
};
/* 8 KiB, 8 KiB, 32 KiB, 128. */
WSC_API void wsc_http_limits_init(struct wsc_http_limits *limits);

enum wsc_http_kind {
    WSC_HTTP_REQUEST,
    WSC_HTTP_RESPONSE,
};

/* Why a head was refused. */
enum wsc_http_error {
    WSC_HTTP_OK,
    WSC_HTTP_START_LINE_TOO_LONG, /* 414 */
    WSC_HTTP_HEADER_TOO_LARGE,    /* 431: a line, the block, or the count */
    WSC_HTTP_START_LINE,          /* 400: malformed request or status line */
    WSC_HTTP_HEADER_NAME,         /* 400 */
    WSC_HTTP_HEADER_VALUE,        /* 400 */
    WSC_HTTP_LINE_END,            /* 400: bare CR or LF, or a folded line */
    WSC_HTTP_NOT_HTTP,            /* 400: first bytes are not HTTP (TLS, for example) */
};

struct wsc_http_header {
    struct wsc_str name;  /* as sent; compare without case */
    struct wsc_str value; /* optional white space around it removed; obs-text (bytes
                             0x80-0xff) passes */
};

struct wsc_http_head {
    /* The head's results: valid after wsc_http_head_feed returned WSC_OK, borrowed
     * until fini. */
    enum wsc_http_kind kind;
    struct wsc_str method; /* request */
    struct wsc_str target; /* request: as sent, visible ASCII only */
    uint8_t major, minor;  /* HTTP version, one digit each */
    uint16_t status;       /* response: 100-599 */
    struct wsc_str reason; /* response: may be empty */
    struct wsc_http_header *headers;
    size_t header_count;
    enum wsc_http_error error; /* after WSC_ERR_HANDSHAKE */
    size_t error_position;     /* byte of the head where it was noticed */

    /* Private. */
    struct wsc_http_limits limits;
    struct wsc_buffer raw; /* the head's bytes, each checked before it is copied */
    size_t line_len;       /* of the line being read, without CR LF */
    size_t lines;          /* header lines begun */
    uint8_t step;
    uint8_t matched;    /* bytes of a fixed text, or digits, read in this step */
    bool out_of_memory; /* sticky */
};

/* `limits` is copied; `allocator` borrowed for the head's life. Allocates nothing. */
WSC_API void wsc_http_head_init(struct wsc_http_head *head, enum wsc_http_kind kind,
                                const struct wsc_http_limits *limits,
                                const struct wsc_allocator *allocator);
WSC_API void wsc_http_head_fini(struct wsc_http_head *head);
/* Read on. *out_used bytes of `data` belong to the head (all of them, unless WSC_OK).
 * WSC_OK: complete; what follows in `data` is not HTTP head any more. Feeding on uses
 * nothing and returns WSC_OK again.
 * WSC_NEED_DATA. WSC_ERR_HANDSHAKE: `head->error` says why; sticky.
 * WSC_ERR_NO_MEMORY: sticky as well. */
WSC_API WSC_NODISCARD enum wsc_status wsc_http_head_feed(struct wsc_http_head *head,
                                                         const uint8_t *data,
                                                         size_t len, size_t *out_used);

/* The first header of this name after `previous` (NULL: from the start), or NULL.
 * ASCII case is ignored. */
WSC_API const struct wsc_http_header *
wsc_http_head_find(const struct wsc_http_head *head, const char *name,
                   const struct wsc_http_header *previous);

/* Walk a comma-separated list (RFC 9110 §5.6.1): start with *position 0. False at the
 * end. White space around an element is removed, empty elements are passed over. Commas
 * inside quoted strings are not understood: for lists of tokens and the like only. */
WSC_API bool
wsc_http_list_next(struct wsc_str list, size_t *position, struct wsc_str *out_element);
/* The same for a list of tokens: WSC_OK with the next token; WSC_NEED_DATA at the end;
 * WSC_ERR_HANDSHAKE when an element is not a token. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_http_token_next(struct wsc_str list, size_t *position, struct wsc_str *out_token);

/* What follows the authority of a request's target in absolute-form, perhaps nothing
 * (RFC 9112 §3.2.2); a target of another form as it is. */
WSC_API struct wsc_str wsc_http_target_path(struct wsc_str target);

/* Character classes, for those who write heads. */
WSC_API bool wsc_http_is_token(struct wsc_str text); /* RFC 9110 §5.6.2, not empty */
/* RFC 9110 §5.5: visible ASCII, space, tab, and bytes from 0x80 on; no space or tab at
 * either end; may be empty. */
WSC_API bool wsc_http_is_field_value(struct wsc_str text);
WSC_API bool
wsc_http_is_target(struct wsc_str text); /* visible ASCII without '#', not empty */

#ifdef __cplusplus
}
#endif
#endif
