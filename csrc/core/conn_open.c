#include "conn_private.h"

#include <string.h>

enum wsc_status wsc_conn_open_next(struct wsc_conn *conn, struct wsc_event *out_event)
{
    struct wsc_conn_opening *opening = conn->opening;
    bool server = conn->config->role == WSC_ROLE_SERVER;
    /* A client has no key to check an answer against before it has asked. */
    if (opening->answer_expected || (!server && !opening->request_sent)) {
        return WSC_NEED_DATA;
    }
    if (opening->head_complete) {
        return wsc_conn_read_refusal(conn);
    }
    enum wsc_status status;
    do {
        if (conn->input_len == 0) {
            return WSC_NEED_DATA;
        }
        size_t used = 0;
        status =
            wsc_http_head_feed(&opening->head, conn->input, conn->input_len, &used);
        conn->input += used;
        conn->input_len -= used; /* a part of it, or all */
    } while (status == WSC_OK && !server && wsc_conn_skip_interim(conn));
    if (status == WSC_NEED_DATA) {
        return status;
    }
    if (status == WSC_ERR_HANDSHAKE) {
        wsc_handshake_head_failure(&opening->head, &opening->failure);
        opening->failed = true;
        return server ? wsc_conn_send_refusal(conn)
                      : wsc_conn_set_error(conn, status, opening->failure.reason);
    }
    if (status != WSC_OK) {
        return wsc_conn_set_error(conn, status, "out of memory");
    }
    opening->head_complete = true;
    return server ? wsc_conn_open_server(conn, out_event)
                  : wsc_conn_open_client(conn, out_event);
}

void wsc_conn_open_eof(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (opening == NULL || conn->error != WSC_OK) {
        return;
    }
    if (!opening->failed) {
        memset(&opening->failure, 0, sizeof(opening->failure));
        opening->failure.error = WSC_HANDSHAKE_HEAD;
        opening->failure.status = 400;
        opening->failure.reason =
            "The connection was closed before the opening handshake was complete.";
        opening->failed = true;
    }
    else if (opening->head_complete) {
        wsc_conn_end_refusal(conn); /* as far as it came */
    }
    (void)wsc_conn_set_error(conn, WSC_ERR_HANDSHAKE, opening->failure.reason);
}
