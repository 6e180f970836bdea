/* Control frames into the output (RFC 6455 §5.5). */
#include "conn_private.h"

#include <string.h>

/* Pings are answered one by one while less than this waits for the network; beyond it,
 * only the newest is (RFC 6455 §5.5.3). */
#define PONG_QUEUE_MAX 4096

enum wsc_status wsc_conn_need_control(struct wsc_conn *conn)
{
    if (conn->control == NULL) {
        conn->control = wsc_alloc(conn->config->allocator, sizeof(*conn->control));
    }
    return conn->control == NULL ? WSC_ERR_NO_MEMORY : WSC_OK;
}

enum wsc_status wsc_conn_queue_control(struct wsc_conn *conn, enum wsc_opcode opcode,
                                       const uint8_t *data, size_t len)
{
    enum wsc_status status = wsc_conn_queue_frame(conn, opcode, true, false, data, len);
    if (conn->traced && status == WSC_OK) {
        wsc_conn_note_sent(conn, opcode, true, data, len);
    }
    return status;
}

enum wsc_status
wsc_conn_queue_close(struct wsc_conn *conn, const struct wsc_close *close)
{
    uint8_t payload[WSC_CONTROL_PAYLOAD_MAX];
    size_t len = wsc_close_encode(close, payload);
    enum wsc_status status = wsc_conn_need_control(conn);
    if (status == WSC_OK) {
        status = wsc_conn_queue_control(conn, WSC_OPCODE_CLOSE, payload, len);
    }
    if (status == WSC_OK) {
        conn->control->sent = *close;
        conn->sent = &conn->control->sent;
        conn->pong_pending = false; /* RFC 6455 §5.5.1: nothing after a close frame */
    }
    return status;
}

enum wsc_status
wsc_conn_queue_pong(struct wsc_conn *conn, const uint8_t *data, size_t len)
{
    if (conn->state != WSC_CONN_OPEN) {
        return WSC_OK; /* our close frame was the last one */
    }
    if (conn->outgoing.size < PONG_QUEUE_MAX && !conn->pong_pending) {
        return wsc_conn_queue_control(conn, WSC_OPCODE_PONG, data, len);
    }
    enum wsc_status status = wsc_conn_need_control(conn);
    if (status != WSC_OK) {
        return status;
    }
    memcpy(conn->control->pong, data, len);
    conn->pong_len = (uint8_t)len;
    conn->pong_pending = true;
    return WSC_OK;
}

static enum wsc_status send_control(struct wsc_conn *conn, enum wsc_opcode opcode,
                                    const uint8_t *data, size_t len)
{
    if (len > WSC_CONTROL_PAYLOAD_MAX) {
        return WSC_ERR_INVALID_ARGUMENT;
    }
    if (conn->state != WSC_CONN_OPEN) {
        return WSC_ERR_INVALID_STATE;
    }
    return wsc_conn_queue_control(conn, opcode, data, len);
}

enum wsc_status
wsc_conn_send_ping(struct wsc_conn *conn, const uint8_t *data, size_t len)
{
    return send_control(conn, WSC_OPCODE_PING, data, len);
}

enum wsc_status
wsc_conn_send_pong(struct wsc_conn *conn, const uint8_t *data, size_t len)
{
    return send_control(conn, WSC_OPCODE_PONG, data, len);
}
