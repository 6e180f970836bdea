/* Sec-WebSocket-Extensions (RFC 6455 §9.1) and the negotiation of permessage-deflate
 * (RFC 7692 §5, §7.1). Grammar only: no zlib here. Nothing here allocates but the
 * buffers it writes to; input is borrowed for the call. */
#ifndef WSC_EXTENSION_H
#define WSC_EXTENSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/buffer.h"
#include "wsc/status.h"
#include "wsc/str.h"

#ifdef __cplusplus
extern "C" {
#endif

#define WSC_WINDOW_BITS_MIN 8
#define WSC_WINDOW_BITS_MAX 15

/* What this end is willing to do, set by the application. */
struct wsc_deflate_settings {
    bool server_no_context_takeover;   /* ask for, and keep to, RFC 7692 §7.1.1.1 */
    bool client_no_context_takeover;   /* §7.1.1.2 */
    uint8_t server_max_window_bits;    /* 8-15: limit; 0: none (§7.1.2.1) */
    uint8_t client_max_window_bits;    /* 8-15: limit; 0: none (§7.1.2.2) */
    bool offer_client_max_window_bits; /* client: say that it understands the parameter,
                                          without a value, when the limit above is 0 */
    bool require_client_max_window_bits; /* server: decline offers without it */
    int level;                           /* zlib: -1 (default), 0-9 */
    int mem_level;                       /* zlib: 1-9 */
    size_t threshold; /* messages with fewer bytes are sent uncompressed */
};

/* No limits, level -1, memLevel 8, threshold 0, offer_client_max_window_bits true. */
WSC_API void wsc_deflate_settings_init(struct wsc_deflate_settings *settings);
/* WSC_ERR_INVALID_ARGUMENT when a value is out of its range. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_deflate_settings_check(const struct wsc_deflate_settings *settings);

/* What both ends agreed on. Window bits are 8-15. */
struct wsc_deflate_params {
    bool server_no_context_takeover;
    bool client_no_context_takeover;
    uint8_t server_max_window_bits;
    uint8_t client_max_window_bits;
};

/* Why an answer was not acceptable to a client. */
enum wsc_extension_error {
    WSC_EXTENSION_OK,
    WSC_EXTENSION_GRAMMAR,   /* not RFC 6455 §9.1 */
    WSC_EXTENSION_UNKNOWN,   /* an extension that was not offered */
    WSC_EXTENSION_DUPLICATE, /* the same extension twice */
    WSC_EXTENSION_UNKNOWN_PARAMETER,
    WSC_EXTENSION_DUPLICATE_PARAMETER,
    WSC_EXTENSION_PARAMETER_VALUE, /* missing, malformed or out of range */
    WSC_EXTENSION_NOT_AGREED,      /* goes beyond what was offered */
};

/* Client: append the value of the Sec-WebSocket-Extensions header that offers
 * permessage-deflate with these settings. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_extension_offer(const struct wsc_deflate_settings *settings,
                    struct wsc_buffer *out);

/* Server: read the peer's offers. `header` is the value of all its
 * Sec-WebSocket-Extensions lines joined by commas, in order. Takes the first
 * permessage-deflate offer that it can keep to; malformed parameters (unknown, twice,
 * value out of range or missing, RFC 7692 §7.1) decline that offer only; other
 * extensions are ignored. An offer with server_max_window_bits=8 is declined: zlib has
 * no raw deflate with a window of 256 bytes.
 * WSC_OK with *out_accepted; if true, *out_params is set and the answer's value has
 * been appended to `out_answer`. WSC_ERR_HANDSHAKE: the header is not RFC 6455 §9.1
 * grammar (400). Errors of the buffer. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_extension_accept(const struct wsc_deflate_settings *settings, struct wsc_str header,
                     bool *out_accepted, struct wsc_deflate_params *out_params,
                     struct wsc_buffer *out_answer);

/* Client: check the server's answer against what was offered. `settings` NULL: nothing
 * was offered. `header` joined as above; absent or empty is no extension agreed.
 * WSC_OK with *out_agreed and, if true, *out_params. WSC_ERR_HANDSHAKE with *out_error;
 * *out_where is the offending name or value (borrowed from `header`). */
WSC_API WSC_NODISCARD enum wsc_status
wsc_extension_check_answer(const struct wsc_deflate_settings *settings,
                           struct wsc_str header, bool *out_agreed,
                           struct wsc_deflate_params *out_params,
                           enum wsc_extension_error *out_error,
                           struct wsc_str *out_where);

#ifdef __cplusplus
}
#endif
#endif
