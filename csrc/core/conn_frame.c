/* One frame into the output. */
#include "conn_private.h"

#include <string.h>

#include "wsc/mask.h"

enum wsc_status wsc_conn_make_header(struct wsc_conn *conn, enum wsc_opcode opcode,
                                     bool fin, bool rsv1, uint64_t payload_len,
                                     struct wsc_frame_header *out_header)
{
    memset(out_header, 0, sizeof(*out_header));
    out_header->fin = fin;
    out_header->rsv1 = rsv1;
    out_header->opcode = (uint8_t)opcode;
    out_header->payload_len = payload_len;
    out_header->masked = conn->config->role == WSC_ROLE_CLIENT;
    return out_header->masked ? wsc_key_pool_next(conn->keys, out_header->masking_key)
                              : WSC_OK;
}

enum wsc_status wsc_conn_queue_frame(struct wsc_conn *conn, enum wsc_opcode opcode,
                                     bool fin, bool rsv1, const uint8_t *data,
                                     size_t len)
{
    struct wsc_frame_header header;
    enum wsc_status status =
        wsc_conn_make_header(conn, opcode, fin, rsv1, len, &header);
    if (status != WSC_OK) {
        return status;
    }
    if (len > SIZE_MAX - WSC_FRAME_HEADER_MAX) {
        return WSC_ERR_TOO_BIG;
    }
    uint8_t *out;
    size_t header_size = wsc_frame_header_size(len, header.masked);
    status = wsc_outgoing_reserve(&conn->outgoing, header_size + len, &out);
    if (status != WSC_OK) {
        return status;
    }
    (void)wsc_frame_header_encode(&header, out);
    /* Without a mask the key is zero. Not memcpy even then: on some processors it is
     * several times slower when the two places are a few bytes apart modulo 4 KiB, as
     * two allocations of the same size are. */
    wsc_mask_copy(out + header_size, data, len, header.masking_key, 0);
    wsc_outgoing_commit(&conn->outgoing, header_size + len);
    return WSC_OK;
}
