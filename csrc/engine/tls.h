/* TLS of one link, apart from its socket.
 *
 * OpenSSL reads from and writes to memory that all links share: what one recv brought
 * is decrypted whole in the link's turn, and what a write made leaves with one send.
 * Only what the socket did not take is kept with the link. */
#ifndef WSC_ENGINE_TLS_H
#define WSC_ENGINE_TLS_H

#include <sys/types.h>

#include "wsc/outgoing.h"

#include "tls_context.h"
#include "tls_session.h"
#include "tls_shared.h"

enum wsc_tls_state {
    WSC_TLS_HANDSHAKE,
    WSC_TLS_OPEN,
    /* These may not be reported yet. */
    WSC_TLS_ENDED, /* the peer's end came */
    WSC_TLS_FAILED,
};

struct wsc_tls {
    struct wsc_tls_resumption resumption; /* first: this is the SSL's app data */
    struct wsc_tls_shared *shared;
    SSL *ssl;
    uint8_t *left; /* not taken by the socket yet */
    size_t left_start;
    size_t left_end;
    size_t left_cap;
    unsigned long code; /* of a failure: OpenSSL's, */
    int error;          /* or errno if that is not 0 */
    enum wsc_tls_state state;
    bool end_came;         /* close_notify */
    bool end_sent;         /* the same, or at least it is in `left` */
    bool write_needs_read; /* plaintext waits for what the peer sends, not for room */
};

/* What is given to TLS and not to the socket yet, in bytes. */
size_t wsc_tls_unsent(const struct wsc_tls *tls);
/* Whether a writable socket gets that on, or if there is `more`, that. */
bool wsc_tls_wants_write(const struct wsc_tls *tls, bool more);
/* Whether OpenSSL has something to read that isn't for the reader: its handshake's, or
 * for what is to be written if there is `more` of that. */
bool wsc_tls_wants_read(const struct wsc_tls *tls, bool more);
void wsc_tls_get_info(const struct wsc_tls *tls, struct wsc_tls_info *out_info);
/* False if TLS has not failed, or an errno says why. */
bool wsc_tls_get_failure(const struct wsc_tls *tls, struct wsc_tls_failure *out);

/* `fd` is connected. A client sends its first message with the first wsc_tls_send; if
 * its settings don't allow for one, it has failed. NULL without memory. */
struct wsc_tls *wsc_tls_new(struct wsc_tls_shared *shared,
                            const struct wsc_tls_context *context, int fd,
                            const char *server_name);
void wsc_tls_free(struct wsc_tls *tls);

#define WSC_TLS_PLAIN_MIN ((size_t)(128 << 10))
/* Receive once, as much as fits with what OpenSSL may hold of a record, and decrypt all
 * of it into `out`, of at least WSC_TLS_PLAIN_MIN bytes: the length. The state says
 * what else there is. */
size_t wsc_tls_receive(struct wsc_tls *tls, int fd, uint8_t *out, size_t size);
/* The same with what was received before, at most a record's length less than `size`.
 * `got` is as of recv(), or -errno. */
size_t wsc_tls_received(struct wsc_tls *tls, int fd, const uint8_t *data, ssize_t got,
                        uint8_t *out, size_t size);
/* Receive what wsc_tls_wants_read() is about, and leave data in the socket. */
void wsc_tls_receive_handshake(struct wsc_tls *tls, int fd);
/* Send what is encrypted: WSC_OK, WSC_NEED_SPACE or WSC_ERR_IO with errno. */
enum wsc_status wsc_tls_send(struct wsc_tls *tls, int fd);
/* Encrypt and send; the same. */
enum wsc_status
wsc_tls_write(struct wsc_tls *tls, int fd, struct wsc_outgoing *outgoing);
/* One of these has given WSC_ERR_IO. If the peer said why before it went, that is what
 * counts; `ahead`, if it isn't NULL, was received before. */
void wsc_tls_lost(struct wsc_tls *tls, int fd, const uint8_t *ahead, ssize_t got);
/* Queue close_notify, unless that is done. */
void wsc_tls_end(struct wsc_tls *tls);

#endif
