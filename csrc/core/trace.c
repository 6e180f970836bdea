#include "wsc/trace.h"

#include <string.h>

/* Notes lie behind each other: this, and `len` bytes of the payload. */
struct note {
    uint64_t payload_len;
    uint16_t len;
    uint8_t opcode;
    bool fin;
    bool sent;
};

void wsc_trace_init(struct wsc_trace *trace, const struct wsc_allocator *allocator)
{
    wsc_buffer_init(&trace->notes, allocator, WSC_TRACE_MAX);
    trace->taken = 0;
    trace->omitted = 0;
}

void wsc_trace_fini(struct wsc_trace *trace)
{
    wsc_buffer_fini(&trace->notes);
    trace->taken = 0;
    trace->omitted = 0;
}

/* Append the bytes from `begin` on, `len` of them. There is room. */
static void append(struct wsc_buffer *notes, const struct wsc_trace_payload *payload,
                   size_t begin, size_t len)
{
    begin += payload->skip;
    for (size_t i = 0; i < 2 && len > 0; i++) {
        size_t there = wsc_left(payload->len[i], begin);
        size_t n = there < len ? there : len;
        if (n > 0) {
            memcpy(notes->data + notes->len, payload->data[i] + begin, n);
            notes->len += n;
            len -= n;
        }
        begin = wsc_left(begin + n, payload->len[i]);
    }
}

void wsc_trace_note(struct wsc_trace *trace, const struct wsc_trace_frame *frame,
                    const struct wsc_trace_payload *payload)
{
    size_t total = payload->len[0] + payload->len[1] - payload->skip;
    bool whole = total <= WSC_TRACE_FIRST + WSC_TRACE_LAST;
    size_t first = whole ? total : WSC_TRACE_FIRST;
    size_t last = whole ? 0 : WSC_TRACE_LAST;
    struct note note;
    memset(&note, 0, sizeof(note));
    note.payload_len = total;
    note.len = (uint16_t)(first + last);
    note.opcode = (uint8_t)frame->opcode;
    note.fin = frame->fin;
    note.sent = frame->sent;
    if (wsc_buffer_reserve(&trace->notes, sizeof(note) + note.len) != WSC_OK) {
        trace->omitted++;
        return;
    }
    memcpy(trace->notes.data + trace->notes.len, &note, sizeof(note));
    trace->notes.len += sizeof(note);
    append(&trace->notes, payload, 0, first);
    append(&trace->notes, payload, total - last, last);
}

bool wsc_trace_next(struct wsc_trace *trace, struct wsc_trace_frame *out_frame)
{
    struct note note;
    if (trace->taken == trace->notes.len) {
        return false;
    }
    memcpy(&note, trace->notes.data + trace->taken, sizeof(note));
    trace->taken += sizeof(note);
    out_frame->sent = note.sent;
    out_frame->fin = note.fin;
    out_frame->opcode = (enum wsc_opcode)note.opcode;
    out_frame->payload_len = note.payload_len;
    out_frame->data = trace->notes.data + trace->taken;
    out_frame->len = note.len;
    trace->taken += note.len;
    return true;
}

bool wsc_trace_has_news(const struct wsc_trace *trace)
{
    return trace->taken < trace->notes.len || trace->omitted > 0;
}
