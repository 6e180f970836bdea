/* Close codes and the body of a close frame, RFC 6455 §5.5.1 and §7.4. */
#ifndef WSC_CLOSE_H
#define WSC_CLOSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* §7.4.1 and the registry of §11.7. */
enum wsc_close_code {
    WSC_CLOSE_NORMAL_CLOSURE = 1000,
    WSC_CLOSE_GOING_AWAY = 1001,
    WSC_CLOSE_PROTOCOL_ERROR = 1002,
    WSC_CLOSE_UNSUPPORTED_DATA = 1003,
    WSC_CLOSE_NO_STATUS_RCVD = 1005,   /* never on the wire: the frame had no body */
    WSC_CLOSE_ABNORMAL_CLOSURE = 1006, /* never on the wire: TCP ended first */
    WSC_CLOSE_INVALID_FRAME_PAYLOAD_DATA = 1007,
    WSC_CLOSE_POLICY_VIOLATION = 1008,
    WSC_CLOSE_MESSAGE_TOO_BIG = 1009,
    WSC_CLOSE_MANDATORY_EXTENSION = 1010,
    WSC_CLOSE_INTERNAL_ERROR = 1011,
    WSC_CLOSE_SERVICE_RESTART = 1012,
    WSC_CLOSE_TRY_AGAIN_LATER = 1013,
    WSC_CLOSE_BAD_GATEWAY = 1014,
    WSC_CLOSE_TLS_HANDSHAKE = 1015, /* never on the wire */
};

#define WSC_CLOSE_REASON_MAX 123 /* a control frame's payload less the code */

struct wsc_close {
    uint16_t code; /* WSC_CLOSE_NO_STATUS_RCVD stands for a frame without body */
    uint8_t reason_len;
    char reason[WSC_CLOSE_REASON_MAX]; /* UTF-8, not NUL-terminated */
};

/* May this code be in a close frame: 1000-1003, 1007-1014, 3000-4999. */
WSC_API bool wsc_close_code_is_valid(uint32_t code);
/* The close code that an error status calls for. */
WSC_API uint16_t wsc_close_code_for(enum wsc_status error);

/* Decode a close frame's payload. WSC_ERR_PROTOCOL: one byte, more than 125, or a code
 * that may not be on the wire; WSC_ERR_UTF8: the reason. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_close_decode(const uint8_t *payload, size_t len, struct wsc_close *out_close);
/* Check and copy. Code WSC_CLOSE_NO_STATUS_RCVD with an empty reason makes a frame
 * without body. WSC_ERR_INVALID_ARGUMENT: another code that may not be sent, a reason
 * longer than 123 bytes or not UTF-8. */
WSC_API WSC_NODISCARD enum wsc_status wsc_close_init(struct wsc_close *close,
                                                     uint32_t code, const char *reason,
                                                     size_t reason_len);
/* Write the payload, at most 125 bytes; returns its size. */
WSC_API size_t wsc_close_encode(const struct wsc_close *close, uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
