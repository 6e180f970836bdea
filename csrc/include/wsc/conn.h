/* The connection: one end of RFC 6455 as a state machine, without I/O.
 *
 * Bytes in (feed), events out (next_event), commands in (send_*), bytes to send out
 * (outgoing). Storage is the caller's. Not thread-safe; never calls upward but for the
 * allocator, the payload memory and the release of references.
 *
 * Errors of the peer fail the connection (§7.1.7): the close frame with the right code
 * is queued, everything that follows is discarded, and wsc_conn_next_event returns the
 * same error from then on. */
#ifndef WSC_CONN_H
#define WSC_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wsc/api.h"
#include "wsc/assembler.h"
#include "wsc/close.h"
#include "wsc/handshake.h"
#include "wsc/outgoing.h"
#include "wsc/parser.h"
#include "wsc/shared.h"
#include "wsc/trace.h"

#ifdef __cplusplus
extern "C" {
#endif

enum wsc_conn_state {
    WSC_CONN_CONNECTING, /* opening handshake not complete */
    WSC_CONN_OPEN,
    WSC_CONN_CLOSING, /* a close frame was sent or received, or the handshake refused */
    WSC_CONN_CLOSED,  /* the TCP connection is gone */
};

enum wsc_event_type {
    WSC_EVENT_REQUEST,  /* server: answer with accept or respond; head in wsc_conn_head
                         */
    WSC_EVENT_RESPONSE, /* client: the connection is open */
    WSC_EVENT_MESSAGE,  /* `message`: its payload is the caller's now */
    WSC_EVENT_PING,     /* `data`; the pong is queued already, see
                           wsc_conn_answer_by_hand */
    WSC_EVENT_PONG,     /* `data` */
    WSC_EVENT_CLOSE,    /* see `received`; the answer is queued already, or is left to
                           the owner too */
};

struct wsc_event {
    enum wsc_event_type type;
    struct wsc_message message; /* MESSAGE */
    const uint8_t *data;        /* PING, PONG: borrowed until the next call */
    size_t len;
};

struct wsc_conn_config {
    enum wsc_role role;
    const struct wsc_allocator *allocator;           /* borrowed for life */
    const struct wsc_payload_memory *payload_memory; /* borrowed for life */
    size_t max_size; /* bytes of one message; at most WSC_MESSAGE_SIZE_MAX */
    struct wsc_http_limits http_limits;
    bool any_request; /* server: hand out requests that do not ask for WebSocket as
                         RFC 6455 §4.2.1 wants it, instead of refusing them at once */
    const struct wsc_deflate_settings *deflate; /* borrowed for life; NULL: none */
    struct wsc_deflate_pool *deflate_pool;      /* borrowed for life; may be NULL */
};

/* Messages of 1 MiB, the limits of wsc_http_limits_init, memory from malloc, no
 * compression. The payloads of messages are given back with free(). */
WSC_API void wsc_conn_config_init(struct wsc_conn_config *config, enum wsc_role role);

/* Everything that only the opening handshake needs; freed when it is over. */
struct wsc_conn_opening;
/* Everything that only control frames need; freed between them. */
struct wsc_conn_control;

struct wsc_conn {
    /* Results, to be read by the owner: the fields up to `end_expected`. */
    enum wsc_conn_state state;
    enum wsc_status error;    /* sticky; WSC_OK while there is none */
    const char *error_reason; /* one sentence, static; NULL while there is none */
    const struct wsc_close *received; /* the peer's close frame; NULL: none yet */
    const struct wsc_close *sent;     /* ours */
    /* Counted since wsc_conn_init, as wsc_conn_bytes_sent and wsc_conn_compressed. */
    uint64_t bytes_received;
    uint64_t messages_sent;
    bool close_received_first;
    bool end_expected; /* nothing more is to be read: end the TCP connection once the
                          output is sent; a client first waits for the server to do so
                          (§7.1.1) unless the connection was failed */

    /* Private: for everybody but the core there are the functions below. */
    bool sending_message; /* between the first and the last fragment */
    bool sending_compressed;
    bool pong_pending;
    bool pings_by_hand;
    bool close_by_hand;
    bool failure_on_hold;
    uint8_t control_len;
    uint8_t pong_len;
    bool traced;
    struct wsc_deflate_params deflate_params;
    const struct wsc_conn_config *config;
    struct wsc_conn_opening *opening;
    struct wsc_conn_control *control;
    struct wsc_deflate *deflate;
    const uint8_t *input;
    size_t input_len;
    struct wsc_parser parser;
    struct wsc_assembler assembler;
    struct wsc_outgoing outgoing;
    struct wsc_key_pool *keys; /* of a client; with `traced`, followed by the trace */
};

/* `config` is borrowed for the connection's life (share it between connections).
 * WSC_ERR_NO_MEMORY; WSC_ERR_INVALID_ARGUMENT: settings or max_size out of range. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_init(struct wsc_conn *conn, const struct wsc_conn_config *config);
/* Free what it holds, and release the references that were not sent. */
WSC_API void wsc_conn_fini(struct wsc_conn *conn);

/* What is to be said of `error`, which is set: `error_reason`, or for WSC_ERR_TOO_BIG a
 * sentence with the limit. It is the close frame's reason, too. Written to `out`, not
 * terminated; its length. */
WSC_API size_t wsc_conn_describe_error(const struct wsc_conn *conn,
                                       char out[WSC_CLOSE_REASON_MAX]);

static inline size_t wsc_conn_max_size(const struct wsc_conn *conn)
{
    return conn->config->max_size;
}

static inline enum wsc_role wsc_conn_role(const struct wsc_conn *conn)
{
    return conn->config->role;
}

/* --- receiving --- */

/* Give input; borrowed until wsc_conn_next_event returned WSC_NEED_DATA or an error.
 * WSC_ERR_INVALID_STATE: the last input is not used up yet. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_feed(struct wsc_conn *conn, const uint8_t *data, size_t len);
/* Is a payload coming in that is worth receiving to where it belongs? */
WSC_API bool wsc_conn_receives_large(const struct wsc_conn *conn);
/* Where that is, and how much: to be fed from there at once. NULL: receive anywhere. */
WSC_API uint8_t *wsc_conn_receive_space(struct wsc_conn *conn, size_t *out_len);
/* The peer ended its side of the TCP connection, or it broke: state CLOSED. Input that
 * is left is dropped: take its events first. Frees what only receiving needs. */
WSC_API void wsc_conn_feed_eof(struct wsc_conn *conn);
/* WSC_OK with *out_event; WSC_NEED_DATA: feed, or (server) answer the request first;
 * negative: the connection's sticky error. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_next_event(struct wsc_conn *conn, struct wsc_event *out_event);
/* Input that was fed and not used yet. */
static inline size_t wsc_conn_input_left(const struct wsc_conn *conn)
{
    return conn->input_len;
}

/* Where it is. */
static inline const uint8_t *wsc_conn_input(const struct wsc_conn *conn)
{
    return conn->input;
}

/* It has been copied to `data`: read on from there. */
WSC_API void wsc_conn_move_input(struct wsc_conn *conn, const uint8_t *data);
/* On hold, an error of the peer's is returned and sets `error` as always, but queues
 * the close frame and leaves OPEN only when the hold ends: what came before the error
 * can be answered (§7.1.7 sets no time). Nothing more is read either way. */
WSC_API void wsc_conn_hold_failure(struct wsc_conn *conn, bool hold);
/* Leave the answers to the peer's pings, or to its close frame, to the owner
 * (RFC 6455 §5.5.1, §5.5.2 allow some delay). After such a close frame the state stays
 * OPEN until wsc_conn_send_close, and what comes is ignored. */
WSC_API void wsc_conn_answer_by_hand(struct wsc_conn *conn, bool pings, bool close);
/* A lower limit for messages that come uncompressed, at most config.max_size. May be
 * changed at any time: a message that has not come whole is held to the new one. */
WSC_API void wsc_conn_set_max_plain_size(struct wsc_conn *conn, size_t size);
/* Give out fragments as they come (true) or whole messages (false, the default). */
WSC_API void wsc_conn_set_streaming(struct wsc_conn *conn, bool streaming);

/* --- the opening handshake --- */

/* The head of the request (server) or response (client). Valid from its event, or the
 * handshake's error, until accept or respond, or the next call of next_event; NULL
 * otherwise. */
WSC_API const struct wsc_http_head *wsc_conn_head(const struct wsc_conn *conn);
/* What was wrong with it; NULL if nothing. Valid as long as the head. */
WSC_API const struct wsc_handshake_failure *
wsc_conn_failure(const struct wsc_conn *conn);
/* What a correct request asks for. */
WSC_API const struct wsc_handshake_request *
wsc_conn_request(const struct wsc_conn *conn);

/* Server, with `any_request`: send the refusal that wsc_conn_failure calls for.
 * WSC_ERR_INVALID_STATE: no such request waits for an answer. */
WSC_API WSC_NODISCARD enum wsc_status wsc_conn_refuse(struct wsc_conn *conn);
/* Server: the extension answer and Sec-WebSocket-Accept that a 101 needs, as headers to
 * be written first: Upgrade, Connection, Sec-WebSocket-Accept, and if agreed
 * Sec-WebSocket-Extensions; then Sec-WebSocket-Protocol if `protocol` is present. At
 * most WSC_ACCEPT_HEADERS; they point into the connection's opening state. */
#define WSC_ACCEPT_HEADERS 5
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_accept_headers(struct wsc_conn *conn, struct wsc_str protocol,
                        struct wsc_http_header out_headers[WSC_ACCEPT_HEADERS],
                        size_t *out_count);
/* Server: queue a response to the request. Status 101 opens the connection with what
 * wsc_conn_accept_headers agreed (call it before, with its headers among `headers`, or
 * without the extensions header for none); any other status ends it. To HEAD, and with
 * 204 and 304, the body stays out.
 * WSC_ERR_INVALID_STATE: no request waits for an answer. WSC_ERR_HANDSHAKE: 101 to a
 * request that cannot be accepted. WSC_ERR_INVALID_ARGUMENT: not writable (see
 * wsc_handshake_write_response); nothing is queued then. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_respond(struct wsc_conn *conn, uint16_t status, struct wsc_str reason,
                 const struct wsc_http_header *headers, size_t count,
                 const uint8_t *body, size_t body_len);

/* Server: the whole answer in one: what wsc_conn_accept_headers and wsc_conn_respond
 * do, with their errors, and no headers of the caller's. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_accept(struct wsc_conn *conn, struct wsc_str protocol);

/* Client: queue the request: `headers` in their order (Host among them), then Upgrade,
 * Connection, Sec-WebSocket-Key, Sec-WebSocket-Version, -Extensions and -Protocol. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_send_request(struct wsc_conn *conn, struct wsc_str target,
                      const struct wsc_http_header *headers, size_t count,
                      const struct wsc_str *protocols, size_t protocol_count);
/* Client: what the server agreed to; valid as long as the head. */
WSC_API const struct wsc_handshake_answer *wsc_conn_answer(const struct wsc_conn *conn);
/* Client: the first bytes of the body of a response other than 101. */
WSC_API struct wsc_str wsc_conn_response_body(const struct wsc_conn *conn);

/* The parameters of permessage-deflate; false when it was not agreed. */
WSC_API bool wsc_conn_deflate_params(const struct wsc_conn *conn,
                                     struct wsc_deflate_params *out_params);

/* Was it agreed on? */
static inline bool wsc_conn_has_deflate(const struct wsc_conn *conn)
{
    return conn->deflate != NULL;
}

/* What was counted of compressed messages; all zero while there is no
 * permessage-deflate. */
WSC_API struct wsc_deflate_traffic wsc_conn_compressed(const struct wsc_conn *conn);

/* --- sending --- */

enum wsc_compress {
    WSC_COMPRESS_AUTO, /* above the threshold, if agreed */
    WSC_COMPRESS_NEVER,
    WSC_COMPRESS_ALWAYS, /* if agreed, whatever the size */
};

/* Send a message, or with fin false its first fragment. `opcode` is TEXT or BINARY (or
 * CONTINUATION for the next fragments; `compress` is ignored then). The data is copied,
 * masked or compressed before this returns, except with `reference` (may be NULL): then
 * data and len are the reference's, and where they can be sent as they are (by a
 * server, uncompressed) they are, with *out_referenced (NULL without reference) true
 * and the reference transferred. Text is not checked here: the caller passes UTF-8.
 * WSC_ERR_INVALID_STATE: not OPEN, or fragments out of order. WSC_ERR_NO_MEMORY,
 * WSC_ERR_RANDOM: nothing was queued; in the middle of a compressed message the
 * connection is failed with 1011. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_send(struct wsc_conn *conn, enum wsc_opcode opcode, const uint8_t *data,
              size_t len, bool fin, enum wsc_compress compress,
              const struct wsc_reference *reference, bool *out_referenced);
/* A whole message, copied, and compressed above the threshold if that was agreed. */
static inline WSC_NODISCARD enum wsc_status
wsc_conn_send_message(struct wsc_conn *conn, enum wsc_opcode opcode,
                      const uint8_t *data, size_t len)
{
    return wsc_conn_send(conn, opcode, data, len, true, WSC_COMPRESS_AUTO, NULL, NULL);
}

/* Send a message that many get. A server queues the frame that they share; it is held
 * until it is sent, or copied where that is cheaper. Its compressor starts anew, since
 * the peer's window is no longer its own. A client masks a frame of its own (§5.3).
 * The same errors as wsc_conn_send; none of them fails the connection of a server. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_send_shared(struct wsc_conn *conn, struct wsc_shared_message *message,
                     enum wsc_compress compress);
/* Has the first fragment of a message been sent, and the last one has not? */
static inline bool wsc_conn_is_sending_message(const struct wsc_conn *conn)
{
    return conn->sending_message;
}

/* A message to many: ask the processor for what wsc_conn_send_shared is going to need
 * of this connection, while it is busy with another. */
WSC_API void wsc_conn_prefetch(const struct wsc_conn *conn);
/* At most 125 bytes, else WSC_ERR_INVALID_ARGUMENT. Allowed in OPEN; a ping or pong in
 * CLOSING before our close frame was sent does not exist (§5.5.1). */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_send_ping(struct wsc_conn *conn, const uint8_t *data, size_t len);
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_send_pong(struct wsc_conn *conn, const uint8_t *data, size_t len);
/* Start the closing handshake (§7.1.2). Code WSC_CLOSE_NO_STATUS_RCVD: an empty frame.
 * In CLOSING and CLOSED does nothing and is WSC_OK. */
WSC_API WSC_NODISCARD enum wsc_status
wsc_conn_send_close(struct wsc_conn *conn, uint32_t code, const char *reason,
                    size_t reason_len);
/* Fail the connection (§7.1.7): a close frame, if one may still be sent, and nothing is
 * read any more. Not an error of the peer: `error` stays as it is. */
WSC_API WSC_NODISCARD enum wsc_status wsc_conn_fail(struct wsc_conn *conn,
                                                    uint32_t code, const char *reason,
                                                    size_t reason_len);

/* --- output --- */

/* The output that waits, a pong included if nothing else does. Give it to
 * wsc_link_write, or look with wsc_outgoing_peek and then call wsc_conn_sent; and
 * again, until its size is 0. */
WSC_API struct wsc_outgoing *wsc_conn_outgoing(struct wsc_conn *conn);
/* Is there anything to send, a pending pong included? */
WSC_API bool wsc_conn_wants_send(const struct wsc_conn *conn);
/* The bytes of it, without a pending pong. */
static inline size_t wsc_conn_output_size(const struct wsc_conn *conn)
{
    return conn->outgoing.size;
}

/* Those that were sent, ever. */
static inline uint64_t wsc_conn_bytes_sent(const struct wsc_conn *conn)
{
    return conn->outgoing.consumed;
}

/* `len` bytes of the output were sent. wsc_link_write does this itself. */
WSC_API void wsc_conn_sent(struct wsc_conn *conn, size_t len);

/* --- tracing --- */

/* Note each frame from now on, as it is received and sent: those of a broken one come
 * to nothing. WSC_ERR_NO_MEMORY. */
WSC_API WSC_NODISCARD enum wsc_status wsc_conn_start_trace(struct wsc_conn *conn);
/* Has wsc_conn_take_trace anything to give? */
WSC_API bool wsc_conn_has_trace(const struct wsc_conn *conn);
/* Give the notes that there are to the caller, who reads and then wsc_trace_fini()s
 * them; without tracing there are none. */
WSC_API void wsc_conn_take_trace(struct wsc_conn *conn, struct wsc_trace *out_trace);

/* Bytes of memory that compression holds now, by zlib's accounting. */
WSC_API size_t wsc_conn_deflate_memory(const struct wsc_conn *conn);
/* Nothing has been heard for a while: give them back (between messages). */
WSC_API void wsc_conn_release_idle(struct wsc_conn *conn);

#ifdef __cplusplus
}
#endif
#endif
