/* Notes of frames that were received and sent, for logs: what a person wants to see of
 * each, in their order, and never more memory than WSC_TRACE_MAX.
 *
 * Whoever handles frames notes them; whoever writes logs takes the notes when it may.
 * Storage is the caller's. Not thread-safe. */
#ifndef WSC_TRACE_H
#define WSC_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/buffer.h"
#include "wsc/frame.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Of a longer payload only the first and last bytes are kept. */
#define WSC_TRACE_FIRST 200
#define WSC_TRACE_LAST  100
/* Bytes of notes that wait to be taken; what comes then is counted. */
#define WSC_TRACE_MAX 65536

struct wsc_trace {
    struct wsc_buffer notes;
    size_t taken; /* of their bytes */
    size_t omitted;
};

/* A frame as the user sees it: not masked, not compressed. */
struct wsc_trace_frame {
    bool sent; /* or received */
    bool fin;
    enum wsc_opcode opcode;
    uint64_t payload_len;
    const uint8_t *data; /* the payload, or its first and then its last bytes */
    size_t len;
};

/* A payload in two pieces, of which `skip` bytes at the beginning are of others. */
struct wsc_trace_payload {
    const uint8_t *data[2];
    size_t len[2];
    size_t skip;
};

/* Start empty. `allocator` is borrowed for life. Allocates nothing. */
WSC_API void
wsc_trace_init(struct wsc_trace *trace, const struct wsc_allocator *allocator);
WSC_API void wsc_trace_fini(struct wsc_trace *trace);
/* Keep a note at the end. Where there is no room for it, or no memory, it is counted as
 * omitted. `frame` says what there is to say but for the payload. */
WSC_API void wsc_trace_note(struct wsc_trace *trace,
                            const struct wsc_trace_frame *frame,
                            const struct wsc_trace_payload *payload);
/* The first note that was not taken yet; borrowed until the trace changes. */
WSC_API bool wsc_trace_next(struct wsc_trace *trace, struct wsc_trace_frame *out_frame);
/* Is there anything to be taken, or omitted? */
WSC_API bool wsc_trace_has_news(const struct wsc_trace *trace);

#ifdef __cplusplus
}
#endif
#endif
