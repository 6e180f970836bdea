/* Notes of what goes in and out, for who writes a log of it. */
#include "conn_private.h"

#include <string.h>

static struct wsc_conn_traced *traced(const struct wsc_conn *conn)
{
    void *block = conn->keys; /* its first member */
    return block;
}

void wsc_conn_free_keys(struct wsc_conn *conn)
{
    if (conn->traced) {
        wsc_trace_fini(&traced(conn)->trace);
    }
    wsc_free(conn->config->allocator, conn->keys);
    conn->keys = NULL;
    conn->traced = false;
}

enum wsc_status wsc_conn_start_trace(struct wsc_conn *conn)
{
    if (conn->traced) {
        return WSC_OK;
    }
    struct wsc_conn_traced *block = wsc_alloc(conn->config->allocator, sizeof(*block));
    if (block == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    memset(block, 0, sizeof(*block));
    wsc_trace_init(&block->trace, conn->config->allocator);
    if (conn->keys != NULL) {
        block->keys = *conn->keys;
    }
    wsc_conn_free_keys(conn);
    conn->keys = &block->keys;
    conn->traced = true;
    return WSC_OK;
}

bool wsc_conn_has_trace(const struct wsc_conn *conn)
{
    return conn->traced && wsc_trace_has_news(&traced(conn)->trace);
}

void wsc_conn_take_trace(struct wsc_conn *conn, struct wsc_trace *out_trace)
{
    wsc_trace_init(out_trace, conn->config->allocator);
    if (conn->traced) {
        *out_trace = traced(conn)->trace;
        wsc_trace_init(&traced(conn)->trace, conn->config->allocator);
    }
}

void wsc_conn_note_sent(struct wsc_conn *conn, enum wsc_opcode opcode, bool fin,
                        const uint8_t *data, size_t len)
{
    struct wsc_trace_frame frame = {.sent = true, .fin = fin, .opcode = opcode};
    struct wsc_trace_payload payload = {.data = {data}, .len = {len}};
    wsc_trace_note(&traced(conn)->trace, &frame, &payload);
}

static void
note_incoming(struct wsc_conn *conn, const struct wsc_trace_payload *payload)
{
    const struct wsc_frame_header *header = &conn->parser.header;
    struct wsc_trace_frame frame = {
        .fin = header->fin,
        .opcode = (enum wsc_opcode)header->opcode,
    };
    wsc_trace_note(&traced(conn)->trace, &frame, payload);
}

void wsc_conn_note_received(struct wsc_conn *conn, const uint8_t *data, size_t len)
{
    struct wsc_trace_payload payload = {.data = {data}, .len = {len}};
    note_incoming(conn, &payload);
}

enum wsc_status wsc_conn_add_traced(struct wsc_conn *conn,
                                    const struct wsc_slice *slice,
                                    struct wsc_message *out_message)
{
    struct wsc_assembler *assembler = &conn->assembler;
    struct wsc_trace_payload payload;
    if (slice->begins) {
        traced(conn)->frame_begin = assembler->len;
    }
    enum wsc_status status =
        wsc_assembler_add(assembler, &conn->parser.header, slice, out_message);
    if (status < 0 || !slice->ends) {
        return status;
    }
    memset(&payload, 0, sizeof(payload));
    if (status == WSC_OK) {
        payload.data[0] = out_message->data;
        payload.len[0] = out_message->len;
    }
    /* Of a fragment that is given out, the rest of a code point stays behind. */
    payload.data[1] = assembler->data;
    payload.len[1] = assembler->len;
    payload.skip = traced(conn)->frame_begin;
    note_incoming(conn, &payload);
    return status;
}
