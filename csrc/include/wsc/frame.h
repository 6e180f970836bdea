/* The frame header codec, RFC 6455 §5.2. Pure functions over the caller's memory. */
#ifndef WSC_FRAME_H
#define WSC_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which end of the connection this is: a client masks, a server does not (§5.1). */
enum wsc_role {
    WSC_ROLE_SERVER,
    WSC_ROLE_CLIENT,
};

/* §5.2, §11.8 */
enum wsc_opcode {
    WSC_OPCODE_CONTINUATION = 0x0,
    WSC_OPCODE_TEXT = 0x1,
    WSC_OPCODE_BINARY = 0x2,
    WSC_OPCODE_CLOSE = 0x8,
    WSC_OPCODE_PING = 0x9,
    WSC_OPCODE_PONG = 0xA,
};

static inline bool wsc_opcode_is_control(uint8_t opcode)
{
    return (opcode & 0x8U) != 0;
}

#define WSC_FRAME_HEADER_MAX    14  /* 2 + 8 of length + 4 of masking key */
#define WSC_CONTROL_PAYLOAD_MAX 125 /* §5.5 */
#define WSC_PAYLOAD_LEN_MAX     (UINT64_MAX >> 1) /* most significant bit MUST be 0 */

struct wsc_frame_header {
    bool fin;
    bool rsv1;
    bool rsv2;
    bool rsv3;
    bool masked;
    uint8_t opcode;         /* 4 bits, reserved values included */
    uint8_t masking_key[4]; /* all zero when not masked */
    uint64_t payload_len;
};

/* Decode a header from the first bytes of a frame.
 * WSC_OK: *out_header and *out_size (2 to WSC_FRAME_HEADER_MAX bytes) are set.
 * WSC_NEED_DATA: `len` bytes are a correct beginning.
 * WSC_ERR_PROTOCOL, as soon as the bytes at hand show it: a control frame longer than
 * 125 bytes or fragmented, a reserved opcode, a length not in its minimal form, or one
 * with the most significant bit set. RSV bits, masking by role and the place in a
 * message depend on the connection: the parser checks them. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_frame_header_decode(const uint8_t *data, size_t len,
                        struct wsc_frame_header *out_header, size_t *out_size);

/* How many bytes the header of such a frame takes: 2 to WSC_FRAME_HEADER_MAX. */
WSC_API size_t wsc_frame_header_size(uint64_t payload_len, bool masked);
/* Write the header, wsc_frame_header_size() bytes; returns that size. `payload_len` is
 * at most WSC_PAYLOAD_LEN_MAX. */
WSC_API size_t wsc_frame_header_encode(const struct wsc_frame_header *header,
                                       uint8_t *out);

#ifdef __cplusplus
}
#endif
#endif
