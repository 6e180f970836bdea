#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <string.h>

#include "tls.h"

/* Of other links' turns: what one link may read before them. */
#define RECORDS_PER_TURN 64

/* How a call of OpenSSL went. */
enum outcome {
    DONE,
    WANTS_READ,
    WANTS_WRITE,
    NO_MORE, /* the end, or an error of the socket in `errno`; 0: the end */
    FAILED,  /* an error of TLS */
};

/* Before a call. SSL_get_error also looks at what others left in the thread's error
 * queue, so that is to be empty. Emptying costs far more than looking. */
static void prepare(void)
{
    if (ERR_peek_error() != 0) {
        ERR_clear_error();
    }
    errno = 0;
}

/* Right after it; of calls that give 1 if all is well. */
static enum outcome outcome_of(const struct wsc_tls *tls, int result)
{
    int error = errno;
    if (result == 1) {
        return DONE;
    }
    switch (SSL_get_error(tls->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return WANTS_READ;
    case SSL_ERROR_WANT_WRITE:
        return WANTS_WRITE;
    case SSL_ERROR_ZERO_RETURN:
    case SSL_ERROR_SYSCALL:
        ERR_clear_error();
        errno = error;
        return NO_MORE;
    default:
        return FAILED;
    }
}

bool wsc_tls_socket_attach(struct wsc_tls *tls, int fd)
{
#ifdef SSL_OP_ENABLE_KTLS
    (void)SSL_set_options(tls->ssl, SSL_OP_ENABLE_KTLS);
#endif
    /* As on memory, an end is an end; and in an orderly state we can still write. */
    (void)SSL_set_options(tls->ssl, SSL_OP_IGNORE_UNEXPECTED_EOF);
    /* A peer that sends nothing but tickets or KeyUpdates gets a turn for each. */
    (void)SSL_clear_mode(tls->ssl, SSL_MODE_AUTO_RETRY);
    /* Records that were read ahead would neither go to the kernel nor wake us. */
    SSL_set_read_ahead(tls->ssl, 0);
    return SSL_set_fd(tls->ssl, fd) == 1;
}

void wsc_tls_socket_kernel(const struct wsc_tls *tls, bool *out_sends,
                           bool *out_receives)
{
    *out_sends = BIO_get_ktls_send(SSL_get_wbio(tls->ssl)) != 0;
    *out_receives = BIO_get_ktls_recv(SSL_get_rbio(tls->ssl)) != 0;
}

/* The kernel takes a record whole, even if TCP has room for a part of it only, and
 * drops the rest with the socket or when that is shut down. It has a rest only while
 * the socket takes no bytes. */
bool wsc_tls_holds(const struct wsc_tls *tls)
{
    bool sends = false;
    bool receives = false;
    if (!tls->on_socket || tls->state == WSC_TLS_FAILED) {
        return false;
    }
    wsc_tls_socket_kernel(tls, &sends, &receives);
    struct pollfd socket = {.fd = SSL_get_fd(tls->ssl), .events = POLLOUT};
    return sends && poll(&socket, 1, 0) == 0;
}

/* Reading, or a handshake, has stopped for now. */
static void stopped(struct wsc_tls *tls, enum outcome outcome)
{
    switch (outcome) {
    case DONE:
    case WANTS_READ:
        return;
    case WANTS_WRITE:
        tls->read_needs_write = true;
        return;
    case NO_MORE:
        wsc_tls_received_end(tls, errno);
        return;
    case FAILED:
        wsc_tls_fail(tls, ERR_peek_error());
        return;
    }
}

static void shake_hands(struct wsc_tls *tls)
{
    tls->read_needs_write = false;
    prepare();
    enum outcome outcome = outcome_of(tls, SSL_do_handshake(tls->ssl));
    if (outcome == DONE && tls->state == WSC_TLS_HANDSHAKE) {
        tls->state = WSC_TLS_OPEN;
    }
    stopped(tls, outcome);
}

size_t wsc_tls_socket_receive(struct wsc_tls *tls, uint8_t *out, size_t size)
{
    size_t len = 0;
    if (tls->state == WSC_TLS_HANDSHAKE) {
        shake_hands(tls);
    }
    tls->write_needs_read = false;
    /* A call gives one record at most: with room for one, nothing of it stays where the
     * poller can't see it. */
    for (int i = 0; i < RECORDS_PER_TURN && tls->state == WSC_TLS_OPEN &&
                    !tls->read_needs_write && size - len >= WSC_TLS_RECORD;
         i++) {
        size_t got = 0;
        prepare();
        enum outcome outcome =
            outcome_of(tls, SSL_read_ex(tls->ssl, out + len, size - len, &got));
        len += got;
        if (outcome != DONE) {
            stopped(tls, outcome);
            break;
        }
    }
    return len;
}

/* --- sending --- */

/* `data` has to stay, and to be given again, until the status is another than
 * WSC_NEED_SPACE: OpenSSL lets the kernel encrypt it from where it is. */
static enum wsc_status put(struct wsc_tls *tls, const uint8_t *data, size_t len)
{
    size_t written = 0;
    prepare();
    enum outcome outcome = outcome_of(tls, SSL_write_ex(tls->ssl, data, len, &written));
    tls->write_needs_read = outcome == WANTS_READ;
    switch (outcome) {
    case DONE:
        return WSC_OK;
    case WANTS_READ:
    case WANTS_WRITE:
        return WSC_NEED_SPACE;
    case NO_MORE:
        tls->end_sent = true; /* it can't be any more */
        errno = errno == 0 ? EPIPE : errno;
        return WSC_ERR_IO;
    case FAILED:
        wsc_tls_fail(tls, ERR_peek_error());
        errno = EPIPE;
        return WSC_ERR_IO;
    }
    return WSC_ERR_IO;
}

static enum wsc_status send_end(struct wsc_tls *tls)
{
    if (wsc_tls_holds(tls)) {
        return WSC_NEED_SPACE;
    }
    prepare();
    int result = SSL_shutdown(tls->ssl); /* 0: the peer's is still to come */
    bool waits = result < 0 && outcome_of(tls, result) == WANTS_WRITE;
    ERR_clear_error();
    tls->end_waits = waits;
    return waits ? WSC_NEED_SPACE : WSC_OK;
}

enum wsc_status wsc_tls_socket_send(struct wsc_tls *tls)
{
    if (tls->read_needs_write) {
        shake_hands(tls);
    }
    if (tls->state == WSC_TLS_FAILED) {
        errno = tls->error == 0 ? EPROTO : tls->error;
        return WSC_ERR_IO;
    }
    if (tls->read_needs_write) {
        return WSC_NEED_SPACE;
    }
    if (tls->left != NULL) {
        enum wsc_status status = put(tls, tls->left, tls->left_end);
        if (status != WSC_OK) {
            return status;
        }
        wsc_free(tls->shared->allocator, tls->left);
        tls->left = NULL;
        tls->left_end = tls->left_cap = 0;
    }
    return tls->end_waits ? send_end(tls) : WSC_OK;
}

/* One record. If it has to wait, the memory it is in becomes the link's. */
static enum wsc_status put_next(struct wsc_tls *tls, struct wsc_outgoing *outgoing)
{
    struct wsc_tls_shared *shared = tls->shared;
    const uint8_t *data;
    size_t len = wsc_tls_gather(shared, outgoing, &data);
    if (data != shared->plain) {
        memcpy(shared->plain, data, len);
    }
    enum wsc_status status = put(tls, shared->plain, len);
    if (status == WSC_NEED_SPACE) {
        uint8_t *another = wsc_alloc(shared->allocator, WSC_TLS_RECORD);
        if (another == NULL) {
            tls->state = WSC_TLS_FAILED;
            tls->error = errno = ENOBUFS;
            return WSC_ERR_IO;
        }
        tls->left = shared->plain;
        tls->left_end = len;
        tls->left_cap = WSC_TLS_RECORD;
        shared->plain = another;
    }
    if (status != WSC_ERR_IO) {
        wsc_outgoing_consume(outgoing, len);
    }
    return status;
}

enum wsc_status wsc_tls_socket_write(struct wsc_tls *tls, struct wsc_outgoing *outgoing)
{
    enum wsc_status status = wsc_tls_socket_send(tls);
    while (status == WSC_OK && outgoing->size > 0) {
        status = put_next(tls, outgoing);
    }
    return status;
}
