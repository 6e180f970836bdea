/* What the opening handshake knows, for the rest of the connection and its owner. */
#include "conn_private.h"

enum wsc_status wsc_conn_opening_new(struct wsc_conn *conn)
{
    const struct wsc_conn_config *config = conn->config;
    struct wsc_conn_opening *opening =
        wsc_alloc_zeroed(config->allocator, sizeof(*opening));
    if (opening == NULL) {
        return WSC_ERR_NO_MEMORY;
    }
    wsc_http_head_init(&opening->head,
                       config->role == WSC_ROLE_SERVER ? WSC_HTTP_REQUEST
                                                       : WSC_HTTP_RESPONSE,
                       &config->http_limits, config->allocator);
    /* Joined header lines are never longer than the head. */
    wsc_buffer_init(&opening->scratch, config->allocator, SIZE_MAX / 2);
    conn->opening = opening;
    return WSC_OK;
}

void wsc_conn_opening_free(struct wsc_conn *conn)
{
    struct wsc_conn_opening *opening = conn->opening;
    if (opening != NULL) {
        wsc_http_head_fini(&opening->head);
        wsc_buffer_fini(&opening->scratch);
        wsc_free(conn->config->allocator, opening->protocols);
        wsc_free(conn->config->allocator, opening);
        conn->opening = NULL;
    }
}

enum wsc_status
wsc_conn_use_deflate(struct wsc_conn *conn, const struct wsc_deflate_params *params)
{
    const struct wsc_conn_config *config = conn->config;
    enum wsc_status status =
        wsc_deflate_new(config->allocator, config->deflate_pool, config->role,
                        config->deflate, params, &conn->deflate);
    if (status == WSC_OK) {
        conn->deflate_params = *params;
        conn->parser.allow_rsv1 = true;
        conn->assembler.deflate = conn->deflate;
    }
    return status;
}

void wsc_conn_drop_deflate(struct wsc_conn *conn)
{
    wsc_deflate_free(conn->deflate);
    conn->deflate = NULL;
    conn->parser.allow_rsv1 = false;
    conn->assembler.deflate = NULL;
}

const struct wsc_http_head *wsc_conn_head(const struct wsc_conn *conn)
{
    return conn->opening != NULL && conn->opening->head_complete ? &conn->opening->head
                                                                 : NULL;
}

const struct wsc_handshake_failure *wsc_conn_failure(const struct wsc_conn *conn)
{
    return conn->opening != NULL && conn->opening->failed ? &conn->opening->failure
                                                          : NULL;
}

const struct wsc_handshake_request *wsc_conn_request(const struct wsc_conn *conn)
{
    return conn->opening != NULL && conn->opening->answer_expected
               ? &conn->opening->request
               : NULL;
}

const struct wsc_handshake_answer *wsc_conn_answer(const struct wsc_conn *conn)
{
    return conn->opening != NULL ? &conn->opening->answer : NULL;
}

struct wsc_str wsc_conn_response_body(const struct wsc_conn *conn)
{
    struct wsc_str body = {NULL, 0};
    if (conn->opening != NULL && conn->opening->failed &&
        conn->opening->failure.error == WSC_HANDSHAKE_STATUS) {
        body.data = (const char *)conn->opening->scratch.data;
        body.len = conn->opening->scratch.len;
    }
    return body;
}
