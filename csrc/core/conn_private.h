/* What the parts of the connection share: conn.c (life, receiving) and conn_open.c (the
 * opening handshake) above, conn_send.c (messages) beside them, conn_close.c,
 * conn_control.c and conn_trace.c below. */
#ifndef WSC_CONN_PRIVATE_H
#define WSC_CONN_PRIVATE_H

#include "wsc/conn.h"

/* Everything that only the opening handshake needs. */
struct wsc_conn_opening {
    struct wsc_http_head head;
    struct wsc_buffer scratch; /* joined header lines; the extension answer; the body */
    bool head_complete;
    bool answer_expected; /* server: the request is out, accept or respond is next */
    bool failed;
    struct wsc_handshake_failure failure;

    /* server */
    struct wsc_handshake_request request;
    char accept[WSC_ACCEPT_SIZE];
    bool deflate_agreed;
    struct wsc_deflate_params deflate_params;

    /* client */
    char key[WSC_KEY_SIZE];
    bool request_sent;
    struct wsc_handshake_answer answer;
    struct wsc_str *protocols; /* offered; one block with their text behind them */
    size_t protocol_count;
    uint64_t body_left; /* of a refusal's body, still to be read */
    uint8_t interim;    /* responses that were skipped */
};

/* Everything that only control frames need. */
struct wsc_conn_control {
    struct wsc_close received;
    struct wsc_close sent;
    uint8_t incoming[WSC_CONTROL_PAYLOAD_MAX];
    uint8_t pong[WSC_CONTROL_PAYLOAD_MAX];
};

/* Where the keys of one that is traced are. */
struct wsc_conn_traced {
    struct wsc_key_pool keys;
    struct wsc_trace trace;
    size_t frame_begin; /* what was in the assembler before its last frame */
};

/* Each file calls the ones below it only. */

/* --- conn_open.c --- */

/* next_event while CONNECTING. */
enum wsc_status wsc_conn_open_next(struct wsc_conn *conn, struct wsc_event *out_event);
/* The peer ended TCP while CONNECTING. */
void wsc_conn_open_eof(struct wsc_conn *conn);

/* --- conn_open_server.c --- */

/* The request's head is complete: next_event. */
enum wsc_status
wsc_conn_open_server(struct wsc_conn *conn, struct wsc_event *out_event);
/* Answer a request that cannot become a WebSocket connection: a status, why, and the
 * end. What follows in the input is neither parsed nor answered. */
enum wsc_status wsc_conn_send_refusal(struct wsc_conn *conn);

/* --- conn_open_client.c --- */

/* The answer's head is complete: next_event. */
enum wsc_status
wsc_conn_open_client(struct wsc_conn *conn, struct wsc_event *out_event);
/* Forget the answer's head, which is complete, if another one follows it. */
bool wsc_conn_skip_interim(struct wsc_conn *conn);
/* The body of a refusal, as far as a client keeps it; and where TCP ends. */
enum wsc_status wsc_conn_read_refusal(struct wsc_conn *conn);
void wsc_conn_end_refusal(struct wsc_conn *conn);

/* --- conn_opening.c --- */

enum wsc_status wsc_conn_opening_new(struct wsc_conn *conn);
void wsc_conn_opening_free(struct wsc_conn *conn);
/* Both ends agreed on permessage-deflate. */
enum wsc_status
wsc_conn_use_deflate(struct wsc_conn *conn, const struct wsc_deflate_params *params);
/* Without it, as before. */
void wsc_conn_drop_deflate(struct wsc_conn *conn);

static inline struct wsc_http_header
wsc_conn_header(const char *name, struct wsc_str value)
{
    struct wsc_http_header result = {wsc_str_of(name), value};
    return result;
}

/* --- conn_close.c --- */

/* Stop reading for good: forget the input and what only receiving needs. */
void wsc_conn_stop_reading(struct wsc_conn *conn);
/* A sticky error of the peer (or memory): fail the connection with its close code. */
enum wsc_status
wsc_conn_set_error(struct wsc_conn *conn, enum wsc_status error, const char *reason);

/* --- conn_control.c --- */

/* Make sure that conn->control is there: WSC_OK or WSC_ERR_NO_MEMORY. */
enum wsc_status wsc_conn_need_control(struct wsc_conn *conn);
/* Queue a control frame. */
enum wsc_status wsc_conn_queue_control(struct wsc_conn *conn, enum wsc_opcode opcode,
                                       const uint8_t *data, size_t len);
/* Queue our close frame, once. */
enum wsc_status
wsc_conn_queue_close(struct wsc_conn *conn, const struct wsc_close *close);
/* Answer a ping: at once while little output waits, else remember the newest only. */
enum wsc_status
wsc_conn_queue_pong(struct wsc_conn *conn, const uint8_t *data, size_t len);

/* --- conn_trace.c --- */

/* Keys, and the trace if there is one. */
void wsc_conn_free_keys(struct wsc_conn *conn);
/* Of one that is traced: */
void wsc_conn_note_sent(struct wsc_conn *conn, enum wsc_opcode opcode, bool fin,
                        const uint8_t *data, size_t len);
void wsc_conn_note_received(struct wsc_conn *conn, const uint8_t *data, size_t len);
/* wsc_assembler_add, and a note of the frame that `slice` ends. */
enum wsc_status wsc_conn_add_traced(struct wsc_conn *conn,
                                    const struct wsc_slice *slice,
                                    struct wsc_message *out_message);

/* --- conn_frame.c --- */

/* A header, and for a client a fresh masking key (RFC 6455 §5.3). */
enum wsc_status wsc_conn_make_header(struct wsc_conn *conn, enum wsc_opcode opcode,
                                     bool fin, bool rsv1, uint64_t payload_len,
                                     struct wsc_frame_header *out_header);
/* Queue one frame, its payload copied (and masked by a client). */
enum wsc_status wsc_conn_queue_frame(struct wsc_conn *conn, enum wsc_opcode opcode,
                                     bool fin, bool rsv1, const uint8_t *data,
                                     size_t len);

#endif
