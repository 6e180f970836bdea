#include "conn_private.h"

#include <string.h>

/* Below this, copying a payload is cheaper than a separate piece of output. */
#define REFERENCE_MIN 16384
/* The same for a frame that is there already, behind others. */
#define SHARE_MIN 4096

static const char out_of_step[] = "the compressor is out of step";

/* An error while compressing leaves the peer's window unknown: no message after it
 * could be read. */
static enum wsc_status fail_compressed(struct wsc_conn *conn, enum wsc_status status)
{
    conn->error = status;
    conn->error_reason = out_of_step;
    if (wsc_conn_fail(conn, WSC_CLOSE_INTERNAL_ERROR, out_of_step,
                      sizeof(out_of_step) - 1) != WSC_OK) {
        conn->state = WSC_CONN_CLOSING;
        conn->end_expected = true;
    }
    return status;
}

static void count_sent(struct wsc_conn *conn, size_t payload_len, size_t len)
{
    struct wsc_deflate_traffic *traffic = wsc_deflate_traffic(conn->deflate);
    traffic->sent += payload_len;
    traffic->deflated += len;
}

static enum wsc_status queue_compressed(struct wsc_conn *conn, enum wsc_opcode opcode,
                                        bool fin, const uint8_t *data, size_t len)
{
    struct wsc_buffer payload;
    wsc_buffer_init(&payload, conn->config->allocator, SIZE_MAX / 2);
    enum wsc_status status =
        wsc_deflate_compress(conn->deflate, data, len, fin, &payload);
    if (status == WSC_OK) {
        status =
            wsc_conn_queue_frame(conn, opcode, fin, opcode != WSC_OPCODE_CONTINUATION,
                                 payload.data, payload.len);
        count_sent(conn, payload.len, len);
    }
    wsc_buffer_fini(&payload);
    return status == WSC_OK ? WSC_OK : fail_compressed(conn, status);
}

static enum wsc_status queue_reference(struct wsc_conn *conn, enum wsc_opcode opcode,
                                       bool fin, const struct wsc_reference *reference)
{
    struct wsc_frame_header header;
    uint8_t bytes[WSC_FRAME_HEADER_MAX];
    enum wsc_status status =
        wsc_conn_make_header(conn, opcode, fin, false, reference->len, &header);
    if (status != WSC_OK) {
        return status;
    }
    size_t header_size = wsc_frame_header_encode(&header, bytes);
    return wsc_outgoing_append_reference(&conn->outgoing, bytes, header_size,
                                         reference);
}

static bool is_compressed(const struct wsc_conn *conn, enum wsc_opcode opcode,
                          size_t len, enum wsc_compress compress)
{
    if (opcode == WSC_OPCODE_CONTINUATION) {
        return conn->sending_compressed;
    }
    if (conn->deflate == NULL || compress == WSC_COMPRESS_NEVER) {
        return false;
    }
    return wsc_deflate_wants(conn->deflate,
                             compress == WSC_COMPRESS_ALWAYS ? SIZE_MAX : len);
}

enum wsc_status
wsc_conn_send(struct wsc_conn *conn, enum wsc_opcode opcode, const uint8_t *data,
              size_t len, bool fin, enum wsc_compress compress,
              const struct wsc_reference *reference, bool *out_referenced)
{
    enum wsc_status status;
    if (out_referenced != NULL) {
        *out_referenced = false;
    }
    /* RFC 6455 §5.4: continuation frames follow an unfinished message, and only it */
    if (conn->state != WSC_CONN_OPEN || wsc_opcode_is_control((uint8_t)opcode) ||
        conn->sending_message != (opcode == WSC_OPCODE_CONTINUATION)) {
        return WSC_ERR_INVALID_STATE;
    }
    /* The first fragment of a message says nothing of its size. */
    bool compressed = is_compressed(conn, opcode, fin ? len : SIZE_MAX, compress);
    if (compressed) {
        status = queue_compressed(conn, opcode, fin, data, len);
    }
    else if (reference != NULL && len >= REFERENCE_MIN &&
             conn->config->role == WSC_ROLE_SERVER) {
        status = queue_reference(conn, opcode, fin, reference);
        if (status == WSC_OK && out_referenced != NULL) {
            *out_referenced = true;
        }
    }
    else {
        status = wsc_conn_queue_frame(conn, opcode, fin, false, data, len);
    }
    if (status == WSC_OK) {
        if (conn->traced) {
            wsc_conn_note_sent(conn, opcode, fin, data, len);
        }
        conn->messages_sent += fin;
        conn->sending_message = !fin;
        conn->sending_compressed = compressed;
    }
    return status;
}

/* --- messages to many --- */

static struct wsc_shared_key key_of(const struct wsc_conn *conn, bool compressed)
{
    struct wsc_shared_key key;
    memset(&key, 0, sizeof(key));
    if (compressed) {
        key.compressed = true;
        key.window_bits = conn->deflate_params.server_max_window_bits;
        key.level = conn->config->deflate->level;
        key.mem_level = conn->config->deflate->mem_level;
    }
    return key;
}

static enum wsc_status queue_shared(struct wsc_conn *conn,
                                    const struct wsc_shared_memory *memory,
                                    const struct wsc_shared_frame *frame)
{
    if (conn->outgoing.size > 0 && frame->len < SHARE_MIN) {
        uint8_t *out;
        enum wsc_status status =
            wsc_outgoing_reserve(&conn->outgoing, frame->len, &out);
        if (status == WSC_OK) {
            memcpy(out, frame->data, frame->len);
            wsc_outgoing_commit(&conn->outgoing, frame->len);
        }
        return status;
    }
    struct wsc_reference reference = {
        .data = frame->data,
        .len = frame->len,
        .ctx = frame->owner,
        .release = memory->release,
    };
    enum wsc_status status =
        wsc_outgoing_append_reference(&conn->outgoing, NULL, 0, &reference);
    if (status == WSC_OK) {
        memory->hold(frame->owner);
    }
    return status;
}

#if defined(__GNUC__)
#define PREFETCH(address) __builtin_prefetch(address)
#else
#define PREFETCH(address) ((void)(address))
#endif

void wsc_conn_prefetch(const struct wsc_conn *conn)
{
    PREFETCH(&conn->state);
    PREFETCH(&conn->messages_sent);
    PREFETCH(&conn->sending_message);
    PREFETCH(&conn->deflate);
    PREFETCH(&conn->outgoing);
    PREFETCH(&conn->outgoing.alone);
}

enum wsc_status wsc_conn_send_shared(struct wsc_conn *conn,
                                     struct wsc_shared_message *message,
                                     enum wsc_compress compress)
{
    const struct wsc_shared_frame *frame;
    enum wsc_status status = WSC_ERR_TOO_BIG;
    if (conn->state != WSC_CONN_OPEN || conn->sending_message) {
        return WSC_ERR_INVALID_STATE;
    }
    bool compressed = is_compressed(conn, message->opcode, message->len, compress);
    if (conn->config->role == WSC_ROLE_SERVER) {
        struct wsc_shared_key key = key_of(conn, compressed);
        status = wsc_shared_message_frame(message, &key, &frame);
    }
    if (status == WSC_ERR_TOO_BIG) {
        return wsc_conn_send(conn, message->opcode, message->data, message->len, true,
                             compress, NULL, NULL);
    }
    if (status == WSC_OK) {
        status = queue_shared(conn, message->memory, frame);
    }
    if (status != WSC_OK) {
        return status;
    }
    if (conn->traced) {
        wsc_conn_note_sent(conn, message->opcode, true, message->data, message->len);
    }
    conn->messages_sent++;
    if (compressed) {
        count_sent(conn, frame->payload_len, message->len);
        /* RFC 7692 §7.2.3.2: the peer's window now ends with this message. */
        wsc_deflate_restart(conn->deflate);
    }
    return WSC_OK;
}
