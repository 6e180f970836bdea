/* The ways in which a connection comes to its end: an error of the peer's, failing it,
 * the closing handshake from this end. */
#include "conn_private.h"

#include <string.h>

void wsc_conn_stop_reading(struct wsc_conn *conn)
{
    conn->input = NULL;
    conn->input_len = 0;
    wsc_assembler_fini(&conn->assembler);
}

static size_t append(char *out, size_t len, struct wsc_str text)
{
    size_t more =
        text.len < WSC_CLOSE_REASON_MAX - len ? text.len : WSC_CLOSE_REASON_MAX - len;
    memcpy(out + len, text.data, more);
    return len + more;
}

size_t
wsc_conn_describe_error(const struct wsc_conn *conn, char out[WSC_CLOSE_REASON_MAX])
{
    if (conn->error != WSC_ERR_TOO_BIG) {
        return append(out, 0, wsc_str_of(conn->error_reason));
    }
    char digits[20];
    struct wsc_str number = {digits + sizeof(digits), 0};
    size_t limit = conn->assembler.max_size;
    do {
        digits[sizeof(digits) - ++number.len] = (char)('0' + limit % 10);
        number.data--;
        limit /= 10;
    } while (limit > 0);
    size_t len = append(out, 0, wsc_str_of("message exceeds limit of "));
    len = append(out, len, number);
    return append(out, len, wsc_str_of(" bytes"));
}

static void fail_for_error(struct wsc_conn *conn)
{
    char reason[WSC_CLOSE_REASON_MAX];
    size_t len = wsc_conn_describe_error(conn, reason);
    uint16_t code = wsc_close_code_for(conn->error);
    /* Without memory for the close frame, the carrier still ends the connection. */
    if (wsc_conn_fail(conn, code, reason, len) != WSC_OK) {
        conn->state =
            conn->state == WSC_CONN_CLOSED ? WSC_CONN_CLOSED : WSC_CONN_CLOSING;
        conn->end_expected = true;
    }
}

enum wsc_status
wsc_conn_set_error(struct wsc_conn *conn, enum wsc_status error, const char *reason)
{
    conn->error = error;
    conn->error_reason = reason;
    if (conn->failure_on_hold && conn->state == WSC_CONN_OPEN) {
        wsc_conn_stop_reading(conn);
        return error;
    }
    fail_for_error(conn);
    return error;
}

void wsc_conn_hold_failure(struct wsc_conn *conn, bool hold)
{
    conn->failure_on_hold = hold;
    if (!hold && conn->error != WSC_OK && !conn->end_expected) {
        fail_for_error(conn);
    }
}

enum wsc_status wsc_conn_fail(struct wsc_conn *conn, uint32_t code, const char *reason,
                              size_t reason_len)
{
    struct wsc_close close;
    enum wsc_status status = wsc_close_init(&close, code, reason, reason_len);
    if (status != WSC_OK) {
        return status;
    }
    wsc_conn_stop_reading(conn);
    if (conn->state == WSC_CONN_OPEN) {
        status = wsc_conn_queue_close(conn, &close);
    }
    if (conn->state != WSC_CONN_CLOSED) {
        conn->state = WSC_CONN_CLOSING;
    }
    conn->end_expected = true;
    return status;
}

enum wsc_status wsc_conn_send_close(struct wsc_conn *conn, uint32_t code,
                                    const char *reason, size_t reason_len)
{
    struct wsc_close close;
    enum wsc_status status = wsc_close_init(&close, code, reason, reason_len);
    if (status != WSC_OK) {
        return status;
    }
    if (conn->state == WSC_CONN_CONNECTING) {
        return WSC_ERR_INVALID_STATE;
    }
    if (conn->state == WSC_CONN_OPEN) {
        status = wsc_conn_queue_close(conn, &close);
        if (status == WSC_OK) {
            conn->state = WSC_CONN_CLOSING;
            conn->end_expected = conn->received != NULL;
        }
    }
    return status;
}
