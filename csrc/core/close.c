#include "wsc/close.h"

#include <string.h>

#include "wsc/frame.h"
#include "wsc/utf8.h"

bool wsc_close_code_is_valid(uint32_t code)
{
    /* RFC 6455 §7.4.1: 1004, 1005, 1006 and 1015 never appear in a frame; §7.4.2 and
     * §11.7: 1012-1014 are registered, 3000-4999 belong to libraries and applications.
     */
    return (code >= WSC_CLOSE_NORMAL_CLOSURE && code <= WSC_CLOSE_UNSUPPORTED_DATA) ||
           (code >= WSC_CLOSE_INVALID_FRAME_PAYLOAD_DATA &&
            code <= WSC_CLOSE_BAD_GATEWAY) ||
           (code >= 3000 && code <= 4999);
}

uint16_t wsc_close_code_for(enum wsc_status error)
{
    switch (error) {
    case WSC_ERR_PROTOCOL:
    case WSC_ERR_HANDSHAKE:
        return WSC_CLOSE_PROTOCOL_ERROR;
    case WSC_ERR_UTF8:
        return WSC_CLOSE_INVALID_FRAME_PAYLOAD_DATA;
    case WSC_ERR_TOO_BIG:
        return WSC_CLOSE_MESSAGE_TOO_BIG;
    case WSC_ERR_POLICY:
        return WSC_CLOSE_POLICY_VIOLATION;
    case WSC_ERR_NO_MEMORY:
    case WSC_ERR_RANDOM:
    case WSC_ERR_INVALID_ARGUMENT:
    case WSC_ERR_INVALID_STATE:
    case WSC_ERR_IO:
        return WSC_CLOSE_INTERNAL_ERROR;
    case WSC_OK:
    case WSC_NEED_DATA:
    case WSC_NEED_SPACE:
        break;
    }
    return WSC_CLOSE_NORMAL_CLOSURE;
}

static void
set(struct wsc_close *close, uint32_t code, const void *reason, size_t reason_len)
{
    close->code = (uint16_t)code;
    close->reason_len = (uint8_t)reason_len;
    if (reason_len > 0) {
        memcpy(close->reason, reason, reason_len);
    }
}

enum wsc_status
wsc_close_decode(const uint8_t *payload, size_t len, struct wsc_close *out_close)
{
    /* RFC 6455 §7.1.5: a frame without body means 1005 */
    if (len == 0) {
        set(out_close, WSC_CLOSE_NO_STATUS_RCVD, NULL, 0);
        return WSC_OK;
    }
    /* RFC 6455 §5.5.1: a body starts with a code of two bytes */
    if (len < 2 || len > WSC_CONTROL_PAYLOAD_MAX) {
        return WSC_ERR_PROTOCOL;
    }
    uint32_t code = (uint32_t)payload[0] << 8 | payload[1];
    if (!wsc_close_code_is_valid(code)) {
        return WSC_ERR_PROTOCOL;
    }
    if (!wsc_utf8_is_valid(payload + 2, len - 2)) {
        return WSC_ERR_UTF8;
    }
    set(out_close, code, payload + 2, len - 2);
    return WSC_OK;
}

enum wsc_status wsc_close_init(struct wsc_close *close, uint32_t code,
                               const char *reason, size_t reason_len)
{
    bool without_body = code == WSC_CLOSE_NO_STATUS_RCVD && reason_len == 0;
    if ((!without_body && !wsc_close_code_is_valid(code)) ||
        reason_len > WSC_CLOSE_REASON_MAX ||
        !wsc_utf8_is_valid((const uint8_t *)reason, reason_len)) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    set(close, code, reason, reason_len);
    return WSC_OK;
}

size_t wsc_close_encode(const struct wsc_close *close, uint8_t *out)
{
    if (close->code == WSC_CLOSE_NO_STATUS_RCVD) {
        return 0;
    }
    out[0] = (uint8_t)(close->code >> 8);
    out[1] = (uint8_t)(close->code & 0xFFU);
    memcpy(out + 2, close->reason, close->reason_len);
    return 2 + (size_t)close->reason_len;
}
