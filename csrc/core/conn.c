#include "conn_private.h"

#include <string.h>

#include "wsc/mask.h"

/* --- life --- */

/* Only a client masks (RFC 6455 §5.3). */
static enum wsc_status keys_new(struct wsc_conn *conn)
{
    if (conn->config->role == WSC_ROLE_SERVER) {
        return WSC_OK;
    }
    conn->keys = wsc_alloc(conn->config->allocator, sizeof(*conn->keys));
    if (conn->keys == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_key_pool_init(conn->keys);
    return WSC_OK;
}

enum wsc_status
wsc_conn_init(struct wsc_conn *conn, const struct wsc_conn_config *config)
{
    memset(conn, 0, sizeof(*conn));
    if (config->max_size > WSC_MESSAGE_SIZE_MAX ||
        (config->deflate != NULL &&
         wsc_deflate_settings_check(config->deflate) != WSC_OK)) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    conn->config = config;
    wsc_parser_init(&conn->parser, config->role, false);
    wsc_assembler_init(&conn->assembler, config->payload_memory, config->max_size,
                       NULL);
    wsc_outgoing_init(&conn->outgoing, config->allocator);
    enum wsc_status status = keys_new(conn);
    if (status == WSC_OK) {
        status = wsc_conn_opening_new(conn);
    }
    if (status != WSC_OK) {
        wsc_conn_free_keys(conn);
    }
    return status;
}

void wsc_conn_fini(struct wsc_conn *conn)
{
    wsc_conn_stop_reading(conn);
    wsc_conn_opening_free(conn);
    wsc_conn_free_keys(conn);
    wsc_conn_drop_deflate(conn);
    wsc_outgoing_fini(&conn->outgoing);
    wsc_free(conn->config->allocator, conn->control);
    conn->control = NULL;
    conn->received = NULL;
    conn->sent = NULL;
    conn->state = WSC_CONN_CLOSED;
}

void wsc_conn_feed_eof(struct wsc_conn *conn)
{
    if (conn->state == WSC_CONN_CONNECTING) {
        wsc_conn_open_eof(conn);
    }
    wsc_conn_stop_reading(conn);
    conn->state = WSC_CONN_CLOSED;
    conn->end_expected = true;
    conn->pong_pending = false;
}

size_t wsc_conn_deflate_memory(const struct wsc_conn *conn)
{
    return conn->deflate == NULL ? 0 : wsc_deflate_memory(conn->deflate);
}

void wsc_conn_release_idle(struct wsc_conn *conn)
{
    if (conn->deflate != NULL) {
        wsc_deflate_release_idle(conn->deflate);
    }
}

bool wsc_conn_deflate_params(const struct wsc_conn *conn,
                             struct wsc_deflate_params *out_params)
{
    if (conn->deflate == NULL) {
        return false;
    }
    *out_params = conn->deflate_params;
    return true;
}

struct wsc_deflate_traffic wsc_conn_compressed(const struct wsc_conn *conn)
{
    static const struct wsc_deflate_traffic none;
    return conn->deflate == NULL ? none : *wsc_deflate_traffic(conn->deflate);
}

/* --- receiving --- */

enum wsc_status wsc_conn_feed(struct wsc_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->input_len > 0) {
        return WSC_ERR_INVALID_STATE;
    }
    conn->bytes_received += len;
    /* RFC 6455 §5.5.1, §7.1.7: after a close frame or a failure, what comes is ignored
     */
    if (!conn->end_expected && conn->received == NULL && conn->error == WSC_OK) {
        conn->input = data;
        conn->input_len = len;
    }
    return WSC_OK;
}

bool wsc_conn_receives_large(const struct wsc_conn *conn)
{
    const struct wsc_parser *parser = &conn->parser;
    /* The offset is within the payload, in a frame and behind it. */
    return parser->in_frame && !conn->end_expected && conn->error == WSC_OK &&
           conn->input_len == 0 &&
           parser->header.payload_len - parser->offset >= WSC_DIRECT_MIN;
}

uint8_t *wsc_conn_receive_space(struct wsc_conn *conn, size_t *out_len)
{
    /* No control frame has so long a payload. */
    return wsc_conn_receives_large(conn)
               ? wsc_assembler_space(
                     &conn->assembler, &conn->parser.header,
                     conn->parser.header.payload_len - conn->parser.offset, out_len)
               : NULL;
}

void wsc_conn_move_input(struct wsc_conn *conn, const uint8_t *data)
{
    conn->input = data;
}

void wsc_conn_answer_by_hand(struct wsc_conn *conn, bool pings, bool close)
{
    conn->pings_by_hand = pings;
    conn->close_by_hand = close;
}

void wsc_conn_set_max_plain_size(struct wsc_conn *conn, size_t size)
{
    size_t max_size = conn->assembler.max_size;
    conn->assembler.max_plain_size = size < max_size ? size : max_size;
}

void wsc_conn_set_streaming(struct wsc_conn *conn, bool streaming)
{
    conn->assembler.streaming = streaming;
}

static enum wsc_status receive_close(struct wsc_conn *conn)
{
    struct wsc_conn_control *control = conn->control;
    enum wsc_status status =
        wsc_close_decode(control->incoming, conn->control_len, &control->received);
    if (status != WSC_OK) {
        return wsc_conn_set_error(conn, status,
                                  status == WSC_ERR_UTF8
                                      ? "invalid UTF-8 in a close reason"
                                      : "invalid close frame");
    }
    conn->received = &control->received;
    conn->close_received_first = conn->sent == NULL;
    if (conn->sent == NULL && conn->close_by_hand) {
        wsc_conn_stop_reading(conn);
        return WSC_OK;
    }
    if (conn->sent == NULL) {
        /* RFC 6455 §5.5.1: the answer echoes the status code, and the reason with it.
         * Without memory for it there is none, and TCP ends all the same. */
        status = wsc_conn_queue_close(conn, &control->received);
    }
    wsc_conn_stop_reading(conn);
    conn->state = WSC_CONN_CLOSING;
    conn->end_expected = true;
    return WSC_OK;
}

static enum wsc_status
receive_control(struct wsc_conn *conn, struct wsc_event *out_event)
{
    out_event->data = conn->control->incoming;
    out_event->len = conn->control_len;
    if (conn->traced) {
        wsc_conn_note_received(conn, out_event->data, out_event->len);
    }
    switch (conn->parser.header.opcode) {
    case WSC_OPCODE_PING: {
        out_event->type = WSC_EVENT_PING;
        if (conn->pings_by_hand) {
            return WSC_OK;
        }
        enum wsc_status status =
            wsc_conn_queue_pong(conn, conn->control->incoming, conn->control_len);
        return status == WSC_OK ? WSC_OK
                                : wsc_conn_set_error(conn, status, "out of memory");
    }
    case WSC_OPCODE_PONG:
        out_event->type = WSC_EVENT_PONG;
        return WSC_OK;
    case WSC_OPCODE_CLOSE:
        out_event->type = WSC_EVENT_CLOSE;
        return receive_close(conn);
    default:
        /* The parser lets no other control opcode through. */
        return wsc_conn_set_error(conn, WSC_ERR_PROTOCOL, "reserved opcode");
    }
}

static enum wsc_status add_control(struct wsc_conn *conn, const struct wsc_slice *slice,
                                   struct wsc_event *out_event)
{
    if (slice->begins) {
        conn->control_len = 0;
        if (wsc_conn_need_control(conn) != WSC_OK) {
            return wsc_conn_set_error(conn, WSC_ERR_NO_MEMORY, "out of memory");
        }
    }
    wsc_mask_copy(conn->control->incoming + conn->control_len, slice->data, slice->len,
                  conn->parser.header.masking_key, (size_t)slice->offset);
    conn->control_len = (uint8_t)(conn->control_len + slice->len);
    return slice->ends ? receive_control(conn, out_event) : WSC_NEED_DATA;
}

static enum wsc_status add_data(struct wsc_conn *conn, const struct wsc_slice *slice,
                                struct wsc_event *out_event)
{
    out_event->type = WSC_EVENT_MESSAGE;
    enum wsc_status status =
        conn->traced ? wsc_conn_add_traced(conn, slice, &out_event->message)
                     : wsc_assembler_add(&conn->assembler, &conn->parser.header, slice,
                                         &out_event->message);
    return status < 0 ? wsc_conn_set_error(conn, status, conn->assembler.reason)
                      : status;
}

/* The last control frame has been looked at, and none is on its way. */
static void release_control(struct wsc_conn *conn)
{
    bool coming =
        conn->parser.in_frame && wsc_opcode_is_control(conn->parser.header.opcode);
    if (!coming && !conn->pong_pending && conn->received == NULL &&
        conn->sent == NULL) {
        wsc_free(conn->config->allocator, conn->control);
        conn->control = NULL;
    }
}

static enum wsc_status
next_frame_event(struct wsc_conn *conn, struct wsc_event *out_event)
{
    struct wsc_slice slice;
    if (conn->control != NULL) {
        release_control(conn);
    }
    for (;;) {
        enum wsc_status status =
            wsc_parser_next(&conn->parser, &conn->input, &conn->input_len, &slice);
        if (status == WSC_NEED_DATA) {
            return status;
        }
        if (status != WSC_OK) {
            return wsc_conn_set_error(conn, status, conn->parser.reason);
        }
        if (wsc_opcode_is_control(conn->parser.header.opcode)) {
            status = add_control(conn, &slice, out_event);
        }
        else {
            status = add_data(conn, &slice, out_event);
        }
        if (status != WSC_NEED_DATA) {
            return status;
        }
    }
}

enum wsc_status wsc_conn_next_event(struct wsc_conn *conn, struct wsc_event *out_event)
{
    if (conn->error != WSC_OK) {
        return conn->error;
    }
    if (conn->state == WSC_CONN_CONNECTING) {
        return wsc_conn_open_next(conn, out_event);
    }
    if (conn->opening != NULL && conn->state == WSC_CONN_OPEN) {
        wsc_conn_opening_free(conn);
    }
    if (conn->end_expected || conn->received != NULL) {
        return WSC_NEED_DATA;
    }
    return next_frame_event(conn, out_event);
}

/* --- output --- */

struct wsc_outgoing *wsc_conn_outgoing(struct wsc_conn *conn)
{
    if (conn->pong_pending && conn->outgoing.size == 0) {
        conn->pong_pending = false;
        if (wsc_conn_queue_control(conn, WSC_OPCODE_PONG, conn->control->pong,
                                   conn->pong_len) != WSC_OK) {
            conn->pong_pending = true; /* again, when there is memory */
        }
    }
    return &conn->outgoing;
}

bool wsc_conn_wants_send(const struct wsc_conn *conn)
{
    return conn->outgoing.size > 0 || conn->pong_pending;
}

void wsc_conn_sent(struct wsc_conn *conn, size_t len)
{
    wsc_outgoing_consume(&conn->outgoing, len);
}
