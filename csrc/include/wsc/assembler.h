/* Frames to messages: joins fragments, unmasks, inflates, validates UTF-8 as it comes,
 * and keeps to the limits before memory is spent (RFC 6455 §5.4, §8.1; RFC 7692 §7.2).
 */
#ifndef WSC_ASSEMBLER_H
#define WSC_ASSEMBLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/deflate.h"
#include "wsc/frame.h"
#include "wsc/parser.h"
#include "wsc/payload.h"
#include "wsc/status.h"
#include "wsc/utf8.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Frames of one message in a row that may bring no payload. */
#define WSC_EMPTY_FRAMES_MAX 1024
/* The most that "no limit" means. */
#define WSC_MESSAGE_SIZE_MAX (SIZE_MAX / 4)
/* The limit of who sets none. */
#define WSC_MESSAGE_SIZE_DEFAULT ((size_t)1 << 20)

/* A message, or in streaming mode one fragment of it. */
struct wsc_message {
    enum wsc_payload_kind kind;
    uint8_t *data; /* from the payload memory, exactly `len` bytes; NULL if empty;
                      transferred to the caller */
    size_t len;
    bool ascii;      /* text: no byte above 0x7f */
    bool fin;        /* the last (or only) fragment */
    bool compressed; /* it came with RSV1 */
};

/* The opcode to send such a message with. */
static inline enum wsc_opcode wsc_message_opcode(const struct wsc_message *message)
{
    return message->kind == WSC_PAYLOAD_TEXT ? WSC_OPCODE_TEXT : WSC_OPCODE_BINARY;
}

struct wsc_assembler {
    const struct wsc_payload_memory *memory; /* borrowed for life */
    struct wsc_deflate *deflate;             /* borrowed; NULL when not agreed */
    size_t max_size;                         /* bytes of a message, inflated */
    size_t max_plain_size; /* the same for one that comes uncompressed; max_size unless
                              it is set, any time, to less */
    const char *reason;    /* after an error: what was wrong; static */

    /* Private. */
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t total;      /* message bytes so far, those given out included */
    uint64_t wire_len; /* payload bytes announced for this message, if compressed */
    uint16_t empty_frames;
    uint8_t kind; /* enum wsc_payload_kind */
    struct wsc_utf8 utf8;
    bool ascii;
    bool compressed;

    /* Public, and here for the sake of size: give out a fragment at each frame's end;
     * may be changed any time. */
    bool streaming;
};

/* Start before a message. `deflate` is NULL when not agreed. Allocates nothing. */
WSC_API void wsc_assembler_init(struct wsc_assembler *assembler,
                                const struct wsc_payload_memory *memory,
                                size_t max_size, struct wsc_deflate *deflate);
/* Free what has been joined so far. */
WSC_API void wsc_assembler_fini(struct wsc_assembler *assembler);

/* Payloads with less than that to come are copied from where they were received. */
#ifndef WSC_DIRECT_MIN
#define WSC_DIRECT_MIN ((size_t)32 << 10)
#endif
/* In the middle of an uncompressed payload, `missing` bytes of it to come: where the
 * next *out_len of them belong. They may be received there, and a slice be made of
 * them. NULL: there is no room for WSC_DIRECT_MIN. */
WSC_API uint8_t *wsc_assembler_space(struct wsc_assembler *assembler,
                                     const struct wsc_frame_header *header,
                                     uint64_t missing, size_t *out_len);

/* Take one slice of a data frame (text, binary, continuation).
 * WSC_OK: *out_message is complete (or is a fragment, when streaming).
 * WSC_NEED_DATA: it is not. WSC_ERR_TOO_BIG at the header that would pass the limit, at
 * the next slice when the limit was lowered, or at the byte inflated past it;
 * WSC_ERR_UTF8 at the first bad byte; WSC_ERR_POLICY; WSC_ERR_PROTOCOL (compressed
 * data); WSC_ERR_NO_MEMORY. After an error the joined bytes have been freed. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_assembler_add(struct wsc_assembler *assembler,
                  const struct wsc_frame_header *header, const struct wsc_slice *slice,
                  struct wsc_message *out_message);

#ifdef __cplusplus
}
#endif
#endif
