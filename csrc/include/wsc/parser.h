/* Bytes to frames: finds the frames in the input, in whatever pieces it comes, and
 * checks the rules that need no payload: masking by role (RFC 6455 §5.1), RSV bits
 * (§5.2), the order of fragments (§5.4). Copies nothing but an incomplete header. */
#ifndef WSC_PARSER_H
#define WSC_PARSER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/frame.h"
#include "wsc/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A piece of one frame's payload, still masked. */
struct wsc_slice {
    const uint8_t *data; /* into the input; borrowed as the input is */
    size_t len;          /* may be 0, for example when only the header has come */
    uint64_t offset;     /* of data[0] in the payload, for the masking key's phase */
    bool begins;         /* the frame's header has just been read */
    bool ends;           /* nothing of this frame is missing */
};

struct wsc_parser {
    struct wsc_frame_header header; /* of the current frame, valid after a slice */
    const char *reason;             /* after an error: what was wrong; static */

    /* Private. */
    uint64_t offset; /* payload bytes of the current frame given out */
    uint8_t partial[WSC_FRAME_HEADER_MAX];
    uint8_t partial_len;
    bool in_frame;
    bool in_message; /* between the first and the last frame of a message */
    bool allow_rsv1; /* permessage-deflate was agreed (RFC 7692 §6) */
    bool want_masked;
};

/* Start before a frame. `role` is this end's: a server wants masked frames. */
WSC_API void
wsc_parser_init(struct wsc_parser *parser, enum wsc_role role, bool allow_rsv1);
/* Take the next slice from *data, *len, which are moved past what was used.
 * WSC_OK with *out_slice; WSC_NEED_DATA: *len is 0 now. WSC_ERR_PROTOCOL as soon as the
 * bytes at hand show it; sticky only by the caller's care: do not call again. */
WSC_API WSC_NODISCARD enum wsc_status wsc_parser_next(struct wsc_parser *parser,
                                                      const uint8_t **data, size_t *len,
                                                      struct wsc_slice *out_slice);

#ifdef __cplusplus
}
#endif
#endif
