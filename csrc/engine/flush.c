#include "wsc/conn.h"
#include "wsc/engine.h"

/* RFC 6455 §7.1.1: a client waits for the server to end TCP, unless it has failed. */
static bool is_ours_to_end(const struct wsc_conn *conn)
{
    return conn->end_expected &&
           (wsc_conn_role(conn) == WSC_ROLE_SERVER || conn->error != WSC_OK);
}

enum wsc_status wsc_link_flush(struct wsc_link *link, struct wsc_conn *conn)
{
    struct wsc_outgoing *outgoing;
    enum wsc_status status = WSC_OK;
    while (status == WSC_OK && (outgoing = wsc_conn_outgoing(conn))->size > 0) {
        status = wsc_link_write(link, outgoing);
    }
    if (status == WSC_ERR_IO || wsc_link_read(link, status == WSC_OK) != WSC_OK) {
        return WSC_ERR_IO;
    }
    if (status == WSC_OK && is_ours_to_end(conn)) {
        wsc_link_end(link);
    }
    return status;
}
