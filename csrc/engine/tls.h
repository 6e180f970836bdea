/* TLS of one link, apart from its socket.
 *
 * OpenSSL reads from and writes to memory that all links share: what one recv brought
 * is decrypted whole in the link's turn, and what a write made leaves with one send.
 * Only what the socket did not take is kept with the link. */
#ifndef WSC_ENGINE_TLS_H
#define WSC_ENGINE_TLS_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "wsc/outgoing.h"
#include "wsc/tls.h"

/* What clients resume: the newest session for each of the last 64 hosts. */
struct wsc_tls_sessions;
struct wsc_tls_sessions *wsc_tls_sessions_new(const struct wsc_allocator *allocator);
void wsc_tls_sessions_free(struct wsc_tls_sessions *sessions);
/* Name and port that `fd` is connected to; to be freed. NULL without memory. */
char *wsc_tls_sessions_key(const struct wsc_allocator *allocator,
                           const char *server_name, int fd);
/* A new reference, or NULL. One of TLS 1.3 is given once. */
SSL_SESSION *wsc_tls_sessions_take(struct wsc_tls_sessions *sessions, const char *key);
/* Keep the caller's reference: true if it is taken over. */
bool wsc_tls_sessions_put(struct wsc_tls_sessions *sessions, const char *key,
                          SSL_SESSION *session);
void wsc_tls_sessions_drop(struct wsc_tls_sessions *sessions, const char *key);

struct wsc_tls_context {
    const struct wsc_allocator *allocator;
    SSL_CTX *ssl_ctx;
    struct wsc_tls_name *_Atomic names; /* more may come while links use them */
    struct wsc_tls_sessions *sessions;  /* of a client */
    bool server;
    bool check_host_name;
};

/* What the links of an engine have in common. */
struct wsc_tls_shared {
    const struct wsc_allocator *allocator;
    BIO_METHOD *method;
    uint8_t *received; /* for WSC_TLS_IN_SIZE bytes */
    const uint8_t *in; /* what was received and OpenSSL has not read yet */
    size_t in_len;
    /* OpenSSL asked for more than there is: what SSL_ERROR_WANT_READ would say. */
    bool in_lacks;
    uint8_t *out; /* what OpenSSL wrote and is not sent yet */
    size_t out_len;
    size_t out_cap;
    bool out_lacks; /* it wrote more than there is room for */
    uint8_t *plain; /* small pieces side by side, for one record */
};

enum wsc_tls_state {
    WSC_TLS_HANDSHAKE,
    WSC_TLS_OPEN,
    /* These may not be reported yet. */
    WSC_TLS_ENDED, /* the peer's end came */
    WSC_TLS_FAILED,
};

struct wsc_tls {
    struct wsc_tls_shared *shared;
    const struct wsc_tls_context *context;
    SSL *ssl;
    char *session_key; /* NULL: its sessions are not kept */
    uint8_t *left;     /* not taken by the socket yet */
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

struct wsc_tls_shared *wsc_tls_shared_new(const struct wsc_allocator *allocator);
void wsc_tls_shared_free(struct wsc_tls_shared *shared);

/* `fd` is connected. A client sends its first message with the first wsc_tls_send; if
 * its settings don't allow for one, it has failed. NULL without memory. */
struct wsc_tls *wsc_tls_new(struct wsc_tls_shared *shared,
                            const struct wsc_tls_context *context, int fd,
                            const char *server_name);
/* OpenSSL's callback for clients. */
int wsc_tls_new_session(SSL *ssl, SSL_SESSION *session);
void wsc_tls_free(struct wsc_tls *tls);

/* Receive once, and decrypt all of it into `out`, of at least WSC_TLS_PLAIN_MIN bytes:
 * the length. The state says what else there is. */
#define WSC_TLS_PLAIN_MIN ((size_t)(128 << 10))
size_t wsc_tls_receive(struct wsc_tls *tls, int fd, uint8_t *out, size_t size);
/* The same with what was received before: at most WSC_TLS_IN_SIZE bytes. `got` is as of
 * recv(), or -errno. */
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

/* --- between tls.c and tls_shared.c --- */

/* Received at once. With what OpenSSL may hold of one record, less than
 * WSC_TLS_PLAIN_MIN. */
#define WSC_TLS_IN_SIZE ((size_t)64 << 10)
/* Make room for `needed` bytes of what is to be sent; false without memory, and for
 * more than 160 KiB. */
bool wsc_tls_reserve(const struct wsc_allocator *allocator, uint8_t **data, size_t *cap,
                     size_t needed);

/* RFC 8446 §5.1: the plaintext of a record. */
#define WSC_TLS_RECORD ((size_t)16 << 10)

#endif
