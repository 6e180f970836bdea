#include "tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/socket.h>

#include "socket.h"

/* Plaintext given to one send. */
#define WRITE_STEP ((size_t)64 << 10)
#define PIECES     64

static bool set_server_name(const struct wsc_tls *tls, const char *name, bool check)
{
    X509_VERIFY_PARAM *parameters = SSL_get0_param(tls->ssl);
    ASN1_OCTET_STRING *address = a2i_IPADDRESS(name);
    if (address != NULL) {
        /* RFC 6066 §3: an address is no host name. */
        ASN1_OCTET_STRING_free(address);
        return !check || X509_VERIFY_PARAM_set1_ip_asc(parameters, name) == 1;
    }
    union {
        const char *read_only;
        void *arg;
    } said = {.read_only = name}; /* the macro has a cast */
    if (SSL_ctrl(tls->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                 said.arg) != 1) {
        return false;
    }
    SSL_set_hostflags(tls->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return !check || SSL_set1_host(tls->ssl, name) == 1;
}

/* RFC 8446 §4.6.1, RFC 5077 §3.3: the server gave something to resume with. */
int wsc_tls_new_session(SSL *ssl, SSL_SESSION *session)
{
    const struct wsc_tls *tls = SSL_get_app_data(ssl);
    return tls->session_key != NULL && SSL_SESSION_is_resumable(session) == 1 &&
           wsc_tls_sessions_put(tls->context->sessions, tls->session_key, session);
}

/* False without memory: a session that is not there is no error. */
static bool resume(struct wsc_tls *tls, int fd, const char *server_name)
{
    tls->session_key = wsc_tls_sessions_key(tls->shared->allocator, server_name, fd);
    if (tls->session_key == NULL) {
        return false;
    }
    SSL_SESSION *session =
        wsc_tls_sessions_take(tls->context->sessions, tls->session_key);
    if (session != NULL) {
        (void)SSL_set_session(tls->ssl, session);
        SSL_SESSION_free(session);
    }
    return true;
}

/* The first message. */
static bool begin_as_client(struct wsc_tls *tls, int fd, const char *server_name)
{
    SSL_set_connect_state(tls->ssl);
    tls->shared->out_len = 0;
    if (server_name != NULL &&
        (!set_server_name(tls, server_name, tls->context->check_host_name) ||
         !resume(tls, fd, server_name))) {
        return false;
    }
    int result = SSL_do_handshake(tls->ssl);
    return SSL_get_error(tls->ssl, result) == SSL_ERROR_WANT_READ;
}

static bool attach(struct wsc_tls *tls)
{
    BIO *bio = BIO_new(tls->shared->method);
    if (bio == NULL) {
        return false;
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio);
    return true;
}

struct wsc_tls *wsc_tls_new(struct wsc_tls_shared *shared,
                            const struct wsc_tls_context *context, int fd,
                            const char *server_name)
{
    struct wsc_tls *tls = wsc_alloc_zeroed(shared->allocator, sizeof(*tls));
    if (tls == NULL) {
        return NULL;
    }
    ERR_clear_error();
    tls->shared = shared;
    tls->context = context;
    tls->ssl = SSL_new(context->ssl_ctx);
    if (tls->ssl == NULL || SSL_set_app_data(tls->ssl, tls) != 1 || !attach(tls)) {
        wsc_tls_free(tls);
        return NULL;
    }
    if (context->server) {
        SSL_set_accept_state(tls->ssl);
        return tls;
    }
    if (!begin_as_client(tls, fd, server_name)) {
        ERR_clear_error();
        wsc_tls_free(tls);
        return NULL;
    }
    return tls;
}

void wsc_tls_free(struct wsc_tls *tls)
{
    if (tls == NULL) {
        return;
    }
    SSL_free(tls->ssl);
    wsc_free(tls->shared->allocator, tls->session_key);
    wsc_free(tls->shared->allocator, tls->left);
    wsc_free(tls->shared->allocator, tls);
}

static void fail(struct wsc_tls *tls, unsigned long code)
{
    char *message = tls->shared->message;
    const char *reason = ERR_reason_error_string(code);
    const char *more = "";
    long verified = SSL_get_verify_result(tls->ssl);
    if (verified != X509_V_OK && tls->state == WSC_TLS_HANDSHAKE &&
        SSL_get_verify_mode(tls->ssl) != SSL_VERIFY_NONE) {
        more = X509_verify_cert_error_string(verified);
    }
    (void)BIO_snprintf(message, WSC_TLS_MESSAGE_SIZE, "%s%s%s",
                       reason == NULL ? "TLS error" : reason, more[0] == 0 ? "" : ": ",
                       more);
    ERR_clear_error();
    if (tls->session_key != NULL && tls->state == WSC_TLS_HANDSHAKE) {
        wsc_tls_sessions_drop(tls->context->sessions, tls->session_key);
    }
    tls->state = WSC_TLS_FAILED;
    tls->error = 0;
}

/* A read gave an error or the peer's end. */
static void ended(struct wsc_tls *tls, int result)
{
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (SSL_get_error(tls->ssl, result) == SSL_ERROR_ZERO_RETURN) {
        tls->state = WSC_TLS_ENDED;
        return;
    }
    fail(tls, code);
}

/* `out` has room for all that came, so OpenSSL keeps nothing but a part of a record. */
static void decrypt(struct wsc_tls *tls, uint8_t *out, size_t size, size_t *out_len)
{
    struct wsc_tls_shared *shared = tls->shared;
    /* The first call may find a record that the handshake has read already. Later ones
     * have to find something: to ask in vain costs a third of a record. */
    do {
        size_t got = 0;
        shared->in_lacks = false;
        int result = SSL_read_ex(tls->ssl, out + *out_len, size - *out_len, &got);
        *out_len += got;
        if (result != 1 && !shared->in_lacks) {
            ended(tls, result);
        }
        if (result != 1) {
            return;
        }
    } while (shared->in_len > 0);
}

static void shake_hands(struct wsc_tls *tls)
{
    ERR_clear_error();
    int result = SSL_do_handshake(tls->ssl);
    if (result == 1) {
        tls->state = WSC_TLS_OPEN;
    }
    else if (SSL_get_error(tls->ssl, result) != SSL_ERROR_WANT_READ) {
        fail(tls, ERR_peek_error());
    }
}

static void received_end(struct wsc_tls *tls, int error)
{
    bool early = tls->state == WSC_TLS_HANDSHAKE;
    tls->state = error != 0 || early ? WSC_TLS_FAILED : WSC_TLS_ENDED;
    tls->error = error;
    if (error == 0 && early) {
        (void)BIO_snprintf(tls->shared->message, WSC_TLS_MESSAGE_SIZE,
                           "connection closed during the TLS handshake");
    }
}

size_t wsc_tls_received(struct wsc_tls *tls, int fd, const uint8_t *data, ssize_t got,
                        uint8_t *out, size_t size)
{
    struct wsc_tls_shared *shared = tls->shared;
    size_t len = 0;
    if (got == -EAGAIN || got == -EWOULDBLOCK || got == -EINTR) {
        return 0;
    }
    if (got <= 0) {
        received_end(tls, (int)-got);
        return 0;
    }
    shared->in = data;
    shared->in_len = (size_t)got;
    shared->out_len = 0;
    tls->write_needs_read = false;
    if (tls->state == WSC_TLS_HANDSHAKE) {
        shake_hands(tls);
    }
    if (tls->state == WSC_TLS_OPEN) {
        decrypt(tls, out, size, &len);
    }
    shared->in_len = 0;
    if (shared->out_len > 0 && wsc_tls_send(tls, fd) == WSC_ERR_IO &&
        tls->state != WSC_TLS_FAILED) {
        tls->state = WSC_TLS_FAILED;
        tls->error = errno;
    }
    return len;
}

size_t wsc_tls_receive(struct wsc_tls *tls, int fd, uint8_t *out, size_t size)
{
    uint8_t *data = tls->shared->received;
    ssize_t got = wsc_socket_receive(fd, data, WSC_TLS_IN_SIZE);
    return wsc_tls_received(tls, fd, data, got, out, size);
}

/* --- sending --- */

static ssize_t send_bytes(int fd, const uint8_t *data, size_t len)
{
    for (;;) {
        ssize_t sent = wsc_socket_send(fd, data, len);
        if (sent >= 0) {
            return sent;
        }
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) {
            return 0;
        }
        if (errno != EINTR) {
            return -1;
        }
    }
}

static enum wsc_status send_left(struct wsc_tls *tls, int fd)
{
    size_t len = tls->left_end - tls->left_start;
    if (len == 0) {
        return WSC_OK;
    }
    ssize_t sent = send_bytes(fd, tls->left + tls->left_start, len);
    if (sent < 0) {
        return WSC_ERR_IO;
    }
    tls->left_start += (size_t)sent;
    if (tls->left_start < tls->left_end) {
        return WSC_NEED_SPACE;
    }
    wsc_free(tls->shared->allocator, tls->left);
    tls->left = NULL;
    tls->left_start = tls->left_end = tls->left_cap = 0;
    return WSC_OK;
}

size_t wsc_tls_unsent(const struct wsc_tls *tls)
{
    return tls->left_end - tls->left_start;
}

bool wsc_tls_wants_write(const struct wsc_tls *tls, bool more)
{
    bool unsent = wsc_tls_unsent(tls) > 0;
    if (tls->write_needs_read) {
        return unsent; /* it is encrypted already */
    }
    return unsent || (more && tls->state != WSC_TLS_HANDSHAKE);
}

enum wsc_status wsc_tls_send(struct wsc_tls *tls, int fd)
{
    struct wsc_tls_shared *shared = tls->shared;
    size_t len = shared->out_len;
    size_t at = 0;
    shared->out_len = 0;
    enum wsc_status status = send_left(tls, fd);
    if (status == WSC_OK && len > 0) {
        ssize_t sent = send_bytes(fd, shared->out, len);
        if (sent < 0) {
            return WSC_ERR_IO;
        }
        at = (size_t)sent;
    }
    if (status == WSC_ERR_IO || at == len) {
        return status;
    }
    if (!wsc_tls_reserve(shared->allocator, &tls->left, &tls->left_cap,
                         tls->left_end + len - at)) {
        errno = ENOBUFS;
        return WSC_ERR_IO;
    }
    memcpy(tls->left + tls->left_end, shared->out + at, len - at);
    tls->left_end += len - at;
    return WSC_NEED_SPACE;
}

/* Small pieces together, so that they share a record. */
static size_t gather(struct wsc_tls_shared *shared, const struct wsc_outgoing *outgoing,
                     const uint8_t **out_data)
{
    struct wsc_outgoing_piece pieces[PIECES];
    size_t count = wsc_outgoing_peek(outgoing, pieces, PIECES);
    size_t len = 0;
    if (count == 1 || pieces[0].len >= WSC_TLS_RECORD) {
        *out_data = pieces[0].data;
        return pieces[0].len < WSC_TLS_RECORD ? pieces[0].len : WSC_TLS_RECORD;
    }
    for (size_t i = 0; i < count && len < WSC_TLS_RECORD; i++) {
        size_t part =
            pieces[i].len < WSC_TLS_RECORD - len ? pieces[i].len : WSC_TLS_RECORD - len;
        memcpy(shared->plain + len, pieces[i].data, part);
        len += part;
    }
    *out_data = shared->plain;
    return len;
}

static bool encrypt_some(struct wsc_tls *tls, struct wsc_outgoing *outgoing)
{
    size_t done = 0;
    while (outgoing->size > 0 && done < WRITE_STEP) {
        const uint8_t *data;
        size_t written = 0;
        size_t len = gather(tls->shared, outgoing, &data);
        tls->shared->in_lacks = false;
        int result = SSL_write_ex(tls->ssl, data, len, &written);
        if (result != 1 && tls->shared->in_lacks) {
            /* RFC 8446 §4.6: part of a ticket or of new keys has come in a record of
             * its own, and OpenSSL sends nothing before it has the rest. */
            tls->write_needs_read = true;
            return true;
        }
        if (result != 1) {
            fail(tls, ERR_peek_last_error());
            return false;
        }
        wsc_outgoing_consume(outgoing, written);
        done += written;
    }
    return true;
}

enum wsc_status
wsc_tls_write(struct wsc_tls *tls, int fd, struct wsc_outgoing *outgoing)
{
    tls->shared->out_len = 0;
    enum wsc_status status = send_left(tls, fd);
    while (status == WSC_OK && outgoing->size > 0 && !tls->write_needs_read) {
        if (!encrypt_some(tls, outgoing)) {
            errno = EPIPE;
            return WSC_ERR_IO;
        }
        status = wsc_tls_send(tls, fd);
    }
    return status == WSC_OK && outgoing->size > 0 ? WSC_NEED_SPACE : status;
}

void wsc_tls_end(struct wsc_tls *tls)
{
    tls->shared->out_len = 0;
    if (tls->end_sent || tls->state == WSC_TLS_FAILED ||
        tls->state == WSC_TLS_HANDSHAKE) {
        return;
    }
    tls->end_sent = true;
    ERR_clear_error();
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}
